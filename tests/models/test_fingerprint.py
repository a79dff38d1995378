"""A fingerprint is one for a model, whatever its names, and another for any other model."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.models.fingerprint import fingerprint

SHAPE = (4, 4, 1)


def joined(pair):
    """Two dense layers of the same weights; an Add of what `pair` says."""
    image = keras.Input(SHAPE)
    flat = layers.Flatten()(image)
    tensors = {"a": layers.Dense(3)(flat), "b": layers.Dense(3)(flat)}
    out = layers.Add()([tensors[name] for name in pair])
    model = keras.Model(image, [out, tensors["a"], tensors["b"]])
    model.set_weights([np.full(w.shape, i + 1.0) for i, w in enumerate(model.get_weights())])
    return model


def called(times):
    """A shared layer, called so many times."""
    image = keras.Input(SHAPE)
    hidden, dense = layers.Flatten()(image), layers.Dense(16, kernel_initializer="ones")
    for _ in range(times):
        hidden = dense(hidden)
    return keras.Model(image, hidden)


def crossed(first):
    """The outputs of a two-headed part in either order."""
    image = keras.Input(SHAPE)
    flat = layers.Flatten()(image)
    inner = keras.Model(image, [flat, layers.Rescaling(2.0)(flat)])
    outer = keras.Input(SHAPE)
    ends = inner(outer)
    return keras.Model(outer, layers.Subtract()([ends[first], ends[1 - first]]))


def scaled_by(factor):
    class Scaled(layers.Layer):
        def call(self, inputs):
            return inputs * factor

    return keras.Sequential([keras.Input(SHAPE), layers.Flatten(), Scaled()])


def subclassed(sign):
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2, kernel_initializer="ones")

        def call(self, inputs):
            return sign * self.dense(tf.reshape(inputs, (-1, 16)))

    model = Subclassed()
    model(np.zeros((1, *SHAPE), "float32"))
    return model


def activated(factor):
    def bent(x):
        return factor * x

    return keras.Sequential(
        [keras.Input(SHAPE), layers.Flatten(), layers.Dense(2, bent, kernel_initializer="ones")]
    )


PAIRS = {
    "an Add of [a, b] and of [b, b]": (joined, "ab", "bb"),
    "a layer that is called once and twice": (called, 1, 2),
    "the outputs of a part, crossed": (crossed, 0, 1),
    "a layer of the user's own with other code": (scaled_by, 1.0, 2.0),
    "an activation of the user's own with other code": (activated, 1.0, 2.0),
    "a subclassed model with other code": (subclassed, 1.0, -1.0),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_models_that_compute_otherwise_have_other_fingerprints(pair):
    build, first, second = PAIRS[pair]
    weights = zip(build(first).get_weights(), build(second).get_weights(), strict=True)
    assert all(np.array_equal(one, other) for one, other in weights)
    prints = [fingerprint(build(one), SHAPE) for one in (first, first, second)]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize("pair", list(PAIRS)[:3])
def test_a_graph_keeps_its_fingerprint_on_disk(pair, tmp_path):
    build, first, _ = PAIRS[pair]
    model = build(first)
    model.save(tmp_path / "m.keras")
    assert fingerprint(keras.models.load_model(tmp_path / "m.keras")) == fingerprint(model)


def test_a_registered_network_keeps_its_fingerprint_on_disk(tmp_path):
    from atk_latent.registry import MODELS

    model = MODELS["resnet20"]((32, 32, 3), 10, seed=0)
    model.save(tmp_path / "m.keras")
    assert fingerprint(keras.models.load_model(tmp_path / "m.keras")) == fingerprint(model)
    assert fingerprint(MODELS["resnet20"]((32, 32, 3), 10, seed=1)) != fingerprint(model)


def test_random_layers_are_not_moved_on_and_do_not_change_the_name():
    class Noisy(keras.Model):
        def __init__(self):
            super().__init__()
            self.seeds = keras.random.SeedGenerator(3)

        def call(self, inputs):
            return inputs + keras.random.normal(tf.shape(inputs), seed=self.seeds)

    model = Noisy()
    image = np.zeros((1, *SHAPE), "float32")
    model(image)
    before = np.array(model.seeds.state)
    assert fingerprint(model, SHAPE) == fingerprint(model, SHAPE)
    np.testing.assert_array_equal(before, np.array(model.seeds.state))


def test_two_saved_models_at_one_place_are_two(tmp_path):
    from atk_latent.models.loading import load_classifier

    prints = []
    for value in (1.0, 2.0):
        model = keras.Sequential(
            [keras.Input(SHAPE), layers.Flatten(), layers.Rescaling(value), layers.Dense(2)]
        )
        model.set_weights([np.ones((16, 2)), np.zeros(2)])
        model.export(tmp_path / "saved", verbose=False)
        prints.append(fingerprint(load_classifier(tmp_path / "saved"), SHAPE))
    assert prints[0] != prints[1]
