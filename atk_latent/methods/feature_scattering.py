"""Training on feature-scattered images."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from atk_latent.adversaries.base import Adversary
from atk_latent.adversaries.feature_scattering import FeatureScatter, ScatteringSettings
from atk_latent.adversaries.optimal_transport import SinkhornSettings
from atk_latent.methods.adversarial import PGDSettings, PGDTraining
from atk_latent.methods.optimizers import Optimizer


@dataclasses.dataclass(frozen=True)
class FeatureScatteringSettings(PGDSettings):
    """How images are scattered and the classifier learns them; see `PGDSettings` for the rest.

    Args:
        steps: int >= 1, 1 in the paper.
        optimizer: with a label smoothing of 0.5 where nothing else is set, as in the paper.
        transport: how the distance between two batches of features is measured.

    Example:
        >>> from atk_latent.methods import FeatureScatteringSettings
        >>> FeatureScatteringSettings(eps=0.1).scattering().sinkhorn_iterations
        100
    """

    steps: int = 1
    optimizer: Optimizer = Optimizer(label_smoothing=0.5)
    transport: SinkhornSettings = SinkhornSettings()

    def scattering(self) -> ScatteringSettings:
        """The settings of the inner maximisation."""
        return ScatteringSettings(
            **vars(self.transport),
            eps=self.eps,
            norm=self.norm,
            steps=self.steps,
            step_size=self.step_size,
            random_start=self.random_start,
        )


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

    Example:
        >>> import keras, numpy as np
        >>> from atk_latent.methods import FeatureScattering, FeatureScatteringSettings, Optimizer
        >>> layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> x = np.random.default_rng(0).random((32, 4, 4, 1), np.float32)
        >>> y = (x.mean(axis=(1, 2, 3)) > 0.5).astype(int)
        >>> settings = FeatureScatteringSettings(optimizer=Optimizer(epochs=2, label_smoothing=0.1))
        >>> method = FeatureScattering(keras.Sequential(layers), settings)
        >>> logs = method.harden(x, y)
        >>> len(logs), 0 <= logs[-1]["adversarial_accuracy"] <= 1
        (2, True)
    """

    settings_type: ClassVar[type[FeatureScatteringSettings]] = FeatureScatteringSettings
    settings: FeatureScatteringSettings

    def make_adversary(self) -> Adversary:
        """The ascent on the optimal-transport distance."""
        return FeatureScatter(self.settings.scattering(), seed=self.seeds)
