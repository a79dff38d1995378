"""How a model classifies images as they are."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from atk_latent.results.accuracy import Accuracy


def outputs(model: keras.Model, x: np.ndarray, batch_size: int = 500) -> Any:
    """What `model` makes of an array, batch by batch, as `predict` does, but in this process
    alone, whatever distribution strategy the model was made under.

    Args:
        model: images or latents to an array, or a list of arrays. x: (n, ...).
        batch_size: rows at once.
    """
    strategy, model._distribute_strategy = model._distribute_strategy, None
    try:
        return model.predict(x, batch_size=batch_size, verbose=0)
    finally:
        model._distribute_strategy = strategy


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
    logits = outputs(model, x, batch_size)
    return Accuracy.of(np.argmax(logits, axis=1) == y)
