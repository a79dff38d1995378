"""Where an adversary may go: a ball around each image, cut by the legal pixel range."""

from __future__ import annotations

import abc
import dataclasses
import math

import tensorflow as tf

from atk_latent.adversaries.noise import RowNoise
from atk_latent.config import number
from atk_latent.errors import InputError

_BISECTIONS = 30  # halve an interval of a pixel's range down to float32 precision


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
        change = self.clip_perturbation(tf.clip_by_value(x_adv, *self.bounds) - x)
        return tf.clip_by_value(x + change, *self.bounds)

    def clip(self, x: tf.Tensor, x_adv: tf.Tensor) -> tf.Tensor:
        """`x_adv` pulled into the ball, then clipped to the bounds, as APGD does.

        For Linf the same point as `project`; in another norm it may end inside the sphere.
        """
        return tf.clip_by_value(x + self.clip_perturbation(x_adv - x), *self.bounds)

    def random_start(self, x: tf.Tensor, noise: RowNoise) -> tf.Tensor:
        """A point drawn uniformly from the ball, then clipped to the bounds."""
        return tf.clip_by_value(self.unclipped_start(x, noise), *self.bounds)

    def unclipped_start(self, x: tf.Tensor, noise: RowNoise) -> tf.Tensor:
        """The same point before it is clipped: it may lie outside the bounds."""
        return x + self._drawn(x, noise)

    def random_start_on_sphere(self, x: tf.Tensor, noise: RowNoise) -> tf.Tensor:
        """A point drawn from the ball's surface, then clipped to the bounds."""
        return tf.clip_by_value(x + self.eps * self._direction(x, noise), *self.bounds)

    @abc.abstractmethod
    def steepest_direction(self, gradient: tf.Tensor, at: tf.Tensor | None = None) -> tf.Tensor:
        """The direction of size 1 in this norm along which `gradient` climbs the most.

        0 where the gradient is 0; the gradient's own size does not matter.

        Args:
            gradient: float32 (B, ...).
            at: float32, same shape, where the gradient was taken: a norm whose direction is
                sparse leaves out the values that cannot go further. None leaves out none.
        """

    @abc.abstractmethod
    def clip_perturbation(self, change: tf.Tensor) -> tf.Tensor:
        """The change of each image, no larger than `eps`."""

    @abc.abstractmethod
    def _direction(self, x: tf.Tensor, noise: RowNoise) -> tf.Tensor:
        """Changes of size 1 in this norm, every direction alike, the shape of `x`."""

    def _drawn(self, x: tf.Tensor, noise: RowNoise) -> tf.Tensor:
        """Changes drawn uniformly from the ball, the shape of `x`."""
        share = noise.fork(1).uniform(_over_rows(tf.reduce_sum, x))
        length = self.eps * share ** (1.0 / math.prod(x.shape[1:]))
        return length * self._direction(x, noise.fork(0))


class LinfBall(Ball):
    """No value of an image changes by more than `eps`; see `Ball`."""

    def steepest_direction(self, gradient: tf.Tensor, at: tf.Tensor | None = None) -> tf.Tensor:
        """The sign of each value."""
        return tf.sign(gradient)

    def clip_perturbation(self, change: tf.Tensor) -> tf.Tensor:
        """Every value cut to -eps..eps."""
        return tf.clip_by_value(change, -self.eps, self.eps)

    def _direction(self, x: tf.Tensor, noise: RowNoise) -> tf.Tensor:
        drawn = 2.0 * noise.uniform(x) - 1.0
        return tf.math.divide_no_nan(drawn, _over_rows(tf.reduce_max, tf.abs(drawn)))

    def _drawn(self, x: tf.Tensor, noise: RowNoise) -> tf.Tensor:
        return (2.0 * noise.uniform(x) - 1.0) * self.eps


class L2Ball(Ball):
    """The Euclidean size of an image's change is at most `eps`; see `Ball`.

    Differs: a point outside is clipped to the bounds and then scaled towards the centre,
    which ends on the sphere and in the bounds but need not be the nearest such point.
    """

    def steepest_direction(self, gradient: tf.Tensor, at: tf.Tensor | None = None) -> tf.Tensor:
        """The gradient of each image, scaled to length 1."""
        return unit(gradient)

    def clip_perturbation(self, change: tf.Tensor) -> tf.Tensor:
        """Shortened to length eps where it is longer."""
        length = tf.sqrt(_over_rows(tf.reduce_sum, tf.square(change)))
        return change * (self.eps / tf.maximum(length, max(self.eps, 1e-30)))

    def _direction(self, x: tf.Tensor, noise: RowNoise) -> tf.Tensor:
        return unit(noise.normal(x))


class L1Ball(Ball):
    """The absolute changes of an image's values sum to at most `eps`; see `Ball`.

    A step moves the `SPARSITY` share of the values that climb the most, each by the same
    length. The projection is the nearest point of ball and bounds: each change becomes
    sign(v) clip(|v| - t, 0, room), with the t >= 0 at which they sum to `eps`; t is bisected
    to float32 precision.

    Reference: Tramer and Boneh, NeurIPS 2019, section 3 (SLIDE: the sparse step); Croce and
        Hein, ICML 2021, Proposition 2.1 (the projection on ball and box).
    Differs: SLIDE projects on the ball, then clips to the bounds, which ends inside the ball;
        a step leaves out values that stand at a bound and would leave it, which would waste
        it; ties with the smallest value that moves move too.
    """

    SPARSITY = 0.01  # SLIDE's 99th percentile

    def project(self, x: tf.Tensor, x_adv: tf.Tensor) -> tf.Tensor:
        """The nearest point of ball and bounds."""
        low, high = self.bounds
        change = x_adv - x
        room = tf.where(change > 0, high - x, x - low)
        nearest = self.clip_perturbation(change, room)
        return tf.clip_by_value(x + nearest, low, high)

    def steepest_direction(self, gradient: tf.Tensor, at: tf.Tensor | None = None) -> tf.Tensor:
        """The signs of the largest values, equal shares that sum to 1."""
        size = tf.abs(gradient)
        if at is not None:
            full = tf.where(gradient > 0, at >= self.bounds[1], at <= self.bounds[0])
            size = tf.where(full, 0.0, size)
        count = math.ceil(self.SPARSITY * math.prod(gradient.shape[1:]))
        flat = tf.reshape(size, [-1, math.prod(gradient.shape[1:])])
        least = tf.math.top_k(flat, count).values[:, -1]
        least = tf.reshape(least, [-1, *([1] * (gradient.shape.rank - 1))])
        return unit_l1(tf.where((size >= least) & (size > 0), tf.sign(gradient), 0.0))

    def clip_perturbation(self, change: tf.Tensor, room: tf.Tensor | float = math.inf) -> tf.Tensor:
        """The nearest change of L1 size eps at most, no value of it larger than `room`."""
        size = tf.abs(change)

        def left(threshold: tf.Tensor) -> tf.Tensor:
            return tf.clip_by_value(size - threshold, 0.0, room)

        def halve(low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            middle = (low + high) / 2.0
            outside = _over_rows(tf.reduce_sum, left(middle)) > self.eps
            return tf.where(outside, middle, low), tf.where(outside, high, middle)

        most = _over_rows(tf.reduce_max, size)
        threshold = tf.while_loop(
            lambda *_: True,
            halve,
            (tf.zeros_like(most), most),
            parallel_iterations=1,
            maximum_iterations=_BISECTIONS,
        )[1]
        inside = _over_rows(tf.reduce_sum, left(tf.zeros_like(most))) <= self.eps
        return tf.sign(change) * left(tf.where(inside, 0.0, threshold))

    def _direction(self, x: tf.Tensor, noise: RowNoise) -> tf.Tensor:
        sizes = unit_l1(-tf.math.log1p(-noise.fork(0).uniform(x)))
        return tf.where(noise.fork(1).uniform(x) < 0.5, -sizes, sizes)


BALLS: dict[str, type[Ball]] = {"linf": LinfBall, "l2": L2Ball, "l1": L1Ball}


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
