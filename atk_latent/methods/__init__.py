"""Outer minimisation: Keras models that wrap a classifier and train it, and their settings.

Importing this package imports no TensorFlow; a class is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from atk_latent.lazy import lazy

if TYPE_CHECKING:
    from atk_latent.methods.adversarial import (
        FGSMSettings as FGSMSettings,
        FGSMTraining as FGSMTraining,
        FreeSettings as FreeSettings,
        FreeTraining as FreeTraining,
        PGDSettings as PGDSettings,
        PGDTraining as PGDTraining,
    )
    from atk_latent.methods.atld import (
        ATLD as ATLD,
    )
    from atk_latent.methods.atld_settings import (
        ATLDSettings as ATLDSettings,
        Crafting as Crafting,
        DiscriminatorSettings as DiscriminatorSettings,
        Divergence as Divergence,
        IMTDefaults as IMTDefaults,
    )
    from atk_latent.methods.augment import (
        AugmentedTraining as AugmentedTraining,
        AugmentSettings as AugmentSettings,
    )
    from atk_latent.methods.augmentation import (
        Augmentation as Augmentation,
    )
    from atk_latent.methods.base import (
        Method as Method,
    )
    from atk_latent.methods.bilateral import (
        Bilateral as Bilateral,
        BilateralSettings as BilateralSettings,
    )
    from atk_latent.methods.boundaries import (
        BoundarySettings as BoundarySettings,
    )
    from atk_latent.methods.early_stopping import (
        EarlyStopping as EarlyStopping,
    )
    from atk_latent.methods.extra_data import (
        ExtraData as ExtraData,
    )
    from atk_latent.methods.feature_scattering import (
        FeatureScattering as FeatureScattering,
        FeatureScatteringSettings as FeatureScatteringSettings,
    )
    from atk_latent.methods.fixed_set import (
        FixedSet as FixedSet,
    )
    from atk_latent.methods.generator_training import (
        GeneratorSettings as GeneratorSettings,
    )
    from atk_latent.methods.ladder import (
        LADDER as LADDER,
        LADDERGAN as LADDERGAN,
        LADDERCavRandom as LADDERCavRandom,
        LADDERCavRandomSettings as LADDERCavRandomSettings,
        LADDERGANSettings as LADDERGANSettings,
        LADDERRandom as LADDERRandom,
        LADDERRandomSettings as LADDERRandomSettings,
        LADDERSettings as LADDERSettings,
    )
    from atk_latent.methods.lat import (
        LAT as LAT,
        AdversarialStage as AdversarialStage,
        LatentAttack as LatentAttack,
        LATSettings as LATSettings,
    )
    from atk_latent.methods.mart import (
        MART as MART,
        MARTSettings as MARTSettings,
    )
    from atk_latent.methods.natural import (
        Natural as Natural,
    )
    from atk_latent.methods.optimizers import (
        Optimizer as Optimizer,
    )
    from atk_latent.methods.presets import (
        resolve as resolve,
    )
    from atk_latent.methods.settings import (
        MethodSettings as MethodSettings,
    )
    from atk_latent.methods.tla import (
        TLA as TLA,
        TLASettings as TLASettings,
    )
    from atk_latent.methods.trades import (
        TRADES as TRADES,
        TRADESLADDER as TRADESLADDER,
        TRADESLADDERSettings as TRADESLADDERSettings,
        TRADESSettings as TRADESSettings,
    )
    from atk_latent.methods.weight_perturbation import (
        WeightPerturbation as WeightPerturbation,
    )

__getattr__, __dir__, __all__ = lazy(__name__, __file__)
