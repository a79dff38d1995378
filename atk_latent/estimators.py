"""Classifiers as ART estimators. Importing this module imports neither TensorFlow nor ART."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atk_latent.art_bridge.estimator import CompiledKerasClassifier, estimator_for
    from atk_latent.art_bridge.imt import IMTPreprocessor
    from atk_latent.art_bridge.unit_pixels import UnitPixels

__all__ = ["CompiledKerasClassifier", "IMTPreprocessor", "UnitPixels", "estimator_for"]

_MODULES = {
    "CompiledKerasClassifier": "estimator",
    "IMTPreprocessor": "imt",
    "UnitPixels": "unit_pixels",
    "estimator_for": "estimator",
}


def __getattr__(name: str) -> Any:
    """Imports a name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"atk_latent.art_bridge.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
