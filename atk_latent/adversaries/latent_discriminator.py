"""A classifier together with a discriminator of its latents: clean or adversarial."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Literal

import keras
import tensorflow as tf

from atk_latent.errors import InputError
from atk_latent.models.latent import latent_width, split

ADVERSARIAL, CLEAN = 0, 1  # the classes of `LatentDiscriminator.verdict`
Latent = Literal["features", "logits"]


class LatentDiscriminator:
    """A classifier and a discriminator of its latents, which tells clean from adversarial.

    The discriminator's score is the logit of p, the probability of a CLEAN latent, as in the
    published code; the paper's D0, the probability of an adversarial one, is 1 - p.

    Args:
        classifier: Keras model, images (B, H, W, C) to logits (B, K).
        discriminator: Keras model, latents (B, N) to score (B,) and class logits (B, K).
        latent: what the discriminator sees: "features", the output of `layer`, or "logits".
        layer: see `models.latent.split`; for "features" only.

    Raises:
        InputError: if the two do not fit, or the classifier has no such layer.
    """

    def __init__(
        self,
        classifier: keras.Model,
        discriminator: keras.Model,
        *,
        latent: Latent = "features",
        layer: str | None = None,
    ) -> None:
        self.classifier, self.discriminator = classifier, discriminator
        self.latent, self.layer = latent, layer
        self.features, self.head = encoder(classifier, latent, layer)
        width, wanted = latent_width(self.features), discriminator.inputs[0].shape[-1]
        if width != wanted:
            raise InputError(
                f"the discriminator reads latents of {wanted} numbers, but those of the "
                f"classifier ({latent}) have {width}. Train a discriminator for this latent"
            )

    def __getstate__(self) -> dict[str, object]:
        """The two networks and where they meet; the classifier is split again in a copy."""
        return {**self.__dict__, "features": None, "head": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Splits the copied classifier."""
        self.__dict__.update(state)
        self.features, self.head = encoder(self.classifier, self.latent, self.layer)

    def latents(self, x: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        """What `logits` goes on from and, flat, the discriminator reads; (B, N) or (B, h, w, c)."""
        return self.features(x, training=training)

    def logits(self, latents: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        """Logits of latents, float32 (B, K)."""
        outputs = latents if self.head is None else self.head(latents, training=training)
        return tf.cast(outputs, tf.float32)

    def judge(
        self, latents: tf.Tensor, *, batch_statistics: bool = False, move_statistics: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Score (B,) and class logits (B, K) of latents.

        Changes nothing in the discriminator but, where that is asked for, its statistics.

        Args:
            latents: of `latents`.
            batch_statistics: normalise by the batch, as in training, instead of by the
                running statistics, which are left as they are.
            move_statistics: with `batch_statistics`, let the batch move the running ones.
        """
        kept = batch_statistics and not move_statistics
        keep = keras.StatelessScope() if kept else contextlib.nullcontext()
        with keep:
            score, classes = self.discriminator(flat(latents), training=batch_statistics)
        return tf.cast(score, tf.float32), tf.cast(classes, tf.float32)

    def score(self, x: tf.Tensor) -> tf.Tensor:
        """The logit of p for each image, float32 (B,)."""
        return self.judge(self.latents(x))[0]

    def verdict(self, x: tf.Tensor) -> tf.Tensor:
        """The discriminator as a classifier of images, logits (B, 2): `ADVERSARIAL`, `CLEAN`.

        Its softmax is (D0, p), so climbing the loss of `CLEAN` is Eq 13 and descending it
        Eq 8, with any adversary.
        """
        return as_verdict(self.score(x))


def encoder(
    classifier: keras.Model, latent: Latent, layer: str | None = None
) -> tuple[keras.Model, keras.Model | None]:
    """Images to latents, and latents to logits; no second model where the latents are logits."""
    return (classifier, None) if latent == "logits" else split(classifier, layer)


def as_verdict(score: tf.Tensor) -> tf.Tensor:
    """Scores (B,) as logits of two classes (B, 2)."""
    return tf.stack([tf.zeros_like(score), score], axis=-1)


def flat(latents: tf.Tensor) -> tf.Tensor:
    """Latents as float32 (B, N)."""
    latents = tf.cast(latents, tf.float32)
    return tf.reshape(latents, [-1, latents.shape[1:].num_elements()])


def with_score(manifold: LatentDiscriminator) -> Callable[[tf.Tensor], tf.Tensor]:
    """Images to (B, K + 1): the logits and, last, the clean score, from one forward pass."""

    def both(x: tf.Tensor) -> tf.Tensor:
        latents = manifold.latents(x)
        score = manifold.judge(latents)[0]
        return tf.concat([manifold.logits(latents), score[:, None]], axis=-1)

    return both


def all_of(label: int, x: tf.Tensor) -> tf.Tensor:
    """`label` for each image of `x`, int32 (B,)."""
    return tf.fill([tf.shape(x)[0]], label)
