"""A model as most people have it, from the command line to the run folder and back."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from keras import layers

import atk_latent.art_bridge.estimator  # noqa: F401  resets logging
from atk_latent.cli.main import main
from atk_latent.models import endings

SHAPE = (8, 8, 3)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two classes of images, and a model of 0..255 that ends in softmax."""
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    arrays = {}
    for split, n in (("train", 40), ("test", 20)):
        y = np.arange(n) % 2
        x = rng.integers(0, 120, (n, *SHAPE)) + 120 * y[:, None, None, None]
        arrays |= {f"x_{split}": x.astype("uint8"), f"y_{split}": y}
    np.savez(folder / "data.npz", **arrays)
    parts = [layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(2, activation="softmax")]
    model = keras.Sequential([keras.Input(SHAPE), *parts], name="mine")
    slope = np.full((192, 1), 10 / 192)  # the brighter images are class 1
    model.layers[-1].set_weights([np.hstack([-slope, slope]), np.array([4.7, -4.7])])
    for suffix in ("keras", "h5"):
        model.save(folder / f"mine.{suffix}")
    model.export(folder / "served", verbose=False)
    return folder


def call(command, *arguments):
    options = ("--device", "cpu", "--json")
    return CliRunner().invoke(main, [command, *(str(part) for part in arguments), *options])


def read(command, *arguments):
    result = call(command, *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


RANGE = ("--input-range", "0,255")


def test_hardened_evaluated_and_exported(place, tmp_path):
    endings._log_once.cache_clear()
    data, run = ("--data", place / "data.npz"), tmp_path / "run"
    arguments = ("--method", "pgd", *data, "--model", place / "mine.keras", "--out", run)
    settings = ("--epochs", 1, "--eps", 0.1, "--batch-size", 20)
    hardened = call("harden", *arguments, *settings, *RANGE)
    card = json.loads(hardened.stdout)
    assert hardened.stderr.count("ends in softmax") == 1
    assert card["input_range"] == "0,255"
    assert "preprocess" not in card
    model = keras.saving.load_model(run / "model.keras")
    x = np.load(place / "data.npz")["x_test"].astype("float32") / 255
    np.testing.assert_allclose(np.sum(model(x), axis=1), 1, atol=1e-5)  # ends as it came
    plain = read("evaluate", run, *data, "-a", "fgsm:eps=0.05")  # the option is in the run
    assert plain["clean_accuracy"] == card["clean_accuracy"]
    again = read("harden", *arguments, *settings, "--resume")
    assert again == card
    changed = call("harden", *arguments, *settings, "--resume", "--input-range", "-1,1")
    assert (changed.exit_code, "was started with" in changed.stderr) == (2, True)
    export = read("export", run, *data, "--out", tmp_path / "served")
    assert export["max_difference"] < 1e-4
    (served,) = (
        tf.saved_model.load(str(tmp_path / "served"))
        .signatures["serving_default"](images=tf.constant(x))
        .values()
    )
    np.testing.assert_allclose(served, model(x), atol=1e-5)


def test_a_stopped_run_goes_on_with_the_pixels_it_began_with(place, tmp_path):
    data, run = ("--data", place / "data.npz"), tmp_path / "run"
    arguments = ("--method", "pgd", *data, "--model", place / "mine.keras", "--out", run)
    arguments = (*arguments, "--epochs", 1, "--eps", 0.1, "--batch-size", 20)
    card = read("harden", *arguments, *RANGE)
    for file in ("card.json", "model.keras", "helpers/vanilla.keras"):
        (run / file).unlink()
    again = read("harden", *arguments, "--resume")
    assert again["input_range"] == "0,255"
    assert again["vanilla_clean_accuracy"] == card["vanilla_clean_accuracy"] > 0.9


def test_every_command_takes_the_range(place, tmp_path):
    target, data = place / "mine.h5", ("--data", place / "data.npz")
    record = read("evaluate", target, *data, *RANGE, "-a", "fgsm:eps=0.02")
    assert record["clean_accuracy"] > 0.9
    assert record["input_range"] == "0,255"
    wrong = read("evaluate", target, *data, "-a", "fgsm:eps=0.02")
    assert wrong["clean_accuracy"] <= 0.6
    out = tmp_path / "a.npz"
    attacked = read("attack", target, *data, *RANGE, "-a", "fgsm:eps=0.02", "--out", out)
    assert attacked["robust_accuracy"] == record["attacks"][0]["robust_accuracy"]
    audit = call("audit", target, *data, *RANGE, "--eps", 0.02, "--limit", 10)
    assert json.loads(audit.stdout)["input_range"] == "0,255"


def test_a_saved_model_of_probabilities_is_refused(place):
    result = call("evaluate", place / "served", "--data", place / "data.npz", *RANGE)
    assert result.exit_code == 2
    assert "gives probabilities" in result.stderr


def test_a_registered_network_takes_no_range(place, tmp_path):
    arguments = ("--data", place / "data.npz", "--model", "lenet", "--out", tmp_path / "run")
    result = call("harden", "--method", "pgd", *arguments, *RANGE)
    assert result.exit_code == 2
    assert "are for a trained model" in result.stderr


def test_a_model_without_gradients_is_attacked_by_its_outputs(place, tmp_path):
    class Served(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], tf.float32)])
        def serve(self, x):
            bright = tf.reduce_mean(tf.round(255 * x), axis=(1, 2, 3)) - 119.5
            return {"scores": tf.stack([-bright, bright], axis=1)}

    served, target = Served(), tmp_path / "served"
    tf.saved_model.save(served, str(target), signatures={"serving_default": served.serve})
    data = ("--data", place / "data.npz")
    record = read("evaluate", target, *data, "-a", "square:eps=0.3,queries=20")
    assert record["clean_accuracy"] == 1
    for arguments in (("evaluate", target, "-a", "pgd:eps=0.1"), ("audit", target)):
        result = call(*arguments, *data)
        assert result.exit_code == 2
        assert "has no gradients" in result.stderr
        assert "square, rays, hopskipjump" in result.stderr
