"""Small networks without shortcuts, written as a line of text."""

from __future__ import annotations

import re

import keras
from keras import layers

from atk_latent.errors import InputError
from atk_latent.models import initialising as init

_PART = re.compile(
    r"(?P<filters>\d+)x(?P<size>\d+)(s(?P<strides>\d+))?(p(?P<padding>\d+))?(?P<norm>bn)?"
    r"|(?P<pool>max|avg|gap)(?P<window>\d+)?|(?P<units>\d+)"
)
_MOST = 65_536


def plain_network(
    spec: str, input_shape: tuple[int, int, int] = (32, 32, 3), num_classes: int = 10, seed: int = 0
) -> keras.Model:
    """Builds a network of convolutions, then dense layers, from a line of text.

    Args:
        spec: parts with commas between them, such as "16x4s2p1,32x4s2p1,100". 16x4s2p1 is a
            convolution to 16 channels with 4x4 kernels, stride 2 (1 if left out) and 1 pixel of
            padding on every side (0 if left out); "bn" behind it adds batch norm. "max2" and
            "avg2" pool by 2, "gap" over the whole map. 100 is a dense layer of 100. A ReLU
            follows every convolution and dense layer, a dense layer to the classes comes last.
        input_shape: (height, width, channels).
        num_classes: int >= 2.
        seed: int >= 0 that fixes every weight.

    Returns:
        An uncompiled functional model of Keras layers: float32 (batch, height, width, channels)
        in [0, 1] to logits (batch, num_classes). Images go in as they are. Weights start as
        PyTorch's default.

    Raises:
        InputError: on a part that cannot be read, one that does not fit where it stands, or
            other arguments that cannot be built.

    Example:
        >>> plain_network("16x4s2p1,32x4s2p1,100", (28, 28, 1)).count_params()
        166406
    """
    shape = init.checked_shape("plain_network", input_shape)
    classes = init.checked_count("num_classes", num_classes, 2)
    inputs = keras.Input(shape, name="image")
    network = _Network(inputs, init.Seeds(seed))
    for part in (part.strip() for part in spec.split(",")):
        network.add(part)
    return keras.Model(inputs, network.logits(classes), name="plain")


class _Network:
    """The network so far.

    Args:
        x: symbolic (batch, height, width, channels).
        seeds: where the seeds come from.
    """

    def __init__(self, x: keras.KerasTensor, seeds: init.Seeds) -> None:
        self.x, self.seeds, self.number = x, seeds, 0

    def add(self, part: str) -> None:
        """One part of the line.

        Raises:
            InputError: if it cannot be read, or its map has become too small.
        """
        match = _PART.fullmatch(part)
        if match is None:
            raise InputError(
                "a plain network is written as convolutions (16x4s2p1, 16x3p1bn), pools (max2, "
                f"avg2, gap) and dense layers (100) with commas between. Received: {part!r}"
            )
        if len(self.x.shape) == 2 and not match["units"]:
            raise InputError(
                f"after a dense layer only dense layers can follow. Received: {part!r}"
            )
        self.number += 1
        if match["units"]:
            self.dense(_count(match["units"], part))
        elif match["pool"]:
            self.pool(match["pool"], _count(match["window"] or "2", part), part)
        else:
            self.convolution(match, part)

    def convolution(self, match: re.Match[str], part: str) -> None:
        """A convolution with a ReLU, and batch norm between them if it is asked for."""
        filters, size = _count(match["filters"], part), _count(match["size"], part)
        strides, padding = _count(match["strides"] or "1", part), int(match["padding"] or 0)
        self.check_size(size - 2 * padding, part)
        if padding:
            self.x = layers.ZeroPadding2D(padding, name=f"conv{self.number}_pad")(self.x)
        fan_in = size * size * self.x.shape[-1]
        name = f"conv{self.number}"
        layer = init.conv(filters, size, fan_in, self.seeds, strides=strides, name=name)
        self.x = layer(self.x)
        if match["norm"]:
            self.x = init.batch_norm(name=f"norm{self.number}")(self.x)
        self.relu()

    def pool(self, kind: str, window: int, part: str) -> None:
        """The largest or the mean of every window, or the mean of all."""
        name = f"pool{self.number}"
        if kind == "gap":
            self.x = layers.GlobalAveragePooling2D(name=name)(self.x)
            return
        self.check_size(window, part)
        layer = layers.MaxPooling2D if kind == "max" else layers.AveragePooling2D
        self.x = layer(window, name=name)(self.x)

    def dense(self, units: int) -> None:
        """A dense layer with a ReLU."""
        self.flatten()
        self.x = init.dense(units, self.x.shape[-1], self.seeds, name=f"fc{self.number}")(self.x)
        self.relu()

    def logits(self, classes: int) -> keras.KerasTensor:
        """The end of the network."""
        self.flatten()
        return init.logits(classes, self.x.shape[-1], self.seeds)(self.x)

    def relu(self) -> None:
        """A ReLU."""
        self.x = layers.ReLU(name=f"relu{self.number}")(self.x)

    def flatten(self) -> None:
        """Maps to a vector, once."""
        if len(self.x.shape) > 2:
            self.x = layers.Flatten(name="flat")(self.x)

    def check_size(self, window: int, part: str) -> None:
        """Refuses a window that is larger than the map."""
        if window > min(self.x.shape[1:3]):
            raise InputError(
                f"{part!r} does not fit a map of {self.x.shape[1]}x{self.x.shape[2]}: make it "
                "smaller, pool less or take larger images"
            )


def _count(text: str, part: str) -> int:
    if not 0 < int(text) <= _MOST:
        raise InputError(f"a plain network has sizes of 1 to {_MOST}. Received: {part!r}")
    return int(text)
