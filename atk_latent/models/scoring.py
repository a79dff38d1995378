"""What a model makes of images as they are."""

from __future__ import annotations

import keras
import numpy as np


def clean_accuracy(
    model: keras.Model, x: np.ndarray, y: np.ndarray, batch_size: int = 500
) -> float:
    """Share of images whose largest logit is the label, in [0, 1]."""
    logits = model.predict(x, batch_size=batch_size, verbose=0)
    return float(np.mean(np.argmax(logits, axis=1) == y))
