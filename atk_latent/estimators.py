"""Classifiers as ART estimators. Importing this module imports neither TensorFlow nor ART."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atk_latent.lazy import lazy

if TYPE_CHECKING:
    from atk_latent.art_bridge.estimator import (
        CompiledKerasClassifier as CompiledKerasClassifier,
        estimator_for as estimator_for,
    )
    from atk_latent.art_bridge.imt import (
        IMTPreprocessor as IMTPreprocessor,
    )
    from atk_latent.art_bridge.unit_pixels import (
        UnitPixels as UnitPixels,
    )

__getattr__, __dir__, __all__ = lazy(__name__, __file__)
