"""How a model classifies images as they are."""

from __future__ import annotations

import keras
import numpy as np

from atk_latent.results.accuracy import Accuracy


def clean_accuracy(
    model: keras.Model, x: np.ndarray, y: np.ndarray, batch_size: int = 500
) -> Accuracy:
    """Share of images whose largest logit is the label, with its 95% Wilson interval.

    Args:
        model: ends in logits.
        x: float32 images (n, height, width, channels) in [0, 1].
        y: int64 labels (n,).
        batch_size: images at once.

    Raises:
        InputError: if there is no image.
    """
    logits = model.predict(x, batch_size=batch_size, verbose=0)
    return Accuracy.of(np.argmax(logits, axis=1) == y)
