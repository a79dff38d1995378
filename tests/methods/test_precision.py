"""Mixed precision: every method trains, and the loss of both optimizers of a game is scaled."""

import keras
import numpy as np
import pytest
from keras import layers

from atk_latent.config import places
from atk_latent.methods.generator_training import GeneratorSettings, GeneratorTraining
from atk_latent.methods.song_gan import GANSettings, SongGANTraining
from atk_latent.models.song_gan import GAN, Architecture, song_discriminator, song_generator
from atk_latent.registry import METHODS
from tests.methods.replica_runs import FAST, data
from tests.tiny_generator import known_tiny_generator  # noqa: F401

SCALED = keras.optimizers.LossScaleOptimizer


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16"])
def precision(request):
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


def classifier():
    keras.utils.set_random_seed(3)
    hidden = layers.Dense(7, activation="tanh", name="latent")
    logits = layers.Dense(3, dtype="float32")
    return keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), hidden, logits])


def trained(name):
    kind = METHODS[name]
    own = {k: v for k, v in FAST.items() if k in places(kind.settings_type)} | {"epochs": 1}
    if kind.starts_from == "vanilla":
        own.pop("steps", None)
    if "ladder" in name:
        own["eps"] = (0.5, 1.0)
    if name == "atld":
        own["discriminator"] = "small"
    method = kind(classifier(), kind.settings_for("", "any", "paper", own), seed=1)
    x, y = data(20)
    if name == "augment":
        method.use(x, x, y)
    method.prepare(x, y)
    return method, method.harden(x, y)


def check(method, logs):
    assert all(np.isfinite(value) for value in logs[-1].values())
    assert all(weight.dtype == "float32" for weight in method.classifier.trainable_weights)


@pytest.mark.parametrize("precision", ["mixed_float16"], indirect=True)
@pytest.mark.parametrize("name", ["pgd", "tla", "free"])
def test_a_method_trains_in_float16_with_its_loss_scaled(precision, name):
    method, logs = trained(name)
    assert isinstance(method.optimizer, SCALED)
    check(method, logs)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_trains_in_mixed_precision(precision, name):
    check(*trained(name))


def song():
    plan = Architecture((3,), "conv", 3, ((3, "down"),), "mean", "sigmoid")
    gan = GAN(
        song_generator(plan, (8, 8, 1), 3, latents=3, seed=4),
        song_discriminator(plan, (8, 8, 1), 3, seed=5),
    )
    training = SongGANTraining(gan, GANSettings(batch_size=5, discriminator_steps=1, latents=3))
    training.prepare()
    return training, data(5, 8), gan.discriminator


def generator():
    keras.utils.set_random_seed(2)
    images = [layers.Dense(16, activation="sigmoid"), layers.Reshape((4, 4, 1))]
    judge = keras.Sequential(
        [keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(4), layers.Dense(1)]
    )
    training = GeneratorTraining(
        keras.Sequential([keras.Input((5,)), *images]), judge, GeneratorSettings(gan="add")
    )
    training.compile(keras.optimizers.Adam(1e-3), jit_compile=False)
    x, _ = data(20)
    return training, (np.random.default_rng(0).standard_normal((20, 5), np.float32), x), judge


def atld():
    method = METHODS["atld"](
        classifier(),
        METHODS["atld"].settings_for("", "any", "paper", {"discriminator": "small", "eps": 0.1}),
    )
    method.configure()
    return method, data(20), method.discriminator


@pytest.mark.parametrize("precision", ["mixed_float16"], indirect=True)
@pytest.mark.parametrize("make", [song, generator, atld])
def test_the_second_optimizer_of_a_game_scales_its_loss_and_skips_what_overflows(precision, make):
    model, batch, second = make()
    assert isinstance(model.optimizer, SCALED) and isinstance(model.discriminator_optimizer, SCALED)
    before = [weight.numpy() for weight in second.trainable_weights]
    first_scale = float(model.discriminator_optimizer.dynamic_scale)
    model.discriminator_optimizer.dynamic_scale.assign(3e38)
    model.train_step(batch)
    for a, b in zip(before, second.trainable_weights, strict=True):
        np.testing.assert_array_equal(a, b)  # its gradients were infinite: no step, half the scale
    assert float(model.discriminator_optimizer.dynamic_scale) == pytest.approx(1.5e38)
    model.discriminator_optimizer.dynamic_scale.assign(min(first_scale, 1024.0))
    model.train_step(batch)
    assert any(
        np.abs(a - b.numpy()).max() > 1e-7
        for a, b in zip(before, second.trainable_weights, strict=True)
    )
    assert all(np.isfinite(weight).all() for weight in second.get_weights())
