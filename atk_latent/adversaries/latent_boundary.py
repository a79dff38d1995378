"""LADDER's adversary: latents moved across a boundary and decoded into images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from atk_latent.config import check_range
from atk_latent.errors import InputError
from atk_latent.models.attention_svm import AttentionSVM
from atk_latent.models.replicas import drawn, mine, whole

CAVRANDOM_NOISE = 0.01
RANDOM_NOISE = 0.1


@dataclasses.dataclass(frozen=True)
class PerturbationSettings:
    """How latents are moved (Eq 3).

    Args:
        eps: one or more numbers >= 0, the size of the move. With unit normals and
            attention of mean 1 it is about the Euclidean length of the move; with raw
            normals it is relative to their length.
        eps_mode: "draw" gives each image one eps drawn uniformly from the list; "search"
            raises eps per image until the vanilla label of the decoded image differs.
        targets: "uniform" draws each target among the other classes; "balanced" gives
            every (source, target) pair the same count, to within one per call.
        noise: "none"; "cavrandom" adds N(0, noise_scale) to the normal; "random" replaces
            the normal with N(0, noise_scale).
        noise_scale: float >= 0; None is the published 0.01 (cavrandom) or 0.1 (random).
        search_start, search_step, search_stop: the search begins at `search_start`, adds
            `search_step` below 1 and ten times that from there, up to `search_stop`.
        search_trials: int >= 1, images decoded per input at most.
        search_rounding: whether the running eps is rounded to 6 decimals. The published
            code does not, and takes one small step more because 0.5 + 5 * 0.1 < 1.

    Raises:
        InputError: for numbers out of range.
    """

    eps: tuple[float, ...] = (10.0,)
    eps_mode: Literal["draw", "search"] = "draw"
    targets: Literal["uniform", "balanced"] = "uniform"
    noise: Literal["none", "cavrandom", "random"] = "none"
    noise_scale: float | None = None
    search_start: float = 0.5
    search_step: float = 0.1
    search_stop: float = 26.0
    search_trials: int = 11
    search_rounding: bool = True

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        if not self.eps:
            raise InputError("setting 'eps' must name a size or more, such as 0.5,2. Received: ()")
        for value in self.eps:
            check_range("eps", value, 0)
        for name in ("search_start", "search_step", "search_stop"):
            check_range(name, getattr(self, name), 1e-6)
        check_range("search_trials", self.search_trials, 1)
        if self.noise_scale is not None:
            check_range("noise_scale", self.noise_scale, 0)

    @property
    def noise_size(self) -> float:
        """Standard deviation of the noise, 0.0 where there is none."""
        published = {"none": 0.0, "cavrandom": CAVRANDOM_NOISE, "random": RANDOM_NOISE}
        return published[self.noise] if self.noise_scale is None else self.noise_scale

    def search_schedule(self) -> tuple[float, ...]:
        """The values of eps that the search tries, in order."""
        tried = [self.search_start]
        while len(tried) < self.search_trials and tried[-1] < self.search_stop:
            step = self.search_step if tried[-1] < 1 else 10 * self.search_step
            following = tried[-1] + step
            tried.append(round(following, 6) if self.search_rounding else following)
        return tuple(tried)


class Crafted(NamedTuple):
    """What the adversary made of a batch.

    Args:
        x_adv: float32 (B, H, W, C) in [0, 1]. z_adv: float32 (B, N).
        target: int32 (B,), the class each latent was moved towards.
        eps: float32 (B,), the size of each move.
    """

    x_adv: tf.Tensor
    z_adv: tf.Tensor
    target: tf.Tensor
    eps: tf.Tensor


class LatentBoundary:
    """Moves latents along boundary normals and decodes them: x_adv = G(z + eps * beta * d).

    The change is bounded in latent space, not in pixels: x_adv is a decoded image, and even
    eps = 0 gives the generator's reconstruction rather than x.

    Args:
        features: images (B, H, W, C) in [0, 1] to flat latents (B, N).
        head: latents to logits (B, K); only the search mode and the label rule ask it.
        generator: latents to images.
        boundaries: the attention SVMs.
        settings: see `PerturbationSettings`.
        seed: int, or a `keras.random.SeedGenerator` that a trainer keeps with its state.

    Raises:
        InputError: if the widths of latents, boundaries and generator differ.

    Reference: LADDER, Eqs 2, 3 and 5; ablations of section 4.1.2.
    """

    def __init__(
        self,
        *,
        features: keras.Model,
        head: keras.Model,
        generator: keras.Model,
        boundaries: AttentionSVM,
        settings: PerturbationSettings,
        seed: int | keras.random.SeedGenerator = 0,
    ) -> None:
        widths = {
            "the latent layer": features.output_shape[-1],
            "the generator": generator.input_shape[-1],
            "the boundaries": boundaries.width,
        }
        if len(set(widths.values())) != 1:
            received = ", ".join(f"{name} has {width}" for name, width in widths.items())
            raise InputError(f"latent widths must agree. Received: {received}")
        self.features, self.head, self.generator = features, head, generator
        self.boundaries, self.settings = boundaries, settings
        self.seeds = keras.random.SeedGenerator(seed) if isinstance(seed, int) else seed

    def __call__(
        self, classifier: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor, y: tf.Tensor
    ) -> tf.Tensor:
        """LADDER examples of images `x` with integer labels `y` (B,).

        Args:
            classifier: not asked; latents and labels come from the model the adversary was
                built on. It is here because every adversary is called this way.
        """
        del classifier
        return self.craft(x, y).x_adv

    def craft(
        self,
        x: tf.Tensor,
        y: tf.Tensor,
        target: tf.Tensor | None = None,
        eps: tf.Tensor | None = None,
    ) -> Crafted:
        """Examples with all that led to them.

        Args:
            x: float32 (B, H, W, C) in [0, 1]; y: integer (B,), the source classes.
            target: integer (B,), or None to draw by `settings.targets`.
            eps: float32 (B,), or None to go by the settings.
        """
        source = tf.cast(y, tf.int32)
        target = self.draw_targets(source) if target is None else tf.cast(target, tf.int32)
        z = tf.cast(self.features(x, training=False), tf.float32)
        move = self.move(z, source, target)
        if eps is None and self.settings.eps_mode == "search":
            return self._search(z, move, target)
        eps = self.draw_eps(source) if eps is None else eps
        z_adv = z + eps[:, None] * move
        return Crafted(self.decode(z_adv), z_adv, target, eps)

    def move(self, z: tf.Tensor, source: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """The move at eps = 1, beta(z) * d, float32 (B, N)."""
        settings, size = self.settings, self.settings.noise_size
        pair = self.boundaries.pair_index(source, target)
        beta = self.boundaries.attention_weights(z, pair)
        if settings.noise == "none":
            return beta * self.boundaries.direction(source, target)
        noise = drawn(
            lambda rows: keras.random.normal((rows, z.shape[1]), stddev=size, seed=self.seeds), z
        )
        if settings.noise == "random":
            return beta * noise
        return beta * (self.boundaries.direction(source, target) + noise)

    def decode(self, z: tf.Tensor) -> tf.Tensor:
        """Images of latents, float32 in [0, 1]."""
        return tf.clip_by_value(tf.cast(self.generator(z, training=False), tf.float32), 0.0, 1.0)

    def draw_targets(self, source: tf.Tensor) -> tf.Tensor:
        """A class other than `source` for each image, int32 (B,)."""
        classes, everyone = self.boundaries.num_classes, whole(source)
        chances = keras.random.uniform(tf.shape(everyone), seed=self.seeds)
        if self.settings.targets == "uniform":
            shift = 1 + tf.cast(chances * (classes - 1), tf.int32)
        else:
            shift = 1 + _balanced(everyone, chances, classes)
        # A chance can round up to 1 in low precision; the shift must stay below K.
        return mine((everyone + tf.minimum(shift, classes - 1)) % classes, source)

    def draw_eps(self, source: tf.Tensor) -> tf.Tensor:
        """One eps of the list for each image of the classes `source` (B,), float32 (B,)."""
        values, count = tf.constant(self.settings.eps, tf.float32), len(self.settings.eps)
        if count == 1:
            return tf.fill(tf.shape(source), values[0])
        index = count * drawn(lambda rows: keras.random.uniform((rows,), seed=self.seeds), source)
        return tf.gather(values, tf.minimum(tf.cast(index, tf.int32), count - 1))

    def _search(self, z: tf.Tensor, move: tf.Tensor, target: tf.Tensor) -> Crafted:
        schedule = self.settings.search_schedule()
        label = _argmax(self.head(z, training=False))
        eps = tf.fill(tf.shape(label), tf.constant(schedule[0], tf.float32))
        x_adv = self.decode(z + eps[:, None] * move)
        for value in schedule[1:]:
            crossed = _argmax(self.predict(x_adv)) != label
            eps = tf.where(crossed, eps, value)
            following = self.decode(z + eps[:, None] * move)
            x_adv = tf.where(crossed[:, None, None, None], x_adv, following)
        return Crafted(x_adv, z + eps[:, None] * move, target, eps)

    def predict(self, x: tf.Tensor) -> tf.Tensor:
        """Logits of images under the model the adversary was built on, (B, K)."""
        return self.head(self.features(x, training=False), training=False)

    def label_rule(self, crafted: Crafted, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Eq 5: whether each latent, and each decoded image, has left its class.

        Returns:
            Two bool (B,) tensors: the label of the latent differs from `y`; the label of
            the image does. An image for which the two disagree breaks Eq 5.
        """
        source = tf.cast(y, tf.int32)
        latent = _argmax(self.head(crafted.z_adv, training=False)) != source
        return latent, _argmax(self.predict(crafted.x_adv)) != source

    @tf.function(reduce_retracing=True)
    def _craft_and_judge(
        self, x: tf.Tensor, y: tf.Tensor, target: tf.Tensor, eps: tf.Tensor | None
    ) -> tuple[tf.Tensor, ...]:
        crafted = self.craft(x, y, target, eps)
        return (crafted.x_adv, crafted.target, crafted.eps, *self.label_rule(crafted, y))

    def craft_all(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        target: np.ndarray | None = None,
        eps: float | None = None,
        batch_size: int = 256,
        on_batch: Callable[[int, int], None] | None = None,
    ) -> dict[str, np.ndarray]:
        """Examples of whole arrays, batch by batch, in one compiled graph.

        Targets and eps are drawn for all images at once, so they do not depend on the batch
        size, and balanced targets are balanced over the whole.

        Args:
            x: float32 (n, H, W, C) in [0, 1]; y: integer (n,).
            target: integer (n,), or None to draw. eps: one for all images, or None to go
                by the settings.
            on_batch: called with (images done, images in all).

        Returns:
            x_adv (n, H, W, C), target, eps, and the label rule's `latent_crossed` and
            `image_crossed`, each (n,).
        """
        source = tf.constant(y, tf.int32)
        targets = self.draw_targets(source) if target is None else tf.constant(target, tf.int32)
        sizes = None if eps is None else tf.fill(tf.shape(source), tf.constant(eps, tf.float32))
        if eps is None and self.settings.eps_mode == "draw":
            sizes = self.draw_eps(source)
        names = ("x_adv", "target", "eps", "latent_crossed", "image_crossed")
        parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
        for start in range(0, len(x), batch_size):
            rows = slice(start, start + batch_size)
            batch = self._craft_and_judge(
                tf.constant(x[rows], tf.float32),
                source[rows],
                targets[rows],
                None if sizes is None else sizes[rows],
            )
            for name, tensor in zip(names, batch, strict=True):
                parts[name].append(tensor.numpy())
            if on_batch:
                on_batch(min(start + batch_size, len(x)), len(x))
        return {name: np.concatenate(column) for name, column in parts.items()}


def _argmax(logits: tf.Tensor) -> tf.Tensor:
    return tf.argmax(logits, axis=-1, output_type=tf.int32)


def _balanced(source: tf.Tensor, drawn: tf.Tensor, classes: int) -> tf.Tensor:
    """Deals the other classes in turn to the images of each class, from a random start.

    The start (one draw for the batch) and the random order (`drawn`) keep pairs from being
    tied to positions.
    """
    order = tf.argsort(drawn)
    one_hot = tf.one_hot(tf.gather(source, order), classes, dtype=tf.int32)
    rank = tf.reduce_sum(tf.cumsum(one_hot, exclusive=True) * one_hot, axis=1)
    rank = tf.gather(rank, tf.argsort(order))
    start = tf.cast(drawn[0] * (classes - 1), tf.int32)
    return (rank + start) % (classes - 1)
