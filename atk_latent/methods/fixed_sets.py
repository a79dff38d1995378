"""What a method says of a fixed set of adversarial images that others are to make for it."""

from __future__ import annotations

import dataclasses

import numpy as np

from atk_latent.methods.ladder import rows_per_class


@dataclasses.dataclass(frozen=True)
class FixedSetRequest:
    """Asks for adversarial images of training images, made on the vanilla classifier.

    Args:
        attack: what makes them, as for `atkl attack` ("pgd:eps=0.3").
        images_per_class: int >= 1, training images of each class; None takes them all.
    """

    attack: str
    images_per_class: int | None = None

    def rows(self, labels: np.ndarray, num_classes: int, seed: int) -> np.ndarray:
        """Indices of the images to attack.

        Args:
            labels: int64 (n,), of all training images. num_classes: K. seed: of the choice.

        Returns:
            int64 (m,), m <= n.
        """
        if self.images_per_class is None:
            return np.arange(len(labels))
        return rows_per_class(labels, self.images_per_class, num_classes, seed)
