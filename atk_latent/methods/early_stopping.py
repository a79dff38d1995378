"""Early stopping on images held out of training: a part of the settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from atk_latent.adversaries.factory import make_adversary
from atk_latent.config import check_range, in_pixels, known_as
from atk_latent.errors import InputError
from atk_latent.models.scoring import clean_accuracy


class Split(NamedTuple):
    """A training set in two.

    Args:
        x, y: what is trained on.
        x_held_out, y_held_out: what each epoch is scored on.
    """

    x: np.ndarray
    y: np.ndarray
    x_held_out: np.ndarray
    y_held_out: np.ndarray


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """Keeps the weights of the epoch with the highest PGD accuracy on held-out images.

    The vanilla classifier that a method starts from has seen these images.

    Args:
        enabled: without it the weights of the last epoch stay.
        share: float in (0, 1), of the training images, held out.
        eps: float >= 0, Linf radius of the attack in [0, 1] pixels; None is the method's own.
        steps: int >= 1, steps of the attack.

    Raises:
        InputError: for values out of range.

    Reference: Rice, Wong and Kolter 2020, "Overfitting in adversarially robust deep learning".

    Example:
        >>> from atk_latent.methods import EarlyStopping, PGDSettings
        >>> PGDSettings(early_stopping=EarlyStopping(True, share=0.2)).early_stopping.steps
        10
    """

    enabled: bool = known_as("early_stopping", False)
    share: float = known_as("validation_share", 0.1)
    eps: float | None = in_pixels(None, "validation_eps")
    steps: int = known_as("validation_steps", 10)

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        check_range("validation_share", self.share, 1e-6, 0.999999)
        check_range("validation_steps", self.steps, 1)
        if self.eps is not None:
            check_range("validation_eps", self.eps, 0)

    def check(self, radius: float | None) -> None:
        """Refuses early stopping without a radius to attack with.

        Args:
            radius: the method's own Linf radius in [0, 1] pixels; None where it has none.

        Raises:
            InputError: if neither it nor `eps` is set.
        """
        if self.enabled and self.eps is None and radius is None:
            raise InputError(
                "setting 'early_stopping' needs 'validation_eps', the radius of the attack in "
                "[0, 1] pixels: this method has none of its own"
            )

    def split(self, x: np.ndarray, y: np.ndarray, seed: int) -> Split:
        """Holds a share of the images out, drawn by the seed; the others keep their order.

        Args:
            x: (n, H, W, C). y: (n,).

        Raises:
            InputError: if there are fewer than two images.
        """
        if len(x) < 2:
            raise InputError(f"early_stopping needs 2 training images or more. Received: {len(x)}")
        count = min(max(round(self.share * len(x)), 1), len(x) - 1)
        order = np.random.default_rng(seed).permutation(len(x))
        held_out, rest = order[:count], np.sort(order[count:])
        return Split(x[rest], y[rest], x[held_out], y[held_out])

    def score(
        self, classifier: keras.Model, split: Split, radius: float | None, seed: int
    ) -> Callable[[], float]:
        """A function that measures PGD accuracy on the held-out images.

        Args:
            classifier: images to logits, as it stands when the function is called.
            split: of `split`. radius: as for `check`.
        """
        eps = radius if self.eps is None else self.eps
        pgd = make_adversary("pgd", seed=seed, eps=eps, steps=self.steps)
        x, y = split.x_held_out, split.y_held_out

        def accuracy() -> float:
            return clean_accuracy(classifier, pgd.craft_all(classifier, x, y, seed=seed), y).value

        return accuracy
