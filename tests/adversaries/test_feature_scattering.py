"""Feature scattering on a linear network: a step by hand, no labels, the start of the paper."""

import numpy as np
import pytest
import tensorflow as tf

from atk_latent.adversaries.feature_scattering import FeatureScatter, ScatteringSettings
from atk_latent.adversaries.noise import RowNoise
from atk_latent.adversaries.optimal_transport import SinkhornSettings, transport_cost
from atk_latent.config import build
from atk_latent.errors import InputError

X = np.array([[0.5, 0.5, 0.0], [0.2, 0.6, 1.0], [0.9, 0.1, 0.4]], np.float32).reshape(3, 1, 3, 1)
W = np.array([[1.0, -0.5], [0.3, 2.0], [-1.0, 0.7]], np.float32)


def scattering(*, seed=0, **settings):
    return FeatureScatter(build(ScatteringSettings, settings), seed=seed)


def linear(x):
    return tf.reshape(x, (-1, 3)) @ W


class Fixed:
    """Noise that draws the same numbers for every row."""

    def __init__(self, drawn):
        self.drawn = drawn

    def uniform(self, like):
        return tf.broadcast_to(tf.constant(self.drawn, tf.float32)[None, None, :, None], like.shape)


def test_one_step_goes_along_the_sign_of_the_transport_gradient():
    adversary = scattering(eps=0.1)
    drawn = np.array([0.9, 0.1, 0.4], np.float32)
    found = adversary.craft(linear, tf.constant(X), None, Fixed(drawn)).numpy()
    start = X + 0.1 * (2 * drawn - 1)[None, None, :, None]  # outside the bounds here and there
    assert start.min() < 0
    moved = tf.constant(start)
    with tf.GradientTape() as tape:
        tape.watch(moved)
        distance = tf.reduce_sum(transport_cost(linear(X), linear(moved), SinkhornSettings()))
    sign = np.sign(tape.gradient(distance, moved))
    expected = np.clip(np.clip(start + 0.1 * sign, X - 0.1, X + 0.1), 0, 1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert set(np.unique(sign)) == {-1.0, 1.0}


def test_labels_change_nothing_and_the_rest_of_the_batch_does():
    first = scattering(eps=0.1, seed=3)(linear, X, np.zeros(3, int))
    again = scattering(eps=0.1, seed=3)(linear, X, np.array([0, 1, 1]))
    np.testing.assert_array_equal(first, again)
    distances = [
        float(tf.reduce_sum(transport_cost(linear(X), linear(x), SinkhornSettings())))
        for x in (X, first)
    ]
    assert distances[1] > distances[0]


def test_images_may_move_in_a_euclidean_ball():
    noise = RowNoise(tf.constant([1, 0], tf.int64))
    found = scattering(eps=0.3, norm="l2", steps=2).craft(linear, tf.constant(X), None, noise)
    move = np.linalg.norm((found - X).numpy().reshape(3, 3), axis=1)
    assert move.max() <= 0.3 + 1e-6
    assert move.min() > 0.05


def test_step_size_is_eps_unless_given():
    start, drawn = tf.constant(X), Fixed(np.full(3, 0.5, np.float32))  # the middle: no move
    for settings, length in (({"eps": 0.1}, 0.1), ({"eps": 0.1, "step_size": "1/100"}, 0.01)):
        found = scattering(**settings).craft(linear, start, None, drawn)
        assert np.abs(found - X).max() == pytest.approx(length, abs=1e-6)
    with pytest.raises(InputError, match="step_size.*Received: 0.0"):
        scattering(step_size=0)
    with pytest.raises(InputError, match="unknown setting 'restarts'"):
        scattering(restarts=2)
