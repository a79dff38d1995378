"""`atkl evaluate --inference`, `--suite` and `atkl export --imt` on an ATLD run."""

import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras import layers

# Importing ART resets logging, see tests/experiments/test_hardening.py: not inside CliRunner.
import atk_latent.art_bridge.estimator  # noqa: F401
from atk_latent.cli.evaluate import evaluate_command
from atk_latent.cli.export import export_command
from atk_latent.config import build
from atk_latent.evaluation import suites
from atk_latent.evaluation.target import run_folder
from atk_latent.methods.atld import ATLD
from atk_latent.methods.atld_settings import ATLDSettings
from atk_latent.registry import ATTACKS
from tests.run_cards import write_card


def call(command, *arguments):
    return CliRunner().invoke(command, [str(a) for a in arguments])


def network():
    """Logits -s, s with s = mean pixel - 1/2, scaled; score: how far s is from 0."""
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(2)])
    kernel = np.tile([[-1.0, 1.0]], (64, 1)) / 4
    model.set_weights([kernel, np.array([8.0, -8.0])])
    latent = keras.Input((2,))
    hidden = layers.Dense(2, activation="relu", use_bias=False)
    score = layers.Dense(1, use_bias=False)
    classes = layers.Dense(2, kernel_initializer="zeros")
    judge = keras.Model(latent, [layers.Reshape(())(score(hidden(latent))), classes(latent)])
    hidden.set_weights([np.eye(2)])
    score.set_weights([np.ones((2, 1))])
    return model, judge


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run whose IMT moves every image away from the boundary, and its data."""
    folder = tmp_path_factory.mktemp("place")
    model, judge = network()
    game = ATLD(
        model,
        build(ATLDSettings, {"eps": 0.1, "latent": "logits", "label_smoothing": 0.1}),
        discriminator=judge,
    )
    model.save(folder / "model.keras")
    game.save_helpers(folder / "helpers")
    write_card(folder, "atld")
    rng = np.random.default_rng(0)
    y = np.arange(12) % 2
    x = (rng.uniform(-0.1, 0.1, (12, 8, 8, 1)) + 0.42 + 0.16 * y[:, None, None, None]).astype("f4")
    np.savez(folder / "data.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    return folder


def evaluated(place, *arguments):
    data = ("evaluate", place, "--data", place / "data.npz")[1:]
    found = call(evaluate_command, *data, "--json", *arguments)
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


PGD = "pgd:eps=0.06,steps=5"


def test_static_and_adaptive_numbers_say_what_they_are(place):
    attacks = [
        *("-a", PGD),
        *("-a", "through-imt:attack=pgd,eps=0.06,steps=5"),
        *("-a", "atld-joint:eps=0.06,steps=3"),
    ]
    none = evaluated(place, *attacks[:2])
    imt = evaluated(place, *attacks, "--inference", "imt")
    assert none["inference"] == "none" and imt["inference"] == "imt"
    assert [a["inference"] for a in imt["attacks"]] == ["imt"] * 3
    assert [a["threat"] for a in imt["attacks"]] == [
        "static: white-box, Linf, unaware of IMT",
        "adaptive: white-box through IMT (BPDA, the move's gradient taken as 1), Linf",
        "adaptive: sees classifier and discriminator but not the IMT step, Linf",
    ]
    assert none["attacks"][0]["threat"] == "white-box, Linf"
    assert imt["clean_accuracy"] == 1.0


def test_imt_scores_the_static_images_of_the_bare_classifier(place):
    """A linear boundary: PGD of eps moves the mean by eps, IMT of 0.1 moves it on, away."""
    bare = evaluated(place, "-a", PGD)["attacks"][0]
    behind = evaluated(place, "-a", PGD, "--inference", "imt:step_size=0")["attacks"][0]
    for field in ("robust_accuracy", "linf", "l2"):
        assert behind[field] == pytest.approx(bare[field], abs=1e-6)


def test_static_and_adaptive_are_printed_apart(place):
    arguments = ("-a", PGD, "-a", "atld-manifold:eps=0.06,steps=1", "--inference", "imt+")
    found = call(evaluate_command, place, "--data", place / "data.npz", *arguments)
    assert found.exit_code == 0, found.output
    assert "Static attacks on the bare classifier, then IMT+" in found.stdout
    assert "Adaptive attacks, which know of the discriminator" in found.stdout
    assert "inference imt+" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--inference", "mit"), "must be none, imt or imt+"),
        (("--inference", "imt:stepsize=1"), "Did you mean 'step_size'"),
        (("--suite", "atld"), "Known: atld-adaptive, atld-static"),
        (("-a", "through-imt"), "no IMT to attack through"),
    ],
)
def test_wrong_arguments_end_in_one_line(place, arguments, word):
    found = call(evaluate_command, place, "--data", place / "data.npz", *arguments)
    assert found.exit_code == 2, found.output
    assert word in found.stderr and len(found.stderr.strip().splitlines()) == 1


def test_a_model_without_discriminator_has_no_imt(place, tmp_path):
    network()[0].save(tmp_path / "model.keras")
    for command, extra in (
        (evaluate_command, ("--inference", "imt")),
        (export_command, ("--imt", "--out", tmp_path / "out")),
    ):
        found = call(command, tmp_path / "model.keras", "--data", place / "data.npz", *extra)
        assert found.exit_code == 2 and "holds no discriminator" in found.stderr
    assert not (tmp_path / "out").exists()


def specs_of(name, shape):
    setup = suites.Setup(shape, 10, inference="imt")
    return [attack.spec for attack in suites.plan(suites.load_suite(name), setup).attacks]


@pytest.mark.parametrize("name", ["atld-static", "atld-adaptive"])
def test_every_attack_of_a_suite_can_be_bound(place, name):
    from atk_latent.art_bridge.context import AttackContext
    from atk_latent.art_bridge.estimator import estimator_for
    from atk_latent.art_bridge.factory import make_attack
    from atk_latent.inference.loading import imt_for

    model = keras.models.load_model(place / "model.keras")
    wide = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(10)])
    specs = specs_of(name, (8, 8, 1))
    assert len(specs) == len(set(specs)) and all(s.partition(":")[0] in ATTACKS for s in specs)
    imt = imt_for("imt", place, model)
    context = AttackContext(imt=imt)
    for spec in specs:
        if "autoattack" not in spec:
            assert make_attack(spec, estimator_for(model), context).eps == pytest.approx(8 / 255)
    static = [s for s in specs if s.startswith("autoattack")]
    assert all(make_attack(s, estimator_for(wide), context).eps for s in static)


@pytest.mark.slow
def test_export_writes_the_imt_signatures(place, tmp_path):
    found = call(
        export_command,
        place,
        "--data",
        place / "data.npz",
        "--out",
        tmp_path / "sm",
        "--imt",
        "--json",
    )
    assert found.exit_code == 0, found.output
    record = json.loads(found.stdout)
    assert record["signatures"] == {"serving_default": 0.0, "imt": 0.0, "imt_plus": 0.0}


def test_run_folder_is_found(place):
    assert run_folder(str(place)) == place


@pytest.mark.slow
def test_a_hardened_run_is_evaluated_behind_its_own_imt(tmp_path):
    """End to end: data to run folder with the discriminator in it, then IMT out of it."""
    from atk_latent.cli.harden import harden

    run = tmp_path / "run"
    made = call(
        harden,
        *("--method", "atld", "--data", "digits", "--preset", "quick", "--epochs", 2),
        *("--limit", 200, "--set", "decay_epochs=1", "--out", run, "--json"),
    )
    assert made.exit_code == 0, made.output
    card = json.loads(made.stdout)
    assert 0 <= card["metrics"]["discriminator_test_accuracy"] <= 1
    assert card["settings"]["theta_term"] == "discriminator"
    assert {p.name for p in (run / "helpers").iterdir()} >= {"discriminator.keras", "manifold.json"}
    history = (run / "history.csv").read_text().splitlines()
    assert {"divergence", "scale", "discriminator_accuracy"} <= set(history[0].split(","))
    found = call(
        evaluate_command,
        *(run, "--data", "digits", "--limit", 40, "--inference", "imt+", "--json"),
        *("-a", "through-imt:attack=fgsm,eps=0.1", "-a", "atld-manifold:eps=0.1,steps=1"),
    )
    assert found.exit_code == 0, found.output
    assert [a["inference"] for a in json.loads(found.stdout)["attacks"]] == ["imt+"] * 2
