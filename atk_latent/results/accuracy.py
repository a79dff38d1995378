"""A measured accuracy and its 95% Wilson interval."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Annotated

import pydantic

from atk_latent.errors import InputError
from atk_latent.results.record import Fraction, Record

_ROUNDED = 1e-4  # files may hold numbers of four digits
_Z95 = 1.959963984540054  # the 97.5% point of the normal distribution


def wilson_interval(correct: int, n: int) -> tuple[float, float]:
    """The 95% Wilson score interval of a fraction.

    Args:
        correct: int in [0, n].
        n: int >= 1.

    Returns:
        (low, high), fractions in [0, 1].

    Raises:
        InputError: if `n` is 0: no image, no fraction.

    Reference: Wilson, JASA 1927.
    """
    if n < 1:
        raise InputError("no images to evaluate: 0 came, at least 1 is needed")
    share, spread = correct / n, _Z95**2 / n
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    low = 0.0 if correct == 0 else max(0.0, centre - half)  # exact there, not nearly
    high = 1.0 if correct == n else min(1.0, centre + half)
    return low, high


def images_needed(share: float, least: float) -> int | None:
    """How many images bring the lower end of the Wilson interval up to `least`.

    The interval holds every fraction p with (share - p)^2 <= z^2 p (1 - p) / n, so its lower
    end is `least` at n = z^2 least (1 - least) / (share - least)^2.

    Args:
        share: the measured fraction, taken to stay as it is. least: fraction in [0, 1].

    Returns:
        int >= 1, or None where `share` is not above `least`.
    """
    if share <= least:
        return None
    return max(1, math.ceil(_Z95**2 * least * (1 - least) / (share - least) ** 2))


def check_interval(name: str, low: float, value: float, high: float) -> None:
    """Refuses an accuracy that does not lie in its own interval.

    Args:
        name: of the accuracy's field. low, value, high: fractions.

    Raises:
        ValueError: naming the three.
    """
    if not low - _ROUNDED <= value <= high + _ROUNDED:
        raise ValueError(f"{name} {value:g} must lie in its interval, {low:g} to {high:g}")


class Accuracy(Record):
    """A measured accuracy with its 95% Wilson interval.

    Args:
        value: fraction in [0, 1].
        low: lower end of the interval.
        high: upper end of the interval.
        n: images it was measured on.

    Example:
        >>> accuracy = Accuracy.of([True, True, False, True])
        >>> accuracy.value, round(accuracy.low, 3), accuracy.n
        (0.75, 0.301, 4)
    """

    value: Fraction
    low: Fraction
    high: Fraction
    n: Annotated[int, pydantic.Field(ge=1)]

    @classmethod
    def of(cls, correct: Collection[bool]) -> Accuracy:
        """From one truth value an image.

        Raises:
            InputError: if there is none.
        """
        hits, n = int(sum(bool(c) for c in correct)), len(correct)
        low, high = wilson_interval(hits, n)
        return cls(value=hits / n, low=low, high=high, n=n)
