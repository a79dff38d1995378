"""The audit catches defences that are built to fool it, and lets an honest one pass."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.evaluation import audit as questions
from atk_latent.evaluation.audit import audit, passed
from atk_latent.evaluation.runner import Surrogate

EPS, SIDE = 0.1, 6


def blobs(n, seed):
    """Two classes told apart by which half is brighter; the margin varies."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    x = rng.uniform(0.3, 0.7, (n, SIDE, SIDE, 1))
    lift = rng.uniform(0.02, 0.3, n)
    for row, label in enumerate(y):
        half = slice(0, 3) if label else slice(3, 6)
        x[row, half] += lift[row]
    return np.clip(x, 0, 1).astype(np.float32), y


X, Y = blobs(100, 1)


@pytest.fixture(scope="module")
def honest():
    """A small network trained on images with noise of size eps: smooth, nothing hidden."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            layers.Flatten(),
            layers.Dense(16, activation="tanh"),
            layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.fit(*blobs(1000, 0), epochs=15, batch_size=50, verbose=0)
    return model


class Quantised(layers.Layer):
    def call(self, x):
        return tf.round(x * 8) / 8


class Detached(layers.Layer):
    def call(self, x):
        return tf.stop_gradient(x)


class Noisy(layers.Layer):
    def call(self, x):
        return x + tf.random.normal(tf.shape(x), stddev=0.2)


class Rippled(layers.Layer):
    def call(self, x):  # a wave too small to change a class, with slopes that drown the others
        return x + 1e-3 * tf.sin(2e4 * x)


def behind(layer, model):
    return keras.Sequential([keras.Input((SIDE, SIDE, 1)), layer, model])


def failed(model, *questions, **options):
    found = audit(model, X, Y, eps=EPS, questions=questions, **options)
    return {check.name for check in found if not check.passed}


def test_an_honest_model_passes_every_check(honest):
    checks = audit(honest, X, Y, eps=EPS, surrogate=Surrogate("itself", honest))
    assert passed(checks), [c for c in checks if not c.passed]
    assert len(checks) == 11 and all(c.measured and c.why and c.verdict for c in checks)


@pytest.mark.parametrize(
    ("fake", "questions", "caught_by"),
    [
        (
            Quantised,
            (questions.zero_gradients, questions.unbounded, questions.black_box),
            {"zero-gradients", "unbounded", "black-box-beats-white-box"},
        ),
        (Detached, (questions.zero_gradients,), {"zero-gradients"}),
        (Noisy, (questions.randomised_output,), {"randomised-output"}),
        (Rippled, (questions.rough_loss, questions.black_box), {"rough-loss"}),
    ],
)
def test_a_planted_fake_is_caught(fake, questions, caught_by, honest):
    assert caught_by <= failed(behind(fake(), honest), *questions)


def test_saturated_logits_are_caught(honest):
    saturated = keras.Sequential([honest, layers.Rescaling(1e4)])
    assert failed(saturated, questions.zero_gradients) == {"zero-gradients"}


def test_a_surrogate_reveals_hidden_gradients(honest):
    masked, open_model = behind(Quantised(), honest), Surrogate("open", honest)
    found = failed(masked, questions.transfer, surrogate=open_model)
    assert found == {"transfer-beats-white-box"}
