"""Classifiers, generators and discriminators; loading, wrapping and cutting them.

Importing this package imports no TensorFlow; a function is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from atk_latent.lazy import lazy

if TYPE_CHECKING:
    from atk_latent.models.endings import (
        as_logits as as_logits,
    )
    from atk_latent.models.loading import (
        load_classifier as load_classifier,
    )
    from atk_latent.models.wrapping import (
        wrap as wrap,
    )

__getattr__, __dir__, __all__ = lazy(__name__, __file__)
