"""Input gradients that survive float16 and confident samples, and an alarm where they do not."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import tensorflow as tf

from atk_latent.adversaries import losses
from atk_latent.adversaries.base import Adversary, Classifier, Compiled, inference
from atk_latent.models.replicas import replicas

Loss = Callable[[tf.Tensor], tf.Tensor]
State = TypeVar("State")
ZERO_SHARE = 0.05  # of the images: more without a gradient raise the alarm


class ZeroGradientWarning(UserWarning):
    """Many images have a gradient of exactly zero, so gradient attacks see nothing there."""


class LossGradient(NamedTuple):
    """The gradient of each image's own loss is `direction` times `scale`.

    Args:
        direction: float32 (B, ...); values that were not finite are 0.
        scale: float32 (B,), at least 0: the largest slope of the loss in a logit.
        logits: float32 (B, K), which the loss was taken of.
    """

    direction: tf.Tensor
    scale: tf.Tensor
    logits: tf.Tensor


def loss_gradient(classifier: Classifier, loss: Loss, x: tf.Tensor) -> LossGradient:
    """The gradient of each image's loss, in two factors.

    What flows back into the network has a largest value of 1 for every image, whatever its
    loss: a float16 network keeps the gradient of a sample it is sure of, which would be
    below float16 otherwise. The product may underflow, the direction does not; attacks that
    only go along the gradient need no more.

    Args:
        classifier: float32 images to float32 logits (B, K). loss: logits to losses (B,).
        x: float32 (B, ...).
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        logits = classifier(x)
    with tf.GradientTape(watch_accessed_variables=False) as top:
        top.watch(logits)
        values = loss(logits)
    slope = top.gradient(values, logits, unconnected_gradients="zero")
    scale = tf.reduce_max(tf.abs(slope), axis=-1)
    share = tf.math.divide_no_nan(slope, scale[:, None])
    direction = tape.gradient(logits, x, share, unconnected_gradients="zero")
    return LossGradient(tf.where(tf.math.is_finite(direction), direction, 0.0), scale, logits)


def repeat(
    body: Callable[[tf.Tensor, State], tuple[tf.Tensor, State]],
    times: int,
    state: State,
    *,
    coupled: bool = False,
) -> State:
    """`state` after `times` rounds of ``index, state = body(index, state)``, in one graph.

    A single round is put into the graph as it is. Iterations are not run ahead in parallel,
    which would cost half as much again.

    Args:
        body, times, state: as above.
        coupled: whether the rows of a batch depend on each other in a round. Several replicas
            then talk to each other in it, which no loop inside a graph can hold: the rounds
            are put one after the other.
    """
    if times == 1 or (coupled and replicas() > 1):
        for index in range(times):
            state = body(tf.constant(index), state)[1]
        return state
    _, state = tf.while_loop(
        lambda index, _: index < times,
        body,
        (tf.zeros((), tf.int32), state),
        parallel_iterations=1,
        maximum_iterations=times,
    )
    return state


def wide(values: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """(B,) with as many dimensions as `like` (B, ...), to broadcast over its rows."""
    return tf.reshape(values, [-1, *([1] * (like.shape.rank - 1))])


def zero_gradients(classifier: Classifier, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Which images have a gradient of exactly zero in every value, bool (B,).

    Args:
        classifier: float32 images to float32 logits (B, K).
        x: float32 (B, ...). y: int32 (B,).
    """
    slope = loss_gradient(classifier, lambda logits: losses.log_odds(logits, y), x).direction
    return tf.reduce_all(slope == 0, axis=list(range(1, slope.shape.rank)))


class GradientAdversary(Adversary):
    """An adversary that follows gradients and says so where there are none.

    Called eagerly with a classifier it has not met, it looks at the gradients of the first
    batch, at the images themselves, once; a share of zeros above `ZERO_SHARE` is a
    `ZeroGradientWarning`. Inside a `tf.function` nothing is looked at.
    """

    def _function(self, classifier: Classifier, image_shape: Sequence[int]) -> Compiled:
        known = (id(classifier), tuple(image_shape)) in self._compiled
        function = super()._function(classifier, image_shape)
        if known:
            return function

        def watched(
            x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor, first_row: tf.Tensor | int
        ) -> tf.Tensor:
            crafted = function(x, y, seed, first_row)
            if first_row == 0 and len(y):
                _warn_of_zeros(zero_gradients(inference(classifier), x, tf.cast(y, tf.int32)))
            return crafted

        return watched


def _warn_of_zeros(zero: tf.Tensor) -> None:
    count, total = int(tf.math.count_nonzero(zero)), len(zero)
    if count > ZERO_SHARE * total:
        warnings.warn(
            f"{count} of {total} images have a gradient of exactly zero, so a gradient attack "
            "cannot move them and robust accuracy is overstated. Attack without gradients "
            "too (square), or look for what blocks them: rounding, saturation, a softmax "
            "inside the classifier.",
            ZeroGradientWarning,
            stacklevel=4,
        )
