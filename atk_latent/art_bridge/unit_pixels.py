"""An ART estimator's classifier, seen as a model of images in [0, 1]."""

from __future__ import annotations

import keras
import numpy as np
from art.estimators.classification import TensorFlowV2Classifier
from keras import layers

from atk_latent.errors import InputError
from atk_latent.models.endings import as_logits
from atk_latent.pixels import PixelRange, standardisation


class UnitPixels:
    """The classifier of an ART estimator, seen as a model of images in [0, 1].

    ART estimators take pixels in `clip_values` and may standardise them; the methods here
    work in [0, 1]. The model returned shares its weights with the estimator's.

    Args:
        classifier: ART's `TensorFlowV2Classifier` or ours, around a Keras model.

    Raises:
        InputError: if it is another kind of estimator, has preprocessing other than (mean,
            std), no clip values or one for each channel, or a model whose logits cannot be had.

    Example:
        >>> import keras, numpy as np
        >>> from atk_latent.estimators import CompiledKerasClassifier, UnitPixels
        >>> layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> estimator = CompiledKerasClassifier(keras.Sequential(layers), clip_values=(0, 255))
        >>> view = UnitPixels(estimator)
        >>> view.images(np.full((1, 4, 4, 1), 51.0))[0, 0, 0]
        array([0.2], dtype=float32)
    """

    def __init__(self, classifier: TensorFlowV2Classifier) -> None:
        if not isinstance(classifier, TensorFlowV2Classifier):
            raise InputError(
                "the classifier must be an ART TensorFlowV2Classifier. "
                f"Received: {type(classifier).__name__}"
            )
        model = getattr(classifier, "logits_model", classifier.model)
        if not isinstance(model, keras.Model):
            raise InputError(
                "the classifier's model must be a Keras 3 model. "
                f"Received: {type(model).__module__}.{type(model).__name__}"
            )
        if classifier.preprocessing_defences:
            raise InputError("preprocessing defences are not supported; train without them")
        model = as_logits(model)
        self.range = self._range(classifier)
        self.model = self._wrapped(classifier, model)

    @staticmethod
    def _range(classifier: TensorFlowV2Classifier) -> PixelRange:
        if classifier.clip_values is None:
            raise InputError(
                "the classifier needs clip_values, the range of its pixels: (0, 1) or (0, 255)"
            )
        if any(np.ptp(value) for value in classifier.clip_values):
            raise InputError(
                "clip_values must be the same for every pixel: two numbers. "
                f"Received: {classifier.clip_values}"
            )
        low, high = (float(np.max(value)) for value in classifier.clip_values)
        return PixelRange(low, high)

    def _wrapped(self, classifier: TensorFlowV2Classifier, model: keras.Model) -> keras.Model:
        scaling = self.range.layers()
        for step in classifier.preprocessing_operations:
            mean, std = getattr(step, "mean", None), getattr(step, "std", None)
            if mean is None or std is None:
                raise InputError(
                    "the classifier's preprocessing must be (mean, std). "
                    f"Received: {type(step).__name__}"
                )
            scaling += standardisation(mean, std)
        if not scaling and getattr(model, "inputs", None):
            return model
        return keras.Sequential([layers.Input(classifier.input_shape), *scaling, model])

    def images(self, x: np.ndarray) -> np.ndarray:
        """Images of the estimator as float32 in [0, 1].

        Raises:
            InputError: if pixels lie outside the clip values.
        """
        return self.range.to_unit(x)

    def pixels(self, images: np.ndarray) -> np.ndarray:
        """Images in [0, 1] in the estimator's own range."""
        return self.range.from_unit(images)
