"""The fixed set of adversarial images that some methods train on."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from atk_latent.config import check_range, known_as


@dataclasses.dataclass(frozen=True)
class FixedSet:
    """Which images the adversarial ones are crafted from, and what they are paired with.

    Args:
        per_class: int >= 1, training images of each class; None takes them all.
        originals: "full" pairs each adversarial batch with a batch of the full clean training
            set; "paired" with the very images it was crafted from (published LADDER code).

    Raises:
        InputError: for values out of range.

    Example:
        >>> import numpy as np
        >>> from atk_latent.methods import FixedSet
        >>> FixedSet(per_class=1).rows(np.array([0, 0, 1, 1]), num_classes=2, seed=0).shape
        (2,)
    """

    per_class: int | None = known_as("examples_per_class", 450)
    originals: Literal["full", "paired"] = "full"

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        if self.per_class is not None:
            check_range("examples_per_class", self.per_class, 1)

    def rows(self, labels: np.ndarray, num_classes: int, seed: int) -> np.ndarray | slice:
        """What to index the training images with; those of a class come together.

        Args:
            labels: int64 (n,). num_classes: K. seed: decides which images of a class.
        """
        if self.per_class is None:
            return slice(None)
        return rows_per_class(labels, self.per_class, num_classes, seed)


@dataclasses.dataclass(frozen=True)
class FixedSetRequest:
    """What a method wants crafted on the vanilla classifier before it trains.

    Args:
        attack: what crafts the images, as for `atkl attack` ("pgd:eps=0.3").
        images: which training images.
    """

    attack: str
    images: FixedSet


def rows_per_class(labels: np.ndarray, count: int, num_classes: int, seed: int) -> np.ndarray:
    """Indices of `count` random images of each class (all of a class that has fewer)."""
    rng = np.random.default_rng(seed)
    chosen = [
        rng.permutation(np.flatnonzero(labels == label))[:count] for label in range(num_classes)
    ]
    return np.concatenate(chosen)
