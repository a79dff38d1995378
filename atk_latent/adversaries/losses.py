"""What an adversary drives up, one number a sample."""

from __future__ import annotations

import tensorflow as tf

from atk_latent.errors import InputError

_TINY = 1e-12


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


def dlr(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Difference of logits ratio, -(z_y - max_{j != y} z_j) / (z_(1) - z_(3)), float32 (B,).

    z_(k) is the k-th largest logit. Scaling or shifting the logits changes nothing.

    Args:
        logits: (B, K >= 3). y: int32 (B,).

    Raises:
        InputError: for fewer than three logits.

    Reference: Croce and Hein, ICML 2020, Eq. 6; 1e-12 in the denominator as in their code.
    """
    own, others = _own_and_others(logits, y, "the DLR loss", 3)
    largest = tf.math.top_k(tf.cast(logits, tf.float32), 3).values
    return -(own - tf.reduce_max(others, axis=-1)) / (largest[:, 0] - largest[:, 2] + _TINY)


def targeted_dlr(logits: tf.Tensor, y: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """DLR towards a class, -(z_y - z_t) / (z_(1) - (z_(3) + z_(4)) / 2), float32 (B,).

    Args:
        logits: (B, K >= 4). y: int32 (B,), the true classes. target: int32 (B,), the
            classes wanted.

    Raises:
        InputError: for fewer than four logits.

    Reference: Croce and Hein, ICML 2020, Eq. 7; 1e-12 in the denominator as in their code.
    """
    own, _ = _own_and_others(logits, y, "the targeted DLR loss", 4)
    wanted, _ = _own_and_others(logits, target)
    largest = tf.math.top_k(tf.cast(logits, tf.float32), 4).values
    rest = (largest[:, 2] + largest[:, 3]) / 2.0
    return -(own - wanted) / (largest[:, 0] - rest + _TINY)


def logit_lead(logits: tf.Tensor, y: tf.Tensor, target: tf.Tensor | None = None) -> tf.Tensor:
    """How far a class leads the label, z_t - z_y, float32 (B,): DLR without its denominator.

    Args:
        logits: (B, K >= 2). y: int32 (B,), the true classes.
        target: int32 (B,), the classes wanted; None takes the best of all others.

    Raises:
        InputError: for fewer than two logits.
    """
    own, others = _own_and_others(logits, y)
    if target is None:
        return tf.reduce_max(others, axis=-1) - own
    return _own_and_others(logits, target)[0] - own


def predicted(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Whether the largest logit is that of `y`, bool (B,)."""
    return tf.argmax(logits, axis=-1, output_type=tf.int32) == y


def runners_up(logits: tf.Tensor, count: int) -> tf.Tensor:
    """The classes of logit rank 2 to `count` + 1, best first, int32 (B, min(count, K - 1))."""
    count = min(count, int(logits.shape[-1]) - 1)
    return tf.math.top_k(logits, count + 1).indices[:, 1:]


def _own_and_others(
    logits: tf.Tensor, y: tf.Tensor, user: str = "a classifier", least: int = 2
) -> tuple[tf.Tensor, tf.Tensor]:
    """The logit of the label (B,), and all logits with that one at the float32 minimum."""
    classes = logits.shape[-1]
    if logits.shape.rank != 2 or classes is None or classes < least:
        verb = "must give" if user == "a classifier" else "needs"
        raise InputError(
            f"{user} {verb} logits of shape (batch, classes) with at least {least} classes. "
            f"Received: shape {logits.shape}"
        )
    logits = tf.cast(logits, tf.float32)
    mine = tf.one_hot(y, classes, on_value=True, off_value=False, dtype=tf.bool)
    own = tf.reduce_sum(tf.where(mine, logits, 0.0), axis=-1)
    return own, tf.where(mine, tf.float32.min, logits)
