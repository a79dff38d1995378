"""What happens to an image between its arrival and its classification.

Importing this package imports no TensorFlow; a class is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atk_latent.inference.imt import IMT, IMTClassifier, IMTSettings

__all__ = ["IMT", "IMTClassifier", "IMTSettings"]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.imt"), name)


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
