"""The discriminator of LADDER-GAN."""

from __future__ import annotations

import keras
from keras import layers

from atk_latent.models import initialising as init
from atk_latent.models.resnet import padded_conv, shortcut

WIDTHS = (128, 256, 512)
SMALLEST = 32


def image_discriminator(
    image_shape: tuple[int, int, int] = (32, 32, 3), seed: int = 0, *, official: bool = False
) -> keras.Model:
    """Builds the LADDER-GAN discriminator: 4,832,192 trainable weights at 3 channels.

    conv3x3 to 64, LeakyReLU 0.2; three residual blocks of stride 2 to 128, 256 and 512 channels
    (conv3x3, norm, LeakyReLU, dropout 0.5, conv3x3, norm, plus a 1x1 shortcut with norm, then
    LeakyReLU); a 4x4 convolution to one map of logits, averaged. The model scales its own input
    to [-1, 1].

    Args:
        image_shape: (height, width, channels), any size; images under 32 pixels are padded
            with black to 32, half on each side.
        seed: int >= 0 that fixes every weight and the dropout.
        official: leaves out the LeakyReLU after the first norm of each block. The published
            code computes it and drops the result.

    Returns:
        An uncompiled functional model of Keras layers: float32 (batch, height, width, channels)
        in [0, 1] to one logit (batch, 1), high for real images.

    Raises:
        InputError: on a shape or seed that cannot be built.

    Reference: LADDER-GAN, published code.
    Differs: the map of logits is averaged, which at 32x32, where it is one pixel, changes
        nothing and makes other sizes work (the published one breaks at 128x128); the published
        first norm of a block is called twice and so updates its statistics twice.
    """
    height, width, channels = init.checked_shape("image_discriminator", image_shape)
    seeds = init.Seeds(seed)
    inputs = keras.Input((height, width, channels), name="image")
    x = inputs
    rows, columns = max(SMALLEST - height, 0), max(SMALLEST - width, 0)
    if rows or columns:
        sides = tuple((n // 2, n - n // 2) for n in (rows, columns))
        x = layers.ZeroPadding2D(sides, name="frame")(x)
    x = layers.Rescaling(2.0, -1.0, name="scale")(x)
    x = layers.LeakyReLU(0.2, name="stem_relu")(padded_conv(x, 64, seeds, name="stem"))
    for number, filters in enumerate(WIDTHS, start=1):
        x = _block(x, filters, seeds, f"block{number}", official)
    x = init.conv(1, 4, None, seeds, name="logits")(x)
    x = layers.GlobalAveragePooling2D(name="logit", dtype="float32")(x)
    return keras.Model(inputs, x, name="image_discriminator")


def _block(
    x: keras.KerasTensor, filters: int, seeds: init.Seeds, name: str, official: bool
) -> keras.KerasTensor:
    y = padded_conv(x, filters, seeds, strides=2, name=f"{name}_conv1")
    y = init.batch_norm(name=f"{name}_norm1")(y)
    if not official:
        y = layers.LeakyReLU(0.2, name=f"{name}_relu1")(y)
    y = layers.Dropout(0.5, seed=seeds.next(), name=f"{name}_dropout")(y)
    y = padded_conv(y, filters, seeds, name=f"{name}_conv2")
    y = init.batch_norm(name=f"{name}_norm2")(y)
    y = layers.Add(name=f"{name}_add")([y, shortcut(x, filters, 2, seeds, name)])
    return layers.LeakyReLU(0.2, name=f"{name}_relu2")(y)
