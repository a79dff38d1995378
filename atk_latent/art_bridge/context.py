"""What an attack may need beside the estimator it is crafted on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from atk_latent.adversaries.latent_discriminator import LatentDiscriminator
from atk_latent.data.dataset import Dataset
from atk_latent.inference.imt import IMTClassifier
from atk_latent.progress import Progress


@dataclass(frozen=True)
class AttackContext:
    """What an attack may need beside the estimator it is crafted on.

    Args:
        run: run folder of the target, for the helpers in it; None for a bare model.
        data: the data set of the images, for attacks that train helpers of their own.
        imt: the target behind IMT, where that is deployed.
        seed: int >= 0, of helpers that an attack trains.
        progress: told (what, done, in all, logs) by attacks that train.
    """

    run: Path | None = None
    data: Dataset | None = None
    imt: IMTClassifier | None = None
    seed: int = 0
    progress: Progress | None = None

    @property
    def manifold(self) -> LatentDiscriminator | None:
        """Classifier and discriminator of the IMT that is deployed."""
        return None if self.imt is None else self.imt.transform.manifold
