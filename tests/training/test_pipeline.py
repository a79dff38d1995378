import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from click.testing import CliRunner

# Importing ART resets logging, and absl then closes the stream its handler was given: it must
# happen here, not while click's CliRunner has another stderr in place.
import atk_latent.art_bridge.estimator  # noqa: F401
from atk_latent.cli.main import main
from atk_latent.data.loading import load_dataset
from atk_latent.errors import InputError
from atk_latent.training import pipeline
from atk_latent.training.request import HardenRequest, RunOptions
from atk_latent.training.starting_model import default_model
from tests.tiny_generator import known_tiny_generator  # noqa: F401

FAST = {
    "svm_epochs": 3,
    "generator_epochs": 2,
    "epochs": 2,
    "examples_per_class": 20,
}


def harden(*args, **options):
    """The card as files have it."""
    return pipeline.harden(*args, **options).to_json()


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    """The digits 0, 1 and 2: three pairs of classes instead of 45."""
    whole = load_dataset("digits")
    keep, kept = whole.y_train < 3, whole.y_test < 3
    path = tmp_path_factory.mktemp("data") / "three.npz"
    np.savez(
        path,
        x_train=whole.x_train[keep],
        y_train=whole.y_train[keep],
        x_test=whole.x_test[kept],
        y_test=whole.y_test[kept],
    )
    return path


@pytest.fixture(scope="module")
def digits(npz):
    return load_dataset(str(npz))


TINY = {**FAST, "generator": "tiny"}  # where no other process must know the generator


def request(method="ladder", *, model=None, overrides=TINY, seed=0):
    return HardenRequest(method, RunOptions("three", "quick", overrides, seed=seed), model)


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "deep" / "ladder"
    card = harden(request(), digits, folder)
    return folder, card


def test_a_run_folder_holds_what_the_design_says(run):
    folder, card = run
    present = {path.name for path in folder.iterdir()}
    assert present == {
        "model.keras",
        "card.json",
        "card.md",
        "checksums.json",
        "history.csv",
        "helpers",
        "request.json",
        "ladder_strip.png",
        "accuracy_over_eps.png",
    }
    helpers = {path.name for path in (folder / "helpers").iterdir()}
    assert helpers == {"vanilla.keras", "boundaries.npz", "generator.keras"}
    assert json.loads((folder / "card.json").read_text()) == card


def test_the_card_has_the_promised_fields(run):
    _, card = run
    promised = {
        "run",
        "method",
        "data",
        "preset",
        "clean_accuracy",
        "vanilla_clean_accuracy",
        "seconds",
        "peak_memory_mb",
        "metrics",
        "seed",
        "settings",
        "versions",
    }
    assert promised <= set(card)
    assert {
        "generator_test_mse",
        "ladder_examples_vanilla_accuracy",
        "ladder_examples_accuracy",
    } <= set(card["metrics"])
    assert card["settings"]["epochs"] == 2
    assert 0 <= card["clean_accuracy"] <= 1
    assert card["peak_memory_mb"] > 100


def test_the_accuracy_in_the_card_is_the_saved_models(run, digits):
    folder, card = run
    model = keras.models.load_model(folder / "model.keras")
    labels = np.argmax(model.predict(digits.x_test, verbose=0), axis=1)
    assert card["clean_accuracy"] == pytest.approx(np.mean(labels == digits.y_test))


def test_the_history_has_a_line_an_epoch(run):
    lines = (run[0] / "history.csv").read_text().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("epoch,")
    assert "adversarial_accuracy" in lines[0]


def test_the_card_counts_the_seconds_of_every_epoch(run):
    assert_seconds_of_epochs(*run)


def assert_seconds_of_epochs(folder, card):
    with (folder / "history.csv").open(newline="") as file:
        epochs = [float(row["seconds"]) for row in csv.DictReader(file)]
    assert len(epochs) == 2 and min(epochs) > 0
    assert card["training_seconds"] == pytest.approx(sum(epochs), abs=0.1)


def test_a_finished_run_is_not_done_again(run, digits):
    folder, card = run
    with pytest.raises(InputError, match="--resume"):
        harden(request(), digits, folder)
    before = (folder / "model.keras").stat().st_mtime_ns
    assert harden(request(), digits, folder, resume=True) == card
    assert (folder / "model.keras").stat().st_mtime_ns == before


def test_resuming_with_other_arguments_is_refused(run, digits):
    with pytest.raises(InputError, match="seed=0, now it is 3"):
        harden(request(seed=3), digits, run[0], resume=True)


class Interrupted(Exception):
    pass


def stop_at(stage):
    def progress(now, done, total, logs):
        if now == stage:
            raise Interrupted

    return progress


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param("vanilla", marks=pytest.mark.slow),
        pytest.param("generator", marks=pytest.mark.slow),
        "classifier",
        "measuring",
    ],
)
def test_a_run_stopped_anywhere_ends_as_an_undisturbed_one(run, digits, tmp_path, stage):
    folder = tmp_path / "run"
    with pytest.raises(Interrupted):
        harden(request(), digits, folder, progress=stop_at(stage))
    assert not (folder / "card.json").exists()
    assert not list(folder.glob("**/.*tmp*"))
    card = harden(request(), digits, folder, resume=True)
    left_a_state = stage != "vanilla"  # stopped in its first epoch
    assert card["resumed"] == left_a_state and not run[1]["resumed"]
    assert_seconds_of_epochs(folder, card)
    for name in ("clean_accuracy", "vanilla_clean_accuracy"):
        assert card[name] == run[1][name]
    ours, theirs = (
        keras.models.load_model(path / "model.keras").get_weights() for path in (folder, run[0])
    )
    for one, two in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


@pytest.mark.slow
def test_a_run_killed_at_any_moment_resumes(tmp_path, npz):
    folder = tmp_path / "run"
    sets = [f"--set={name}={value}" for name, value in FAST.items()]
    command = [
        sys.executable,
        "-m",
        "atk_latent.cli",
        "harden",
        "--method",
        "ladder",
        "--data",
        str(npz),
        "--preset",
        "quick",
        "--out",
        str(folder),
        "--json",
        *sets,
    ]
    for seconds in (6, 9, 12):
        child = subprocess.Popen(
            [*command, "--resume"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(seconds)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["method"] == "ladder"


def test_natural_training_is_a_method_too(digits, tmp_path):
    plain = request(method="natural", overrides={"epochs": "2"})
    card = harden(plain, digits, tmp_path / "run")
    assert card["metrics"] == {}
    assert card["clean_accuracy"] == card["vanilla_clean_accuracy"] > 0.5
    assert not (tmp_path / "run" / "ladder_strip.png").exists()


QUICKEST = {"epochs": "3", "eps": "0.1", "steps": "2", "algorithm": "sgd", "learning_rate": "0.1"}


def test_adversarial_training_starts_from_scratch_and_measures_itself(digits, tmp_path):
    folder = tmp_path / "run"
    card = harden(request(method="pgd", overrides=QUICKEST), digits, folder)
    assert card["vanilla_clean_accuracy"] is None
    assert not list((folder / "helpers").iterdir())
    assert card["clean_accuracy"] > 0.5
    assert 0 < card["metrics"]["pgd_accuracy"] <= card["clean_accuracy"]
    assert card["metrics"]["pgd_eps"] == 0.1
    assert "accuracy" not in (folder / "history.csv").read_text().splitlines()[0].split(",")


def test_adversarial_training_starts_from_a_model_that_is_given(run, digits, tmp_path):
    start = run[0] / "helpers" / "vanilla.keras"
    given = request(method="pgd", model=str(start), overrides={**QUICKEST, "epochs": "0"})
    card = harden(given, digits, tmp_path / "run")
    assert card["clean_accuracy"] == card["vanilla_clean_accuracy"]
    assert card["clean_accuracy"] == run[1]["vanilla_clean_accuracy"]


def test_a_fixed_set_is_made_once_on_the_vanilla_model(run, digits, tmp_path):
    folder = tmp_path / "run"
    augment = request(
        method="augment",
        model=str(run[0] / "helpers" / "vanilla.keras"),
        overrides={"attack": "fgsm:eps=0.2", "examples_per_class": "20", "epochs": "2"},
    )
    with pytest.raises(Interrupted):
        harden(augment, digits, folder, progress=stop_at("classifier"))
    with np.load(folder / "helpers" / "examples.npz") as made:
        assert made["x_adv"].shape == (60, 28, 28, 1)
        assert np.bincount(made["y"]).tolist() == [20, 20, 20]
        assert np.abs(made["x_adv"] - made["x"]).max() == pytest.approx(0.2, abs=1e-6)
    before = (folder / "helpers" / "examples.npz").stat().st_mtime_ns
    card = harden(augment, digits, folder, resume=True)
    assert (folder / "helpers" / "examples.npz").stat().st_mtime_ns == before
    assert card["vanilla_clean_accuracy"] == run[1]["vanilla_clean_accuracy"]
    assert card["settings"]["attack"] == "fgsm:eps=0.2"


def test_an_attack_that_does_not_exist_costs_nothing(digits, tmp_path):
    wrong = request(method="augment", overrides={"attack": "fgms"})
    with pytest.raises(InputError, match="'fgsm'"):
        harden(wrong, digits, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_extra_images_are_labelled_by_a_vanilla_model_trained_for_it(digits, tmp_path):
    np.savez(tmp_path / "extra.npz", x=digits.x_test)
    extra = {**QUICKEST, "extra_data": str(tmp_path / "extra.npz"), "early_stopping": "true"}
    card = harden(request(method="pgd", overrides=extra), digits, tmp_path / "run")
    assert (tmp_path / "run" / "helpers" / "vanilla.keras").exists()
    assert card["vanilla_clean_accuracy"] > 0.8
    assert "val_pgd_accuracy" in (tmp_path / "run" / "history.csv").read_text()


def test_a_trained_model_of_the_users_own_is_hardened(run, digits, tmp_path):
    own = request(model=str(run[0] / "helpers" / "vanilla.keras"))
    card = harden(own, digits, tmp_path / "run")
    assert card["vanilla_clean_accuracy"] == run[1]["vanilla_clean_accuracy"]


def test_models_are_chosen_by_data_set_and_image_size(digits):
    assert default_model(digits) == "lenet"


def test_attack_writes_ladder_examples_of_the_run(run, npz, tmp_path):
    out = tmp_path / "examples.npz"
    arguments = [
        "attack",
        str(run[0]),
        "--data",
        str(npz),
        "--attack",
        "ladder:eps=5",
        "--limit",
        "60",
        "--out",
        str(out),
        "--json",
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    with np.load(out) as made:
        assert made["x_adv"].shape == (60, 28, 28, 1)
        assert np.abs(made["x_adv"] - made["x"]).mean() > 0.01
        assert made["x_adv"].min() >= 0
        assert made["x_adv"].max() <= 1


def test_evaluate_says_that_the_runs_own_helpers_make_a_transfer_attack(run, npz):
    arguments = ["evaluate", str(run[0]), "--data", str(npz), "--limit", "60", "--json"]
    arguments += ["--attack", "ladder:eps=5", "--attack", "fgsm:eps=0.1"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    ladder, fgsm = json.loads(result.stdout)["attacks"]
    assert ladder["threat"].startswith("transfer from")
    assert "vanilla.keras" in ladder["threat"]
    assert fgsm["threat"].startswith("white-box")


def wrong_examples(x, y):
    return {
        "label 99": {"y": np.full_like(y, 99)},
        "label -1": {"y": np.full_like(y, -1)},
        "text": {"y": y.astype(str)},
        "fractions": {"y": y + 0.5},
        "NaN labels": {"y": np.full(len(y), np.nan)},
        "labels of another shape": {"y": np.stack([y, y, y, y], axis=1)},
        "fewer labels": {"y": y[1:]},
        "NaN images": {"x_adv": np.full_like(x, np.nan)},
        "other images": {"x_adv": x[:, :14]},
        "other originals": {"x": x[1:]},
        "no images": {"x_adv": x[:0], "y": y[:0]},
        "objects": {"x_adv": np.array([{}] * len(y))},
        "pixels over 1": {"x_adv": x + 1},
    }


@pytest.mark.parametrize("wrong", wrong_examples(np.zeros((2, 28, 28, 1)), np.zeros(2)))
def test_wrong_examples_are_refused_before_anything_is_trained(digits, tmp_path, wrong):
    x, y = digits.x_test, digits.y_test
    path = tmp_path / "made.npz"
    np.savez(path, **{"x_adv": x, "y": y, **wrong_examples(x, y)[wrong]})
    with pytest.raises(InputError, match=r"made\.npz") as caught:
        harden(
            request(method="augment", overrides={"examples_from": str(path)}),
            digits,
            tmp_path / "run",
            progress=stop_at("vanilla"),
        )
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("method", "overrides", "words"),
    [
        ("augment", {"attack": "song"}, "atkl train-gan"),
        ("augment", {"attack": "song:gan=nowhere"}, "no trained GAN at 'nowhere'"),
        ("augment", {"attack": "pgd:eps=-1"}, "eps"),
        ("pgd", {"extra_data": "extra.npz"}, "pixels"),
        ("pgd", {"extra_data": "extra.npz", "teacher": "extra.npz"}, "extra.npz"),
    ],
)
def test_what_cannot_be_trained_with_is_refused_before_anything_is_trained(
    digits, tmp_path, monkeypatch, method, overrides, words
):
    monkeypatch.chdir(tmp_path)
    np.savez("extra.npz", x=digits.x_test * (3 if "teacher" not in overrides else 1))
    with pytest.raises(InputError, match=words):
        harden(
            request(method=method, overrides=overrides),
            digits,
            tmp_path / "deep" / "run",
            progress=stop_at("vanilla"),
        )
    assert [p.name for p in tmp_path.iterdir()] == ["extra.npz"]


def test_other_data_under_the_same_name_are_not_gone_on_with(run, digits):
    other = dataclasses.replace(digits, x_train=1 - digits.x_train)
    with pytest.raises(InputError, match="was started on other data"):
        harden(request(), other, run[0], resume=True)
