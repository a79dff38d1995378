"""Endless, seeded streams of batches that can start at any step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import tensorflow as tf

# From the step to start at to an endless stream of batches.
Stream = Callable[[int], tf.data.Dataset]

Arrays: TypeAlias = np.ndarray | tuple["Arrays", ...]


def batches(
    arrays: Arrays, batch_size: int, *, seed: int, start_step: int = 0, whole: bool = False
) -> tf.data.Dataset:
    """An endless stream of shuffled batches that can start anywhere.

    Epoch e is the permutation drawn from (seed, e), so the batch at a step depends on
    nothing but the arguments: a resumed run sees what an undisturbed one would have seen.

    Args:
        arrays: nested tuples of arrays with one common first axis.
        batch_size: rows of a batch; the last one of an epoch may be smaller.
        start_step: batches to leave out.
        whole: leave out an epoch's last batch where it is smaller; needs `batch_size` rows.
    """
    rows = len(tf.nest.flatten(arrays)[0])
    tensors = tf.nest.map_structure(tf.convert_to_tensor, arrays)

    def order(epoch: tf.Tensor) -> tf.data.Dataset:
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        shuffled = tf.random.experimental.stateless_shuffle(tf.range(rows), key)
        return tf.data.Dataset.from_tensor_slices(shuffled).batch(batch_size, whole)

    per_epoch = rows // batch_size if whole else -(-rows // batch_size)
    first, skipped = divmod(start_step, per_epoch)
    indices = tf.data.Dataset.range(first, np.iinfo(np.int64).max).flat_map(order).skip(skipped)
    stream = indices.map(
        lambda rows: tf.nest.map_structure(lambda tensor: tf.gather(tensor, rows), tensors)
    )
    return stream.prefetch(2).with_options(_without_autotune())


def _without_autotune() -> tf.data.Options:
    """Nothing here is left for tf.data to tune, and its tuner can hold the end of a `fit`
    for two seconds until its thread wakes up.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def fixed_set_batches(
    examples: tuple[np.ndarray, np.ndarray, np.ndarray],
    clean: tuple[np.ndarray, np.ndarray] | None,
    batch_size: int,
    *,
    seed: int,
) -> tuple[Stream, int]:
    """Batches of adversarial images crafted beforehand, beside clean ones.

    Args:
        examples: the originals, the adversarial images crafted from them, the labels.
        clean: images and labels that each adversarial batch is paired with a batch of; None
            pairs it with its originals.

    Returns:
        The stream, of ``((x, x_adv), y)`` or ``((x, x_adv), (y, y_adv))``, and the rows of an
        epoch: one pass over the adversarial images.
    """
    x, x_adv, y = examples

    def stream(step: int) -> tf.data.Dataset:
        pairs = batches(((x, x_adv), y), batch_size, seed=seed, start_step=step)
        if clean is None:
            return pairs
        others = batches(clean, batch_size, seed=seed + 1, start_step=step)
        return tf.data.Dataset.zip(pairs, others).map(
            lambda pair, other: ((other[0], pair[0][1]), (other[1], pair[1]))
        )

    return stream, len(x_adv)
