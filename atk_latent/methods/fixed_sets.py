"""A method's request for a fixed set of adversarial images."""

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

    def rows(self, labels: np.ndarray, num_classes: int, seed: int) -> np.ndarray | slice:
        """What picks the images to attack out of all training images.

        Args:
            labels: int64 (n,), of all training images. num_classes: K. seed: of the choice.

        Returns:
            int64 (m,), indices; or the slice of everything.
        """
        if self.images_per_class is None:
            return slice(None)
        return rows_per_class(labels, self.images_per_class, num_classes, seed)
