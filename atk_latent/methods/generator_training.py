"""Training of LADDER's generator: latents back to the images they came from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from atk_latent.config import check_range, known_as
from atk_latent.data.streams import batches
from atk_latent.methods.callbacks import PlateauRule
from atk_latent.methods.fit import Loop, jit_compile, run_fit
from atk_latent.methods.optimizers import second_optimizer
from atk_latent.models.discriminators import image_discriminator
from atk_latent.models.replicas import balanced, replicas
from atk_latent.progress import Progress


@dataclasses.dataclass(frozen=True)
class GeneratorSettings:
    """How the generator is trained (Eq 4): a part of LADDER's settings.

    Args:
        name: registered name, or "auto" for the one that fits the image shape.
        style: "paper" is Tables 11 to 13 with ordinary initial weights; "official"
            has the published code's (transposed convolutions around 1), its tanh on CIFAR
            and its discriminator. Table 10's generator is the same in both.
        reconstruction: "l2" (mean squared) or "l1" (mean absolute) error.
        epochs: int >= 1, at most this many.
        patience: int >= 0; the rate is lowered twice and then training stops,
            each time the held-out error has not fallen by 1% for this many epochs. 0
            trains all `epochs`, as the published code does.
        batch_size: int >= 1. learning_rate: float > 0 (Adam).
        held_out: float in (0, 0.5], share of the training images held out for that.
        gan: "none"; "replace" trains on the adversarial loss alone (paper, section 4.3);
            "add" on gan_weight * adversarial + reconstruction (published code).
        gan_weight: float >= 0. The published default is 0, which is no such signal.

    Raises:
        InputError: for values out of range.

    Example:
        >>> from atk_latent.methods import GeneratorSettings, LADDERSettings
        >>> LADDERSettings(generator=GeneratorSettings(epochs=8, gan="add")).generator.gan_weight
        0.1
    """

    name: str = known_as("generator", "auto")
    style: Literal["paper", "official"] = known_as("generator_style", "paper")
    reconstruction: Literal["l1", "l2"] = "l2"
    epochs: int = known_as("generator_epochs", 1000)
    patience: int = known_as("generator_patience", 2)
    batch_size: int = known_as("generator_batch_size", 256)
    learning_rate: float = known_as("generator_learning_rate", 2e-3)
    held_out: float = 0.05
    gan: Literal["none", "replace", "add"] = "none"
    gan_weight: float = 0.1

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        check_range("generator_epochs", self.epochs, 1)
        check_range("generator_patience", self.patience, 0)
        check_range("generator_batch_size", self.batch_size, 1)
        check_range("generator_learning_rate", self.learning_rate, 1e-12)
        check_range("held_out", self.held_out, 1e-6, 0.5)
        check_range("gan_weight", self.gan_weight, 0)


class GeneratorTraining(keras.Model):
    """A generator, and the discriminator it plays against where there is one.

    One batch ``(z, x)``: first a discriminator step on BCE(D(x), 1) + BCE(D(G(z)), 0), then
    a generator step on the reconstruction, the adversarial loss BCE(D(G(z)), 1), or both.

    Args:
        generator: latents (B, N) to images (B, H, W, C) in [0, 1].
        discriminator: images to one logit (B, 1), or None.
        settings: see `GeneratorSettings`.

    Metrics: `mse` (mean squared error per pixel), `discriminator_loss` with a discriminator.

    Reference: LADDER Eq 4 and section 4.3.
    """

    def __init__(
        self, generator: keras.Model, discriminator: keras.Model | None, settings: GeneratorSettings
    ) -> None:
        super().__init__()
        self.generator, self.discriminator, self.settings = generator, discriminator, settings
        self.mse = keras.metrics.MeanSquaredError(name="mse")
        self.bce = keras.losses.BinaryCrossentropy(from_logits=True)
        # Keras looks optimizers up by attribute when it saves: two must be two attributes.
        self.discriminator_optimizer: keras.optimizers.Optimizer = None
        if discriminator is not None:
            self.discriminator_loss = keras.metrics.Mean(name="discriminator_loss")
            self.discriminator_optimizer = second_optimizer(
                keras.optimizers.Adam(1e-4, beta_1=0.5, beta_2=0.999), self
            )
            self.discriminator_optimizer.build(discriminator.trainable_variables)

    @property
    def trainable_weights(self) -> list[keras.Variable]:
        """What the generator's optimizer updates; the discriminator has its own."""
        return list(self.generator.trainable_weights)

    def call(self, z: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Images of latents."""
        return self.generator(z, training=training)

    def compute_loss(
        self,
        x: tf.Tensor = None,
        y: tf.Tensor = None,
        y_pred: tf.Tensor = None,
        sample_weight: tf.Tensor | None = None,
        training: bool = True,
    ) -> tf.Tensor:
        """The generator's loss on images `y` and their decoded latents `y_pred`."""
        del x, sample_weight
        error = tf.cast(y_pred, tf.float32) - tf.cast(y, tf.float32)
        size = tf.square(error) if self.settings.reconstruction == "l2" else tf.abs(error)
        reconstruction = tf.reduce_mean(size) / replicas()
        if self.discriminator is None:
            return reconstruction
        judged = self.discriminator(y_pred, training=training)
        adversarial = self.bce(tf.ones_like(judged), judged)
        if self.settings.gan == "replace":
            return adversarial
        return self.settings.gan_weight * adversarial + reconstruction

    def train_step(self, data: tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
        """A discriminator step where there is one, then a generator step."""
        z, x, _ = keras.utils.unpack_x_y_sample_weight(data)
        if self.discriminator is not None:
            self._discriminator_step(self.discriminator, z, x)
        with tf.GradientTape() as tape:
            images = self(z, training=True)
            loss = self.compute_loss(y=x, y_pred=images)
            scaled = self.optimizer.scale_loss(balanced(loss, x))
        weights = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(scaled, weights), weights, strict=True))
        self._loss_tracker.update_state(loss * replicas(), tf.shape(x)[0])
        return self.compute_metrics(z, x, images)

    def _discriminator_step(self, judge: keras.Model, z: tf.Tensor, x: tf.Tensor) -> None:
        images = self.generator(z, training=True)
        with tf.GradientTape() as tape:
            real, fake = judge(x, training=True), judge(images, training=True)
            loss = self.bce(tf.ones_like(real), real) + self.bce(tf.zeros_like(fake), fake)
            scaled = self.discriminator_optimizer.scale_loss(balanced(loss, x))
        variables = judge.trainable_variables
        self.discriminator_optimizer.apply(tape.gradient(scaled, variables), variables)
        self.discriminator_loss.update_state(loss * replicas(), tf.shape(x)[0])

    def compute_metrics(
        self, x: tf.Tensor, y: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """Adds the mean squared error."""
        self.mse.update_state(y, y_pred)
        return dict(super().compute_metrics(x, y, y_pred, sample_weight))


def fit_generator(
    generator: keras.Model,
    latents: np.ndarray,
    images: np.ndarray,
    settings: GeneratorSettings,
    *,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> list[dict[str, float]]:
    """Trains `generator` in place until the held-out error stops falling.

    Args:
        latents: float32 (n, N). images: float32 (n, H, W, C) in [0, 1].
        settings: see `GeneratorSettings`. seed: which images are held out, and the order.
        checkpoint: folder of the resumable state; None keeps none.
        progress: told (stage, done, in all, logs).

    Returns:
        The logs of every epoch, `mse` and `val_mse` among them.
    """
    shuffled = np.random.default_rng(seed).permutation(len(images))
    count = max(1, int(len(images) * settings.held_out))
    held_out, rows = shuffled[:count], shuffled[count:]
    official = settings.style == "official"
    judge = None
    with generator.distribute_strategy.scope():
        if settings.gan != "none":
            judge = image_discriminator(images.shape[1:], seed=seed, official=official)
        training = GeneratorTraining(generator, judge, settings)
        training.compile(keras.optimizers.Adam(settings.learning_rate), jit_compile=jit_compile())
    size = settings.batch_size
    rule = PlateauRule("val_mse", settings.learning_rate, 0.01, settings.patience)
    pairs = (latents[rows], images[rows])
    return run_fit(
        training,
        lambda step: batches(pairs, size, seed=seed, start_step=step),
        Loop(settings.epochs, -(-len(rows) // size), "generator", checkpoint, progress),
        plateau=rule if settings.patience else None,
        validation_data=(latents[held_out], images[held_out]),
    )
