"""MobileNetV2 of `keras.applications` at 224x224, from an image folder to an exported model."""

import json

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import atk_latent.art_bridge.estimator  # noqa: F401  resets logging
from atk_latent.cli.main import main

CLASSES, SIZE = 10, 224


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Ten classes of one colour each with noise, and a network with new weights."""
    folder = tmp_path_factory.mktemp("mobilenet")
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 215, (CLASSES, 1, 1, 3))
    for split, n in (("train", 4), ("test", 2)):
        for label in range(CLASSES):
            where = folder / "photos" / split / f"class{label}"
            where.mkdir(parents=True)
            for i in range(n):
                pixels = colours[label] + rng.integers(-40, 40, (SIZE, SIZE, 3))
                Image.fromarray(pixels.astype("uint8")).save(where / f"{i}.png")
    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNetV2((SIZE, SIZE, 3), weights=None, classes=CLASSES)
    network.save(folder / "mobilenet.keras")
    return folder


def read(command, *arguments, codes=(0,)):
    options = ("--device", "cpu", "--json")
    result = CliRunner().invoke(main, [command, *(str(part) for part in arguments), *options])
    assert result.exit_code in codes, result.output
    return json.loads(result.stdout)


@pytest.mark.slow
def test_from_an_image_folder_to_an_exported_model(place, tmp_path):
    data, run = ("--data", place / "photos"), tmp_path / "run"
    card = read(
        *("harden", "--method", "fgsm", *data, "--out", run),
        *("--model", place / "mobilenet.keras", "--preprocess", "keras.applications.mobilenet_v2"),
        *("--eps", "2/255", "--epochs", 1, "--batch-size", 8),
    )
    assert card["preprocess"] == "keras.applications.mobilenet_v2"
    few = ("--limit", 10, "--batch-size", 10)
    evaluation = read("evaluate", run, *data, "-a", "fgsm:eps=2/255", *few)
    assert evaluation["attacks"][0]["linf"] <= 2 / 255 + 1e-6
    audit = read("audit", run, *data, "--eps", "2/255", *few, codes=(0, 3))
    assert {"zero-gradients"} <= {check["name"] for check in audit["checks"]}
    for form, out in (("savedmodel", "served"), ("tflite", "served.tflite")):
        export = read("export", run, *data, "--format", form, "--out", tmp_path / out, "--limit", 4)
        assert export["max_difference"] <= 1e-4
        assert export["image_shape"] == [SIZE, SIZE, 3]
