"""On a GPU: XLA on and off, mixed precision, two replicas. `pytest --run-gpu -m gpu`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.config import build
from atk_latent.methods.adversarial import PGDSettings, PGDTraining
from atk_latent.methods.fit import LoopOptions, loop_options
from atk_latent.registry import METHODS
from atk_latent.training.request import Execution
from atk_latent.training.team import team_for

pytestmark = pytest.mark.gpu
SETTINGS = {"epochs": 2, "batch_size": 32, "steps": 3, "eps": 0.1, "learning_rate": 0.05}


def data(n=96):
    x = np.random.default_rng(0).random((n, 8, 8, 1), np.float32)
    return x, (x.mean(axis=(1, 2, 3)) > 0.5).astype(np.int64)


def classifier():
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(6, activation="relu", name="latent"),
            layers.Dense(2, dtype="float32"),
        ]
    )


def trained(strategy=None):
    with (strategy or tf.distribute.get_strategy()).scope():
        method = PGDTraining(classifier(), build(PGDSettings, SETTINGS), seed=2)
    logs = method.harden(*data())
    return method.classifier.get_weights(), logs


def close(one, other, tolerance):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance)


def test_xla_trains_as_the_plain_graph_does():
    with loop_options(LoopOptions(jit=False)):
        plain, _ = trained()
    with loop_options(LoopOptions(jit=True)):
        compiled, _ = trained()
    close(plain, compiled, 5e-3)  # other kernels, other rounding; signs magnify it


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("jit", ["on", "off"])
def test_mixed_precision_trains(precision, jit):
    with team_for(Execution(strategy="none", precision=precision, jit=jit)):
        weights, logs = trained()
    assert all(np.isfinite(weight).all() for weight in weights)
    assert logs[-1]["loss"] < 2


@pytest.mark.parametrize("name", ["atld", "tla", "free", "feature-scattering", "trades"])
@pytest.mark.parametrize("jit", [True, False])
def test_methods_train_with_xla_and_without(name, jit):
    kind = METHODS[name]
    own = {"epochs": 1, "batch_size": 32, "eps": 0.1, "label_smoothing": 0.1} | (
        {"discriminator": "small"} if name == "atld" else {}
    )
    method = kind(classifier(), kind.settings_for("", "any", "quick", own), seed=2)
    with loop_options(LoopOptions(jit=jit)):
        logs = method.harden(*data())
    assert all(np.isfinite(value) for value in logs[-1].values())


def test_two_gpus_train_as_one():
    gpus = tf.config.list_logical_devices("GPU")
    if len(gpus) < 2:
        pytest.skip("gpu: there is one")
    single, _ = trained()
    pair, logs = trained(tf.distribute.MirroredStrategy([gpu.name for gpu in gpus[:2]]))
    close(single, pair, 5e-3)
    assert logs[-1]["adversarial_accuracy"] <= 1
