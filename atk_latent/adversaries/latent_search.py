"""Song et al.'s attack: a search in a GAN's latents for images that fool a classifier."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from atk_latent.adversaries.base import Classifier, inference
from atk_latent.adversaries.loop_watch import LoopWatch, Report
from atk_latent.adversaries.noise import RowNoise
from atk_latent.config import check_range
from atk_latent.errors import InputError
from atk_latent.models.song_gan import GAN
from atk_latent.progress import Progress, part_of

PUBLISHED_BATCH = 64  # the published objective is a mean over so many images
START_DRAWS = 10


@dataclasses.dataclass(frozen=True)
class LatentSearchSettings:
    """How latents are searched.

    Args:
        steps: int >= 0, gradient steps at most.
        targeted: look for one class, drawn among the others, instead of any other class.
        noise: also add noise_eps * tanh(tau) to the image and search tau.
        noise_eps: float in [0, 1], in [0, 1] pixel units.
        learning_rate: float > 0.
        closeness: float >= 0, lambda_1, the weight of staying near the first latent.
        class_weight: float >= 0, lambda_2, that of the auxiliary classifier's loss.
        latent_eps: float >= 0, how far each number of the latent may go at no cost.

    Differs: the published code adds its noise to [-1, 1] images of SVHN and CelebA, where
        its 0.1 is 0.05 here.
    """

    steps: int = 1000
    targeted: bool = False
    noise: bool = False
    noise_eps: float = 0.1
    learning_rate: float = 1.0
    closeness: float = 100.0
    class_weight: float = 100.0
    latent_eps: float = 0.1

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        check_range("steps", self.steps, 0)
        check_range("noise_eps", self.noise_eps, 0, 1)
        check_range("learning_rate", self.learning_rate, 1e-12)
        for name in ("closeness", "class_weight", "latent_eps"):
            check_range(name, getattr(self, name), 0)


class Searched(NamedTuple):
    """What a search found for a batch of classes.

    Args:
        x_adv: float32 (B, H, W, C) in [0, 1]; where nothing was found, `x_start`.
        x_start: G(z_0, y), the image before the search.
        target: int32 (B,), the class looked for; the source class where any other will do.
        step: int32 (B,), the gradient steps it took; 0 where the first image fooled the
            classifier already, -1 where nothing was found.
    """

    x_adv: tf.Tensor
    x_start: tf.Tensor
    target: tf.Tensor
    step: tf.Tensor


class _Search(NamedTuple):
    """Where a search stands: latents (B, ...), tau of the noise, and `Searched`'s fields."""

    z: tf.Tensor
    tau: tf.Tensor
    x_adv: tf.Tensor
    step: tf.Tensor


def gradient_noise_variance(step: tf.Tensor | float) -> tf.Tensor | float:
    """The variance 0.01 / (1 + t)^0.55 of what is added to the latents' gradient."""
    return 0.01 / (1.0 + step) ** 0.55


def closeness(z: tf.Tensor, start: tf.Tensor, latent_eps: float) -> tf.Tensor:
    """Mean over a latent's numbers of max((z - z_0)^2 - latent_eps^2, 0), (B,)."""
    beyond = tf.square(z - start) - latent_eps**2
    return tf.reduce_mean(tf.maximum(beyond, 0.0), axis=-1)


def nearest_other(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """The least cross-entropy to a class other than `y`, (B,)."""
    own = tf.one_hot(y, logits.shape[-1], on_value=True, off_value=False, dtype=tf.bool)
    return -tf.reduce_max(tf.where(own, tf.float32.min, tf.nn.log_softmax(logits)), axis=-1)


def draw_targets(y: np.ndarray, num_classes: int, seed: int) -> np.ndarray:
    """A class other than `y` for each image, uniformly, int32 (n,)."""
    shift = 1 + np.random.default_rng(seed).integers(num_classes - 1, size=len(y))
    return ((np.asarray(y) + shift) % num_classes).astype(np.int32)


class LatentSearch:
    """Searches z near a random z_0 so that a classifier errs on G(z, y).

    x = clip(G(z, y) + noise_eps * tanh(tau)) with tau from 0, or without that noise. Down goes
    J = CE(f(x), t) + closeness * mean max((z - z_0)^2 - latent_eps^2, 0)
    + class_weight * CE(aux(G(z, y)), y), untargeted with min over k != y of CE(f(x), k) first.
    It has found something when f(x) = t (or != y) while the auxiliary classifier, which sees
    the image without the noise, says y. It needs no images, only classes.

    Args:
        gan: a trained GAN. settings: see `LatentSearchSettings`.
        batch_size: int >= 2, images at once. An image depends on the others of its batch
            (batch statistics), so batches are always full, with classes in turn behind the
            last, and results depend on this number.

    Reference: Song et al., NeurIPS 2018, Eqs 2 to 4, and its published code.
    Differs: an image is kept at its first success and its latent rests from then on; the
        published code looks once, after all steps. A first latent whose image is not of its
        class by the auxiliary classifier is drawn anew, at most 10 times. The mean over the
        batch is a sum over 64, so that a step does not depend on the batch size.
    """

    def __init__(
        self, gan: GAN, settings: LatentSearchSettings | None = None, *, batch_size: int = 64
    ) -> None:
        check_range("batch_size", batch_size, 2)
        self.gan, self.settings = gan, settings or LatentSearchSettings()
        self.batch_size = batch_size
        self.watch = LoopWatch()
        self._compiled: tuple[Classifier, Callable[..., Searched]] | None = None

    def craft_all(
        self,
        classifier: Classifier,
        y: np.ndarray,
        *,
        target: np.ndarray | None = None,
        seed: int = 0,
        on_batch: Callable[[int, int], None] | None = None,
        progress: Progress | None = None,
    ) -> dict[str, np.ndarray]:
        """One search for each class in `y`.

        Args:
            classifier: Keras model, or function of images, to logits (B, K).
            y: integer (n,), the classes to draw. target: integer (n,), the classes wanted;
                None draws them. Only a targeted search takes them.
            seed: int >= 0; the same seed gives the same images.
            on_batch: called with (images done, images in all).
            progress: told ("steps", done, in all, {"standing": searches}) a few times a second.

        Returns:
            The fields of `Searched` by name, each (n, ...).

        Raises:
            InputError: for labels outside the GAN's classes, or targets that do not fit.
        """
        source = self._checked("y", y)
        if target is not None and (not self.settings.targeted or len(target) != len(source)):
            raise InputError(
                "target= takes as many classes as y, of a search with targeted=True. "
                f"Received: {len(target)} for {len(source)}, targeted={self.settings.targeted}"
            )
        wanted = source
        if self.settings.targeted:
            drawn = draw_targets(source, self.gan.num_classes, seed)
            wanted = drawn if target is None else self._checked("target", target)
        size, search = self.batch_size, self._function(classifier)
        parts = []
        for start in range(0, len(source), size):
            count = min(size, len(source) - start)
            rows = slice(start, start + count)
            filling = np.arange(size - count, dtype=np.int32) % self.gan.num_classes
            labels, targets = (np.concatenate([a[rows], filling]) for a in (source, wanted))
            part = part_of(progress, start // size, -(-len(source) // size))
            with self.watch.heard(part, count):
                searched = search(labels, targets, tf.constant([seed, 0], tf.int64), start, count)
            parts.append([tensor.numpy()[:count] for tensor in searched])
            if on_batch:
                on_batch(rows.stop, len(source))
        if not parts:
            empty = np.zeros((0, *self.gan.image_shape), np.float32)
            parts = [[empty, empty, wanted, np.zeros(0, np.int32)]]
        columns = zip(Searched._fields, zip(*parts, strict=True), strict=True)
        return {name: np.concatenate(column) for name, column in columns}

    def _checked(self, name: str, y: np.ndarray) -> np.ndarray:
        classes, labels = self.gan.num_classes, np.asarray(y)
        if labels.ndim != 1 or (len(labels) and not 0 <= labels.min() <= labels.max() < classes):
            raise InputError(
                f"{name} must be classes (n,) in 0..{classes - 1}, those of the GAN. "
                f"Received: shape {labels.shape}, {np.unique(labels)[:8].tolist()}"
            )
        return labels.astype(np.int32)

    def _function(self, classifier: Classifier) -> Callable[..., Searched]:
        """The compiled search; the one of the latest classifier is kept."""
        if self._compiled is None or self._compiled[0] is not classifier:
            call, size = inference(classifier), self.batch_size

            def search(
                y: tf.Tensor, target: tf.Tensor, seed: tf.Tensor, first: tf.Tensor, count: tf.Tensor
            ) -> Searched:
                return self.search(call, y, target, RowNoise(seed, first), count)

            signature = [
                tf.TensorSpec([size], tf.int32),
                tf.TensorSpec([size], tf.int32),
                tf.TensorSpec([2], tf.int64),
                tf.TensorSpec([], tf.int64),
                tf.TensorSpec([], tf.int32),
            ]
            self._compiled = (classifier, self.watch.compiled(search, signature))
        return self._compiled[1]

    def search(
        self,
        classifier: Classifier,
        y: tf.Tensor,
        target: tf.Tensor,
        noise: RowNoise,
        count: tf.Tensor,
    ) -> Searched:
        """One batch; runs inside a graph.

        Args:
            classifier: images to float32 logits. y, target: int32 (B,).
            noise: the only source of random numbers.
            count: the first so many images are wanted; it ends when all of them are found.
        """
        z0 = self._starts(y, noise.fork(0))
        x0 = self.gan.images(z0, y)
        tau = tf.zeros_like(x0) if self.settings.noise else tf.zeros((y.shape[0], 0))
        wanted = tf.range(y.shape[0]) < count

        def body(t: tf.Tensor, state: _Search) -> tuple[tf.Tensor, _Search]:
            z, tau, x_adv, step = state
            x, success, gradients = self._look(classifier, y, target, z0, z, tau)
            step = tf.where(success & (step < 0), t, step)
            x_adv = tf.where((step == t)[:, None, None, None], x, x_adv)
            z, tau = self._moved(t, z, tau, gradients, noise.fork(1).fork(t), resting=step >= 0)
            return t + 1, _Search(z, tau, x_adv, step)

        open_rows = lambda state: wanted & (state.step < 0)  # noqa: E731
        end = self.watch.rounds(
            body,
            (0, self.settings.steps + 1),
            _Search(z0, tau, x0, tf.fill((y.shape[0],), -1)),
            lambda t, state: Report(t, self.settings.steps + 1, open_rows(state)),
            going=lambda state: tf.reduce_any(open_rows(state)),
        )
        return Searched(end.x_adv, x0, target, end.step)

    def _starts(self, y: tf.Tensor, noise: RowNoise) -> tf.Tensor:
        """z_0 ~ N(0, I), drawn anew where the image is not of its class."""
        like = tf.zeros((y.shape[0], self.gan.latents))

        def seen(z: tf.Tensor) -> tf.Tensor:
            return _argmax(self.gan.auxiliary(self.gan.images(z, y))) == y

        def redrawn(draw: tf.Tensor, z: tf.Tensor, good: tf.Tensor) -> tuple[tf.Tensor, ...]:
            z = tf.where(good[:, None], z, noise.fork(draw).normal(like))
            return draw + 1, z, seen(z)

        first = noise.fork(0).normal(like)
        loop = (tf.constant(1), first, seen(first))
        unfinished = lambda draw, z, good: (draw < START_DRAWS) & ~tf.reduce_all(good)  # noqa: E731
        return tf.while_loop(unfinished, redrawn, loop, parallel_iterations=1)[1]

    def _look(
        self,
        classifier: Classifier,
        y: tf.Tensor,
        target: tf.Tensor,
        z0: tf.Tensor,
        z: tf.Tensor,
        tau: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """The images at (z, tau), which of them succeed, and the gradients of J."""
        settings = self.settings
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([z, tau])
            drawn = self.gan.images(z, y)
            x = drawn
            if settings.noise:
                x = tf.clip_by_value(drawn + settings.noise_eps * tf.tanh(tau), 0.0, 1.0)
            logits, seen = classifier(x), self.gan.auxiliary(drawn)
            first = (
                _cross_entropy(logits, target) if settings.targeted else nearest_other(logits, y)
            )
            loss = first + settings.closeness * closeness(z, z0, settings.latent_eps)
            loss += settings.class_weight * _cross_entropy(seen, y)
            objective = tf.reduce_sum(loss) / PUBLISHED_BATCH
        said = _argmax(logits)
        fooled = said == target if settings.targeted else said != y
        gradients = tape.gradient(objective, [z, tau], unconnected_gradients="zero")
        return x, fooled & (_argmax(seen) == y), gradients

    def _moved(
        self,
        t: tf.Tensor,
        z: tf.Tensor,
        tau: tf.Tensor,
        gradients: list[tf.Tensor],
        noise: RowNoise,
        *,
        resting: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """One gradient step: noisy for z, of unit length for tau."""
        rate, (of_z, of_tau) = self.settings.learning_rate, gradients
        deviation = tf.sqrt(gradient_noise_variance(tf.cast(t, tf.float32)))
        z = tf.where(resting[:, None], z, z - rate * (of_z + deviation * noise.normal(z)))
        if self.settings.noise:
            length = tf.sqrt(tf.reduce_sum(tf.square(of_tau), axis=(1, 2, 3), keepdims=True))
            tau = tau - rate * of_tau / tf.maximum(length, 1e-12)
        return z, tau


def _argmax(logits: tf.Tensor) -> tf.Tensor:
    return tf.argmax(logits, axis=-1, output_type=tf.int32)


def _cross_entropy(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
