"""Whether the logits of a model have gradients with respect to the images."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from atk_latent.models.latent import leaves


def has_gradients(model: keras.Model, image_shape: Sequence[int]) -> bool:
    """Whether images of noise get a gradient. Models whose layers are Keras' own always do.

    A SavedModel may hold operations without one (rounding, whole numbers, decoded files), or may
    have been saved without those of its custom operations.

    Args:
        model: images (batch, height, width, channels) in [0, 1] to logits.
        image_shape: (height, width, channels).
    """
    if not any(isinstance(layer, keras.layers.TFSMLayer) for layer in leaves(model)):
        return True
    x = tf.constant(np.random.default_rng(0).random((2, *image_shape), np.float32))
    try:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(model(x, training=False) ** 2)
        return tape.gradient(loss, x) is not None
    except (LookupError, TypeError, ValueError, tf.errors.OpError):
        return False
