"""What happens to an image between its arrival and its classification.

Importing this package imports no TensorFlow; a class is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from atk_latent.lazy import lazy

if TYPE_CHECKING:
    from atk_latent.inference.imt import (
        IMT as IMT,
        IMTClassifier as IMTClassifier,
        IMTSettings as IMTSettings,
    )

__getattr__, __dir__, __all__ = lazy(__name__, __file__)
