"""He et al.'s ResNets for CIFAR, and the layer that scales images."""

import keras
import numpy as np
import pytest
from keras import layers

from atk_latent.errors import InputError
from atk_latent.models import initialising as init, latent
from atk_latent.models.cifar_resnet import cifar_resnet, zero_padded
from atk_latent.models.input_scale import (
    CIFAR10,
    IMAGENET,
    Statistics,
    own_statistics,
    with_statistics,
)
from atk_latent.registry import MODELS

X = np.random.default_rng(0).random((2, 7, 6, 4)).astype("float32")


# Weights of the published PyTorch classes.
@pytest.mark.parametrize(
    ("name", "count"),
    [("resnet20", 269_722), ("resnet32", 464_154), ("resnet44", 658_586), ("resnet56", 853_018)],
)
def test_registered_networks_have_the_published_size(name, count):
    model = MODELS[name]()
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == count
    assert model.name == name
    assert model.get_layer("latent").output.shape == (None, 64)
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)


def test_shortcut_takes_every_second_pixel_and_pads_channels_with_zeros():
    image = keras.Input(X.shape[1:])
    model = keras.Model(image, zero_padded(image, 9, 2, init.Seeds(0), "a"))
    expected = np.pad(X[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (2, 3)))
    np.testing.assert_array_equal(model(X), expected)
    assert not model.weights
    assert zero_padded(image, 4, 1, init.Seeds(0), "b") is image


def test_other_sizes_split_and_come_back_from_disk(tmp_path):
    model = cifar_resnet((9, 12, 1), 3, seed=1, depth=8)
    x = np.random.default_rng(1).random((2, 9, 12, 1)).astype("float32")
    features, head = latent.split(model)
    np.testing.assert_allclose(head(features(x)), model(x), atol=1e-5)
    model.save(tmp_path / "m.keras")
    np.testing.assert_allclose(
        keras.saving.load_model(tmp_path / "m.keras")(x), model(x), atol=1e-6
    )


def test_depth_that_makes_no_groups_is_refused():
    with pytest.raises(InputError, match="2 more than a multiple of 6.* Received: 21"):
        cifar_resnet(depth=21)


def test_statistics_scale_as_they_say():
    x = X[..., :3]
    expected = (x - IMAGENET.mean) / IMAGENET.std
    np.testing.assert_allclose(IMAGENET.layer(3)(x), expected, atol=1e-5)
    grey = (x[..., :1] - np.mean(CIFAR10.mean)) / np.mean(CIFAR10.std)
    np.testing.assert_allclose(CIFAR10.layer(1)(x[..., :1]), grey, atol=1e-5)
    np.testing.assert_allclose(Statistics((0.5,), (2.0,)).layer(3)(x), (x - 0.5) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        (Statistics((0.5,), (0.0,)), "above 0. Received: 0"),
        (Statistics((0.5, 0.5), (1.0, 1.0)), "one number or 4, one a channel. Received: 2"),
    ],
)
def test_statistics_that_cannot_scale_are_refused(statistics, message):
    with pytest.raises(InputError, match=message):
        statistics.layer(4)


def body():
    return [layers.Flatten(), layers.Dense(2, name="end")]


@pytest.mark.parametrize(
    ("first", "own"),
    [
        ([], Statistics((0.0,), (1.0,))),
        ([layers.Rescaling(2.0, -1.0)], Statistics((0.5,), (0.5,))),
        ([IMAGENET.layer(3)], IMAGENET),
    ],
)
def test_statistics_replace_those_of_the_model(first, own):
    model = keras.Sequential([keras.Input((7, 6, 3)), *first, *body()])
    np.testing.assert_allclose(own_statistics(model).mean, own.mean, atol=1e-5)
    np.testing.assert_allclose(own_statistics(model).std, own.std, atol=1e-5)
    wanted = Statistics((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    scaled = with_statistics(model, wanted)
    x = X[..., :3]
    plain = keras.Sequential([keras.Input((7, 6, 3)), *body()])
    plain.set_weights(model.get_weights())
    expected = plain(((x - wanted.mean) / wanted.std).astype("float32"))
    np.testing.assert_allclose(scaled(x), expected, atol=1e-5)
    np.testing.assert_allclose(own_statistics(scaled).mean, wanted.mean, atol=1e-5)
    assert scaled.get_layer("end") is model.get_layer("end")
    unscaled = with_statistics(model, Statistics((0.0,), (1.0,)))
    np.testing.assert_allclose(unscaled(x), plain(x), atol=1e-5)
