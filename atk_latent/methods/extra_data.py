"""Images without labels beside the training set: robust self-training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from atk_latent.data.streams import Stream, batches
from atk_latent.errors import InputError
from atk_latent.methods.optimizers import SGDSettings
from atk_latent.models.loading import load_classifier


def read_images(path: str, image_shape: Sequence[int]) -> np.ndarray:
    """The images of an .npz file, float32 (n, H, W, C) in [0, 1].

    Raises:
        InputError: if there is no such file, or its `x` is no such array.
    """
    file = Path(path).expanduser()
    try:
        with np.load(file) as stored:
            x = np.asarray(stored["x"])
    except (OSError, ValueError, KeyError) as problem:
        raise InputError(
            f"extra_data {path} must be an .npz file with an array 'x' of images: {problem}"
        ) from None
    wanted = tuple(image_shape)
    if x.dtype == np.uint8:
        x = x / np.float32(255)
    if x.ndim != 4 or x.shape[1:] != wanted or not len(x):
        raise InputError(
            f"extra_data {path} must hold images of shape (n, {', '.join(map(str, wanted))}). "
            f"Received: {x.shape}"
        )
    if x.min() < 0 or x.max() > 1:
        raise InputError(
            f"extra_data {path} must hold pixels in [0, 1]. Received: {x.min():g}..{x.max():g}"
        )
    return x.astype(np.float32)


def pseudo_labelled(
    settings: SGDSettings, classifier: keras.Model, image_shape: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """The extra images and the labels that the teacher gives them.

    Args:
        settings: name the file, and the teacher or none.
        classifier: the teacher where none is named. image_shape: (H, W, C).

    Returns:
        float32 (n, H, W, C) in [0, 1] and int64 (n,).

    Raises:
        InputError: if the file or the teacher will not do.

    Reference: Carmon et al. 2019, "Unlabeled data improves adversarial robustness".
    """
    x = read_images(settings.extra_data or "", image_shape)
    teacher = classifier
    if settings.teacher is not None:
        teacher = load_classifier(settings.teacher, image_shape, classifier.output_shape[-1])
    return x, np.argmax(teacher.predict(x, batch_size=500, verbose=0), axis=1).astype(np.int64)


def mixed_batches(
    labelled: tuple[np.ndarray, np.ndarray],
    extra: tuple[np.ndarray, np.ndarray],
    settings: SGDSettings,
    seed: int,
) -> tuple[Stream, int]:
    """Batches of which `extra_share` are extra images.

    Returns:
        The stream, and the rows of an epoch: one pass over the labelled images.
    """
    size = settings.batch_size
    drawn = min(max(round(settings.extra_share * size), 1), size - 1)
    if not 0 < drawn < size:
        raise InputError(f"extra_data needs a batch_size of at least 2. Received: {size}")

    def start(step: int) -> tf.data.Dataset:
        first = batches(labelled, size - drawn, seed=seed, start_step=step)
        second = batches(extra, drawn, seed=seed + 1, start_step=step)
        return tf.data.Dataset.zip(first, second).map(
            lambda one, two: tf.nest.map_structure(lambda a, b: tf.concat([a, b], 0), one, two)
        )

    steps = -(-len(labelled[0]) // (size - drawn))
    return start, steps * size
