"""ART trainers of the methods that work on latents, features or labels; see `MethodTrainer`."""

from __future__ import annotations

from atk_latent.art_bridge.trainers import MethodTrainer


class FeatureScatteringTrainer(MethodTrainer):
    """Feature scattering; see `methods.feature_scattering.FeatureScattering`."""

    method = "feature-scattering"


class TLATrainer(MethodTrainer):
    """PGD training with a triplet loss; see `methods.tla.TLA`."""

    method = "tla"


class LATTrainer(MethodTrainer):
    """Latent adversarial training; see `methods.lat.LAT`.

    `adversarial_epochs=0` fine-tunes a classifier that is adversarially trained already.
    """

    method = "lat"


class BilateralTrainer(MethodTrainer):
    """Bilateral adversarial training; see `methods.bilateral.Bilateral`."""

    method = "bilateral"
