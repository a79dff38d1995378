"""Bilateral adversarial training: one step on the image, a closed form for the label."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import keras
import tensorflow as tf

from atk_latent.adversaries.base import inference
from atk_latent.adversaries.gradient_ascent import AscentSettings
from atk_latent.config import check_range
from atk_latent.errors import InputError
from atk_latent.labels import label_tensor
from atk_latent.methods.adversarial import PGDSettings, PGDTraining
from atk_latent.methods.base import Batch, Logits, Weights


@dataclasses.dataclass(frozen=True)
class BilateralSettings(PGDSettings):
    """How images and labels are perturbed; see `PGDSettings` for the rest.

    Args:
        steps: int >= 1, towards the most confusing class; 1 in the paper.
        label_ratio: float >= 1 (beta), how many times more likely an adversarial label holds
            the true class than any other.
        label_offset: float > 0 (gamma), keeps the most confusing class above 0.
        label_smoothing: 0; labels are perturbed instead.

    Example:
        >>> from atk_latent.methods import BilateralSettings
        >>> BilateralSettings(eps=0.3, label_ratio=5.0).steps
        1
    """

    steps: int = 1
    label_ratio: float = 9.0
    label_offset: float = 0.01

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        super().__post_init__()
        if self.optimizer.label_smoothing:
            raise InputError(
                "setting 'label_smoothing' must be 0: bilateral training makes its own labels, "
                f"see 'label_ratio'. Received: {self.optimizer.label_smoothing!r}"
            )
        check_range("label_ratio", self.label_ratio, 1)
        check_range("label_offset", self.label_offset, 1e-12)

    def ascent(self, **options: object) -> AscentSettings:
        """How images are crafted: towards a class."""
        return super().ascent(targeted=True, **options)


def most_confusing(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """The likeliest class beside the label, int32 (B,).

    Args:
        logits: (B, K). y: int32 (B,).
    """
    own = tf.one_hot(y, logits.shape[-1], on_value=True, off_value=False, dtype=tf.bool)
    others = tf.where(own, tf.constant(logits.dtype.min, logits.dtype), logits)
    return tf.argmax(others, axis=-1, output_type=tf.int32)


def adversarial_labels(
    logits: tf.Tensor, y: tf.Tensor, ratio: float = 9.0, offset: float = 0.01
) -> tf.Tensor:
    """Labels moved along the gradient of the loss in the label.

    The cross-entropy -sum_k y_k log p_k has the gradient v_k = -log p_k in y_k. With v_MC the
    smallest of the other classes, those share

        y'_k = eps_y / (K - 1) * (v_k - v_MC + gamma) / (mean_{j != c} v_j - v_MC + gamma),

    the least likely one the most, and the true class c keeps 1 - eps_y. eps_y is set for each
    image so that y'_c is `ratio` times the largest y'_k.

    Args:
        logits: (B, K). y: int32 (B,). ratio: beta >= 1. offset: gamma > 0.

    Returns:
        (B, K) in the dtype of `logits`, rows sum to 1.

    Reference: Wang and Zhang, ICCV 2019, section 4.1; eps_y as in its published code.
    """
    slopes = -tf.nn.log_softmax(logits)
    own = tf.one_hot(y, logits.shape[-1], dtype=logits.dtype)
    least = tf.gather(slopes, most_confusing(logits, y), axis=1, batch_dims=1)[:, None]
    shares = (slopes - least + offset) * (1.0 - own)
    shares /= tf.reduce_sum(shares, axis=-1, keepdims=True)
    eps_y = 1.0 / (1.0 + ratio * tf.reduce_max(shares, axis=-1, keepdims=True))
    return eps_y * shares + (1.0 - eps_y) * own


class Bilateral(PGDTraining):
    """Trains on images and labels that were both perturbed against the classifier.

    The image takes one step, from a random point of the ball, towards the class it is most
    easily confused with; the label is `adversarial_labels` of the clean image. Both are computed
    in inference mode.

    Args:
        classifier: Keras model, images (B, H, W, C) in [0, 1] to logits (B, K).
        settings: see `BilateralSettings`.
        seed: int >= 0, of the order of the data and the random starts.

    Reference: Wang and Zhang, ICCV 2019, and its published code ("R-MC-LA"). The paper has no
        MNIST: those rows are ours.
    Differs: random starts are clipped to the pixel range. The code trains SVHN with crops and
        flips, too.

    Example:
        >>> import keras, numpy as np
        >>> from atk_latent.methods import Bilateral, BilateralSettings, Optimizer
        >>> layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> x = np.random.default_rng(0).random((32, 4, 4, 1), np.float32)
        >>> y = (x.mean(axis=(1, 2, 3)) > 0.5).astype(int)
        >>> settings = BilateralSettings(optimizer=Optimizer(epochs=2))
        >>> method = Bilateral(keras.Sequential(layers), settings)
        >>> logs = method.harden(x, y)
        >>> len(logs), 0 <= logs[-1]["adversarial_accuracy"] <= 1
        (2, True)
    """

    settings_type: ClassVar[type[BilateralSettings]] = BilateralSettings
    settings: BilateralSettings

    def train_step(self, data: tuple[Batch, ...]) -> dict[str, tf.Tensor]:
        """Makes adversarial images and labels, then takes one optimizer step."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        labels, settings = label_tensor(y), self.settings
        logits = inference(self.classifier)(x)
        x_adv = self.adversary(self.classifier, x, most_confusing(logits, labels))
        y_adv = adversarial_labels(logits, labels, settings.label_ratio, settings.label_offset)
        members = ((x, x_adv), (y, y_adv)) if self.alpha else ((x_adv,), y_adv)
        return super().train_step((*members, weight))

    def method_loss(self, y: Batch, y_pred: Logits, weight: Weights, training: bool) -> tf.Tensor:
        """Cross-entropy of adversarial images against their labels' probabilities."""
        labels = y if isinstance(y, tuple | list) else (y,)
        entropy = tf.nn.softmax_cross_entropy_with_logits(
            labels[-1], tf.cast(y_pred[-1], tf.float32)
        )
        loss = self.mean(entropy, weight) + self.penalties()
        if len(y_pred) == 1:
            return loss
        clean = self.compiled_loss(labels[0], y_pred[0], weight, training)
        return self.alpha * clean + (1 - self.alpha) * loss
