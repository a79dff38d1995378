"""Wrong input costs one clear line and exit code 2, and leaves nothing behind."""

import errno

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras import layers

from atk_latent.cli.main import main


def arrays(n=40, channels=1, classes=4):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (n, 28, 28, channels), np.uint8)
    y = np.arange(n) % classes
    return {"x_train": x, "y_train": y, "x_test": x[:8], "y_test": y[:8]}


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.npz"
    np.savez(path, **arrays())
    return path


def npz(tmp_path, **changes):
    path = tmp_path / "bad.npz"
    np.savez(path, **{**arrays(), **changes})
    return path


def model(tmp_path, activation=None, channels=1):
    path = tmp_path / "model.keras"
    keras.Sequential(
        [
            layers.Input((28, 28, channels)),
            layers.Flatten(),
            layers.Dense(6, activation="relu", name="hidden"),
            layers.Dense(4, activation=activation),
        ]
    ).save(path)
    return path


def fails_in_one_line(arguments, *words, out=None):
    result = CliRunner().invoke(main, [str(part) for part in arguments])
    lines = result.stderr.strip().splitlines()
    assert result.exit_code == 2, result.output
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("Error: ")
    assert result.stdout == ""
    for word in words:
        assert str(word) in lines[0]
    if out is not None:
        assert not out.exists()


def harden(data, out, *more):
    return ["harden", "--method", "ladder", "--data", data, "--out", out, *more]


def test_a_missing_file(tmp_path):
    out = tmp_path / "run"
    fails_in_one_line(harden(tmp_path / "no.npz", out), "no.npz", out=out)


def test_an_unknown_data_set_suggests_the_nearest(tmp_path):
    fails_in_one_line(harden("mnits", tmp_path / "run"), "mnits", "Did you mean 'mnist'")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"hello"])
def test_a_corrupt_npz(tmp_path, content):
    path, out = tmp_path / "bad.npz", tmp_path / "run"
    path.write_bytes(content)
    fails_in_one_line(harden(path, out), "bad.npz", out=out)


def test_nan(tmp_path):
    x = arrays()["x_train"].astype(np.float32) / 255
    x[3, 2, 1, 0] = np.nan
    fails_in_one_line(harden(npz(tmp_path, x_train=x), tmp_path / "run"), "bad.npz", "NaN")


def test_wrong_channels(tmp_path):
    x = np.zeros((40, 28, 28, 5), np.uint8)
    path = npz(tmp_path, x_train=x, x_test=x[:8])
    fails_in_one_line(harden(path, tmp_path / "run"), "5", "channel")


def test_one_class_only(tmp_path):
    path = npz(tmp_path, y_train=np.zeros(40, int), y_test=np.zeros(8, int))
    fails_in_one_line(harden(path, tmp_path / "run"), "class")


def test_an_unknown_method(good, tmp_path):
    arguments = ["harden", "--method", "lader", "--data", good, "--out", tmp_path / "run"]
    fails_in_one_line(arguments, "lader", "Did you mean 'ladder'", out=tmp_path / "run")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--eps", "-1"], ["eps", "-1"]),
        (["--epochs", "many"], ["epochs", "many"]),
        (["--limit", "many"], ["limit", "many"]),
        (["--set", "alpha=2"], ["alpha", "2"]),
        (["--set", "alfa=0.5"], ["alfa", "Did you mean 'alpha'"]),
        (["--set", "alpha"], ["key=value", "alpha"]),
        (["--set", "epochs=3", "--epochs", "4"], ["epochs", "twice"]),
        (["--model", "lennet"], ["lennet", "Did you mean 'lenet'"]),
        (["--preset", "best"], ["preset", "best"]),
        (["--config", "no.json"], ["no.json"]),
    ],
    ids=str,
)
def test_a_wrong_argument(good, tmp_path, more, words):
    out = tmp_path / "run"
    fails_in_one_line(harden(good, out, *more), *words, out=out)


def test_an_output_path_that_is_a_file(good, tmp_path):
    out = tmp_path / "run"
    out.write_text("mine")
    fails_in_one_line(harden(good, out), out)
    assert out.read_text() == "mine"


def test_an_output_folder_with_other_things_in_it(good, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("mine")
    fails_in_one_line(harden(good, tmp_path / "run"), "other things")


def test_a_keras_file_that_is_text(good, tmp_path):
    path, out = tmp_path / "text.keras", tmp_path / "run"
    path.write_text("not a model")
    fails_in_one_line(harden(good, out, "--model", path), "text.keras", out=out)


def test_a_missing_model(good, tmp_path):
    out = tmp_path / "run"
    fails_in_one_line(harden(good, out, "--model", tmp_path / "no.keras"), "no.keras", out=out)


def test_an_unknown_latent_layer(good, tmp_path):
    out = tmp_path / "run"
    arguments = harden(good, out, "--model", model(tmp_path), "--latent-layer", "hiden")
    fails_in_one_line(arguments, "hiden", "hidden", out=out)


def test_an_unknown_latent_layer_of_a_registered_model(good, tmp_path):
    out = tmp_path / "run"
    fails_in_one_line(harden(good, out, "--latent-layer", "latend"), "latend", "latent", out=out)


def test_an_ending_that_cannot_be_undone_says_how_to_get_logits(good, tmp_path):
    out = tmp_path / "run"
    path = model(tmp_path, "hard_sigmoid")
    fails_in_one_line(
        harden(good, out, "--model", path), "hard_sigmoid", "logits", "activation", out=out
    )


def test_a_model_for_other_images(good, tmp_path):
    out = tmp_path / "run"
    path = model(tmp_path, channels=3)
    fails_in_one_line(harden(good, out, "--model", path), "(28, 28, 1)", out=out)


def test_a_command_that_does_not_exist():
    fails_in_one_line(["hardne"], "hardne")


def test_a_required_option_left_out():
    fails_in_one_line(["harden", "--data", "digits"], "--method")


def changed(tmp_path, change):
    """A copy of the model above that was saved after `change`."""
    broken = keras.models.load_model(model(tmp_path))
    change(broken)
    broken.save(tmp_path / "broken.keras")
    return tmp_path / "broken.keras"


def test_a_model_whose_training_diverged(good, tmp_path):
    path = changed(tmp_path, lambda m: m.layers[-1].bias.assign([np.nan] * 4))
    words = ("broken.keras", "NaN", "lower learning rate")
    fails_in_one_line(harden(good, tmp_path / "run", "--model", path), *words, out=tmp_path / "run")
    fails_in_one_line(["evaluate", path, "--data", good, "--attack", "fgsm:eps=0.1"], *words)
    fails_in_one_line(["export", path, "--data", good, "--out", tmp_path / "e"], *words)


def test_training_that_diverges_is_no_result(good, tmp_path):
    run = tmp_path / "run"
    asked = ["harden", "--method", "fgsm", "--data", good, "--out", run, "--model", model(tmp_path)]
    asked += ["--epochs", "2", "--eps", "0.1"]
    for value in ("learning_rate=1e38", "weight_decay=100", "schedule=steps", "algorithm=sgd"):
        asked += ["--set", value]
    fails_in_one_line(asked, "epoch 1", "lower learning_rate")
    assert not (run / "card.json").exists() and not (run / "model.keras").exists()


def test_a_frozen_model(good, tmp_path):
    path = changed(tmp_path, lambda m: setattr(m, "trainable", False))
    asked = [
        "harden",
        "--method",
        "pgd",
        "--data",
        good,
        "--out",
        tmp_path / "run",
        "--model",
        path,
    ]
    fails_in_one_line(asked, "no trainable weights", "trainable = True", out=tmp_path / "run")


@pytest.mark.parametrize("what", ["inputs", "outputs"])
def test_a_model_with_two_ends(good, tmp_path, what):
    image = keras.Input((28, 28, 1))
    flat = layers.Flatten()(image)
    if what == "inputs":
        more = keras.Input((3,))
        logits = layers.Dense(4)(layers.Concatenate()([flat, more]))
        made = keras.Model([image, more], logits)
    else:
        made = keras.Model(image, [layers.Dense(4)(flat), layers.Dense(3)(flat)])
    path = tmp_path / "two.keras"
    made.save(path)
    fails_in_one_line(["evaluate", path, "--data", good, "--attack", "fgsm:eps=0.1"], f"2 {what}")


@pytest.mark.parametrize("method", ["pgd", "fgsm", "trades", "bilateral", "tla", "atld"])
def test_a_radius_in_bytes(good, tmp_path, method):
    asked = ["harden", "--method", method, "--data", good, "--out", tmp_path / "run", "--eps", "8"]
    fails_in_one_line(asked, "'eps'", "8/255", "Received: 8", out=tmp_path / "run")


@pytest.mark.parametrize(("method", "option"), [("pgd", "--latent-layer"), ("natural", "--eps")])
def test_an_option_of_other_methods(good, tmp_path, method, option):
    asked = ["harden", "--method", method, "--data", good, "--out", tmp_path / "run", option, "0.1"]
    fails_in_one_line(asked, f"{option} does nothing for --method {method}", out=tmp_path / "run")


def test_a_place_that_cannot_be_written(good, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere/x.json")

    monkeypatch.setattr("atk_latent.atomic.atomic_file", full)
    monkeypatch.setattr("atk_latent.atomic.write_json", full)
    asked = ["evaluate", model(tmp_path), "--data", good, "--attack", "fgsm:eps=0.1"]
    arguments = [str(part) for part in (*asked, "--out", tmp_path / "x.json")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2 and "clean accuracy" in result.stdout  # printed all the same
    (line,) = result.stderr.strip().splitlines()
    assert "somewhere/x.json: No space left on device. Make room" in line


def test_a_choice_left_out_is_one_line():
    fails_in_one_line(["completion"], "Missing argument", "bash")
