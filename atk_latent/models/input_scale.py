"""The first layer of a classifier: pixels in [0, 1] to what its weights were trained on."""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np

from atk_latent.errors import InputError
from atk_latent.models.latent import Symbol, Trace, rerun, trace_model

NAME = "scale"
_SCALING = (keras.layers.Rescaling, keras.layers.Normalization)


class Statistics(NamedTuple):
    """Mean and standard deviation of pixels in [0, 1]: one number, or one for each channel.

    Example:
        >>> Statistics(mean=(0.5,), std=(0.5,)).layer(3).name
        'scale'
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def layer(self, channels: int) -> keras.layers.Layer:
        """The layer of (x - mean) / std, without weights.

        Where the statistics are those of three colours and the images have another number of
        channels, every channel gets their average.

        Raises:
            InputError: if there are neither one, three nor `channels` numbers, or a deviation
                is not above 0.
        """
        mean, std = (_for_channels(values, channels) for values in self)
        if min(std) <= 0:
            raise InputError(f"a standard deviation must be above 0. Received: {min(std):g}")
        return keras.layers.Normalization(mean=mean, variance=[s * s for s in std], name=NAME)

    @property
    def changes_nothing(self) -> bool:
        """Whether it is mean 0 and deviation 1."""
        return set(self.mean) == {0.0} and set(self.std) == {1.0}


IMAGENET = Statistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR10 = Statistics((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616))


def with_statistics(model: keras.Model, statistics: Statistics) -> keras.Model:
    """`model` with images scaled by `statistics` and by nothing else.

    A Rescaling or Normalization layer that stands first is replaced; where there is none, a
    layer named "scale" is put there.

    Args:
        model: a sequential or functional model of one input and one output.
        statistics: mean 0 and deviation 1 leave images as they are.

    Returns:
        A model that shares all other layers.

    Raises:
        InputError: if the model is subclassed, or the statistics do not suit its channels.
    """
    trace = trace_model(model, None, deep=False)
    first, own = _first_operations(trace)
    scale = statistics.layer(int(trace.image.shape[-1]))
    scaled: list[keras.KerasTensor] = []

    def call(operation: keras.Operation, *inputs: keras.KerasTensor, **settings: object) -> Symbol:
        if not any(operation is layer for layer in first):
            return operation(*inputs, **settings)
        if not scaled:
            image = inputs[0]
            scaled.append(image if statistics.changes_nothing else scale(image))
        return scaled[0] if operation is own else operation(scaled[0], **settings)

    image, logits = rerun(keras.Model(trace.image, trace.logits), call)
    return keras.Model(image, logits, name=model.name)


def own_statistics(model: keras.Model) -> Statistics:
    """By what a model scales images first: mean 0 and deviation 1 if it does not.

    Args:
        model: as for `with_statistics`.
    """
    own = _first_operations(trace_model(model, None, deep=False))[1]
    if own is None:
        return Statistics((0.0,), (1.0,))
    # Of the layer's straight line: its value at 0 and its slope.
    channels = int(model.inputs[0].shape[-1])
    black, white = (np.asarray(own(np.full((1, 1, 1, channels), v, "float32"))) for v in (0, 1))
    slope = (white - black).ravel().astype(float)
    mean = -black.ravel() / slope
    numbers = zip(mean.tolist(), (1 / slope).tolist(), strict=True)
    pairs = [(round(m, 6) + 0.0, round(s, 6)) for m, s in numbers]
    pairs = pairs[:1] if len(set(pairs)) == 1 else pairs
    return Statistics(tuple(m for m, _ in pairs), tuple(s for _, s in pairs))


def _first_operations(trace: Trace) -> tuple[list[keras.Operation], keras.Layer | None]:
    """What takes the images, and the scaling layer among it if there is no other."""
    first = [call.operation for call in trace.calls if call.inputs[0] is trace.image]
    return first, first[0] if len(first) == 1 and isinstance(first[0], _SCALING) else None


def _for_channels(values: tuple[float, ...], channels: int) -> list[float]:
    if len(values) == channels:
        return list(values)
    if len(values) not in (1, 3):
        raise InputError(
            f"mean and standard deviation need one number or {channels}, one a channel. "
            f"Received: {len(values)}"
        )
    return [sum(values) / len(values)] * channels
