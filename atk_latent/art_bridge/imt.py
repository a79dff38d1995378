"""IMT inside ART: a preprocessor that attacks see through, and estimators of the whole pipeline."""

from __future__ import annotations

import functools

import tensorflow as tf
from art.defences.preprocessor.preprocessor import PreprocessorTensorFlowV2

from atk_latent.adversaries.latent_discriminator import LatentDiscriminator
from atk_latent.art_bridge.estimator import CompiledKerasClassifier, estimator_for
from atk_latent.inference.imt import IMT, Backward, IMTClassifier, IMTSettings, Variant


class IMTPreprocessor(PreprocessorTensorFlowV2):
    """IMT as an ART preprocessor, for prediction only.

    Give it to a `TensorFlowV2Classifier` as ``preprocessing_defences``: predictions go through
    IMT, and so do gradients, with the estimate that `backward` names; see `IMT`.

    Args:
        manifold: of a trained game, `ATLD.manifold`.
        settings: see `IMTSettings`, in [0, 1] pixels. variant: "imt" or "imt+".
        backward, sharpness: see `IMT`.
        clip_values: (low, high), the estimator's own pixel range.

    Raises:
        InputError: for a setting that will not do.

    Example:
        >>> import keras, numpy as np
        >>> from atk_latent.estimators import IMTPreprocessor
        >>> from atk_latent.methods import ATLD
        >>> layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(8)]
        >>> network = keras.Sequential([*layers, keras.layers.ReLU(), keras.layers.Dense(4)])
        >>> defence = IMTPreprocessor(ATLD(network).manifold)
        >>> images, _ = defence(np.full((3, 4, 4, 1), 0.5, np.float32))
        >>> images.shape
        (3, 4, 4, 1)
    """

    params = ["variant", "backward", "sharpness", "clip_values"]

    def __init__(
        self,
        manifold: LatentDiscriminator,
        settings: IMTSettings | None = None,
        *,
        variant: Variant = "imt",
        backward: Backward = "identity",
        sharpness: float = 10.0,
        clip_values: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        super().__init__(is_fitted=True, apply_fit=False, apply_predict=True)
        self.variant, self.backward, self.sharpness = variant, backward, sharpness
        self.clip_values = clip_values
        imt = functools.partial(IMT, manifold, settings, variant=variant, sharpness=sharpness)
        self.estimate = imt(backward=backward)
        self.transform = imt(backward="identity" if backward == "smooth" else backward)

    def forward(
        self, x: tf.Tensor, y: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """The images as they are classified."""
        return self._scaled(self.transform, x), y

    def estimate_forward(self, x: tf.Tensor, y: tf.Tensor | None = None) -> tf.Tensor:
        """What ART differentiates in place of `forward`: the surrogate where there is one."""
        del y
        return self._scaled(self.estimate, x)

    def _scaled(self, transform: IMT, x: tf.Tensor) -> tf.Tensor:
        low, high = self.clip_values
        return low + (high - low) * transform((tf.cast(x, tf.float32) - low) / (high - low))


def pipeline_estimator(
    deployed: IMTClassifier, *, backward: Backward, sharpness: float = 10.0, batch_size: int = 256
) -> CompiledKerasClassifier:
    """The estimator of classifier and IMT together, whose gradients go through IMT.

    Args:
        deployed: the classifier behind IMT. backward, sharpness: see `IMT`.
        batch_size: images at once.
    """
    known = deployed.transform
    transform = IMT(
        known.manifold,
        known.settings,
        variant=known.variant,
        backward=backward,
        sharpness=sharpness,
    )
    return estimator_for(IMTClassifier(transform), batch_size=batch_size)
