"""Adversarial weight perturbation: gradients computed where the weights are worse."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from atk_latent.config import check_range, known_as
from atk_latent.models.replicas import total


@contextlib.contextmanager
def moved_against(
    model: keras.Model, gamma: tf.Tensor | float, gradients: Callable[[], list[tf.Tensor]]
) -> Iterator[None]:
    """Moves the weights of `model` up its loss, and puts them back when left.

    Each kernel w (two or more dimensions; biases, scales and shifts stay) moves by
    gamma * |w| * g / |g|, Euclidean norms of the whole tensor. Batch-norm statistics and
    random states are put back after the pass that computes g, so both passes see the same.

    Args:
        model: built model. gamma: float >= 0.
        gradients: of the loss, one for each of `model.trainable_weights`, of any scale.

    Reference: Wu, Xia and Wang 2020, "Adversarial weight perturbation", Eqs 7 and 10,
        with one step, K2 = 1.
    Differs: weights are put back before the optimizer's step, not after it: the step,
        weight decay and running averages see the true weights.
    """
    states = [variable.value for variable in model.non_trainable_variables]
    states = [tf.identity(state) for state in states]
    slopes = total(gradients())
    for variable, state in zip(model.non_trainable_variables, states, strict=True):
        variable.assign(state)
    kernels = [
        (variable, gradient)
        for variable, gradient in zip(model.trainable_weights, slopes, strict=True)
        if gradient is not None and len(variable.shape) > 1
    ]
    before = [tf.identity(variable.value) for variable, _ in kernels]
    for (variable, gradient), weight in zip(kernels, before, strict=True):
        gradient = tf.cast(gradient, weight.dtype)
        gradient = tf.where(tf.math.is_finite(gradient), gradient, tf.zeros_like(gradient))
        length = tf.math.divide_no_nan(tf.norm(weight), tf.norm(gradient))
        variable.assign_add(tf.cast(gamma, weight.dtype) * length * gradient)
    yield
    for (variable, _), weight in zip(kernels, before, strict=True):
        variable.assign(weight)


@dataclasses.dataclass(frozen=True)
class WeightPerturbation:
    """Adversarial weight perturbation: gradients are computed at weights moved up the loss.

    Args:
        gamma: float >= 0, size of the move relative to the norm of each layer's weights; 0
            takes gradients where the weights are.
        warmup: int >= 0, epochs before the moves begin, counted in the method's
            `steps_per_epoch`: `harden` sets it, Keras' own `fit` does not.

    Raises:
        InputError: for values out of range.

    Reference: Wu, Xia and Wang 2020; see `moved_against`.

    Example:
        >>> from atk_latent.methods import PGDSettings, WeightPerturbation
        >>> PGDSettings(weight_perturbation=WeightPerturbation(gamma=0.005, warmup=5)).steps
        10
    """

    gamma: float = known_as("awp_gamma", 0.0)
    warmup: int = known_as("awp_warmup", 0)

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        check_range("awp_gamma", self.gamma, 0)
        check_range("awp_warmup", self.warmup, 0)

    def moved(
        self,
        model: keras.Model,
        update: tf.Tensor,
        updates_per_epoch: int,
        gradients: Callable[[], list[tf.Tensor]],
    ) -> contextlib.AbstractContextManager[None]:
        """A context in which the weights of `model` are moved, once the warm-up is over.

        Args:
            model: built model. update: integer (), updates of its weights so far.
            updates_per_epoch: int >= 1.
            gradients: see `moved_against`; not called when `gamma` is 0.
        """
        if not self.gamma:
            return contextlib.nullcontext()
        begun = update >= self.warmup * updates_per_epoch
        return moved_against(model, self.gamma * tf.cast(begun, tf.float32), gradients)
