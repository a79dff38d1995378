"""The batches of ART's data generators, every image once an epoch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from art.data_generators import DataGenerator, NumpyDataGenerator, TensorFlowV2DataGenerator

from atk_latent.art_bridge.estimator_graphs import Array
from atk_latent.errors import InputError

Batch: TypeAlias = tuple[Array, Array]  # images and labels
Batches: TypeAlias = Callable[[], Iterator[Batch]]


def generated(generator: DataGenerator) -> Batches:
    """Batches of an ART data generator; an epoch shows `size` samples.

    Raises:
        InputError: if it is no data generator, does not know its size, or ends more than a
            batch before it.

    Differs: ART's `KerasDataGenerator` hands out the first batch of a `keras.utils.PyDataset`
        again and again, its `NumpyDataGenerator` leaves out the last images, and its
        `TensorFlowV2DataGenerator` can be read once; here all are read as a whole.
    """
    if not isinstance(generator, DataGenerator):
        raise InputError(
            f"generator must be an ART DataGenerator. Received: {type(generator).__name__}"
        )
    if not generator.size:
        raise InputError("the data generator must know its size: give it size=")
    return lambda: _epoch(generator)


def drained(generator: DataGenerator) -> tuple[np.ndarray, np.ndarray]:
    """All images and labels of one epoch of a generator; raises as `generated` does."""
    x, y = zip(*generated(generator)(), strict=True)
    return np.concatenate(x)[: generator.size], np.concatenate(y)[: generator.size]


def _epoch(generator: DataGenerator) -> Iterator[Batch]:
    seen = 0
    for x, y, *_ in _batches(generator):
        yield x, y
        seen += len(x)
        if seen >= generator.size:
            return
    if seen + generator.batch_size <= generator.size:
        raise InputError(
            f"the data generator must give the {generator.size} images of its size. "
            f"Received: {seen}"
        )


def _batches(generator: DataGenerator) -> Iterator[tuple[Array, ...]]:
    if isinstance(generator, NumpyDataGenerator):
        return _slices(generator)
    source: Any = getattr(generator, "iterator", None)
    if hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        return (source[i] for i in range(len(source)))
    if isinstance(generator, TensorFlowV2DataGenerator):
        return iter(source.as_numpy_iterator())
    if inspect.isgeneratorfunction(source):
        return iter(source())
    if isinstance(source, Iterator):
        return source
    return (generator.get_batch() for _ in range(-(-generator.size // generator.batch_size)))


def _slices(generator: NumpyDataGenerator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rows = np.arange(generator.size)
    if generator.shuffle:
        np.random.shuffle(rows)
    for start in range(0, generator.size, generator.batch_size):
        chosen = rows[start : start + generator.batch_size]
        yield generator.x[chosen], generator.y[chosen]
