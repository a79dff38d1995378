"""TensorBoard's logs of a training: its numbers, its images, and none of its random numbers."""

import keras
import numpy as np
import pytest
from keras import layers

from atk_latent.methods.fit import LoopOptions, loop_options
from atk_latent.registry import METHODS

event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def trained(name, folder=None):
    keras.utils.set_random_seed(1)
    hidden = layers.Dense(5, activation="tanh", name="latent")
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), hidden, layers.Dense(2)])
    own = {"epochs": 2, "batch_size": 16}
    own |= {"discriminator": "small", "label_smoothing": 0.1} if name == "atld" else {}
    kind = METHODS[name]
    method = kind(model, kind.settings_for("", "any", "quick", own), seed=1)
    x = np.random.default_rng(0).random((32, 4, 4, 1), np.float32)
    with loop_options(LoopOptions(tensorboard=folder)):
        method.harden(x, (x.mean(axis=(1, 2, 3)) > 0.5).astype(np.int64))
    return model.get_weights()


def events(folder):
    found = event_accumulator.EventAccumulator(str(folder), {"tensors": 0})
    return found.Reload()


@pytest.mark.parametrize(
    ("name", "tags"), [("pgd", {"clean", "adversarial"}), ("natural", {"clean"})]
)
def test_numbers_and_images_are_written_and_weights_stay_the_same(tmp_path, name, tags):
    plain = trained(name)
    watched = trained(name, tmp_path)
    for a, b in zip(plain, watched, strict=True):
        np.testing.assert_array_equal(a, b)
    numbers = events(tmp_path / "classifier" / "train")
    wanted = "epoch_adversarial_accuracy" if name == "pgd" else "epoch_accuracy"
    assert {"epoch_loss", wanted} <= set(numbers.Tags()["tensors"])
    assert [event.step for event in numbers.Tensors(wanted)] == [0, 1]
    images = events(tmp_path / "classifier" / "images")
    assert set(images.Tags()["tensors"]) == tags
    assert len(images.Tensors("clean")) == 2


def test_the_game_of_atld_shows_what_it_crafts(tmp_path):
    trained("atld", tmp_path)
    assert "adversarial" in events(tmp_path / "classifier" / "images").Tags()["tensors"]
