"""What attacks that look for a small change share: their goal, and leaving finished images."""

from __future__ import annotations

import dataclasses
import math
from typing import TypeVar

import tensorflow as tf

from atk_latent.adversaries import losses
from atk_latent.adversaries.balls import LinfBall
from atk_latent.adversaries.noise import RowNoise
from atk_latent.adversaries.settings import read_settings

Nest = TypeVar("Nest")  # a tensor, or tensors in tuples


@dataclasses.dataclass(frozen=True)
class MinimalSettings:
    """What the attacker wants.

    Args:
        targeted: labels are the classes wanted.
        bounds: (low, high), the legal pixel range.

    Raises:
        InputError: for a value of another type, or bounds that hold nothing.
    """

    targeted: bool = False
    bounds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        """Refuses values of another type."""
        read_settings(self)
        LinfBall(0.0, self.bounds)  # checks the bounds


def random_targets(y: tf.Tensor, classes: int, noise: RowNoise) -> tf.Tensor:
    """For each label one of the other classes, drawn uniformly, int32 (B,)."""
    drawn = noise.uniform(y[:, None])[:, 0] * (classes - 1)
    return (y + 1 + tf.minimum(tf.cast(drawn, tf.int32), classes - 2)) % classes


def successes(logits: tf.Tensor, y: tf.Tensor, targeted: bool) -> tf.Tensor:
    """Whether each image is where the attacker wants it, bool (B,)."""
    hit = losses.predicted(logits, y)
    return hit if targeted else ~hit


def where_rows(rows: tf.Tensor, x: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Row by row, `x` where `rows` (B,) holds, else `other`; both (B, ...)."""
    return tf.where(tf.reshape(rows, [-1, *([1] * (x.shape.rank - 1))]), x, other)


class ActiveRows:
    """The rows of a batch that still have work to do, so that no others are computed.

    Their number is rounded up to a power of two by taking the last one again: a GPU then
    meets few batch sizes. A batch whose size the graph knows keeps it, since its classifier
    may take no other: all rows are taken, and `active` says which of them count.

    Args:
        active: bool (B,), with at least one true.
    """

    def __init__(self, active: tf.Tensor) -> None:
        if active.shape[0] is not None:
            self._rows = self._taken = tf.range(active.shape[0])
        else:
            self._rows = tf.cast(tf.where(active)[:, 0], tf.int32)
            count = tf.size(self._rows)
            bits = tf.math.log(tf.cast(count, tf.float64)) / math.log(2)
            size = tf.bitwise.left_shift(1, tf.cast(tf.math.ceil(bits - 1e-9), tf.int32))
            size = tf.minimum(size, tf.size(active))
            self._taken = tf.gather(self._rows, tf.minimum(tf.range(size), count - 1))
        self.active = tf.gather(active, self._taken)

    @property
    def places(self) -> tf.Tensor:
        """The rows that `take` takes, int32; the last one more than once where it is padded."""
        return self._taken

    def take(self, state: Nest) -> Nest:
        """The active rows of every tensor (B, ...) in `state`."""
        rows: Nest = tf.nest.map_structure(lambda whole: tf.gather(whole, self._taken), state)
        return rows

    def put(self, state: Nest, part: object) -> Nest:
        """`state` with its active rows from `part`, which `take` gave."""

        def scattered(whole: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
            rows = rows[: tf.size(self._rows)]
            return tf.ensure_shape(
                tf.tensor_scatter_nd_update(whole, self._rows[:, None], rows), whole.shape
            )

        whole: Nest = tf.nest.map_structure(scattered, state, part)
        return whole
