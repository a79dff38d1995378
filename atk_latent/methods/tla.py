"""TLA: adversarial training with a triplet loss on latents."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal, NamedTuple

import keras
import tensorflow as tf

from atk_latent.adversaries.latent_discriminator import flat
from atk_latent.config import check_range
from atk_latent.labels import label_tensor
from atk_latent.methods.adversarial import PGDSettings, PGDTraining
from atk_latent.methods.base import Batch, Logits, Weights
from atk_latent.models.latent import split
from atk_latent.models.replicas import mine, whole

Positives = Literal["class", "own", "both"]


@dataclasses.dataclass(frozen=True)
class TLASettings(PGDSettings):
    """How images are crafted and latents pulled together; see `PGDSettings` for the rest.

    Args:
        triplet_weight: float >= 0 (lambda 1), of each triplet loss.
        margin: float >= 0 (alpha), by which the negative must be farther than the positive.
        norm_weight: float >= 0 (lambda 2), of the mean squares of the latents of a triplet.
        positives: what an adversarial latent is pulled to: "class", that of another clean
            image of its class; "own", that of its original; "both", in
            two triplets.
        latent_layer: whose output the latents are; None is the input of the last Dense layer.

    Example:
        >>> from atk_latent.methods import TLASettings
        >>> TLASettings(positives="both", triplet_weight=2.0).margin
        0.05
    """

    triplet_weight: float = 0.5
    margin: float = 0.05
    norm_weight: float = 1e-4
    positives: Positives = "class"
    latent_layer: str | None = None

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        super().__post_init__()
        for name in ("triplet_weight", "margin", "norm_weight"):
            check_range(name, getattr(self, name), 0)


class Passed(NamedTuple):
    """A batch after its pass forward: logits (B, K) and latents (B, ...) of both halves."""

    logits: tf.Tensor
    logits_adv: tf.Tensor
    latents: tf.Tensor
    latents_adv: tf.Tensor


def angular_distance(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """D(a, b) = 1 - |cos(a, b)| of each row, (B,); inputs (B, N)."""
    return 1.0 - tf.abs(tf.reduce_sum(_unit(a) * _unit(b), axis=-1))


def nearest_negatives(
    anchors: tf.Tensor, latents: tf.Tensor, y: tf.Tensor, classes: tf.Tensor | None = None
) -> tf.Tensor:
    """The row of another class with the most similar latent, for each anchor, int32 (B,).

    Args:
        anchors: (B, N). latents: (M, N). y: int32 (B,), the classes of the anchors.
        classes: int32 (M,), those of the latents; None where they are the same.
    """
    similar = tf.matmul(_unit(anchors), _unit(latents), transpose_b=True)
    same = _same(y, y if classes is None else classes)
    return tf.argmax(tf.where(same, -2.0, similar), axis=-1, output_type=tf.int32)


def same_class(y: tf.Tensor, drawn: tf.Tensor) -> tf.Tensor:
    """A row of the same class for each row: another one where there is one, int32 (B,).

    Args:
        y: int32 (B,). drawn: float32 (B, B) in [0, 1), which decides among several.
    """
    chances = tf.where(_same(y, y), 1.0 + drawn, 0.0)
    chances = tf.linalg.set_diag(chances, tf.fill(tf.shape(y), 0.5))
    return tf.argmax(chances, axis=1, output_type=tf.int32)


class TLA(PGDTraining):
    """Adversarial training that keeps the latents of a class together under attack.

    The loss is

        J(x_adv, y) + lambda_1 [D(z_adv, z_p) - D(z_adv, z_n) + alpha]_+ + norm,

    for each positive p of `positives`, with the nearest clean latent of another class as the
    negative n, all of them of the batch. norm is lambda_1 * lambda_2 times the mean square of
    the three latents.

    Args:
        classifier: Keras model, images (B, H, W, C) in [0, 1] to logits (B, K).
        settings: see `TLASettings`.
        seed: int >= 0, of the order of the data, random starts and positives.

    Raises:
        InputError: if the classifier cannot be cut at the latent layer.

    Reference: Mao et al., NeurIPS 2019; loss and settings of its published code.
    Differs: positives and negatives are rows of the batch itself, chosen by the latents of the
        training pass; the published code draws them from further batches (ten of them on
        CIFAR-10) by latents in inference mode. That code fine-tunes an adversarially trained
        model on CIFAR-10; here training starts from scratch, or from a trained model.
        On MNIST it adds 2e-4 times half the squared weights to the loss, here nothing.

    Example:
        >>> import keras, numpy as np
        >>> from atk_latent.methods import Optimizer, TLA, TLASettings
        >>> layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> x = np.random.default_rng(0).random((32, 4, 4, 1), np.float32)
        >>> y = (x.mean(axis=(1, 2, 3)) > 0.5).astype(int)
        >>> settings = TLASettings(optimizer=Optimizer(epochs=2), steps=2)
        >>> method = TLA(keras.Sequential(layers), settings)
        >>> logs = method.harden(x, y)
        >>> len(logs), 0 <= logs[-1]["adversarial_accuracy"] <= 1
        (2, True)
    """

    settings_type: ClassVar[type[TLASettings]] = TLASettings
    settings: TLASettings

    def __init__(
        self, classifier: keras.Model, settings: TLASettings | None = None, *, seed: int = 0
    ) -> None:
        super().__init__(classifier, settings, seed=seed)
        self.alpha = 0.5  # both halves of a batch are needed
        self.features, self.head = split(classifier, self.settings.latent_layer)

    def call(self, inputs: Batch, training: bool | None = None) -> Batch:
        """Logits of images; logits and latents of a pair of image batches."""
        if not isinstance(inputs, tuple | list):
            return super().call(inputs, training)
        latents = [self.features(images, training=training) for images in inputs]
        return Passed(*(self.head(z, training=training) for z in latents), *latents)

    def method_loss(self, y: Batch, y_pred: Logits, weight: Weights, training: bool) -> tf.Tensor:
        """Loss of the adversarial images, and of the triplets they are in."""
        passed = Passed(*y_pred)
        triplets = self.mean(self.triplet_loss(passed, label_tensor(y)), weight)
        loss = self.compiled_loss(y, passed.logits_adv, weight, training)
        if self.settings.alpha:
            clean = self.compiled_loss(y, passed.logits, weight, training)
            loss = self.settings.alpha * clean + (1 - self.settings.alpha) * loss
        return loss + self.settings.triplet_weight * triplets

    def triplet_loss(self, passed: Passed, y: tf.Tensor) -> tf.Tensor:
        """The hinge and the norm of each row's triplets, float32 (B,); y int32 (B,)."""
        settings = self.settings
        clean, anchor = flat(passed.latents), flat(passed.latents_adv)
        everyone, classes = whole(clean), whole(y)
        positives = {"own": clean}
        if settings.positives != "own":
            shape = tf.shape(_same(classes, classes))
            chosen = same_class(classes, keras.random.uniform(shape, seed=self.seeds))
            positives["class"] = tf.gather(everyone, mine(chosen, y))
        if settings.positives != "both":
            positives = {settings.positives: positives[settings.positives]}
        negative = tf.gather(everyone, nearest_negatives(anchor, everyone, y, classes))
        to_negative = angular_distance(anchor, negative)
        exists = tf.cast(tf.reduce_any(~_same(y, classes), axis=1), tf.float32)
        total = tf.zeros_like(to_negative)
        for positive in positives.values():
            gap = angular_distance(anchor, positive) - to_negative + settings.margin
            squares = tf.add_n([tf.square(z) for z in (anchor, positive, negative)])
            norm = tf.reduce_mean(squares, axis=-1)
            total += exists * (tf.nn.relu(gap) + settings.norm_weight * norm)
        return total

    def compute_metrics(
        self, x: Batch, y: Batch, y_pred: Batch, sample_weight: Weights = None
    ) -> dict[str, tf.Tensor]:
        """Those of every method; latents have none."""
        if isinstance(y_pred, Passed):
            y_pred = (y_pred.logits, y_pred.logits_adv)
        return super().compute_metrics(x, y, y_pred, sample_weight)


def _unit(latents: tf.Tensor) -> tf.Tensor:
    return tf.math.l2_normalize(latents, axis=-1, epsilon=1e-12)


def _same(y: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Which pairs of rows are of one class, bool (B, M)."""
    return y[:, None] == others[None, :]
