"""Wide residual networks, the CIFAR and SVHN classifiers of Feature Scattering and ATLD."""

from __future__ import annotations

import functools
import math

import keras
from keras import layers

from atk_latent.errors import InputError
from atk_latent.models import initialising as init
from atk_latent.models.input_scale import CIFAR10
from atk_latent.models.preactivation import LinearMap, residual_groups
from atk_latent.models.resnet import padded_conv

STEM = 16


def wide_resnet(
    input_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    seed: int = 0,
    *,
    depth: int = 28,
    width: int = 10,
    activation: str = "relu",
    tensorflow_habits: bool = False,
) -> keras.Model:
    """Builds WRN-depth-width: 36,479,194 trainable weights as WRN-28-10 with 10 classes.

    A 3x3 stem of 16 channels; three groups of (depth - 4) / 6 pre-activation blocks with
    16, 32 and 64 times `width` channels (strides 1, 2, 2); norm, activation, global average
    pooling named `latent` and a Dense layer `logits`. The model scales its own input to
    [-1, 1].

    Args:
        input_shape: (height, width, channels), any size.
        num_classes: int >= 2.
        seed: int >= 0 that fixes every weight.
        depth: 10, 16, 22, 28, 34, ...: 4 more than a multiple of 6.
        width: int >= 1, factor on the channels.
        activation: "relu", or "silu" as Gowal et al. found better for adversarial training.
        tensorflow_habits: pads convolutions of stride 2 at the bottom and right only and scales
            images with CIFAR-10's mean and deviation, as Gowal et al. and those who went on
            from their code do.

    Returns:
        An uncompiled functional model of Keras layers: float32 (batch, height, width, channels)
        in [0, 1] to float32 logits (batch, num_classes).

    Raises:
        InputError: on arguments that cannot be built.

    Reference: Zagoruyko and Komodakis, BMVC 2016; the published code of Feature Scattering,
        ATLD and TRADES; Gowal et al. 2020 for "silu".
    Differs: pooling is over the whole map, which at 32x32 is the published 8x8.
    """
    shape = init.checked_shape("wide_resnet", input_shape)
    classes = init.checked_count("num_classes", num_classes, 2)
    seeds = init.Seeds(seed)
    inputs = keras.Input(shape, name="image")
    centred = layers.Rescaling(2.0, -1.0, name="scale")
    x = (CIFAR10.layer(shape[-1]) if tensorflow_habits else centred)(inputs)
    x = wide_body(x, depth, width, convolution(seeds, same=tensorflow_habits), activation)
    x = layers.GlobalAveragePooling2D(name="latent")(x)
    return keras.Model(inputs, head(x, classes, seeds, "logits"), name=f"wrn_{depth}_{width}")


wrn_28_10 = functools.partial(wide_resnet, depth=28, width=10)
wrn_34_10 = functools.partial(wide_resnet, depth=34, width=10)
wrn_34_15 = functools.partial(wide_resnet, depth=34, width=15)
wrn_34_20 = functools.partial(wide_resnet, depth=34, width=20)
wrn_70_16 = functools.partial(wide_resnet, depth=70, width=16)
wrn_28_10_silu = functools.partial(wrn_28_10, activation="silu")
wrn_34_10_silu = functools.partial(wrn_34_10, activation="silu")
wrn_16_4 = functools.partial(wide_resnet, depth=16, width=4)
wrn_10_4 = functools.partial(wide_resnet, depth=10, width=4)
wrn_10_2 = functools.partial(wide_resnet, depth=10, width=2)
wrn_10_2_silu = functools.partial(wide_resnet, depth=10, width=2, activation="silu")
gowal_resnet = functools.partial(wide_resnet, activation="silu", tensorflow_habits=True)
gowal_28_10 = functools.partial(gowal_resnet, depth=28, width=10)
gowal_34_20 = functools.partial(gowal_resnet, depth=34, width=20)
gowal_70_16 = functools.partial(gowal_resnet, depth=70, width=16)


def wide_body(
    x: keras.KerasTensor, depth: int, width: int, linear: LinearMap, activation: str = "relu"
) -> keras.KerasTensor:
    """The stem and the three groups of a wide residual network of `linear` maps.

    Raises:
        InputError: on a depth, width or activation that cannot be built.
    """
    blocks, left = divmod(init.checked_count("depth", depth, 10) - 4, 6)
    if left:
        raise InputError(
            f"depth must be 4 more than a multiple of 6: 10, 16, 22, 28, 34, .... "
            f"Received: {depth!r}"
        )
    factor = init.checked_count("width", width, 1)
    x = linear(x, STEM, 3, 1, "stem")
    return residual_groups(x, [STEM * factor * n for n in (1, 2, 4)], blocks, linear, activation)


def normal_kernel(filters: int, size: int, seeds: init.Seeds) -> keras.initializers.Initializer:
    """N(0, 2 / (size^2 * filters)), where the kernel of every convolution here starts."""
    return keras.initializers.RandomNormal(
        stddev=math.sqrt(2 / (size * size * filters)), seed=seeds.next()
    )


def convolution(seeds: init.Seeds, *, same: bool = False) -> LinearMap:
    """Maker of convolutions without bias, 3x3 ones padded by 1 on every side.

    With `same`, those of stride 2 are padded as TensorFlow pads: an even size at the bottom and
    right only.
    """

    def linear(
        x: keras.KerasTensor, filters: int, size: int, strides: int, name: str
    ) -> keras.KerasTensor:
        kernel = normal_kernel(filters, size, seeds)
        if size == 3 and not same:
            return padded_conv(x, filters, seeds, strides=strides, kernel=kernel, name=name)
        layer = init.conv(
            *(filters, size, None, seeds),
            strides=strides,
            padding="same" if size == 3 else "valid",
            kernel=kernel,
            name=name,
        )
        return layer(x)

    return linear


def head(x: keras.KerasTensor, units: int, seeds: init.Seeds, name: str) -> keras.KerasTensor:
    """A last Dense layer, float32, whose bias starts at 0."""
    layer = layers.Dense(
        units, kernel_initializer=init.torch_kernel(seeds), dtype="float32", name=name
    )
    return layer(x)
