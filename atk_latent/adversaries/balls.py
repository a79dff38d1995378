"""Where an adversary may go: a ball around each image, cut by the legal pixel range."""

from __future__ import annotations

import abc
import dataclasses
import math

import tensorflow as tf

from atk_latent.adversaries.noise import RowNoise
from atk_latent.config import number
from atk_latent.errors import InputError


@dataclasses.dataclass(frozen=True)
class Ball(abc.ABC):
    """A ball of radius `eps` around each image, cut by `bounds`.

    Args:
        eps: float >= 0, in the units of `bounds`; 0 leaves the image alone.
        bounds: (low, high), the legal pixel range.

    Raises:
        InputError: for a negative radius, or bounds that hold nothing.
    """

    eps: float
    bounds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        if number(self.eps, "eps") < 0:
            raise InputError(f"eps must be at least 0. Received: {self.eps!r}")
        if len(self.bounds) != 2 or not self.bounds[0] < self.bounds[1]:
            raise InputError(f"bounds must be (low, high), low < high. Received: {self.bounds!r}")

    def project(self, x: tf.Tensor, x_adv: tf.Tensor) -> tf.Tensor:
        """The point of ball and bounds that stands for `x_adv`.

        Args:
            x: float32 (B, ...), the centres, inside the bounds. x_adv: float32, same shape.

        Returns:
            float32, the shape of `x`: `x_adv` clipped to the bounds, then pulled towards an
            `x` inside them, which leaves them by rounding at most.
        """
        change = self._shrunk(tf.clip_by_value(x_adv, *self.bounds) - x)
        return tf.clip_by_value(x + change, *self.bounds)

    def random_start(self, x: tf.Tensor, noise: RowNoise) -> tf.Tensor:
        """A point drawn uniformly from the ball, then clipped to the bounds."""
        return tf.clip_by_value(x + self._drawn(x, noise), *self.bounds)

    @abc.abstractmethod
    def ascent(self, gradient: tf.Tensor) -> tf.Tensor:
        """The direction of size 1 in this norm along which `gradient` climbs the most.

        0 where the gradient is 0; the gradient's own size does not matter.
        """

    @abc.abstractmethod
    def _shrunk(self, change: tf.Tensor) -> tf.Tensor:
        """The change of each image, no larger than `eps`."""

    @abc.abstractmethod
    def _drawn(self, x: tf.Tensor, noise: RowNoise) -> tf.Tensor:
        """Changes drawn uniformly from the ball, the shape of `x`."""


class LinfBall(Ball):
    """No value of an image changes by more than `eps`; see `Ball`."""

    def ascent(self, gradient: tf.Tensor) -> tf.Tensor:
        """The sign of each value."""
        return tf.sign(gradient)

    def _shrunk(self, change: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value(change, -self.eps, self.eps)

    def _drawn(self, x: tf.Tensor, noise: RowNoise) -> tf.Tensor:
        return (2.0 * noise.uniform(x) - 1.0) * self.eps


class L2Ball(Ball):
    """The Euclidean size of an image's change is at most `eps`; see `Ball`.

    Differs: a point outside is clipped to the bounds and then scaled towards the centre,
    which ends on the sphere and in the bounds but need not be the nearest such point.
    """

    def ascent(self, gradient: tf.Tensor) -> tf.Tensor:
        """The gradient of each image, scaled to length 1."""
        return unit(gradient)

    def _shrunk(self, change: tf.Tensor) -> tf.Tensor:
        length = tf.sqrt(_over_rows(tf.reduce_sum, tf.square(change)))
        return change * (self.eps / tf.maximum(length, max(self.eps, 1e-30)))

    def _drawn(self, x: tf.Tensor, noise: RowNoise) -> tf.Tensor:
        direction = unit(noise.fork(0).normal(x))
        share = noise.fork(1).uniform(_over_rows(tf.reduce_sum, x))
        return self.eps * share ** (1.0 / math.prod(x.shape[1:])) * direction


BALLS: dict[str, type[Ball]] = {"linf": LinfBall, "l2": L2Ball}


def unit(gradient: tf.Tensor) -> tf.Tensor:
    """Each row of (B, ...) scaled to Euclidean length 1; a row of zeros stays."""
    largest = _over_rows(tf.reduce_max, tf.abs(gradient))
    scaled = tf.math.divide_no_nan(gradient, largest)  # squares of tiny numbers would be 0
    return tf.math.divide_no_nan(scaled, tf.sqrt(_over_rows(tf.reduce_sum, tf.square(scaled))))


def unit_l1(gradient: tf.Tensor) -> tf.Tensor:
    """Each row of (B, ...) scaled so that its absolute values sum to 1; zeros stay."""
    return tf.math.divide_no_nan(gradient, _over_rows(tf.reduce_sum, tf.abs(gradient)))


def _over_rows(reduce: type, values: tf.Tensor) -> tf.Tensor:
    return reduce(values, axis=list(range(1, values.shape.rank)), keepdims=True)
