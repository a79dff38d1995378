"""Pixel ranges: [0, 1] inside, a model's or an estimator's own range at the doors."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from atk_latent.errors import InputError

if TYPE_CHECKING:
    import keras
    import numpy.typing as npt
    import tensorflow as tf

_SLACK = 1e-6


@dataclasses.dataclass(frozen=True)
class PixelRange:
    """The range in which somebody keeps pixels, such as (0, 255), beside our [0, 1].

    Args:
        low, high: floats, low < high; ART calls them `clip_values`.

    Raises:
        InputError: if they hold nothing between them.

    Example:
        >>> PixelRange(0, 255).to_unit(np.array([0.0, 51.0, 255.0]))
        array([0. , 0.2, 1. ], dtype=float32)
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        """Refuses a range that holds nothing."""
        if not self.low < self.high:
            raise InputError(
                f"the range of pixels must be two rising numbers. Received: {self.low}, {self.high}"
            )

    @property
    def width(self) -> float:
        """By how much lengths in this range are longer than those in [0, 1]."""
        return self.high - self.low

    @property
    def is_unit(self) -> bool:
        """Whether it is [0, 1]."""
        return (self.low, self.high) == (0.0, 1.0)

    def to_unit(self, x: npt.ArrayLike) -> np.ndarray:
        """Pixels of this range as float32 in [0, 1].

        Raises:
            InputError: if pixels lie outside the range.
        """
        x = np.asarray(x, np.float32)
        low, high = float(x.min()), float(x.max())
        if low < self.low - _SLACK or high > self.high + _SLACK:
            raise InputError(
                f"images must lie in the clip values {self.low:g}..{self.high:g}. "
                f"Received: {low:g}..{high:g}"
            )
        return np.asarray(np.clip((x - self.low) / self.width, 0.0, 1.0))

    def from_unit(self, x: np.ndarray | tf.Tensor) -> np.ndarray | tf.Tensor:
        """Pixels in [0, 1], an array or a tensor, in this range."""
        return x * self.width + self.low

    @classmethod
    def read(cls, text: str) -> PixelRange:
        """The range that a text names: "0,255" or "-1,1".

        Raises:
            InputError: if it is not two rising numbers.
        """
        try:
            low, high = (float(part) for part in text.split(","))
        except ValueError:
            raise InputError(
                f"a range of pixels is two numbers, such as 0,255 or -1,1. Received: {text!r}"
            ) from None
        return cls(low, high)

    def layers(self) -> list[keras.Layer]:
        """The Keras layers that turn [0, 1] into this range; none for [0, 1] itself."""
        from keras import layers

        return [] if self.is_unit else [layers.Rescaling(self.width, offset=self.low)]


@dataclasses.dataclass(frozen=True)
class PixelFormat:
    """The pixels that a model was trained on, where they are not those in [0, 1].

    Args:
        input_range: "0,255" or "-1,1", their lowest and highest; None for [0, 1].
        preprocess: in its place, the module of `keras.applications` whose `preprocess_input`
            stood before the model: "keras.applications.resnet50", or "resnet50".

    Raises:
        InputError: on another range, or both.

    Example:
        >>> PixelFormat("0,255").is_unit
        False
    """

    input_range: str | None = None
    preprocess: str | None = None

    def __post_init__(self) -> None:
        """Refuses what cannot be read."""
        if self.input_range is not None and self.preprocess is not None:
            raise InputError(
                "--input-range and --preprocess both say what pixels a model wants: "
                "preprocess_input takes 0..255 by itself. Give one of them"
            )
        if self.input_range is not None:
            PixelRange.read(self.input_range)

    @property
    def is_unit(self) -> bool:
        """Whether the model takes pixels in [0, 1] as they are."""
        return self.input_range is None and self.preprocess is None


UNIT = PixelFormat()


def standardisation(mean: npt.ArrayLike, std: npt.ArrayLike) -> list[keras.Layer]:
    """The Keras layers of (x - mean) / std; none where that changes nothing.

    Args:
        mean, std: numbers, or arrays that broadcast over (height, width, channels).
    """
    from keras import layers

    mean, std = np.asarray(mean, "float32"), np.asarray(std, "float32")
    if not (np.any(mean != 0) or np.any(std != 1)):
        return []
    return [layers.Rescaling((1 / std).tolist(), (-mean / std).tolist())]
