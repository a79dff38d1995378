"""Losses on logits that Keras does not have, one number a sample."""

from __future__ import annotations

import keras
import tensorflow as tf


def smoothed(y: tf.Tensor, classes: int, smoothing: float) -> tf.Tensor:
    """Smoothed labels: 1 - d for the true class, d / (K - 1) for each other one.

    Keras' own smoothing is another one: it gives the true class 1 - d + d / K.

    Args:
        y: integer (B,) or (B, 1). classes: int K >= 2. smoothing: float d in [0, 1).

    Returns:
        float32 (B, K), rows sum to 1.
    """
    other = smoothing / (classes - 1)
    return tf.one_hot(tf.reshape(tf.cast(y, tf.int32), (-1,)), classes, 1.0 - smoothing, other)


@keras.saving.register_keras_serializable(package="atk_latent")
class CrossEntropy(keras.losses.Loss):
    """Cross-entropy of logits against integer (or one-hot) labels, smoothed or not.

    Args:
        smoothing: float d in [0, 1), see `smoothed`.
    """

    def __init__(
        self, smoothing: float = 0.0, name: str = "cross_entropy", **options: object
    ) -> None:
        super().__init__(name=name, **options)
        self.smoothing = smoothing

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """float32 (B,)."""
        classes = y_pred.shape[-1]
        if y_true.shape.rank == 2 and y_true.shape[-1] != 1:
            y_true = tf.argmax(y_true, axis=-1)
        targets = smoothed(y_true, classes, self.smoothing)
        return tf.nn.softmax_cross_entropy_with_logits(targets, tf.cast(y_pred, tf.float32))

    def get_config(self) -> dict[str, object]:
        """Settings."""
        return {**super().get_config(), "smoothing": self.smoothing}
