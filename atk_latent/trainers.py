"""Every method as an ART trainer. Importing this module imports neither TensorFlow nor ART."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atk_latent.art_bridge.trainers import (
        ATLDTrainer,
        AugmentTrainer,
        BilateralTrainer,
        FeatureScatteringTrainer,
        FGSMTrainer,
        FreeTrainer,
        LADDERCavRandomTrainer,
        LADDERGANTrainer,
        LADDERRandomTrainer,
        LADDERTrainer,
        LATTrainer,
        MARTTrainer,
        MethodTrainer,
        NaturalTrainer,
        PGDTrainer,
        TLATrainer,
        TRADESLADDERTrainer,
        TRADESTrainer,
    )

__all__ = [
    "ATLDTrainer",
    "AugmentTrainer",
    "BilateralTrainer",
    "FGSMTrainer",
    "FeatureScatteringTrainer",
    "FreeTrainer",
    "LADDERCavRandomTrainer",
    "LADDERGANTrainer",
    "LADDERRandomTrainer",
    "LADDERTrainer",
    "LATTrainer",
    "MARTTrainer",
    "MethodTrainer",
    "NaturalTrainer",
    "PGDTrainer",
    "TLATrainer",
    "TRADESLADDERTrainer",
    "TRADESTrainer",
]


def __getattr__(name: str) -> Any:
    """Imports a trainer when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("atk_latent.art_bridge.trainers"), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
