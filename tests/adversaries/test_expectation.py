"""Averages over the passes of a random classifier, where they are known."""

import numpy as np
import pytest
import tensorflow as tf

from atk_latent.adversaries import losses
from atk_latent.adversaries.apgd import AdaptiveAscent, APGDSettings
from atk_latent.adversaries.expectation import expected_gradient, expected_logits
from atk_latent.adversaries.factory import make_adversary

WEIGHTS = np.array([[3.0, -1.0], [-2.0, -3.0], [0.5, 1.0]], np.float32)
X = np.array([[0.2, 0.4], [0.9, 0.5]], np.float32).reshape(2, 1, 2, 1)
Y = tf.constant([0, 0])


class Turning:
    """Two classes; the second one's logit is w.x with the next of some weights each pass."""

    def __init__(self, weights=WEIGHTS, shift=0.0):
        self.weights, self.shift = tf.constant(weights), shift
        self.turn = tf.Variable(0)

    def __call__(self, x):
        weight = self.weights[self.turn % len(self.weights)]
        self.turn.assign_add(1)
        z = tf.linalg.matvec(tf.reshape(x, (-1, 2)), weight) - self.shift
        return tf.stack([tf.zeros_like(z), z], axis=1)


def averaged(loss, draws=3, shift=0.0):
    turning = Turning(shift=shift)
    run = tf.function(
        lambda x: expected_gradient(turning, lambda z: loss(z, Y), x, draws), autograph=False
    )
    return run(tf.constant(X)), turning


def test_gradient_is_the_mean_of_the_gradients_of_cross_entropy():
    found, turning = averaged(losses.cross_entropy)
    scores = X.reshape(2, 2) @ WEIGHTS.T
    slopes = 1 / (1 + np.exp(-scores))  # of softplus(w.x)
    want = slopes @ WEIGHTS / 3
    got = found.direction * found.scale[:, None, None, None]
    np.testing.assert_allclose(np.reshape(got, (2, 2)), want, rtol=1e-5)
    np.testing.assert_allclose(found.logits[:, 1], scores.mean(axis=1), rtol=1e-5)
    assert int(turning.turn) == 3


def test_gradient_of_log_odds_is_that_of_the_mean_weight():
    found, _ = averaged(losses.log_odds)
    got = found.direction * found.scale[:, None, None, None]
    np.testing.assert_allclose(
        np.reshape(got, (2, 2)), np.tile(WEIGHTS.mean(axis=0), (2, 1)), rtol=1e-5
    )


def test_tiny_slopes_keep_their_direction():
    found, _ = averaged(losses.cross_entropy, shift=80.0)
    slopes = np.exp(X.reshape(2, 2).astype(np.float64) @ WEIGHTS.T - 80)
    want = slopes @ WEIGHTS
    got = np.reshape(found.direction, (2, 2)).astype(np.float64)
    np.testing.assert_allclose(
        got / np.abs(got).max(1, keepdims=True),
        want / np.abs(want).max(1, keepdims=True),
        rtol=1e-3,
    )


def test_logits_are_averaged():
    turning = Turning()
    found = tf.function(lambda x: expected_logits(turning, x, 3), autograph=False)(tf.constant(X))
    np.testing.assert_allclose(found[:, 1], (X.reshape(2, 2) @ WEIGHTS.T).mean(1), rtol=1e-5)
    np.testing.assert_allclose(expected_logits(Turning(), tf.constant(X))[:, 1], [0.2, 2.2])


@pytest.mark.parametrize("kind", ["gradient ascent", "apgd"])
def test_attacks_climb_the_average(kind):
    turning = Turning(WEIGHTS[:2], shift=9.0)  # mean weight (0.5, -2), never a success
    if kind == "apgd":
        attack = AdaptiveAscent(APGDSettings(eps=0.1, steps=4, eot=2))
    else:
        attack = make_adversary("bim", eps=0.1, steps=4, eot=2)
    found = attack(turning, X, [0, 0])
    # of cross-entropy the draws weigh alike at first; Linf sees the signs of their mean
    slopes = 1 / (1 + np.exp(9 - X.reshape(2, 2) @ WEIGHTS[:2].T))
    want = X + 0.1 * np.sign(slopes @ WEIGHTS[:2]).reshape(X.shape)
    np.testing.assert_allclose(found, want, atol=1e-6)
