"""What an adversary drives up, one number a sample."""

from __future__ import annotations

import tensorflow as tf

from atk_latent.errors import InputError


def cross_entropy(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of each sample, float32 (B,), exact far into its tail.

    Args:
        logits: (B, K >= 2). y: int32 (B,).
    """
    return tf.math.softplus(log_odds(logits, y))


def log_odds(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Log-odds against the label, log sum_{j != y} exp(z_j) - z_y, float32 (B,).

    It ranks points as cross-entropy does, softplus(log_odds) = cross-entropy, and its
    gradient points the same way; but its gradient does not vanish for a confident sample,
    where that of cross-entropy is below what float32 (or float16 inside the network) holds.

    Args:
        logits: (B, K >= 2). y: int32 (B,).

    Raises:
        InputError: for fewer than two logits.
    """
    own, others = _own_and_others(logits, y)
    return tf.reduce_logsumexp(others, axis=-1) - own


def margin(logits: tf.Tensor, y: tf.Tensor, confidence: float = 50.0) -> tf.Tensor:
    """The papers' "CW" loss, -max(0, z_y - max_{j != y} z_j + confidence), float32 (B,).

    It is 0, and gives no gradient, once another logit leads by more than `confidence`.

    Args:
        logits: (B, K >= 2). y: int32 (B,).
        confidence: float >= 0, in logits.

    Raises:
        InputError: for fewer than two logits.

    Reference: Carlini and Wagner, S&P 2017, f6; as Feature Scattering and ATLD run it.
    """
    own, others = _own_and_others(logits, y)
    return -tf.nn.relu(own - tf.reduce_max(others, axis=-1) + confidence)


def targeted_margin(logits: tf.Tensor, y: tf.Tensor, confidence: float = 50.0) -> tf.Tensor:
    """The margin loss towards class `y`, -max(0, max_{j != y} z_j - z_y + confidence).

    Args:
        logits: (B, K >= 2). y: int32 (B,), the classes wanted.
        confidence: float >= 0, in logits.

    Returns:
        float32 (B,), at most 0, which is reached where `y` leads by `confidence`.

    Raises:
        InputError: for fewer than two logits.
    """
    own, others = _own_and_others(logits, y)
    return -tf.nn.relu(tf.reduce_max(others, axis=-1) - own + confidence)


def predicted(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Whether the largest logit is that of `y`, bool (B,)."""
    return tf.argmax(logits, axis=-1, output_type=tf.int32) == y


def _own_and_others(logits: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The logit of the label (B,), and all logits with that one at the float32 minimum."""
    classes = logits.shape[-1]
    if logits.shape.rank != 2 or classes is None or classes < 2:
        raise InputError(
            "a classifier must give logits of shape (batch, classes) with at least 2 classes. "
            f"Received: shape {logits.shape}"
        )
    logits = tf.cast(logits, tf.float32)
    mine = tf.one_hot(y, classes, on_value=True, off_value=False, dtype=tf.bool)
    own = tf.reduce_sum(tf.where(mine, logits, 0.0), axis=-1)
    return own, tf.where(mine, tf.float32.min, logits)
