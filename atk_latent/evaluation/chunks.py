"""Some attacked images and what the target made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from atk_latent.results.diagnostics import Diagnostics


@dataclass(frozen=True)
class Chunk:
    """Some attacked images and what the target made of them.

    Args:
        start: index of the first.
        x_adv: float32 (m, height, width, channels) in [0, 1]; None where the chunk comes
            from a store, which keeps no images.
        predictions: int64 (m,), the target's classes of `x_adv`.
        robust: bool (m,), right before and after the attack.
        linf: float64 (m,), largest change of a value.
        l2: float64 (m,), Euclidean size of the change.
        seconds: crafting and scoring.
        diagnostics: what the attack itself says of the chunk, or None.
        examples: some of its images, see `samples.examples`; none where nobody asked, or
            where a store of an earlier version kept none.
    """

    start: int
    x_adv: np.ndarray | None
    predictions: np.ndarray
    robust: np.ndarray
    linf: np.ndarray
    l2: np.ndarray
    seconds: float
    diagnostics: Diagnostics | None = None
    examples: Sequence[Mapping[str, Any]] = ()
