"""Latent-space adversarial defences for Keras 3 / TensorFlow, dressed for ART.

Importing this package imports neither TensorFlow nor ART.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "ATLD": "atk_latent.methods.atld",
    "ATLDTrainer": "atk_latent.art_bridge.trainers",
    "IMTClassifier": "atk_latent.inference.imt",
    "IMTPreprocessor": "atk_latent.art_bridge.imt",
    "ManifoldAttack": "atk_latent.art_bridge.atld_attacks",
    "Dataset": "atk_latent.data.dataset",
    "InputError": "atk_latent.errors",
    "LADDER": "atk_latent.methods.ladder",
    "LADDERAttack": "atk_latent.art_bridge.attacks",
    "LADDERTrainer": "atk_latent.art_bridge.trainers",
    "AugmentTrainer": "atk_latent.art_bridge.trainers",
    "BilateralTrainer": "atk_latent.art_bridge.trainers",
    "FeatureScatteringTrainer": "atk_latent.art_bridge.trainers",
    "LATTrainer": "atk_latent.art_bridge.trainers",
    "TLATrainer": "atk_latent.art_bridge.trainers",
    "FGSMTrainer": "atk_latent.art_bridge.trainers",
    "FreeTrainer": "atk_latent.art_bridge.trainers",
    "MARTTrainer": "atk_latent.art_bridge.trainers",
    "PGDTrainer": "atk_latent.art_bridge.trainers",
    "TRADESLADDERTrainer": "atk_latent.art_bridge.trainers",
    "TRADESTrainer": "atk_latent.art_bridge.trainers",
    "FastPGD": "atk_latent.art_bridge.fast_attacks",
    "MarginPGD": "atk_latent.art_bridge.fast_attacks",
    "APGD": "atk_latent.art_bridge.fast_attacks",
    "APGDTargeted": "atk_latent.art_bridge.fast_attacks",
    "FAB": "atk_latent.art_bridge.fast_attacks",
    "FABTargeted": "atk_latent.art_bridge.fast_attacks",
    "FastSquare": "atk_latent.art_bridge.fast_attacks",
    "RayS": "atk_latent.art_bridge.fast_attacks",
    "FastCarliniL2": "atk_latent.art_bridge.fast_attacks",
    "FastJSMA": "atk_latent.art_bridge.fast_attacks",
    "StandardAutoAttack": "atk_latent.art_bridge.fast_attacks",
    "UnrestrictedGAN": "atk_latent.art_bridge.unrestricted",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'atk_latent' has no attribute '{name}'")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    """The public names, for who asks with the tab key."""
    return sorted(__all__)
