"""VGG classifiers of LADDER: one convolutional body, driven by a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import keras
from keras import layers

from atk_latent.models import initialising as init
from atk_latent.models.input_scale import IMAGENET

# A number is conv3x3 to that many channels, batch norm, ReLU; "pool" halves the size.
SVHN_BODY: tuple[int | Literal["pool"], ...] = (
    *(64, "pool", 128, "pool", 256, "pool"),
    *(512, "pool", 512),
)
VGG11_BODY: tuple[int | Literal["pool"], ...] = (
    *(64, "pool", 128, "pool", 256, 256, "pool"),
    *(512, 512, "pool", 512, 512, "pool"),
)


def svhnnet(
    input_shape: tuple[int, int, int] = (32, 32, 3), num_classes: int = 10, seed: int = 0
) -> keras.Model:
    """Builds SVHNNet: 21,751,306 trainable weights at 32x32x3 with 10 classes.

    Five convolutions (`SVHN_BODY`), then Dense 4096 `fc1` with its ReLU `latent` and dropout
    0.5, Dense 2048 and 512 with ReLU, and Dense `logits`. Images go in as they are.

    Args:
        input_shape: (height, width, channels), at least 16x16.
        num_classes: int >= 2.
        seed: int >= 0 that fixes every weight and the dropout.

    Returns:
        An uncompiled functional model of Keras layers: float32 (batch, height, width, channels)
        in [0, 1] to logits (batch, num_classes). Weights start as PyTorch's default.

    Raises:
        InputError: on a shape, class count or seed that cannot be built.

    Reference: LADDER, SVHN classifier of the published code ("VGG8").
    """
    shape = init.checked_shape("svhnnet", input_shape, low=2 ** SVHN_BODY.count("pool"))
    classes = init.checked_count("num_classes", num_classes, 2)
    seeds = init.Seeds(seed)
    inputs = keras.Input(shape, name="image")
    x = layers.Flatten(name="flat")(vgg_body(inputs, SVHN_BODY, seeds))
    x = _hidden(x, 4096, seeds, "fc1", relu="latent")
    x = layers.Dropout(0.5, seed=seeds.next(), name="dropout1")(x)
    x = _hidden(x, 2048, seeds, "fc2", relu="relu_fc2")
    x = _hidden(x, 512, seeds, "fc3", relu="relu_fc3")
    return keras.Model(inputs, init.logits(classes, 512, seeds)(x), name="svhnnet")


def celebanet(
    input_shape: tuple[int, int, int] = (128, 128, 3), num_classes: int = 2, seed: int = 0
) -> keras.Model:
    """Builds CelebANet: 51,177,217 trainable weights at 128x128x3 with 2 classes.

    The convolutions of VGG11 with batch norm (`VGG11_BODY`), Dense 4096 `fc1` with its ReLU
    `latent` and dropout 0.5, Dense 2048 with ReLU and dropout 0.5. For two classes one Dense
    unit gives a score z and the logits are [0, z]; for more, a Dense layer gives them. The
    model scales its own input with ImageNet's mean and deviation (their average over colours
    where images do not have three channels).

    Args:
        input_shape: (height, width, channels), at least 32x32.
        num_classes: int >= 2.
        seed: int >= 0 that fixes every weight and the dropout.

    Returns:
        An uncompiled functional model of Keras layers: float32 (batch, height, width, channels)
        in [0, 1] to logits (batch, num_classes). Weights start as PyTorch's default.

    Raises:
        InputError: on a shape, class count or seed that cannot be built.

    Reference: LADDER, CelebA classifier of the published code.
    Differs: the published code decides for the second class at z >= 0.5, here it is at z > 0,
        where softmax puts it; the convolutions are not pretrained on ImageNet, because no
        weights are shipped; no adaptive pooling before the Dense layers, as in torchvision 0.2.
    """
    shape = init.checked_shape("celebanet", input_shape, low=2 ** VGG11_BODY.count("pool"))
    classes = init.checked_count("num_classes", num_classes, 2)
    seeds = init.Seeds(seed)
    inputs = keras.Input(shape, name="image")
    x = IMAGENET.layer(shape[-1])(inputs)
    x = layers.Flatten(name="flat")(vgg_body(x, VGG11_BODY, seeds))
    x = _hidden(x, 4096, seeds, "fc1", relu="latent")
    x = layers.Dropout(0.5, seed=seeds.next(), name="dropout1")(x)
    x = _hidden(x, 2048, seeds, "fc2", relu="relu_fc2")
    x = layers.Dropout(0.5, seed=seeds.next(), name="dropout2")(x)
    if classes > 2:
        outputs = init.logits(classes, 2048, seeds)(x)
    else:
        z = init.dense(1, 2048, seeds, name="score")(x)
        z = layers.Reshape((1, 1), dtype="float32", name="as_sequence")(z)
        z = layers.ZeroPadding1D((1, 0), dtype="float32", name="zero_before")(z)
        outputs = layers.Flatten(dtype="float32", name="logits")(z)
    return keras.Model(inputs, outputs, name="celebanet")


def vgg_body(
    x: keras.KerasTensor, body: Sequence[int | Literal["pool"]], seeds: init.Seeds
) -> keras.KerasTensor:
    """Applies 3x3 convolutions with batch norm and ReLU, and 2x2 max-pools, as `body` lists.

    Args:
        x: symbolic (batch, height, width, channels).
        body: output channels of each convolution, or "pool".
        seeds: where the seeds come from.

    Returns:
        Symbolic (batch, height / 2**pools, width / 2**pools, last channels).
    """
    number = 0
    for block in body:
        if block == "pool":
            x = layers.MaxPooling2D(name=f"pool{number}")(x)
            continue
        number += 1
        x = init.conv(block, 3, 9 * x.shape[-1], seeds, padding="same", name=f"conv{number}")(x)
        x = init.batch_norm(name=f"norm{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
    return x


def _hidden(
    x: keras.KerasTensor, units: int, seeds: init.Seeds, name: str, *, relu: str
) -> keras.KerasTensor:
    x = init.dense(units, x.shape[-1], seeds, name=name)(x)
    return layers.ReLU(name=relu)(x)
