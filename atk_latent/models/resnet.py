"""Residual networks for small images: CifarNet and PreActResNet-18."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import keras
from keras import layers

from atk_latent.models import initialising as init
from atk_latent.models.preactivation import residual_groups

# (input, output channels, stride, seeds, name of the block) to what is added to a block.
Shortcut = Callable[[keras.KerasTensor, int, int, init.Seeds, str], keras.KerasTensor]


def cifarnet(
    input_shape: tuple[int, int, int] = (32, 32, 3), num_classes: int = 10, seed: int = 0
) -> keras.Model:
    """Builds CifarNet, ResNet-18 for CIFAR: 11,173,962 trainable weights with 10 classes.

    A 3x3 stem without pooling, four groups of two basic blocks (64, 128, 256, 512 channels;
    strides 1, 2, 2, 2), global average pooling named `latent` (512 numbers) and a Dense layer
    `logits`. Images go in as they are.

    Args:
        input_shape: (height, width, channels), any size.
        num_classes: int >= 2.
        seed: int >= 0 that fixes every weight.

    Returns:
        An uncompiled functional model of Keras layers: float32 (batch, height, width, channels)
        in [0, 1] to logits (batch, num_classes). Weights start as PyTorch's default.

    Raises:
        InputError: on a shape, class count or seed that cannot be built.

    Reference: LADDER, CIFAR-10 classifier of the published code; He et al., CVPR 2016.
    Differs: pooling is over the whole map, which at 32x32 is the published 4x4.
    """
    shape = init.checked_shape("cifarnet", input_shape)
    classes = init.checked_count("num_classes", num_classes, 2)
    seeds = init.Seeds(seed)
    inputs = keras.Input(shape, name="image")
    x = resnet_body(inputs, seeds)
    x = layers.GlobalAveragePooling2D(name="latent")(x)
    x = init.logits(classes, x.shape[-1], seeds)(x)
    return keras.Model(inputs, x, name="cifarnet")


def preactresnet18(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    seed: int = 0,
    *,
    activation: str = "relu",
) -> keras.Model:
    """Builds PreActResNet-18 for CIFAR: 11,172,170 trainable weights with 10 classes.

    A 3x3 stem of 64 channels, four groups of two pre-activation blocks (64, 128, 256, 512
    channels; strides 1, 2, 2, 2), norm, activation, global average pooling named `latent`
    (512 numbers) and a Dense layer `logits`. Images go in as they are.

    Args:
        input_shape: (height, width, channels), any size.
        num_classes: int >= 2.
        seed: int >= 0 that fixes every weight.
        activation: "relu" or "silu".

    Returns:
        An uncompiled functional model of Keras layers: float32 (batch, height, width, channels)
        in [0, 1] to logits (batch, num_classes). Weights start as PyTorch's default.

    Raises:
        InputError: on arguments that cannot be built.

    Reference: He et al., ECCV 2016; with the last norm, as in Wong et al., ICLR 2020.
    """
    shape = init.checked_shape("preactresnet18", input_shape)
    classes = init.checked_count("num_classes", num_classes, 2)
    seeds = init.Seeds(seed)

    def convolve(
        x: keras.KerasTensor, filters: int, size: int, strides: int, name: str
    ) -> keras.KerasTensor:
        if size == 3:
            return padded_conv(x, filters, seeds, strides=strides, name=name)
        return init.conv(filters, size, None, seeds, strides=strides, name=name)(x)

    inputs = keras.Input(shape, name="image")
    x = convolve(inputs, 64, 3, 1, "stem")
    x = residual_groups(x, (64, 128, 256, 512), 2, convolve, activation)
    x = layers.GlobalAveragePooling2D(name="latent")(x)
    x = init.logits(classes, x.shape[-1], seeds)(x)
    return keras.Model(inputs, x, name="preactresnet18")


preactresnet18_silu = functools.partial(preactresnet18, activation="silu")


def shortcut(
    x: keras.KerasTensor, filters: int, strides: int, seeds: init.Seeds, name: str
) -> keras.KerasTensor:
    """`x` where its shape already fits, else a 1x1 convolution of it with batch norm."""
    if strides == 1 and x.shape[-1] == filters:
        return x
    x = init.conv(filters, 1, None, seeds, strides=strides, name=f"{name}_shortcut")(x)
    return init.batch_norm(name=f"{name}_shortcut_norm")(x)


def resnet_body(
    x: keras.KerasTensor,
    seeds: init.Seeds,
    *,
    stem: int = 64,
    widths: Sequence[int] = (64, 128, 256, 512),
    depths: Sequence[int] = (2, 2, 2, 2),
    join: Shortcut = shortcut,
) -> keras.KerasTensor:
    """Applies a 3x3 stem, then groups of basic residual blocks.

    Args:
        x: symbolic (batch, height, width, channels).
        seeds: where the seeds come from.
        stem: channels of the stem.
        widths: channels of each group; all but the first halve the size.
        depths: blocks of each group.
        join: makes what is added to each block of its input.

    Returns:
        Symbolic (batch, rows, columns, widths[-1]).
    """
    x = padded_conv(x, stem, seeds, name="stem")
    x = layers.ReLU(name="stem_relu")(init.batch_norm(name="stem_norm")(x))
    for group, (width, depth) in enumerate(zip(widths, depths, strict=True), start=1):
        for block in range(depth):
            strides = 2 if group > 1 and block == 0 else 1
            name = f"group{group}_block{block + 1}"
            x = basic_block(x, width, strides, seeds, name, join)
    return x


def basic_block(  # noqa: PLR0913
    x: keras.KerasTensor, filters: int, strides: int, seeds: init.Seeds, name: str, join: Shortcut
) -> keras.KerasTensor:
    """Applies conv3x3, norm, ReLU, conv3x3, norm, adds what `join` makes of `x`, ReLU."""
    y = padded_conv(x, filters, seeds, strides=strides, name=f"{name}_conv1")
    y = layers.ReLU(name=f"{name}_relu1")(init.batch_norm(name=f"{name}_norm1")(y))
    y = padded_conv(y, filters, seeds, name=f"{name}_conv2")
    y = init.batch_norm(name=f"{name}_norm2")(y)
    y = layers.Add(name=f"{name}_add")([y, join(x, filters, strides, seeds, name)])
    return layers.ReLU(name=f"{name}_relu2")(y)


def padded_conv(
    x: keras.KerasTensor,
    filters: int,
    seeds: init.Seeds,
    *,
    strides: int = 1,
    kernel: keras.initializers.Initializer | None = None,
    name: str,
) -> keras.KerasTensor:
    """A 3x3 convolution without bias, padded by 1 on every side whatever the stride.

    TensorFlow's "same" pads only the bottom and right of an even size at stride 2. `kernel`
    initialises its weights, by default as PyTorch does.
    """
    padding = "same"
    if strides > 1:
        x, padding = layers.ZeroPadding2D(1, name=f"{name}_pad")(x), "valid"
    convolution = init.conv(
        filters, 3, None, seeds, strides=strides, padding=padding, kernel=kernel, name=name
    )
    return convolution(x)
