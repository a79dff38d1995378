"""Training on feature-scattered images."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from atk_latent.adversaries.base import Adversary
from atk_latent.adversaries.feature_scattering import FeatureScatter, ScatteringSettings
from atk_latent.methods.adversarial import CIFAR, DIGITS, PGDSettings, PGDTraining
from atk_latent.methods.recipes import Recipes


@dataclasses.dataclass(frozen=True)
class FeatureScatteringSettings(PGDSettings, ScatteringSettings):
    """How images are scattered and the classifier learns them; see the two parts.

    Args:
        steps: int >= 1. label_smoothing: float d in [0, 1), 0.5 in the paper.
    """

    steps: int = 1
    label_smoothing: float = 0.5

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        PGDSettings.__post_init__(self)
        ScatteringSettings.__post_init__(self)


class FeatureScattering(PGDTraining):
    """Trains on images whose features were moved apart as a batch, under smoothed labels.

    Images are crafted in inference mode and without labels; the classifier then learns the
    moved images alone, in training mode.

    Args:
        classifier: Keras model, images (B, H, W, C) in [0, 1] to logits (B, K).
        settings: see `FeatureScatteringSettings`.
        seed: int >= 0, of the order of the data and the random starts.

    Reference: Zhang and Wang, NeurIPS 2019, Algorithm 1, and its published code; see
        `FeatureScatter` for the inner step. The paper has no MNIST: those rows are ours.
    """

    settings_type: ClassVar[type[FeatureScatteringSettings]] = FeatureScatteringSettings
    recipes: ClassVar[Recipes] = {
        "paper": {
            "cifar10": CIFAR | {"batch_size": 60, "epochs": 200, "decay_epochs": (60, 90)},
            "mnist": {"eps": 0.3, "learning_rate": 0.01, "momentum": 0.9, "batch_size": 60}
            | {"epochs": 40, "decay_epochs": (30,)},
            "digits": DIGITS | {"step_size": None},
        },
        "quick": {
            "any": {"epochs": 5, "decay_epochs": (4,)},
            "digits": {"epochs": 30, "decay_epochs": (22,)},
        },
    }
    settings: FeatureScatteringSettings

    def make_adversary(self) -> Adversary:
        """The ascent on the optimal-transport distance."""
        return FeatureScatter(self.settings, seed=self.seeds)
