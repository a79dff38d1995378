"""Adversarial weight perturbation: gradients taken where the weights are worse."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf


@contextlib.contextmanager
def moved_against(
    model: keras.Model, gamma: tf.Tensor | float, gradients: Callable[[], list[tf.Tensor]]
) -> Iterator[None]:
    """Moves the weights of `model` up its loss, and puts them back when left.

    Each kernel w (two or more dimensions; biases, scales and shifts stay) moves by
    gamma * |w| * g / |g|, Euclidean norms of the whole tensor. Batch-norm statistics and
    random states are put back after the pass that finds g, so both passes see the same.

    Args:
        model: built model. gamma: float >= 0.
        gradients: of the loss, one for each of `model.trainable_weights`, of any scale.

    Reference: Wu, Xia and Wang 2020, "Adversarial weight perturbation", Eqs 7 and 10,
        with one step, K2 = 1.
    Differs: weights are put back before the optimizer's step, not after it: the step,
        weight decay and running averages see the true weights. Under a distribution strategy
        each replica moves its weights along the gradient of its own part of the batch.
    """
    states = [variable.value for variable in model.non_trainable_variables]
    states = [tf.identity(state) for state in states]
    found = gradients()
    for variable, state in zip(model.non_trainable_variables, states, strict=True):
        variable.assign(state)
    kernels = [
        (variable, gradient)
        for variable, gradient in zip(model.trainable_weights, found, strict=True)
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
