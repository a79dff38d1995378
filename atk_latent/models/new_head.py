"""A trained classifier for other classes: its body with a new last layer."""

from __future__ import annotations

import keras
from keras import layers

from atk_latent.models import initialising as init
from atk_latent.models.latent import latent_width, split


def with_new_head(classifier: keras.Model, num_classes: int, seed: int = 0) -> keras.Model:
    """The classifier up to its latent layer, with a Dense layer of new weights on top.

    The body is shared, not copied: training the new model trains the old one's, too.

    Args:
        classifier: a Keras model that `models.latent.split` can cut.
        num_classes: int >= 2, of the new layer.
        seed: int >= 0 of its weights.

    Returns:
        An uncompiled model: images to float32 logits (batch, num_classes).

    Raises:
        InputError: if the classifier cannot be cut, or there are too few classes.

    Reference: Hendrycks et al. 2019, "Using pre-training can improve model robustness and
        uncertainty".
    """
    classes = init.checked_count("num_classes", num_classes, 2)
    features, _ = split(classifier)
    latent = layers.Flatten()(features.outputs[0])
    last = init.logits(classes, latent_width(features), init.Seeds(seed))
    return keras.Model(features.inputs[0], last(latent), name=f"{classifier.name}_new_head")
