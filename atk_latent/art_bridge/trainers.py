"""The ART trainers: two changed lines in an ART script; their arguments are `MethodTrainer`'s."""

from __future__ import annotations

from typing import Any

import numpy as np
from art.attacks import EvasionAttack
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent.art_bridge.imt import IMTPreprocessor
from atk_latent.art_bridge.method_trainer import MethodTrainer, TrainingImages
from atk_latent.errors import InputError
from atk_latent.inference.imt import IMTSettings, Variant
from atk_latent.methods.fixed_sets import FixedSetRequest


class NaturalTrainer(MethodTrainer):
    """Plain training; see `methods.natural.Natural`. Its presets are those of `cifarnet`."""

    method = "natural"


class PGDTrainer(MethodTrainer):
    """PGD adversarial training; see `MethodTrainer` and `methods.adversarial.PGDTraining`."""

    method = "pgd"


class FGSMTrainer(MethodTrainer):
    """Fast adversarial training; see `MethodTrainer` and `methods.adversarial.FGSMTraining`."""

    method = "fgsm"


class FreeTrainer(MethodTrainer):
    """Free adversarial training; see `MethodTrainer` and `methods.adversarial.FreeTraining`."""

    method = "free"


class TRADESTrainer(MethodTrainer):
    """TRADES; see `MethodTrainer` and `methods.trades.TRADES`."""

    method = "trades"


class MARTTrainer(MethodTrainer):
    """MART; see `MethodTrainer` and `methods.mart.MART`."""

    method = "mart"


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


class LADDERTrainer(MethodTrainer):
    """LADDER; see `MethodTrainer` and `methods.ladder.LADDER`."""

    method = "ladder"


class LADDERCavRandomTrainer(MethodTrainer):
    """LADDER with noise on the normals; see `methods.ladder.LADDERCavRandom`."""

    method = "ladder-cavrandom"


class LADDERRandomTrainer(MethodTrainer):
    """LADDER along random directions; see `methods.ladder.LADDERRandom`."""

    method = "ladder-random"


class LADDERGANTrainer(MethodTrainer):
    """LADDER with an adversarially trained generator; see `methods.ladder.LADDERGAN`."""

    method = "ladder-gan"


class TRADESLADDERTrainer(MethodTrainer):
    """TRADES' loss on LADDER examples; see `MethodTrainer` and `methods.trades`."""

    method = "trades-ladder"


class ATLDTrainer(MethodTrainer):
    """ATLD; see `MethodTrainer` and `methods.atld.ATLD`.

    ``trainer.preprocessor()`` is the IMT of the trained game, for ``preprocessing_defences``
    of an estimator around the same model.
    """

    method = "atld"

    def preprocessor(self, variant: Variant = "imt", **options: Any) -> IMTPreprocessor:
        """IMT of the trained game, in the classifier's own pixel units.

        Args:
            variant: "imt" or "imt+". **options: of `IMTPreprocessor`; `settings` are those that
                the game was trained with unless given.

        Raises:
            InputError: before `fit`.
        """
        if self.trained is None:
            raise InputError("the trainer has not been fitted; call fit(x, y) first")
        options.setdefault("settings", IMTSettings(**self.trained.imt_settings()))
        options.setdefault("clip_values", (self.view.range.low, self.view.range.high))
        return IMTPreprocessor(self.trained.manifold, variant=variant, **options)


class AugmentTrainer(MethodTrainer):
    """Fine-tuning on a fixed set that any attack makes; targeted ones too.

    Args:
        classifier: see `MethodTrainer`.
        attack: what makes the set: a name as on the command line ("pgd:eps=0.3"), or an ART
            `EvasionAttack` bound to any estimator that takes the same pixels. A targeted
            one gets a random other class for each image.
        **options: of `MethodTrainer`.

    Raises:
        InputError: on an attack of another kind.
    """

    method = "augment"
    art_attack: EvasionAttack | None = None

    def __init__(
        self,
        classifier: TensorFlowV2Classifier,
        attack: str | EvasionAttack | None = None,
        **options: Any,
    ) -> None:
        if isinstance(attack, EvasionAttack):
            self.art_attack = attack
        elif isinstance(attack, str):
            options["attack"] = attack
        elif attack is not None:
            raise InputError(
                "attack must be a name such as 'fgsm' or an ART EvasionAttack. "
                f"Received: {type(attack).__name__}"
            )
        super().__init__(classifier, **options)

    def _adversarial_set(self, request: FixedSetRequest, data: TrainingImages) -> np.ndarray:
        """What the ART attack makes of images, float32 in [0, 1]; else `MethodTrainer`'s."""
        if self.art_attack is None:
            return super()._adversarial_set(request, data)
        labels, classes = data.labels, self.classifier.nb_classes
        if getattr(self.art_attack, "targeted", False):
            shift = np.random.default_rng(self.seed).integers(1, classes, len(labels))
            labels = (labels + shift) % classes
        return self.view.images(self.art_attack.generate(data.pixels, np.eye(classes)[labels]))
