"""Class labels: integers inside, integers or one-hot vectors at the doors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from atk_latent.errors import InputError


def integer_labels(y: npt.ArrayLike, num_classes: int) -> np.ndarray:
    """Integer labels of integer or one-hot ones, checked against the number of classes.

    Args:
        y: integers (n,) or (n, 1), or one-hot (n, num_classes).
        num_classes: int >= 1.

    Returns:
        int64 (n,).

    Raises:
        InputError: if `y` has another shape, or labels outside 0..num_classes-1.
    """
    y = np.asarray(y)
    labels = np.argmax(y, axis=1) if y.ndim == 2 and y.shape[1] == num_classes else y
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise InputError(
            f"labels must be integers (n,) or one-hot (n, {num_classes}). Received: shape {y.shape}"
        )
    labels = labels.astype(np.int64)
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise InputError(
            f"labels must lie in 0..{num_classes - 1}. "
            f"Received: {labels.min()}..{labels.max()}; check `nb_classes` of the classifier"
        )
    return labels


def label_tensor(y: np.ndarray | tf.Tensor) -> tf.Tensor:
    """Labels of a batch as integers; works inside a graph and checks shapes only.

    Args:
        y: integers (B,) or (B, 1), or one-hot (B, K).

    Returns:
        int32 (B,).

    Raises:
        InputError: for any other shape.
    """
    y = tf.convert_to_tensor(y)
    if y.shape.rank == 2 and y.shape[1] != 1:
        return tf.argmax(y, axis=-1, output_type=tf.int32)
    if y.shape.rank not in (1, 2):
        raise InputError(f"labels must be (batch,) or (batch, classes). Received: {y.shape}")
    return tf.reshape(tf.cast(y, tf.int32), (-1,))


def is_correct(y: np.ndarray | tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Which rows have their largest logit at the label.

    Args:
        y: labels in one of the forms of `label_tensor`. logits: (B, K).

    Returns:
        float32 (B,), 1.0 where the row is classified correctly, else 0.0.
    """
    predicted = tf.argmax(logits, axis=-1, output_type=tf.int32)
    return tf.cast(predicted == label_tensor(y), tf.float32)
