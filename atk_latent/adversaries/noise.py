"""Random numbers that belong to an image, not to the batch it happens to be in."""

from __future__ import annotations

import math

import tensorflow as tf

_PHILOX = 1  # tf.random.Algorithm.PHILOX: the same numbers on every device
_GROUP = 4  # float32 numbers that one tick of the Philox counter gives


class RowNoise:
    """Random numbers for the rows of a batch, each row's fixed by a seed and its index.

    Row `i` of a data set gets the same numbers in whatever batch it comes and however the
    batch is padded, on the CPU and on a GPU alike.

    Args:
        seed: integer (2,).
        first_row: integer (), the index of the batch's first row.
    """

    def __init__(self, seed: tf.Tensor, first_row: tf.Tensor | int = 0) -> None:
        self.seed = tf.cast(seed, tf.int64)
        self.first_row = tf.cast(first_row, tf.int64)

    def fork(self, index: tf.Tensor | int) -> RowNoise:
        """Numbers that have nothing to do with those of any other `index`."""
        return RowNoise(tf.random.fold_in(self.seed, tf.cast(index, tf.int64)), self.first_row)

    def uniform(self, like: tf.Tensor) -> tf.Tensor:
        """Uniform numbers in [0, 1), float32 of the shape of `like` (B, ...)."""
        return self._draw(tf.raw_ops.StatelessRandomUniformV2, like)

    def normal(self, like: tf.Tensor) -> tf.Tensor:
        """Normal numbers of mean 0 and deviation 1, float32 of the shape of `like` (B, ...)."""
        return self._draw(tf.raw_ops.StatelessRandomNormalV2, like)

    def _draw(self, draw: type, like: tf.Tensor) -> tf.Tensor:
        width = math.prod(like.shape[1:])
        groups = -(-width // _GROUP)
        key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=self.seed)
        ticks = tf.stack([self.first_row * groups, tf.zeros((), tf.int64)])
        counter = tf.bitcast(tf.bitcast(counter, tf.int64) + ticks, tf.uint64)
        shape = tf.stack([tf.shape(like)[0], groups * _GROUP])
        drawn = draw(shape=shape, key=key, counter=counter, alg=_PHILOX, dtype=tf.float32)
        return tf.reshape(drawn[:, :width], tf.shape(like))
