"""The discriminator of ATLD: is a latent clean, and of which class."""

from __future__ import annotations

from typing import NamedTuple

import keras
from keras import layers

from atk_latent.errors import InputError
from atk_latent.models import initialising as init
from atk_latent.models.preactivation import LinearMap
from atk_latent.models.wide_resnet import convolution, head, normal_kernel, wide_body


class Style(NamedTuple):
    """One architecture: depth and width as of a WRN; 3x3 convolutions or dense layers."""

    depth: int
    width: int
    convolutions: bool


STYLES = {
    "wrn": Style(28, 5, convolutions=True),
    "mlp": Style(28, 5, convolutions=False),
    "small": Style(10, 2, convolutions=False),
}


def manifold_discriminator(
    latent_width: int, num_classes: int, style: str = "mlp", seed: int = 0
) -> keras.Model:
    """Builds ATLD's discriminator of latents, with two heads.

    The heads are `score`, one logit, and `class`, one logit a class. The probability
    sigmoid(score) is that of a CLEAN latent (target 1 clean, 0 adversarial), as in the
    published code; the paper's D0, the probability of an adversarial one, is 1 minus it.

    Args:
        latent_width: int >= 1, N numbers of a latent; the published one reads the K logits.
        num_classes: int >= 2, K.
        style: "wrn", the published WRN-28-5 on a 1x1 map with N channels (9,133,963
            trainable weights for N = K = 10); "mlp", the same function with only the centre
            tap of each 3x3 kernel, the one that ever meets data there (1,084,043); "small",
            that of a WRN-10-2, for LeNet (45,515).
        seed: int >= 0 that fixes every weight.

    Returns:
        An uncompiled functional model of Keras layers: float32 (batch, N) to float32 score
        (batch,) and class logits (batch, K).

    Raises:
        InputError: on arguments that cannot be built.

    Reference: ATLD section IV; its published code. "small" is ours.
    Differs: the scalar head gives the logit; batch norm as everywhere here.
    """
    if style not in STYLES:
        raise InputError(f"style must be one of {', '.join(STYLES)}. Received: {style!r}")
    size = init.checked_count("latent_width", latent_width, 1)
    classes = init.checked_count("num_classes", num_classes, 2)
    seeds, (depth, width, convolutions) = init.Seeds(seed), STYLES[style]
    inputs = x = keras.Input((size,), name="latent")
    if convolutions:
        x = layers.Reshape((1, 1, size), name="map")(x)
    x = wide_body(x, depth, width, convolution(seeds) if convolutions else centre_tap(seeds))
    x = layers.Flatten(name="flat")(x)
    score = layers.Reshape((), name="score", dtype="float32")(head(x, 1, seeds, "score_logit"))
    return keras.Model(
        inputs, [score, head(x, classes, seeds, "class")], name=f"manifold_discriminator_{style}"
    )


def centre_tap(seeds: init.Seeds) -> LinearMap:
    """Maker of dense layers without bias: what a padded convolution is on a 1x1 map."""

    def linear(
        x: keras.KerasTensor, filters: int, size: int, strides: int, name: str
    ) -> keras.KerasTensor:
        del strides
        kernel = normal_kernel(filters, size, seeds)
        return layers.Dense(filters, use_bias=False, kernel_initializer=kernel, name=name)(x)

    return linear
