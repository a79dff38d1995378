"""The residual networks that He et al. made for CIFAR: 16, 32 and 64 channels, few weights."""

from __future__ import annotations

import functools

import keras
from keras import layers

from atk_latent.errors import InputError
from atk_latent.models import initialising as init
from atk_latent.models.input_scale import IMAGENET
from atk_latent.models.resnet import resnet_body

WIDTHS = (16, 32, 64)


def cifar_resnet(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    seed: int = 0,
    *,
    depth: int = 20,
) -> keras.Model:
    """Builds ResNet-depth for CIFAR: 269,722 trainable weights as ResNet-20 with 10 classes.

    A 3x3 stem of 16 channels, three groups of (depth - 2) / 6 basic blocks (16, 32, 64
    channels; strides 1, 2, 2) whose shortcuts have no weights, global average pooling named
    `latent` (64 numbers) and a Dense layer `logits`. The model scales its own input with
    ImageNet's mean and deviation, as the weights do that are known best.

    Args:
        input_shape: (height, width, channels), any size.
        num_classes: int >= 2.
        seed: int >= 0 that fixes every weight.
        depth: 8, 14, 20, 26, 32, ...: 2 more than a multiple of 6.

    Returns:
        An uncompiled functional model of Keras layers: float32 (batch, height, width, channels)
        in [0, 1] to logits (batch, num_classes). Weights start as PyTorch's default.

    Raises:
        InputError: on arguments that cannot be built.

    Example:
        >>> cifar_resnet(depth=20).count_params()
        271098

    Reference: He et al., CVPR 2016, Section 4.2, shortcuts of option A; normalisation of
        Idelbayev's PyTorch implementation.
    """
    shape = init.checked_shape("cifar_resnet", input_shape)
    classes = init.checked_count("num_classes", num_classes, 2)
    blocks, left = divmod(init.checked_count("depth", depth, 8) - 2, 6)
    if left:
        raise InputError(
            f"depth must be 2 more than a multiple of 6: 8, 14, 20, .... Received: {depth!r}"
        )
    seeds = init.Seeds(seed)
    inputs = keras.Input(shape, name="image")
    x = IMAGENET.layer(shape[-1])(inputs)
    x = resnet_body(x, seeds, stem=16, widths=WIDTHS, depths=(blocks,) * 3, join=zero_padded)
    x = layers.GlobalAveragePooling2D(name="latent")(x)
    x = init.logits(classes, x.shape[-1], seeds)(x)
    return keras.Model(inputs, x, name=f"resnet{depth}")


resnet20 = functools.partial(cifar_resnet, depth=20)
resnet32 = functools.partial(cifar_resnet, depth=32)
resnet44 = functools.partial(cifar_resnet, depth=44)
resnet56 = functools.partial(cifar_resnet, depth=56)


def zero_padded(
    x: keras.KerasTensor, filters: int, strides: int, seeds: init.Seeds, name: str
) -> keras.KerasTensor:
    """The shortcut of option A: every `strides`-th pixel, black channels on both sides.

    Args:
        x: symbolic (batch, height, width, channels).
        filters: channels of the result, at least those of `x`.
        strides: int >= 1.
        seeds: not needed, there are no weights.
        name: of the block.
    """
    if strides > 1:
        x = layers.MaxPooling2D(1, strides=strides, name=f"{name}_subsample")(x)
    missing = filters - x.shape[-1]
    if not missing:
        return x
    # Keras pads the axes between the first and the last, so the channels get an axis behind them.
    sides = ((0, 0), (0, 0), (missing // 2, missing - missing // 2))
    shape = x.shape[1:]
    x = layers.Reshape((*shape, 1), name=f"{name}_channels")(x)
    x = layers.ZeroPadding3D(sides, name=f"{name}_zeros")(x)
    return layers.Reshape((*shape[:-1], filters), name=f"{name}_shortcut")(x)
