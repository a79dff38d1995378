"""Outer minimisation: Keras models that wrap a classifier and train it, and their settings.

Importing this package imports no TensorFlow; a class is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atk_latent.methods.adversarial import (
        FGSMSettings,
        FGSMTraining,
        FreeSettings,
        FreeTraining,
        PGDSettings,
        PGDTraining,
    )
    from atk_latent.methods.atld import ATLD
    from atk_latent.methods.atld_settings import (
        ATLDSettings,
        Crafting,
        DiscriminatorSettings,
        Divergence,
        IMTDefaults,
    )
    from atk_latent.methods.augment import AugmentedTraining, AugmentSettings
    from atk_latent.methods.augmentation import Augmentation
    from atk_latent.methods.base import Method
    from atk_latent.methods.bilateral import Bilateral, BilateralSettings
    from atk_latent.methods.boundaries import BoundarySettings
    from atk_latent.methods.early_stopping import EarlyStopping
    from atk_latent.methods.extra_data import ExtraData
    from atk_latent.methods.feature_scattering import FeatureScattering, FeatureScatteringSettings
    from atk_latent.methods.fixed_set import FixedSet
    from atk_latent.methods.generator_training import GeneratorSettings
    from atk_latent.methods.ladder import (
        LADDER,
        LADDERGAN,
        LADDERCavRandom,
        LADDERCavRandomSettings,
        LADDERGANSettings,
        LADDERRandom,
        LADDERRandomSettings,
        LADDERSettings,
    )
    from atk_latent.methods.lat import LAT, AdversarialStage, LatentAttack, LATSettings
    from atk_latent.methods.mart import MART, MARTSettings
    from atk_latent.methods.natural import Natural
    from atk_latent.methods.optimizers import Optimizer
    from atk_latent.methods.presets import resolve
    from atk_latent.methods.settings import MethodSettings
    from atk_latent.methods.tla import TLA, TLASettings
    from atk_latent.methods.trades import TRADES, TRADESLADDER, TRADESLADDERSettings, TRADESSettings
    from atk_latent.methods.weight_perturbation import WeightPerturbation

_MODULES = {
    "ATLD": "atld",
    "ATLDSettings": "atld_settings",
    "AdversarialStage": "lat",
    "AugmentSettings": "augment",
    "Augmentation": "augmentation",
    "AugmentedTraining": "augment",
    "Bilateral": "bilateral",
    "BilateralSettings": "bilateral",
    "BoundarySettings": "boundaries",
    "Crafting": "atld_settings",
    "DiscriminatorSettings": "atld_settings",
    "Divergence": "atld_settings",
    "EarlyStopping": "early_stopping",
    "ExtraData": "extra_data",
    "FGSMSettings": "adversarial",
    "FGSMTraining": "adversarial",
    "FeatureScattering": "feature_scattering",
    "FeatureScatteringSettings": "feature_scattering",
    "FixedSet": "fixed_set",
    "FreeSettings": "adversarial",
    "FreeTraining": "adversarial",
    "GeneratorSettings": "generator_training",
    "IMTDefaults": "atld_settings",
    "LADDER": "ladder",
    "LADDERCavRandom": "ladder",
    "LADDERCavRandomSettings": "ladder",
    "LADDERGAN": "ladder",
    "LADDERGANSettings": "ladder",
    "LADDERRandom": "ladder",
    "LADDERRandomSettings": "ladder",
    "LADDERSettings": "ladder",
    "LAT": "lat",
    "LATSettings": "lat",
    "LatentAttack": "lat",
    "MART": "mart",
    "MARTSettings": "mart",
    "Method": "base",
    "MethodSettings": "settings",
    "Natural": "natural",
    "Optimizer": "optimizers",
    "PGDSettings": "adversarial",
    "PGDTraining": "adversarial",
    "TLA": "tla",
    "TLASettings": "tla",
    "TRADES": "trades",
    "TRADESLADDER": "trades",
    "TRADESLADDERSettings": "trades",
    "TRADESSettings": "trades",
    "WeightPerturbation": "weight_perturbation",
    "resolve": "presets",
}
__all__ = [
    "ATLD",
    "ATLDSettings",
    "AdversarialStage",
    "AugmentSettings",
    "Augmentation",
    "AugmentedTraining",
    "Bilateral",
    "BilateralSettings",
    "BoundarySettings",
    "Crafting",
    "DiscriminatorSettings",
    "Divergence",
    "EarlyStopping",
    "ExtraData",
    "FGSMSettings",
    "FGSMTraining",
    "FeatureScattering",
    "FeatureScatteringSettings",
    "FixedSet",
    "FreeSettings",
    "FreeTraining",
    "GeneratorSettings",
    "IMTDefaults",
    "LADDER",
    "LADDERCavRandom",
    "LADDERCavRandomSettings",
    "LADDERGAN",
    "LADDERGANSettings",
    "LADDERRandom",
    "LADDERRandomSettings",
    "LADDERSettings",
    "LAT",
    "LATSettings",
    "LatentAttack",
    "MART",
    "MARTSettings",
    "Method",
    "MethodSettings",
    "Natural",
    "Optimizer",
    "PGDSettings",
    "PGDTraining",
    "TLA",
    "TLASettings",
    "TRADES",
    "TRADESLADDER",
    "TRADESLADDERSettings",
    "TRADESSettings",
    "WeightPerturbation",
    "resolve",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
