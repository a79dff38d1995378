import keras
import numpy as np
import pytest
import tensorflow as tf

from atk_latent.adversaries import losses
from atk_latent.errors import InputError

GOLDEN = tf.constant([[1.0, 4.0, 2.0, 3.0]])


@pytest.mark.parametrize(
    ("confidence", "label", "want"), [(50, 0, -47), (50, 1, -51), (0, 0, 0), (0, 1, -1)]
)
def test_margin_is_the_golden_number(confidence, label, want):
    found = losses.margin(GOLDEN, tf.constant([label]), confidence)
    np.testing.assert_allclose(found, [want])


@pytest.mark.parametrize(("confidence", "label", "want"), [(50, 0, -53), (0, 1, 0), (0, 2, -2)])
def test_targeted_margin_by_hand(confidence, label, want):
    found = losses.targeted_margin(GOLDEN, tf.constant([label]), confidence)
    np.testing.assert_allclose(found, [want])


def test_dlr_is_the_golden_number():
    for logits, want in (
        ([1.0, 4.0, 2.0, 3.0], [1.5, -0.5, 1.0, 0.5]),
        ([0.5, -1.0, 2.5, 1.0, 0.0], [1.0, 1.75, -0.75, 0.75, 1.25]),
    ):
        many = tf.constant([logits] * len(logits))
        np.testing.assert_allclose(losses.dlr(many, tf.range(len(logits))), want, rtol=1e-6)


def test_targeted_dlr_is_the_golden_number():
    pairs = {(1, 0): -1.2, (1, 2): -0.8, (1, 3): -0.4, (0, 1): 1.2, (0, 2): 0.4, (0, 3): 0.8}
    y, target = (tf.constant(part) for part in zip(*pairs, strict=True))
    found = losses.targeted_dlr(tf.repeat(GOLDEN, 6, axis=0), y, target)
    np.testing.assert_allclose(found, list(pairs.values()), rtol=1e-6)
    logits = tf.constant([[0.5, -1.0, 2.5, 1.0, 0.0]] * 4)
    found = losses.targeted_dlr(logits, tf.fill([4], 2), tf.constant([3, 0, 4, 1]))
    np.testing.assert_allclose(found, [-0.666667, -0.888889, -1.111111, -1.555556], atol=1e-6)


def test_dlr_does_not_see_the_scale_of_the_logits():
    logits = tf.constant(np.random.default_rng(0).standard_normal((9, 4)), tf.float32)
    y, target = tf.range(9) % 4, tf.range(1, 10) % 4
    for loss in (losses.dlr, lambda z, y: losses.targeted_dlr(z, y, target)):
        np.testing.assert_allclose(loss(logits, y), loss(70.0 * logits + 3.0, y), rtol=1e-3)


def test_logit_lead_is_the_numerator():
    y, target = tf.constant([1, 0]), tf.constant([3, 2])
    logits = tf.repeat(GOLDEN, 2, axis=0)
    np.testing.assert_allclose(losses.logit_lead(logits, y), [-1, 3])
    np.testing.assert_allclose(losses.logit_lead(logits, y, target), [-1, 1])


def test_runners_up_are_ranked():
    np.testing.assert_array_equal(losses.runners_up(GOLDEN, 2), [[3, 2]])
    np.testing.assert_array_equal(losses.runners_up(GOLDEN, 9), [[3, 2, 0]])


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_cross_entropy_is_keras_cross_entropy(classes):
    logits = tf.constant(np.random.default_rng(0).standard_normal((20, classes)), tf.float32)
    y = tf.range(20) % classes
    want = keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True)
    np.testing.assert_allclose(losses.cross_entropy(logits, y), want, rtol=1e-5)


def test_log_odds_climb_as_cross_entropy_does_and_do_not_vanish():
    logits = tf.constant([[2.0, 1.0, 0.5], [400.0, 1.0, 0.5]])
    y = tf.constant([0, 0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        odds, entropy = losses.log_odds(logits, y), losses.cross_entropy(logits, y)
    climbed, plain = (tape.gradient(v, logits).numpy() for v in (odds, entropy))
    np.testing.assert_allclose(climbed[0] / climbed[0, 1], plain[0] / plain[0, 1], rtol=1e-5)
    assert not plain[1].any() and climbed[1, 0] == -1


def test_one_logit_is_refused():
    with pytest.raises(InputError, match="at least 2 classes"):
        losses.margin(tf.zeros((3, 1)), tf.zeros(3, tf.int32))


def test_too_few_classes_for_dlr_are_refused():
    y = tf.zeros(1, tf.int32)
    with pytest.raises(InputError, match=r"DLR loss needs .* at least 3 classes.*\(1, 2\)"):
        losses.dlr(tf.zeros((1, 2)), y)
    with pytest.raises(InputError, match=r"targeted DLR loss needs .* at least 4.*\(1, 3\)"):
        losses.targeted_dlr(tf.zeros((1, 3)), y, y + 1)
