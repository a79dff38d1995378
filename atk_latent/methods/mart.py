"""MART: more weight on images that the classifier gets wrong anyway."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import tensorflow as tf

from atk_latent.adversaries.gradient_ascent import AscentSettings
from atk_latent.adversaries.kl_ascent import kl_divergence
from atk_latent.adversaries.losses import log_odds
from atk_latent.config import check_range
from atk_latent.labels import label_tensor
from atk_latent.methods.adversarial import BallSettings, BallTraining
from atk_latent.methods.base import Batch, Logits, Weights


def log_of_others(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """log(1 - p_k) of the likeliest class k other than the label, float32 (B,).

    Args:
        logits: (B, K). y: integer (B,) or (B, 1).
    """
    logits = tf.cast(logits, tf.float32)
    mine = tf.one_hot(tf.reshape(y, (-1,)), logits.shape[-1])
    rival = tf.argmax(tf.where(mine > 0, logits.dtype.min, logits), axis=-1, output_type=tf.int32)
    return -tf.math.softplus(-log_odds(logits, rival))


@dataclasses.dataclass(frozen=True)
class MARTSettings(BallSettings):
    """The ascent and the loss, beside `BallSettings`.

    Args:
        steps: int >= 1; `step_size` None is 2.5 * eps / steps, at most eps.
        random_start: whether the ascent starts at a random point of the ball.
        beta: float >= 0, weight of the divergence (the paper's lambda).

    Example:
        >>> from atk_latent.methods import MARTSettings
        >>> MARTSettings(eps=0.3, steps=40).beta
        5.0
    """

    steps: int = 10
    random_start: bool = True
    beta: float = 5.0

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        super().__post_init__()
        check_range("beta", self.beta, 0)

    def ascent(self, **options: object) -> AscentSettings:
        """The settings of the inner maximisation."""
        return super().ascent(steps=self.steps, random_start=self.random_start, **options)


class MART(BallTraining):
    """Boosted cross-entropy on PGD examples, and agreement where the clean image is doubtful.

    Args:
        classifier, settings, seed: as for `BallTraining`.

    Reference: Wang et al. 2020, "Improving adversarial robustness requires revisiting
        misclassified examples", Eqs 8, 9 and 11.
    Differs: log(1 - p) is exact; the published code adds small numbers to keep it finite, and
        starts the ascent at x + 0.001 N(0, 1), ours anywhere in the ball.

    Example:
        >>> import keras, numpy as np
        >>> from atk_latent.methods import MART, MARTSettings, Optimizer
        >>> layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> x = np.random.default_rng(0).random((32, 4, 4, 1), np.float32)
        >>> y = (x.mean(axis=(1, 2, 3)) > 0.5).astype(int)
        >>> settings = MARTSettings(optimizer=Optimizer(epochs=2), steps=2)
        >>> method = MART(keras.Sequential(layers), settings)
        >>> logs = method.harden(x, y)
        >>> len(logs), 0 <= logs[-1]["adversarial_accuracy"] <= 1
        (2, True)
    """

    settings_type: ClassVar[type[MARTSettings]] = MARTSettings
    settings: MARTSettings

    def method_loss(self, y: Batch, y_pred: Logits, weight: Weights, training: bool) -> tf.Tensor:
        """BCE(p_adv, y) + beta * mean KL(p || p_adv) * (1 - p_y).

        BCE(p, y) = -log p_y - log(1 - max_{k != y} p_k).
        """
        clean, adversarial = y_pred
        labels = label_tensor(y)
        doubt = tf.sigmoid(log_odds(clean, labels))  # 1 - p_y
        terms = self.settings.beta * kl_divergence(clean, adversarial) * doubt
        terms -= log_of_others(adversarial, labels)
        return self.compiled_loss(y, adversarial, weight) + self.mean(terms, weight)
