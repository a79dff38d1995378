"""Seeds and starting weights, the same for every model here."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np

from atk_latent.errors import InputError

BATCH_NORM_MOMENTUM = 0.9  # PyTorch's 0.1: Keras keeps this much of the old statistics
BATCH_NORM_EPSILON = 1e-5
ACTIVATIONS = ("relu", "silu")


class Seeds:
    """Hands every layer its own seed, all derived from one.

    The same `seed` gives the same weights bit by bit, another one gives others, and no
    global random state is read or changed.

    Args:
        seed: int >= 0.

    Raises:
        InputError: if `seed` is not a whole number >= 0.
    """

    def __init__(self, seed: int) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise InputError(f"seed must be a whole number >= 0. Received: {seed!r}")
        self._stream = np.random.default_rng(int(seed))

    def next(self) -> int:
        """The seed of the next weight, an int in [0, 2**31 - 1)."""
        return int(self._stream.integers(2**31 - 1))


def torch_kernel(seeds: Seeds) -> keras.initializers.Initializer:
    """Uniform(+-1/sqrt(fan_in)), PyTorch's default for Linear, Conv2d and ConvTranspose2d."""
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed=seeds.next())


def torch_bias(seeds: Seeds, fan_in: int) -> keras.initializers.Initializer:
    """Uniform(+-1/sqrt(`fan_in`)), PyTorch's default for a bias."""
    bound = 1 / math.sqrt(fan_in)
    return keras.initializers.RandomUniform(-bound, bound, seed=seeds.next())


def dense(units: int, fan_in: int, seeds: Seeds, name: str | None = None) -> keras.layers.Layer:
    """A Dense layer without activation, with PyTorch's default weights."""
    return keras.layers.Dense(
        units,
        kernel_initializer=torch_kernel(seeds),
        bias_initializer=torch_bias(seeds, fan_in),
        name=name,
    )


def logits(classes: int, fan_in: int, seeds: Seeds) -> keras.layers.Layer:
    """The last Dense layer, float32 even where the rest of the model computes in float16."""
    return keras.layers.Dense(
        classes,
        kernel_initializer=torch_kernel(seeds),
        bias_initializer=torch_bias(seeds, fan_in),
        dtype="float32",
        name="logits",
    )


def conv(
    filters: int,
    size: int,
    fan_in: int | None,
    seeds: Seeds,
    *,
    kernel: keras.initializers.Initializer | None = None,
    **options: object,
) -> keras.layers.Layer:
    """A Conv2D without activation, with PyTorch's default weights.

    Args:
        filters: int >= 1. Output channels.
        size: int >= 1. Kernel height and width.
        fan_in: input channels times size squared; None for a convolution without bias.
        seeds: where the seeds come from.
        kernel: other starting weights of the kernel.
        **options: `strides`, `padding` and `name` of `keras.layers.Conv2D`.
    """
    bias = torch_bias(seeds, fan_in) if fan_in else "zeros"
    return keras.layers.Conv2D(
        filters,
        size,
        use_bias=fan_in is not None,
        kernel_initializer=kernel or torch_kernel(seeds),
        bias_initializer=bias,
        **options,
    )


def batch_norm(
    gamma: str | keras.initializers.Initializer = "ones", name: str | None = None
) -> keras.layers.Layer:
    """Batch normalisation with PyTorch's momentum and epsilon.

    Differs: the running variance is the biased one, as Keras computes it.
    """
    return keras.layers.BatchNormalization(
        momentum=BATCH_NORM_MOMENTUM, epsilon=BATCH_NORM_EPSILON, gamma_initializer=gamma, name=name
    )


def activation(kind: str, name: str | None = None) -> keras.layers.Layer:
    """The layer of an activation of `ACTIVATIONS`.

    Raises:
        InputError: on any other.
    """
    if kind not in ACTIVATIONS:
        raise InputError(f"activation must be one of {', '.join(ACTIVATIONS)}. Received: {kind!r}")
    return keras.layers.Activation(kind, name=name)


def checked_shape(
    what: str, shape: Sequence[int], *, low: int = 1, multiple: int = 1
) -> tuple[int, int, int]:
    """`shape` as (height, width, channels), or one line saying what is wrong with it.

    Args:
        what: the model, for the message.
        shape: what the caller gave.
        low: the smallest height and width the architecture can take.
        multiple: height and width must be multiples of this.

    Raises:
        InputError: if `shape` is not three whole numbers >= 1, or the image is too small.
    """
    values = tuple(shape) if isinstance(shape, list | tuple) else ()
    whole = all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in values)
    if len(values) != 3 or not whole or min(values) < 1:
        raise InputError(
            f"{what} needs an image shape (height, width, channels) of whole numbers >= 1. "
            f"Received: {shape!r}"
        )
    height, width, channels = (int(v) for v in values)
    if min(height, width) < low:
        raise InputError(
            f"{what} needs images of at least {low}x{low} pixels. Received: {height}x{width}. "
            "Resize them or choose another model"
        )
    if height % multiple or width % multiple:
        raise InputError(
            f"{what} needs a height and width that are multiples of {multiple}. "
            f"Received: {height}x{width}"
        )
    return height, width, channels


def checked_count(what: str, count: int, low: int) -> int:
    """`count` as an int, if it is a whole number >= `low`.

    Raises:
        InputError: otherwise.
    """
    whole = isinstance(count, int | np.integer) and not isinstance(count, bool)
    if not whole or count < low:
        raise InputError(f"{what} must be a whole number >= {low}. Received: {count!r}")
    return int(count)
