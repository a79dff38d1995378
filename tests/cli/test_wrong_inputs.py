"""Wrong input costs one clear line and exit code 2, and leaves nothing behind."""

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


def test_a_model_that_ends_in_softmax_says_how_to_get_logits(good, tmp_path):
    out = tmp_path / "run"
    path = model(tmp_path, "softmax")
    fails_in_one_line(
        harden(good, out, "--model", path), "softmax", "logits", "activation", out=out
    )


def test_a_model_for_other_images(good, tmp_path):
    out = tmp_path / "run"
    path = model(tmp_path, channels=3)
    fails_in_one_line(harden(good, out, "--model", path), "(28, 28, 1)", out=out)


def test_a_command_that_does_not_exist():
    fails_in_one_line(["hardne"], "hardne")


def test_a_required_option_left_out():
    fails_in_one_line(["harden", "--data", "digits"], "--method")
