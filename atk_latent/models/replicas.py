"""Which rows of a global batch the replica of a distribution strategy has, and all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar, cast

import tensorflow as tf

Values = TypeVar("Values", bound="tf.Tensor | None")


class Rows(NamedTuple):
    """Where the rows of one replica lie in the global batch, integers ().

    Args:
        first: index of its first row. count: how many it has. total: of the global batch.
    """

    first: tf.Tensor | int
    count: tf.Tensor
    total: tf.Tensor


def replicas() -> int:
    """How many replicas the distribution strategy in scope keeps in sync."""
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def _context() -> tf.distribute.ReplicaContext | None:
    """The context of this replica, None where there is no other one."""
    context = tf.distribute.get_replica_context()
    return None if context is None or context.num_replicas_in_sync == 1 else context


def rows_of(x: tf.Tensor) -> Rows:
    """The rows that `x` (B, ...), this replica's part of a batch, has in the global batch.

    Parts follow each other in the order of the replicas and may differ in size.
    """
    count, context = tf.shape(x)[0], _context()
    if context is None:
        return Rows(0, count, count)
    index, size = context.replica_id_in_sync_group, context.num_replicas_in_sync
    mine = tf.one_hot(index, size, on_value=tf.cast(count, tf.float32))
    counts = tf.cast(context.all_reduce(tf.distribute.ReduceOp.SUM, mine), tf.int32)
    return Rows(tf.reduce_sum(counts[:index]), count, tf.reduce_sum(counts))


def mine(values: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """The rows of `values` (of the global batch, ...) that belong to `x` (B, ...)."""
    return drawn(lambda total: values, x)


def drawn(draw: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    """Random numbers for the rows of `x`: drawn for the global batch, so the same on any number
    of replicas.

    Args:
        draw: from a number of rows, integer (), to (rows, ...). x: (B, ...).
    """
    rows = rows_of(x)
    values = draw(rows.total)
    return values if _context() is None else values[rows.first : rows.first + rows.count]


def whole(x: tf.Tensor) -> tf.Tensor:
    """The rows of all replicas, in order; gradients flow back to where they came from."""
    context = _context()
    if context is None:
        return x
    rows = rows_of(x)
    around = [[rows.first, rows.total - rows.first - rows.count]]
    padded = tf.pad(x, [*around, *([[0, 0]] * (x.shape.rank - 1))])
    return _densely(context.all_reduce(tf.distribute.ReduceOp.SUM, padded))


@tf.custom_gradient
def _densely(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """`x`, to which gradients come as tensors: slices of one cannot be summed over replicas."""
    return x, tf.convert_to_tensor


def total(values: Sequence[Values]) -> list[Values]:
    """Sums over the replicas of tensors, or of None where there is none."""
    context = _context()
    present = [value for value in values if value is not None]
    if context is None or not present:
        return list(values)
    sums = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, present))
    return [value if value is None else cast(Values, next(sums)) for value in values]


def balanced(loss: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """A mean over the rows of `x` divided by `replicas()`, so weighted that the sum over
    the replicas is the mean over the global batch, though their parts differ in size.
    """
    if _context() is None:
        return loss
    rows = rows_of(x)
    return loss * tf.cast(rows.count * replicas() / rows.total, loss.dtype)


def unbalanced(loss: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """What `balanced` was made of, times `replicas()`: the mean over the rows of `x`."""
    if _context() is None:
        return loss
    rows = rows_of(x)
    return loss * tf.cast(rows.total / rows.count, loss.dtype)


def moments(x: tf.Tensor, axes: tuple[int, ...]) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance over `axes`, 0 among them, of the global batch; axes are kept as 1."""
    mean, variance = tf.nn.moments(x, axes, keepdims=True)
    if _context() is None:
        return mean, variance
    rows = rows_of(x)
    share = tf.cast(rows.count / rows.total, mean.dtype)
    (everywhere,) = total([share * mean])
    (spread,) = total([share * (variance + tf.square(mean - everywhere))])
    return everywhere, spread
