"""IMT: an image is moved towards the clean manifold before it is classified."""

from __future__ import annotations

import dataclasses
from typing import Literal

import keras
import tensorflow as tf

from atk_latent.adversaries.latent_discriminator import LatentDiscriminator, as_verdict
from atk_latent.config import check_range
from atk_latent.errors import InputError
from atk_latent.results.threat import BACKWARD_WORDS

Variant = Literal["imt", "imt+"]
Backward = Literal["identity", "exact", "straight-through", "smooth"]
VARIANTS: tuple[str, ...] = ("imt", "imt+")
BACKWARDS = tuple(BACKWARD_WORDS)


@dataclasses.dataclass(frozen=True)
class IMTSettings:
    """How far an image moves.

    The rule of the paper's section IV-B, a smaller move where the adversarial probability D0 is
    below a threshold t, is `low` = 1 - t, `high` = 2.

    Args:
        step_size: float >= 0, magnitude of the move in [0, 1] pixels (the published q).
        radius: float >= 0, most a pixel may move: the move is projected on the ball around
            the INCOMING image, as published. The ball around the clean image, which would be
            the honest one for an attacked image, cannot be had: nobody knows that image. So
            the final image may be eps + radius away from it.
        low, high: strictly between these probabilities p of being clean, IMT+ moves by
            `magnitude` (float in [0, 1]) times as much.
        scale_radius: whether IMT+ multiplies the radius, too (published for SVHN, and for
            clean CIFAR-100 images).
        bounds: (low, high), the legal pixel range.
        clean_high: `high` for images that are known to be clean; None is the same. The
            published SVHN evaluation has 0.7 for images as they come and 0.6 for attacked ones.
        fgsm_factor: float >= 0, times `step_size` for images that are known to be attacked by
            FGSM. The published step is 4 steps of the attack: 32/255 for FGSM, which `radius`
            cuts to 8/255, half of it too, so that IMT+ does what IMT does.
        told: what is known of the images, to do as the published evaluation does. "nothing" is
            what a deployed model knows: it cannot tell clean images from attacked ones.

    Raises:
        InputError: for values out of range.

    Example:
        >>> from atk_latent.inference import IMTSettings
        >>> IMTSettings(step_size=0.1, radius=0.1, high=0.6).magnitude
        0.5
    """

    step_size: float = 8 / 255
    radius: float = 8 / 255
    low: float = 0.3
    high: float = 0.7
    magnitude: float = 0.5
    scale_radius: bool = False
    bounds: tuple[float, ...] = (0.0, 1.0)
    clean_high: float | None = None
    fgsm_factor: float = 1.0
    told: Literal["nothing", "clean", "fgsm"] = "nothing"

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        check_range("step_size", self.step_size, 0)
        check_range("radius", self.radius, 0)
        check_range("magnitude", self.magnitude, 0, 1)
        check_range("fgsm_factor", self.fgsm_factor, 0)
        for name, high in (("high", self.high), ("clean_high", self.clean_high)):
            if high is not None and not self.low <= high:
                raise InputError(
                    f"setting 'low' must be at most '{name}'. Received: {self.low!r} and {high!r}"
                )
        if len(self.bounds) != 2 or not self.bounds[0] < self.bounds[1]:
            raise InputError(f"bounds must be (low, high), low < high. Received: {self.bounds!r}")

    def applied(self) -> IMTSettings:
        """The settings for images of which `told` is known, with nothing more to be told."""
        clean_high = self.clean_high if self.told == "clean" else None
        return dataclasses.replace(
            self,
            told="nothing",
            high=self.high if clean_high is None else clean_high,
            step_size=self.step_size * (self.fgsm_factor if self.told == "fgsm" else 1.0),
        )


class IMT:
    """Moves images against their adversarial probability: one sign step for each.

    x_t = clip(x - length * sign(gradient of log D0(f(x)))), without labels.

    Args:
        manifold: classifier and discriminator, both used in inference mode.
        settings: see `IMTSettings`.
        variant: "imt" moves every image by the full length (ATLD); "imt+" moves those the
            discriminator is unsure of by less (ATLD+).
        backward: what a gradient through the move sees; the move itself is the same for all
            but "smooth". "exact" is the derivative almost everywhere: 1, as a sign does
            not change, and 0 for a pixel that is clipped to the bounds. "identity" is 1 for
            every pixel. "straight-through" adds the derivative of the gradient's sign as if
            it were tanh(sharpness * g / mean |g|); in a network of ReLUs g itself is piecewise
            constant and it adds nothing. "smooth" moves along that tanh, too.
        sharpness: float > 0, of the tanh.

    Reference: ATLD Eq 8 and 27, sections IV-B and V-A; its published code.
    Differs: the gradient is that of the discriminator's score, which keeps its sign where
        the sigmoid saturates and the published one stands still.

    Example:
        >>> import keras, tensorflow as tf
        >>> from atk_latent.inference import IMT, IMTSettings
        >>> from atk_latent.methods import ATLD
        >>> layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
        >>> game = ATLD(keras.Sequential(layers))
        >>> IMT(game.manifold, IMTSettings(radius=0.1))(tf.zeros((2, 4, 4, 1))).shape
        TensorShape([2, 4, 4, 1])
    """

    def __init__(
        self,
        manifold: LatentDiscriminator,
        settings: IMTSettings | None = None,
        *,
        variant: Variant = "imt",
        backward: Backward = "identity",
        sharpness: float = 10.0,
    ) -> None:
        for name, value, known in (
            ("variant", variant, VARIANTS),
            ("backward", backward, tuple(BACKWARDS)),
        ):
            if value not in known:
                raise InputError(f"{name} must be one of {', '.join(known)}. Received: {value!r}")
        check_range("sharpness", sharpness, 1e-6)
        self.manifold, self.settings = manifold, (settings or IMTSettings()).applied()
        self.variant, self.backward, self.sharpness = variant, backward, sharpness

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """The images as they are classified, float32 of the shape of `x` (B, H, W, C)."""
        x = tf.cast(x, tf.float32)
        slope, score = self._slope(x)
        length = self._length(score, x)
        if self.backward in ("straight-through", "smooth"):
            mean = tf.reduce_mean(tf.abs(slope), axis=list(range(1, x.shape.rank)), keepdims=True)
            soft = tf.tanh(self.sharpness * tf.math.divide_no_nan(slope, tf.stop_gradient(mean)))
            hard = tf.sign(tf.stop_gradient(slope))
            direction = soft if self.backward == "smooth" else soft + tf.stop_gradient(hard - soft)
        else:
            direction = tf.sign(tf.stop_gradient(slope))
        moved = x + length * direction
        clipped = tf.clip_by_value(moved, *self.settings.bounds)
        return clipped if self.backward == "exact" else moved + tf.stop_gradient(clipped - moved)

    def _slope(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The score's gradient in each image, (B, H, W, C), and the score (B,)."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            score = self.manifold.score(x)
        return tape.gradient(score, x, unconnected_gradients="zero"), tf.stop_gradient(score)

    def _length(self, score: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """How far each image moves, (B, 1, 1, 1)."""
        settings = self.settings
        p = tf.nn.softmax(as_verdict(score))[:, 1]
        unsure = (p > settings.low) & (p < settings.high)
        halved = settings.magnitude if self.variant == "imt+" else 1.0
        factor = tf.where(unsure, halved, 1.0)
        radius = settings.radius * (factor if settings.scale_radius else tf.ones_like(factor))
        return tf.reshape(
            tf.minimum(settings.step_size * factor, radius), [-1, *([1] * (x.shape.rank - 1))]
        )


class IMTClassifier(keras.Model):
    """A classifier with IMT before it: images to logits, as the original.

    A Keras model for prediction: both networks run in inference mode whatever `training` says,
    and it has no trainable weights. The two networks stay as they are, trainable or not.
    Gradients flow through it as the transform's `backward` has it.

    Args:
        transform: see `IMT`.

    Raises:
        InputError: when it is made trainable.

    Example:
        >>> import keras, numpy as np
        >>> from atk_latent import IMTClassifier
        >>> from atk_latent.inference import IMT
        >>> from atk_latent.methods import ATLD
        >>> layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
        >>> game = ATLD(keras.Sequential(layers))
        >>> guarded = IMTClassifier(IMT(game.manifold, variant="imt+"))
        >>> guarded.predict(np.zeros((2, 4, 4, 1), np.float32), verbose=0).shape
        (2, 3)
    """

    def __init__(self, transform: IMT) -> None:
        super().__init__(name=f"{transform.manifold.classifier.name}_imt")
        self.transform = transform
        self.classifier = transform.manifold.classifier
        self.discriminator = transform.manifold.discriminator
        self.built = True  # its parts are

    def __reduce__(self) -> tuple[type[IMTClassifier], tuple[IMT]]:
        """Copied and pickled as what it is made of: Keras would need a config."""
        return IMTClassifier, (self.transform,)

    @property
    def trainable(self) -> bool:
        """False: this model has no weights to train, though the two inside it may have."""
        return False

    @trainable.setter
    def trainable(self, value: bool) -> None:
        if value:
            raise InputError(
                "an IMTClassifier is for prediction only. Train the classifier inside it, or make "
                "its adversarial images with through-imt"
            )

    def call(self, x: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Logits (B, K) of the moved images, float32."""
        del training
        return tf.cast(self.classifier(self.transform(x), training=False), tf.float32)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """That of the classifier."""
        return tuple(self.classifier.input_shape)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """That of the classifier."""
        return tuple(self.classifier.output_shape)
