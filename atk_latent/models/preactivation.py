"""Residual groups with the norm and activation before each convolution, for any linear maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
from keras import layers

from atk_latent.models import initialising as init

# (input, output channels, kernel size, stride, name) to output: a convolution, or a dense layer.
LinearMap = Callable[[keras.KerasTensor, int, int, int, str], keras.KerasTensor]


def residual_groups(
    x: keras.KerasTensor,
    widths: Sequence[int],
    blocks: int,
    linear: LinearMap,
    activation: str = "relu",
) -> keras.KerasTensor:
    """Groups of pre-activation blocks, then the last norm and activation.

    Args:
        x: symbolic (batch, ..., channels), what the stem gives.
        widths: channels of each group; all but the first halve the size.
        blocks: of each group.
        linear: makes the maps; without bias in every published network.
        activation: "relu" or "silu".

    Returns:
        Symbolic (batch, ..., widths[-1]).

    Raises:
        InputError: on another activation.

    Reference: He et al., ECCV 2016, Figure 4(e); Zagoruyko and Komodakis, BMVC 2016.
    """
    for group, width in enumerate(widths, start=1):
        for block in range(1, blocks + 1):
            strides = 2 if group > 1 and block == 1 else 1
            name = f"group{group}_block{block}"
            x = residual_block(x, width, strides, linear, activation, name)
    return _activated(x, activation, "last")


def residual_block(  # noqa: PLR0913
    x: keras.KerasTensor, filters: int, strides: int, linear: LinearMap, activation: str, name: str
) -> keras.KerasTensor:
    """Norm, activation, conv3x3, norm, activation, conv3x3, and the shortcut added.

    The shortcut is `x` itself; where the channels change it is a 1x1 map of `x` after the
    first norm and activation.
    """
    ready = _activated(x, activation, f"{name}_1")
    y = linear(ready, filters, 3, strides, f"{name}_conv1")
    y = linear(_activated(y, activation, f"{name}_2"), filters, 3, 1, f"{name}_conv2")
    if strides > 1 or x.shape[-1] != filters:
        x = linear(ready, filters, 1, strides, f"{name}_shortcut")
    return layers.Add(name=f"{name}_add")([y, x])


def _activated(x: keras.KerasTensor, activation: str, name: str) -> keras.KerasTensor:
    x = init.batch_norm(name=f"{name}_norm")(x)
    return init.activation(activation, name=f"{name}_{activation}")(x)
