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
