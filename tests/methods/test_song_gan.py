import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.errors import InputError
from atk_latent.methods import song_gan
from atk_latent.methods.song_gan import (
    GANSettings,
    LinearDecay,
    SongGANTraining,
    draw_images,
    fit_gan,
    gan_settings,
)
from atk_latent.models.song_gan import GAN, Architecture, song_discriminator, song_generator

TINY = Architecture((4,), "conv", 4, ((4, "down"),), "mean", "sigmoid")
SHAPE, CLASSES = (8, 8, 1), 2
FAST = {
    "steps": 100,
    "batch_size": 8,
    "discriminator_steps": 2,
    "latents": 4,
    "learning_rate": 0.02,
    "class_weight": 5.0,
}


def halves(n=64, seed=0):
    """Images with a bright left (class 0) or right half."""
    y = np.arange(n) % 2
    x = np.random.default_rng(seed).uniform(0, 0.2, (n, *SHAPE)).astype(np.float32)
    x[y == 0, :, :4] += 0.7
    x[y == 1, :, 4:] += 0.7
    return x, y


def training(seed=0, **changes):
    settings = GANSettings(**{**FAST, **changes})
    gan = GAN(
        song_generator(TINY, SHAPE, CLASSES, latents=settings.latents, seed=seed),
        song_discriminator(TINY, SHAPE, CLASSES, seed=seed + 1),
    )
    return SongGANTraining(gan, settings, seed=seed)


def linear_gan(kernel, *, latents=3):
    """G(z, y) is black, D's score is `kernel` . x, its class logits 0."""
    z, y = keras.Input((latents,)), keras.Input((CLASSES,))
    black = layers.Dense(2, kernel_initializer="zeros", trainable=False)(
        layers.Concatenate()([z, y])
    )
    x = keras.Input((1, 2, 1))
    flat = layers.Flatten()(x)
    score = layers.Dense(1, use_bias=False, name="score")(flat)
    logits = layers.Dense(CLASSES, kernel_initializer="zeros", name="logits")(flat)
    discriminator = keras.Model(x, [score, logits])
    discriminator.get_layer("score").set_weights([np.reshape(kernel, (2, 1))])
    return GAN(keras.Model([z, y], layers.Reshape((1, 2, 1))(black)), discriminator)


def one_step(gan, x, y, *, scale=1.0, **changes):
    settings = GANSettings(
        **{**FAST, "batch_size": len(x), "latents": 3, "learning_rate": 0.01, **changes}
    )
    trainer = SongGANTraining(gan, settings, scale=scale)
    trainer._discriminator_step(tf.constant(x), tf.constant(y))
    return {name: float(metric.result()) for name, metric in trainer.watched.items()}


@pytest.mark.parametrize("interpolation", ["pixel", "image"])
@pytest.mark.parametrize(("scale", "slope"), [(1.0, 5.0), (2.0, 2.5)])
def test_the_slope_of_a_linear_critic_is_the_length_of_its_weights(scale, slope, interpolation):
    # In [-1, 1] a change is twice as long as in [0, 1], so the slope is half.
    x = np.ones((4, 1, 2, 1), np.float32)
    y = np.array([0, 1, 0, 1], np.int32)
    logs = one_step(linear_gan([3.0, 4.0]), x, y, scale=scale, interpolation=interpolation)
    assert logs["slope"] == pytest.approx(slope, rel=1e-5)
    # E D(x) - E D(0) = 3 + 4, plus the noise of at most 1/255 a pixel
    assert 7 <= logs["wasserstein"] <= 7 + 7 / 255


@pytest.mark.parametrize(
    ("penalty", "kernel"),
    [
        (0.0, [3.01, 4.01]),  # up E D(x): the real images are white, the drawn ones black
        (100.0, [2.99, 3.99]),  # the slope of 5 is far above 1, the penalty wins
    ],
)
def test_one_step_of_the_critic_by_hand(penalty, kernel):
    # Adam's first update is the learning rate against the gradient's sign.
    gan = linear_gan([3.0, 4.0])
    x, y = np.ones((4, 1, 2, 1), np.float32), np.array([0, 1, 0, 1], np.int32)
    one_step(gan, x, y, gradient_penalty=penalty)
    np.testing.assert_allclose(
        gan.discriminator.get_layer("score").get_weights()[0].ravel(), kernel, atol=1e-5
    )


def test_interpolation_mixes_by_pixel_or_by_image():
    # A critic x_1 * x_2 has the gradient (x_2, x_1): its length tells where it was taken.
    z, y = keras.Input((3,)), keras.Input((CLASSES,))
    black = layers.Dense(2, kernel_initializer="zeros")(layers.Concatenate()([z, y]))
    x = keras.Input((1, 2, 1))
    flat = layers.Flatten()(x)
    score = layers.Multiply()([flat[:, :1], flat[:, 1:]])
    logits = layers.Dense(CLASSES)(flat)
    gan = GAN(
        keras.Model([z, y], layers.Reshape((1, 2, 1))(black)), keras.Model(x, [score, logits])
    )
    real, drawn = tf.ones((500, 1, 2, 1)), tf.zeros((500, 1, 2, 1))
    spread = {}
    for kind in ("pixel", "image"):
        trainer = SongGANTraining(gan, GANSettings(interpolation=kind))
        slopes = trainer._slope(real, drawn).numpy()
        spread[kind] = np.mean(slopes**2)
    # E[a^2 + b^2] = 2/3 either way; a = b makes the length sqrt(2) a, whose mean is 0.707.
    assert spread["pixel"] == pytest.approx(2 / 3, abs=0.06)
    assert spread["image"] == pytest.approx(2 / 3, abs=0.06)
    assert np.all(slopes <= np.sqrt(2) + 1e-6)
    pixel = SongGANTraining(gan, GANSettings(interpolation="pixel"))._slope(real, drawn).numpy()
    assert np.std(pixel) < np.std(slopes) - 0.05


def test_the_rate_falls_linearly_with_the_generators_steps():
    decay = LinearDecay(0.5, 5, updates=2)
    rates = [float(decay(step)) for step in range(11)]
    assert rates == pytest.approx([0.5, 0.5, 0.375, 0.375, 0.25, 0.25, 0.125, 0.125, 0, 0, 0])
    assert float(LinearDecay(0.5, 1)(0)) == 0.5
    assert LinearDecay.from_config(decay.get_config()).updates == 2


def test_the_recipes_are_the_published_ones():
    assert gan_settings("mnist", "paper") == GANSettings(
        steps=100_000, learning_rate=2e-4, discriminator_steps=5, gradient_penalty=10.0
    )
    faces = gan_settings("celeba", "paper")
    assert (faces.steps, faces.learning_rate, faces.decay) == (200_000, 1e-4, "none")
    assert gan_settings("mnist", "quick", {"steps": "300"}).steps == 300
    adam = training().discriminator_optimizer
    assert (adam.beta_1, adam.beta_2, adam.epsilon) == (0.0, 0.999, 1e-8)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": "250"}, "take 200 or 300"),
        ({"architecture": "vgg"}, "must be auto, mnist"),
        ({"step": "5"}, "Did you mean 'steps'"),
        ({"interpolation": "row"}, "one of pixel, image"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        gan_settings("mnist", "paper", wrong)


class Copy(keras.callbacks.Callback):
    """Keeps the state that a kill in the second stage would leave behind."""

    def __init__(self, state, copy):
        super().__init__()
        self.state, self.copy = state, copy

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            shutil.copytree(self.state, self.copy)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An undisturbed run of 100 steps, its logs, and its state after 50."""
    folder = tmp_path_factory.mktemp("gan")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(song_gan, "STAGE_STEPS", 50)
        trainer = training()
        copy = Copy(folder / "state", folder / "killed")
        logs = fit_gan(trainer, *halves(), seed=1, checkpoint=folder / "state", callbacks=[copy])
        yield trainer, logs, folder / "killed"


def test_training_makes_images_of_their_class(whole, untimed):
    trainer, logs, _ = whole
    assert len(logs) == 2
    assert set(untimed(logs)[0]) == {"wasserstein", "slope", "real_accuracy", "drawn_accuracy"}
    y = np.arange(40) % 2
    images, _ = draw_images(trainer.gan, y, batch_size=8)
    bright_left = images[:, :, :4].mean((1, 2, 3)) > images[:, :, 4:].mean((1, 2, 3))
    assert np.mean(bright_left == (y == 0)) > 0.75  # 40 images; chance is half
    assert logs[1]["real_accuracy"] > 0.9


def test_a_killed_run_ends_bit_for_bit_where_an_undisturbed_one_does(whole, untimed):
    undisturbed, logs, killed = whole
    assert [path.name for path in killed.iterdir()] == ["epoch-000001"]
    resumed = training(seed=5)  # other weights and random state: all must come from the disk
    again = fit_gan(resumed, *halves(), seed=1, checkpoint=killed)
    assert untimed(again) == untimed(logs)
    for name in ("generator", "discriminator", "optimizer", "discriminator_optimizer"):
        ours, theirs = (getattr(trainer, name).variables for trainer in (undisturbed, resumed))
        for one, two in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
    np.testing.assert_array_equal(undisturbed.seeds.state, resumed.seeds.state)
    assert int(resumed.discriminator_optimizer.iterations) == 200


def test_too_few_images_for_a_step_are_refused():
    with pytest.raises(InputError, match="= 16 images, there are 15"):
        fit_gan(training(), *(a[:15] for a in halves()))


def test_an_image_does_not_depend_on_how_many_are_drawn_after_it(whole):
    gan, y = whole[0].gan, np.arange(11) % 2
    images, classes = draw_images(gan, y, seed=3, batch_size=4)
    assert (images.shape, classes.shape) == ((11, *SHAPE), (11,))
    fewer, _ = draw_images(gan, y[:8], seed=3, batch_size=4)
    np.testing.assert_array_equal(images[:8], fewer)
