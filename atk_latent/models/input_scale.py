"""The first layer of a classifier: pixels in [0, 1] to what its weights were trained on."""

from __future__ import annotations

from typing import NamedTuple

import keras

from atk_latent.errors import InputError

NAME = "scale"


class Statistics(NamedTuple):
    """Mean and standard deviation of pixels in [0, 1]: one number, or one for each channel."""

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


IMAGENET = Statistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR10 = Statistics((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616))


def _for_channels(values: tuple[float, ...], channels: int) -> list[float]:
    if len(values) == channels:
        return list(values)
    if len(values) not in (1, 3):
        raise InputError(
            f"mean and standard deviation need one number or {channels}, one a channel. "
            f"Received: {len(values)}"
        )
    return [sum(values) / len(values)] * channels
