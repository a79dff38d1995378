"""Expectation over transformation: a classifier that answers at random, seen on average."""

from __future__ import annotations

import tensorflow as tf

from atk_latent.adversaries.base import Classifier
from atk_latent.adversaries.gradients import Loss, LossGradient, loss_gradient, repeat, wide


def expected_gradient(
    classifier: Classifier, loss: Loss, x: tf.Tensor, draws: int = 1
) -> LossGradient:
    """The mean over `draws` passes of the gradient of each image's loss.

    Args:
        classifier: float32 images to float32 logits (B, K), each call another draw.
        loss: logits to losses (B,).
        x: float32 (B, ...).
        draws: int >= 1; 1 is the plain gradient.

    Returns:
        The mean gradient in two factors and the mean logits; see `LossGradient`.

    Reference: Athalye et al., ICML 2018 (EOT); Croce and Hein, ICML 2020 (version "rand").
    Differs: their code takes the loss and the prediction of the last pass; here both are
        those of the mean logits.
    """
    first = loss_gradient(classifier, loss, x)
    if draws == 1:
        return first

    def add(index: tf.Tensor, total: LossGradient) -> tuple[tf.Tensor, LossGradient]:
        return index + 1, _sum(total, loss_gradient(classifier, loss, x))

    total = repeat(add, draws - 1, first)
    return LossGradient(total.direction, total.scale / draws, total.logits / draws)


def expected_logits(classifier: Classifier, x: tf.Tensor, draws: int = 1) -> tf.Tensor:
    """The mean logits of `draws` passes, float32 (B, K)."""
    first = classifier(x)
    if draws == 1:
        return first

    def add(index: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        total = total + classifier(x)
        total.set_shape(first.shape)
        return index + 1, total

    return repeat(add, draws - 1, first) / draws


def _sum(one: LossGradient, two: LossGradient) -> LossGradient:
    """The sum of two gradients; the larger scale is taken out, so that none underflows."""
    scale = tf.maximum(one.scale, two.scale)
    direction = sum(
        wide(tf.math.divide_no_nan(part.scale, scale), part.direction) * part.direction
        for part in (one, two)
    )
    total = LossGradient(direction, scale, one.logits + two.logits)
    for new, old in zip(total, one, strict=True):
        new.set_shape(old.shape)
    return total
