"""What ATLD's published code does beside its equations, each in numbers worked out by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.adversaries.balls import LinfBall
from atk_latent.adversaries.gradient_ascent import AscentSettings
from atk_latent.adversaries.latent_discriminator import LatentDiscriminator
from atk_latent.adversaries.latent_manifold import LatentManifold
from atk_latent.adversaries.noise import RowNoise
from atk_latent.config import build, flat
from atk_latent.errors import InputError
from atk_latent.methods.atld import ATLD
from atk_latent.methods.atld_settings import ATLDSettings
from atk_latent.methods.presets import resolve

X = np.array([[0.2, 0.6], [0.4, 0.5]], np.float32)
START = np.array([[0.04, -0.02], [-0.06, 0.08]], np.float32)
Y = np.array([0, 1])
PUBLISHED = {"latent": "logits", "clean_latents": "inference", "theta_term": "mse_ratio"}


@pytest.fixture
def start(monkeypatch):
    drawn = lambda self, x, noise: tf.constant(START.reshape(2, 1, 2, 1)[: x.shape[0]])  # noqa: E731
    monkeypatch.setattr(LinfBall, "_drawn", drawn)


@pytest.mark.parametrize(("clipped", "pixel"), [(False, 0.07), (True, 0.0)])
def test_golden_start_outside_the_legal_pixels(monkeypatch, clipped, pixel):
    """The score x^2 is descended from 0.02 - 0.05: at -0.03 upwards, at 0 it is level."""
    monkeypatch.setattr(LinfBall, "_drawn", lambda self, x, noise: tf.fill(x.shape, -0.05))
    z = keras.Input((1,))
    squared = layers.Reshape(())(layers.Multiply()([z, z]))
    judge = keras.Model(z, [squared, layers.Dense(2)(z)])
    classifier = keras.Sequential([keras.Input((1, 1, 1)), layers.Flatten()])
    manifold = LatentDiscriminator(classifier, judge, latent="logits")
    settings = AscentSettings(eps=0.1, steps=1, random_start=True, clip_start=clipped, keep="last")
    x = tf.fill((1, 1, 1, 1), 0.02)
    x_adv = LatentManifold(manifold, settings).craft(None, x, None, RowNoise(tf.zeros(2, tf.int64)))
    assert float(tf.squeeze(x_adv)) == pytest.approx(pixel, abs=1e-7)


def game(normalised=False, **settings):
    """Logits that are the pixels; a discriminator of zero score, so that crafting stops at its
    start, and with batch statistics of the pixels themselves."""
    norm = [layers.BatchNormalization(momentum=0.9, name="norm")] if normalised else []
    head = layers.Dense(2, use_bias=False, kernel_initializer="identity")
    classifier = keras.Sequential([keras.Input((1, 2, 1)), layers.Flatten(), *norm, head])
    latent = keras.Input((2,))
    hidden = layers.BatchNormalization(momentum=0.9, name="norm")(latent)
    score = layers.Dense(1, kernel_initializer="zeros")(hidden)
    judge = keras.Model(latent, [layers.Reshape(())(score), layers.Dense(2)(hidden)])
    chosen = {**PUBLISHED, "eps": 0.1, "random_start": True, "label_smoothing": 0.1, **settings}
    method = ATLD(classifier, build(ATLDSettings, chosen), discriminator=judge)
    method.compile(keras.optimizers.SGD(0.1), discriminator_optimizer=keras.optimizers.SGD(0.0))
    return method


def batch():
    return tf.constant(X.reshape(2, 1, 2, 1)), tf.constant(Y)


def running_mean(model):
    return model.get_layer("norm").moving_mean.numpy()


def followed(*means):
    """The running mean after batches of these means, from 0, at momentum 0.9."""
    value = np.zeros(2)
    for mean in means:
        value = 0.9 * value + 0.1 * mean
    return value


CLEAN, MOVED = X.mean(axis=0), (X + START).mean(axis=0)  # (0.3, 0.55) and (0.29, 0.58)


@pytest.mark.parametrize(
    ("settings", "means"),
    [
        ({}, (CLEAN, MOVED)),
        ({"discriminator_first_batch": "adversarial"}, (MOVED, CLEAN)),
        ({"crafting_moves_statistics": True}, (CLEAN, MOVED, CLEAN, MOVED)),
        (
            {"crafting_moves_statistics": True, "discriminator_first_batch": "adversarial"},
            (CLEAN, MOVED, MOVED, CLEAN),
        ),
        (
            {"discriminator_first_batch": "adversarial", "d_steps": 2},
            (MOVED, CLEAN, MOVED, CLEAN),
        ),
    ],
)
def test_golden_running_statistics_of_the_discriminator(start, settings, means):
    method = game(discriminator_mode="training", discriminator_batches="separate", **settings)
    method.train_step(batch())
    np.testing.assert_allclose(running_mean(method.discriminator), followed(*means), atol=1e-6)


def test_crafting_for_a_measurement_moves_no_statistics(start):
    method = game(discriminator_mode="training", crafting_moves_statistics=True)
    method.adversary.craft_all(method.manifold.verdict, X.reshape(2, 1, 2, 1), Y)
    np.testing.assert_array_equal(running_mean(method.discriminator), 0)


@pytest.mark.parametrize(
    ("every", "means"),
    [
        (0, [(MOVED,), (MOVED, MOVED), (MOVED, MOVED, MOVED)]),
        (2, [(MOVED, CLEAN), (MOVED, CLEAN, MOVED), (MOVED, CLEAN, MOVED, MOVED, CLEAN)]),
    ],
)
def test_golden_running_statistics_of_the_classifier(start, every, means):
    """In a graph, where the pass is a branch; a batch's mean is that of the pixels."""
    method = game(normalised=True, clean_pass_every=every)
    step = tf.function(method.train_step)
    for wanted in means:
        step(batch())
        np.testing.assert_allclose(running_mean(method.classifier), followed(*wanted), atol=1e-6)


def test_the_clean_pass_moves_statistics_and_nothing_else(start):
    weights = []
    for every in (0, 1):
        method = game(normalised=True, clean_pass_every=every)
        method.train_step(batch())
        weights.append([w.numpy() for w in method.classifier.trainable_weights])
    for one, two in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("name", "data", "official"),
    [
        ("clip_start", "cifar10", False),
        ("crafting_moves_statistics", "cifar10", True),
        ("discriminator_first_batch", "cifar10", "adversarial"),
        ("clean_pass_every", "cifar10", 10),
        ("imt_fgsm_factor", "cifar10", 4.0),
        ("imt_clean_high", "svhn", 0.7),
    ],
)
def test_only_the_official_preset_has_the_codes_habits(name, data, official):
    values = {
        p: flat(resolve("atld", data, p).settings)[name] for p in ("paper", "stable", "quick")
    }
    assert set(values.values()) == {flat(ATLDSettings())[name]}
    assert flat(resolve("atld", data, "official").settings)[name] == official


@pytest.mark.parametrize(
    ("data", "preset", "name"),
    [
        ("mnist", "official", "official, adapted to mnist"),
        ("mnist", "paper", "paper, adapted to mnist"),
        ("digits", "official", "official, adapted to mnist"),
        ("mnist", "stable", "stable"),
        ("mnist", "quick", "quick"),
        ("cifar10", "official", "official"),
    ],
)
def test_data_that_the_paper_has_not_is_said(data, preset, name):
    assert resolve("atld", data, preset).preset == name


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("crafting_moves_statistics", {"crafting_moves_statistics": True}),
        ("clean_pass_every", {"clean_pass_every": -1}),
    ],
)
def test_what_does_not_go_together_is_refused(name, changes):
    with pytest.raises(InputError, match=name):
        build(ATLDSettings, changes)
