"""Training of the class-conditional GAN of Song et al.: AC-WGAN-GP."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from atk_latent.config import Flat, build, check_range
from atk_latent.data.streams import batches
from atk_latent.errors import InputError
from atk_latent.methods.fit import Loop, jit_compile, run_fit
from atk_latent.methods.optimizers import second_optimizer
from atk_latent.methods.presets import preset_values
from atk_latent.models.replicas import balanced, drawn, replicas
from atk_latent.models.song_gan import (
    ARCHITECTURES,
    GAN,
    LATENTS,
    architecture_for,
    song_discriminator,
    song_generator,
)
from atk_latent.progress import Progress

STAGE_STEPS = 100  # generator steps between two states on disk, and in a line of the history


@dataclasses.dataclass(frozen=True)
class GANSettings:
    """How the GAN is trained.

    Args:
        architecture: a name in `ARCHITECTURES`, or "auto" for the one that fits the data.
        latents: int >= 1, numbers in z.
        steps: int >= 1, generator steps; a multiple of 100 above 100.
        discriminator_steps: int >= 1, in each of them.
        batch_size: int >= 2. learning_rate: float > 0, of both Adams.
        decay: "linear" falls to 0 over `steps`; "none" stays.
        class_weight: float >= 0, of the auxiliary classifier's losses; published 1.
        gradient_penalty: float >= 0, its weight.
        interpolation: whether the penalty mixes real and drawn images with one coefficient
            for each "pixel" (published code) or each "image" (Gulrajani et al.).
    """

    architecture: str = "auto"
    latents: int = LATENTS
    steps: int = 100_000
    discriminator_steps: int = 5
    batch_size: int = 64
    learning_rate: float = 2e-4
    decay: Literal["linear", "none"] = "linear"
    class_weight: float = 1.0
    gradient_penalty: float = 10.0
    interpolation: Literal["pixel", "image"] = "pixel"

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        if self.architecture != "auto" and self.architecture not in ARCHITECTURES:
            raise InputError(
                f"setting 'architecture' must be auto, {', '.join(ARCHITECTURES)}. "
                f"Received: {self.architecture!r}"
            )
        check_range("latents", self.latents, 1)
        check_range("steps", self.steps, 1)
        if self.steps > STAGE_STEPS and self.steps % STAGE_STEPS:
            below = self.steps // STAGE_STEPS * STAGE_STEPS
            raise InputError(
                f"setting 'steps' must be a multiple of {STAGE_STEPS} above {STAGE_STEPS}. "
                f"Received: {self.steps}; take {below} or {below + STAGE_STEPS}"
            )
        check_range("discriminator_steps", self.discriminator_steps, 1)
        check_range("batch_size", self.batch_size, 2)
        check_range("learning_rate", self.learning_rate, 1e-12)
        check_range("class_weight", self.class_weight, 0)
        check_range("gradient_penalty", self.gradient_penalty, 0)


PRESETS = ("paper", "quick")


def gan_settings(data: str, preset: str, overrides: Flat | None = None) -> GANSettings:
    """Settings of a preset for a data set, with `overrides` (text or typed) on top.

    Raises:
        InputError: on an unknown preset or setting, or a value that cannot be.
    """
    if preset not in PRESETS:
        raise InputError(f"preset must be one of {', '.join(PRESETS)}. Received: {preset!r}")
    values, _ = preset_values("song-gan", data, preset)
    return build(GANSettings, {**values, **(overrides or {})})


def untrained_gan(
    settings: GANSettings, data: str, image_shape: tuple[int, ...], num_classes: int, seed: int = 0
) -> tuple[GAN, float]:
    """The two networks with their first weights, and the length of their pixel range."""
    name = settings.architecture
    kind = ARCHITECTURES[architecture_for(data, image_shape) if name == "auto" else name]
    generator = song_generator(
        kind, image_shape, num_classes, latents=settings.latents, seed=2 * seed
    )
    discriminator = song_discriminator(kind, image_shape, num_classes, seed=2 * seed + 1)
    return GAN(generator, discriminator), kind.scale


@keras.saving.register_keras_serializable(package="atk_latent")
class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that falls linearly to 0 at the last of `steps` steps.

    Args:
        rate: float > 0, at the first. steps: int >= 1.
        updates: int >= 1, how often the optimizer is applied in one step.
    """

    def __init__(self, rate: float, steps: int, updates: int = 1) -> None:
        self.rate, self.steps, self.updates = rate, steps, updates

    def __call__(self, step: tf.Tensor | int) -> tf.Tensor:
        """The rate of the optimizer's update number `step`."""
        done = tf.cast(tf.cast(step, tf.int64) // self.updates, tf.float32)
        return self.rate * tf.maximum(0.0, 1.0 - done / max(self.steps - 1, 1))

    def get_config(self) -> dict[str, object]:
        """The arguments."""
        return {"rate": self.rate, "steps": self.steps, "updates": self.updates}


class SongGANTraining(keras.Model):
    """Both networks and the step that trains them.

    One step takes `discriminator_steps` batches. On each, D goes down
    E D(G(z, y)) - E D(x) + class_weight * CE(aux(x), y)
    + gradient_penalty * E (|grad D(x~)| - 1)^2; then, once, G goes down
    class_weight * CE(aux(G(z, y)), y) - E D(G(z, y)) with classes drawn uniformly.

    Args:
        gan: the networks. settings: see `GANSettings`.
        scale: length of the networks' pixel range, 1 or 2; slopes and noise are in its unit.
        seed: of everything drawn.

    Metrics: `wasserstein` (E D(x) - E D(G)), `slope` (mean |grad D|), `real_accuracy` and
    `drawn_accuracy` of the auxiliary classifier.

    Reference: Song et al., NeurIPS 2018; Gulrajani et al. 2017; Odena et al. 2017.
    Differs: Adam's second-moment rate is 0.999: the published code declares 0.9 and never
        passes it.
    """

    def __init__(
        self, gan: GAN, settings: GANSettings, *, scale: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__()
        self.generator, self.discriminator = gan
        self.gan, self.settings, self.scale = gan, settings, scale
        self.seeds = keras.random.SeedGenerator(seed)
        self.watched = {
            name: keras.metrics.Mean(name=name)
            for name in ("wasserstein", "slope", "real_accuracy", "drawn_accuracy")
        }
        self.discriminator_optimizer = second_optimizer(
            self._adam(settings.discriminator_steps), self
        )
        self.discriminator_optimizer.build(gan.discriminator.trainable_variables)

    def _adam(self, updates: int) -> keras.optimizers.Optimizer:
        rate: float | LinearDecay = self.settings.learning_rate
        if self.settings.decay == "linear":
            rate = LinearDecay(rate, self.settings.steps, updates)
        return keras.optimizers.Adam(rate, beta_1=0.0, beta_2=0.999, epsilon=1e-8)

    def prepare(self) -> None:
        """Compiles it for `fit`."""
        self.compile(self._adam(1), jit_compile=jit_compile())
        self.optimizer.build(self.trainable_weights)
        self.built = True  # both networks are; nothing is left to find out from a batch

    @property
    def trainable_weights(self) -> list[keras.Variable]:
        """What the generator's optimizer updates; the discriminator has its own."""
        return list(self.generator.trainable_weights)

    def call(self, inputs: Sequence[tf.Tensor], training: bool | None = None) -> tf.Tensor:
        """Images of [z, one-hot y]."""
        return self.generator(inputs, training=training)

    def train_step(self, data: tuple[tf.Tensor, ...]) -> dict[str, tf.Tensor]:
        """The discriminator's steps, then the generator's."""
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        settings, count = self.settings, self.settings.discriminator_steps
        size = settings.batch_size if replicas() == 1 else -1
        images = tf.reshape(tf.cast(x, tf.float32), (count, size, *self.gan.image_shape))
        labels = tf.reshape(tf.cast(y, tf.int32), (count, size))

        def body(index: tf.Tensor) -> tuple[tf.Tensor]:
            self._discriminator_step(tf.gather(images, index), tf.gather(labels, index))
            return (index + 1,)

        repeat(body, count)
        self._generator_step(labels[0])
        return {name: metric.result() for name, metric in self.watched.items()}

    def _normal(self, y: tf.Tensor) -> tf.Tensor:
        """Latents for the rows of `y` (B,)."""
        width = self.settings.latents
        return drawn(lambda rows: keras.random.normal((rows, width), seed=self.seeds), y)

    def _uniform(
        self, like: tf.Tensor, shape: tuple[int | None, ...], most: float = 1.0
    ) -> tf.Tensor:
        """Numbers in [0, most) of shape (B, *shape) for the rows of `like` (B, ...)."""
        return drawn(
            lambda rows: keras.random.uniform((rows, *shape), maxval=most, seed=self.seeds), like
        )

    def _discriminator_step(self, x: tf.Tensor, y: tf.Tensor) -> None:
        noise = self._uniform(x, x.shape[1:], 1 / 255 / self.scale)
        real, fake = x + noise, tf.stop_gradient(self.gan.images(self._normal(y), y))
        with tf.GradientTape() as tape:
            score, logits = self.discriminator(tf.concat([real, fake], axis=0))
            (of_real, of_drawn), (logits_real, logits_drawn) = (
                tf.split(tf.cast(output, tf.float32), 2) for output in (score, logits)
            )
            slope = self._slope(real, fake)
            distance = tf.reduce_mean(of_real) - tf.reduce_mean(of_drawn)
            penalty = tf.reduce_mean(tf.square(slope - 1.0))
            loss = self.settings.class_weight * _cross_entropy(y, logits_real) - distance
            loss += self.settings.gradient_penalty * penalty
            loss = self.discriminator_optimizer.scale_loss(balanced(loss / replicas(), x))
        variables = self.discriminator.trainable_variables
        self.discriminator_optimizer.apply(tape.gradient(loss, variables), variables)
        self.watched["wasserstein"].update_state(distance, tf.shape(x)[0])
        self.watched["slope"].update_state(slope)
        self.watched["real_accuracy"].update_state(_right(y, logits_real))
        self.watched["drawn_accuracy"].update_state(_right(y, logits_drawn))

    def _slope(self, real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
        """Length of D's gradient between real and drawn images, (B,)."""
        shape = (1, 1, 1) if self.settings.interpolation == "image" else real.shape[1:]
        between = real + self._uniform(real, shape) * (fake - real)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(between)
            score = self.discriminator(between)[0]
        gradient = tape.gradient(score, between) / self.scale
        return tf.sqrt(tf.reduce_sum(tf.square(gradient), axis=(1, 2, 3)) + 1e-12)

    def _generator_step(self, like: tf.Tensor) -> None:
        """Goes down on as many images as `like` (B,) has rows."""
        classes = self.gan.num_classes
        y = tf.minimum(tf.cast(self._uniform(like, ()) * classes, tf.int32), classes - 1)
        z, variables = self._normal(y), self.generator.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in variables])
            judged = self.discriminator(self.gan.images(z, y))
            score, logits = (tf.cast(output, tf.float32) for output in judged)
            of_class = self.settings.class_weight * _cross_entropy(y, logits)
            loss = of_class - tf.reduce_mean(score)
            loss = self.optimizer.scale_loss(balanced(loss / replicas(), y))
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        self.optimizer.apply(gradients, variables)


def _cross_entropy(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))


def _right(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.argmax(logits, axis=-1, output_type=tf.int32) == y, tf.float32)


def repeat(body: Callable[[tf.Tensor], tuple[tf.Tensor]], times: int) -> None:
    """``index, = body(index)`` from 0 on in one graph, as a loop where there is one replica:
    no loop of a graph can hold what several say to each other.
    """
    if replicas() == 1:
        tf.while_loop(lambda index: index < times, body, (0,), parallel_iterations=1)
    else:
        for index in range(times):
            body(tf.constant(index))


def step_images(settings: GANSettings, rows: int) -> int:
    """How many images one step takes.

    Raises:
        InputError: if `rows`, all there are, are fewer.
    """
    size = settings.batch_size * settings.discriminator_steps
    if rows < size:
        raise InputError(
            f"one step takes batch_size * discriminator_steps = {size} images, there are "
            f"{rows}; lower batch_size or give more images"
        )
    return size


def fit_gan(
    training: SongGANTraining,
    x: np.ndarray,
    y: np.ndarray,
    *,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    callbacks: list[keras.callbacks.Callback] | None = None,
) -> list[dict[str, float]]:
    """Trains the networks in place.

    Args:
        x: float32 (n, H, W, C) in [0, 1]. y: integer (n,).
        seed: of the order of the data. checkpoint: folder of the resumable state.
        progress: told (stage, done, in all, logs). callbacks: Keras callbacks.

    Returns:
        The metrics of every 100 generator steps, means over them.

    Raises:
        InputError: if one step needs more images than there are.

    Differs: images of the test split are left out; the published GANs were trained on them.
    """
    settings = training.settings
    size = step_images(settings, len(x))
    with training.distribute_strategy.scope():
        training.prepare()
    per_stage = min(settings.steps, STAGE_STEPS)
    return run_fit(
        training,
        lambda step: batches((x, y), size, seed=seed, start_step=step, whole=True),
        Loop(
            settings.steps // per_stage,
            per_stage,
            "gan",
            checkpoint,
            progress,
            groups=settings.discriminator_steps,
        ),
        callbacks=callbacks or (),
    )


def draw_images(
    gan: GAN, y: np.ndarray, *, seed: int = 0, batch_size: int = 64
) -> tuple[np.ndarray, np.ndarray]:
    """Images of classes `y` and what the auxiliary classifier takes them for.

    Every batch is full, with classes in turn behind the last, because an image depends on
    the others of its batch.

    Args:
        y: integer (n,). seed: of the latents. batch_size: int >= 2.

    Returns:
        float32 images (n, H, W, C) in [0, 1], and classes (n,).
    """
    count = -(-len(y) // batch_size) * batch_size
    labels = np.concatenate([y, np.arange(count - len(y)) % gan.num_classes]).astype(np.int32)
    z = np.random.default_rng(seed).standard_normal((count, gan.latents)).astype(np.float32)

    @tf.function
    def draw(z: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images = gan.images(z, y)
        return images, tf.argmax(gan.auxiliary(images), axis=-1)

    parts = [
        draw(z[start : start + batch_size], labels[start : start + batch_size])
        for start in range(0, count, batch_size)
    ]
    images, classes = (np.concatenate([p[i].numpy() for p in parts])[: len(y)] for i in range(2))
    return images, classes
