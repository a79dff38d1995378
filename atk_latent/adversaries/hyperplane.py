"""The shortest way from an image onto a hyperplane that does not leave the pixel box."""

from __future__ import annotations

import tensorflow as tf


def size(change: tf.Tensor, norm: str) -> tf.Tensor:
    """The norm of each row of (B, ...), float32 (B, 1, ..., 1)."""
    if norm == "linf":
        return _over_rows(tf.reduce_max, tf.abs(change))
    return tf.sqrt(_over_rows(tf.reduce_sum, tf.square(change)))


def dual_size(normal: tf.Tensor, norm: str) -> tf.Tensor:
    """The dual norm of each row: without a box, |gap| / dual_size is the distance to the plane."""
    if norm == "linf":
        return _over_rows(tf.reduce_sum, tf.abs(normal))
    return size(normal, "l2")


def shortest_change(
    x: tf.Tensor,
    normal: tf.Tensor,
    gap: tf.Tensor,
    *,
    norm: str,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> tf.Tensor:
    """The smallest d with <normal, d> = gap and x + d inside the bounds.

    Every value moves the way that closes the gap, at a speed of 1 (Linf) or of |normal| (L2),
    until it meets its bound: d_i(t) = sign(w_i) min(t * speed_i, room_i). What the move has
    closed by time t, f(t) = sum_i |w_i| min(t * speed_i, room_i), is concave and piecewise
    linear, so Newton's iteration from t = 0 rises to the solution of f(t) = |gap| and ends on
    it exactly. Its first step is the answer without bounds, |gap| / sum_i |w_i| speed_i.

    Args:
        x: float32 (B, ...), inside the bounds. normal: float32, the shape of `x`.
        gap: float32 (B, 1, ..., 1), the change of <normal, .> that is wanted.
        norm: "linf" or "l2", the size that is smallest.

    Returns:
        float32, the shape of `x`. Where no point of the box is on the plane, the way to the
        corner nearest to it; 0 where `normal` is 0.

    Reference: Croce and Hein, ICML 2020, FAB, section 2.2 (the problem; they sort the bounds).
    """
    largest = _over_rows(tf.reduce_max, tf.abs(normal))
    weight = tf.math.divide_no_nan(normal, largest) * tf.sign(gap)
    needed, rate = tf.math.divide_no_nan(tf.abs(gap), largest), tf.abs(weight)
    room = tf.where(weight > 0, bounds[1] - x, x - bounds[0])
    speed = tf.ones_like(rate) if norm == "linf" else rate

    def newton(time: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        moving = time * speed < room
        slope = _over_rows(tf.reduce_sum, tf.where(moving, rate * speed, 0.0))
        closed = _over_rows(tf.reduce_sum, tf.where(moving, 0.0, rate * room))
        reached = tf.where(slope > 0, (needed - closed) / slope, float("inf"))
        later = tf.maximum(reached, time)
        return later, tf.reduce_any(later > time)

    start = tf.zeros_like(needed), tf.constant(True)
    time, _ = tf.while_loop(lambda _, rises: rises, newton, start, parallel_iterations=1)
    return tf.sign(weight) * tf.where(time * speed < room, time * speed, room)


def _over_rows(reduce: type, values: tf.Tensor) -> tf.Tensor:
    return reduce(values, axis=list(range(1, values.shape.rank)), keepdims=True)
