"""Gradients in two factors, in float16 networks too, and the alarm where there are none."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.adversaries import losses
from atk_latent.adversaries.base import inference
from atk_latent.adversaries.factory import make_adversary
from atk_latent.adversaries.gradients import (
    ZeroGradientWarning,
    loss_gradient,
    repeat,
    zero_gradients,
)
from tests.adversaries.contract import network


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.dlr, losses.margin])
def test_product_is_the_gradient(loss):
    model, x, y = network(5)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(model(x), y)
    found = loss_gradient(model, lambda logits: loss(logits, y), x)
    product = found.direction * tf.reshape(found.scale, (-1, 1, 1, 1))
    np.testing.assert_allclose(product, tape.gradient(value, x), rtol=1e-4, atol=1e-6)


def test_confident_samples_of_a_float16_network_keep_their_gradients():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            layers.Input((4, 4, 1)),
            layers.Flatten(dtype="mixed_float16"),
            layers.Dense(8, activation="tanh", dtype="mixed_float16"),
            layers.Dense(4, dtype="mixed_float16"),
        ]
    )
    x = tf.constant(np.random.default_rng(0).uniform(0, 1, (8, 4, 4, 1)), tf.float32)
    y = tf.argmax(model(x), axis=1, output_type=tf.int32)

    def sure(images):  # a lead of about 30: a cross-entropy of 1e-13, nothing in float16
        return 30.0 * tf.one_hot(y, 4) + inference(model)(images)

    def loss(logits):
        return losses.cross_entropy(logits, y)

    with tf.GradientTape() as tape:
        tape.watch(x)
        plain = tf.reduce_sum(loss(sure(x)))
    assert not np.any(tape.gradient(plain, x))
    found = loss_gradient(sure, loss, x)
    assert found.direction.dtype == tf.float32
    size = tf.reduce_max(tf.abs(found.direction), axis=(1, 2, 3)).numpy()
    assert size.min() > 0.01 and (found.scale.numpy() < 1e-10).all()
    want = loss_gradient(
        inference(model), lambda z: losses.log_odds(z + 30 * tf.one_hot(y, 4), y), x
    )
    np.testing.assert_allclose(found.direction, want.direction, atol=2e-3)
    moved = make_adversary("bim", eps=0.1, steps=2)(sure, x, y)
    assert (np.abs(moved - x).max(axis=(1, 2, 3)) > 0.09).all()


def test_repeat_counts():
    for times in (1, 4):
        body = lambda index, total: (index + 1, total + tf.cast(index, tf.float32))  # noqa: E731
        assert float(repeat(body, times, tf.constant(0.0))) == sum(range(times))


def half_blocked(images):
    """No gradient where the first pixel is dark."""
    flat = tf.reshape(images, (tf.shape(images)[0], 4))
    seen = tf.where(flat[:, :1] > 0.5, flat, tf.round(flat))
    return tf.stack([tf.zeros_like(seen[:, 0]), tf.reduce_sum(seen, axis=1)], axis=1)


def images(dark, bright):
    x = np.full((dark + bright, 2, 2, 1), 0.7, np.float32)
    x[:dark, 0, 0] = 0.3
    return x, np.ones(len(x), int)


def test_images_without_a_gradient_are_found():
    x, y = images(2, 3)
    found = zero_gradients(half_blocked, tf.constant(x), tf.constant(y))
    np.testing.assert_array_equal(found, [True, True, False, False, False])


@pytest.mark.parametrize("name", ["fgsm", "apgd-ce"])
def test_the_alarm_counts_them_once(name):
    adversary = make_adversary(name, eps=0.1, steps=1)
    x, y = images(3, 17)
    with pytest.warns(ZeroGradientWarning, match="3 of 20 images have a gradient of exactly zero"):
        adversary.craft_all(half_blocked, x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adversary(half_blocked, x, y)
        adversary.craft_all(half_blocked, x, y)


def test_no_alarm_for_a_few_nor_inside_a_graph():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_adversary("fgsm", eps=0.1)(half_blocked, *images(1, 20))
        inner, (x, y) = make_adversary("fgsm", eps=0.1), images(20, 1)
        tf.function(lambda: inner(half_blocked, x, y), autograph=False)()
