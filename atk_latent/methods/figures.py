"""What a method has to show beside its numbers: arrays, which `reporting.figures` draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class EpsStrip:
    """LADDER examples of R images at E sizes of the perturbation (as paper Figures 4 and 10).

    Args:
        original, reconstruction: float32 (R, H, W, C) in [0, 1], the images, and the same
            decoded from their latents without a perturbation.
        adversarial: float32 (R, E, H, W, C), the examples. eps: float (E,), in latent units.
        label, target: int (R,), the class of each image and the one it was moved towards.
        vanilla, hardened: int (R, E), the class that each classifier gives each example.
        class_names: K names.
    """

    original: np.ndarray
    reconstruction: np.ndarray
    adversarial: np.ndarray
    eps: np.ndarray
    label: np.ndarray
    target: np.ndarray
    vanilla: np.ndarray
    hardened: np.ndarray
    class_names: Sequence[str]


@dataclasses.dataclass(frozen=True)
class AccuracyOverEps:
    """Accuracy of two classifiers on LADDER examples over the size of the perturbation.

    Args:
        eps: E floats, in latent units.
        vanilla, hardened: E accuracies in [0, 1], on examples made against the vanilla model.
    """

    eps: Sequence[float]
    vanilla: Sequence[float]
    hardened: Sequence[float]


@dataclasses.dataclass(frozen=True)
class ImageSheet:
    """Images of every class, a row each.

    Args:
        images: float32 (K, n, H, W, C) in [0, 1], n of each class.
        class_names: K names. title: above the sheet.
    """

    images: np.ndarray
    class_names: Sequence[str]
    title: str = ""


Figure = EpsStrip | AccuracyOverEps | ImageSheet
