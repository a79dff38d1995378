"""Latent-space adversarial defences for Keras 3 / TensorFlow, dressed for ART.

Importing this package imports neither TensorFlow nor ART.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Dataset": "atk_latent.data.dataset",
    "InputError": "atk_latent.errors",
    "LADDER": "atk_latent.methods.ladder",
    "LADDERAttack": "atk_latent.art_bridge.attacks",
    "LADDERTrainer": "atk_latent.art_bridge.trainers",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'atk_latent' has no attribute '{name}'")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
