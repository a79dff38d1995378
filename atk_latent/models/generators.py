"""LADDER's generators: the images that latents stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import keras
from keras import layers

from atk_latent.errors import InputError
from atk_latent.models.initialising import (
    Seeds,
    batch_norm,
    checked_count,
    checked_shape,
    torch_kernel,
)
from atk_latent.models.upsampling import CollapsedUpsampling

Init = Literal["dcgan", "official"]
Block = int | Literal["up"]

# LADDER Tables 11-13. A number c is conv3x3 to c channels, batch norm, ReLU; "up" doubles the
# size with a 2x2 transposed convolution that keeps the channels, then batch norm.
SVHN_BLOCKS: tuple[Block, ...] = (512, "up", 512, "up", 256, "up", 128, "up", 64)
CELEBA_BLOCKS: tuple[Block, ...] = (
    *("up", 512, 512, 512),
    *("up", 512, 512, 512),
    *("up", 256, 256, 256),
    *("up", 128, 128),
    *("up", 64, 64),
)
CIFAR_BLOCKS: tuple[Block, ...] = (
    *(512, "up", 512, 512, 512, 512),
    *("up", 256, 256, 256, 256),
    *("up", 128, 128, 128, 128),
    *(64, 64, 32, 32, 8, 8),
)
BASE_CHANNELS = 512


def generator_for(image_shape: Sequence[int]) -> str:
    """The name in `registry.GENERATORS` of the generator that suits images of `image_shape`.

    Args:
        image_shape: (height, width, channels).

    Returns:
        "mnist" for 28x28x1, "celeba" for 128x128x3, else "cifar10", which draws any size.

    Raises:
        InputError: if `image_shape` is not an image shape.
    """
    shape = checked_shape("a generator", image_shape)
    return {(28, 28, 1): "mnist", (128, 128, 3): "celeba"}.get(shape, "cifar10")


def mnist_generator(
    latent_dim: int = 500, image_shape: tuple[int, int, int] = (28, 28, 1), seed: int = 0
) -> keras.Model:
    """Builds the MNIST generator: 427,611 weights from 500 latents to 28x28x1.

    Dense to 4x4x50, ReLU; transposed conv 2x2 stride 4 and conv 3x3 to 12x12x20, ReLU;
    transposed conv 2x2 stride 3, conv 4x4 and conv 5x5 to 28x28; sigmoid. The linear stretches
    are `CollapsedUpsampling` layers, so a saved file needs `atk_latent` to load.

    Args:
        latent_dim: int >= 1.
        image_shape: (28, 28, channels); the chain of sizes reaches nothing else.
        seed: int >= 0 that fixes every weight.

    Returns:
        An uncompiled model: float (batch, latent_dim) to float32 pixels in [0, 1],
        (batch, 28, 28, channels). Weights start as PyTorch's default.

    Raises:
        InputError: on another image size, or a number that cannot be used.

    Reference: LADDER, Table 10.
    """
    latents = checked_count("latent_dim", latent_dim, 1)
    height, width, channels = checked_shape("mnist_generator", image_shape)
    if (height, width) != (28, 28):
        raise InputError(
            f"mnist_generator draws 28x28 images only. Received: {height}x{width}. "
            "Use the generator 'cifar10', which draws any size"
        )
    seeds = Seeds(seed)
    inputs = keras.Input((latents,), name="latent")
    x = layers.Dense(800, use_bias=False, kernel_initializer=torch_kernel(seeds), name="expand")(
        inputs
    )
    x = layers.Reshape((4, 4, 50), name="map")(x)
    x = layers.ReLU(name="relu1")(x)
    x = CollapsedUpsampling(50, 2, 4, [(20, 3)], seed=seeds.next(), name="up1")(x)
    x = layers.ReLU(name="relu2")(x)
    x = CollapsedUpsampling(20, 2, 3, [(20, 4), (channels, 5)], seed=seeds.next(), name="up2")(x)
    x = layers.Activation("sigmoid", dtype="float32", name="image")(x)
    return keras.Model(inputs, x, name="mnist_generator")


def svhn_generator(
    latent_dim: int = 4096,
    image_shape: tuple[int, int, int] = (32, 32, 3),
    seed: int = 0,
    *,
    init: Init = "dcgan",
) -> keras.Model:
    """Builds the SVHN generator: 17,089,155 trainable weights from 4096 latents to 32x32x3.

    A Dense layer without bias to a map of 512 channels at 1/16 of the image's size, then
    `SVHN_BLOCKS`, a 1x1 convolution and tanh.

    Args:
        latent_dim: int >= 1.
        image_shape: (height, width, channels), any size; the last rows and columns are
            cropped where 16 does not divide it.
        seed: int >= 0 that fixes every weight.
        init: "dcgan", every weight N(0, 0.02); "official", the transposed convolutions
            N(1, 0.02) as published. A mean of 1 makes every output channel nearly the same sum
            of all inputs, so what tells images apart starts 50 times weaker.

    Returns:
        An uncompiled model of Keras layers: float (batch, latent_dim) to float32 pixels in
        [0, 1], (batch, height, width, channels).

    Raises:
        InputError: on a shape, number or `init` that cannot be used.

    Reference: LADDER, Table 11.
    Differs: the transposed convolutions have stride 2 as in the published code (the table
        prints 1, which cannot reach 32x32); tanh is followed by (t + 1) / 2, so that pixels
        lie in [0, 1].
    """
    return _decoder("svhn_generator", latent_dim, image_shape, seed, SVHN_BLOCKS, init=init)


def celeba_generator(
    latent_dim: int = 4096,
    image_shape: tuple[int, int, int] = (128, 128, 3),
    seed: int = 0,
    *,
    init: Init = "dcgan",
) -> keras.Model:
    """Builds the CelebA generator: 54,114,499 trainable weights from 4096 latents to 128x128x3.

    A Dense layer without bias to a map of 512 channels at 1/32 of the image's size, then
    `CELEBA_BLOCKS`, a 1x1 convolution and tanh. Arguments, result and errors are those of
    `svhn_generator`, with 32 for 16.

    Reference: LADDER, Table 12.
    Differs: widths 512, 512, 512, 256, 128 and stride 2 of the transposed convolutions are the
        published code's (the table prints 512, 512, 256, 128, 64 and stride 1); tanh is
        followed by (t + 1) / 2, so that pixels lie in [0, 1].
    """
    return _decoder("celeba_generator", latent_dim, image_shape, seed, CELEBA_BLOCKS, init=init)


def cifar_generator(
    latent_dim: int = 512,
    image_shape: tuple[int, int, int] = (32, 32, 3),
    seed: int = 0,
    *,
    output_activation: Literal["sigmoid", "tanh"] = "sigmoid",
    init: Init = "dcgan",
) -> keras.Model:
    """Builds the CIFAR-10 generator: 22,202,571 trainable weights from 512 latents to 32x32x3.

    A Dense layer to a map of 512 channels at 1/8 of the image's size, then `CIFAR_BLOCKS`, a
    1x1 convolution and `output_activation`. Arguments, result and errors are otherwise those
    of `svhn_generator`, with 8 for 16.

    Args:
        latent_dim: int >= 1.
        image_shape: (height, width, channels), any size.
        seed: int >= 0 that fixes every weight.
        output_activation: "sigmoid" as in the paper's table, or "tanh" as in the published
            code; tanh is followed by (t + 1) / 2, so that pixels lie in [0, 1] either way.
        init: see `svhn_generator`.

    Reference: LADDER, Table 13.
    """
    return _decoder(
        "cifar_generator",
        latent_dim,
        image_shape,
        seed,
        CIFAR_BLOCKS,
        init=init,
        output_activation=output_activation,
    )


class _Weights:
    """Starting weights of the decoders, one seed each."""

    def __init__(self, seed: int, official: bool) -> None:
        self._seeds = Seeds(seed)
        self._mean = 1.0 if official else 0.0

    def kernel(self) -> keras.initializers.Initializer:
        return keras.initializers.RandomNormal(0.0, 0.02, seed=self._seeds.next())

    def transposed(self) -> keras.initializers.Initializer:
        return keras.initializers.RandomNormal(self._mean, 0.02, seed=self._seeds.next())

    def gamma(self) -> keras.initializers.Initializer:
        return keras.initializers.RandomNormal(1.0, 0.02, seed=self._seeds.next())


def _decoder(
    name: str,
    latent_dim: int,
    image_shape: tuple[int, int, int],
    seed: int,
    blocks: Sequence[Block],
    *,
    init: Init,
    output_activation: Literal["sigmoid", "tanh"] = "tanh",
) -> keras.Model:
    """The one body of the three convolutional generators; see `svhn_generator`."""
    latents = checked_count("latent_dim", latent_dim, 1)
    height, width, channels = checked_shape(name, image_shape)
    _check_choice("init", init, ("dcgan", "official"))
    _check_choice("output_activation", output_activation, ("sigmoid", "tanh"))
    weights = _Weights(seed, init == "official")
    scale = 2 ** list(blocks).count("up")
    rows, columns = math.ceil(height / scale), math.ceil(width / scale)
    inputs = keras.Input((latents,), name="latent")
    x = layers.Dense(
        rows * columns * BASE_CHANNELS,
        use_bias=blocks is CIFAR_BLOCKS,
        kernel_initializer=weights.kernel(),
        name="expand",
    )(inputs)
    x = layers.Reshape((rows, columns, BASE_CHANNELS), name="map")(x)
    for index, block in enumerate(blocks):
        x = _block(x, block, weights, f"block{index}")
    x = layers.Conv2D(channels, 1, kernel_initializer=weights.kernel(), name="colours")(x)
    crop = ((0, rows * scale - height), (0, columns * scale - width))
    if any(end for _, end in crop):
        x = layers.Cropping2D(crop, name="crop")(x)
    x = layers.Activation(output_activation, dtype="float32", name=output_activation)(x)
    if output_activation == "tanh":
        x = layers.Rescaling(0.5, 0.5, dtype="float32", name="image")(x)
    return keras.Model(inputs, x, name=name)


def _block(x: keras.KerasTensor, block: Block, weights: _Weights, name: str) -> keras.KerasTensor:
    if block == "up":
        x = layers.Conv2DTranspose(
            x.shape[-1], 2, strides=2, kernel_initializer=weights.transposed(), name=f"{name}_up"
        )(x)
        return batch_norm(weights.gamma(), name=f"{name}_norm")(x)
    x = layers.Conv2D(
        block, 3, padding="same", kernel_initializer=weights.kernel(), name=f"{name}_conv"
    )(x)
    x = batch_norm(weights.gamma(), name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _check_choice(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise InputError(f"{name} must be one of {', '.join(known)}. Received: {value!r}")
