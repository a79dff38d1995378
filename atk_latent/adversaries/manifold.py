"""Latent manifold adversarial examples: images whose latents a discriminator finds adversarial."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Literal

import keras
import tensorflow as tf

from atk_latent.adversaries import losses
from atk_latent.adversaries.base import Adversary, Classifier
from atk_latent.adversaries.gradient_ascent import AscentSettings, GradientAscent
from atk_latent.adversaries.noise import RowNoise
from atk_latent.errors import InputError
from atk_latent.models.latent import latent_width, split

ADVERSARIAL, CLEAN = 0, 1  # the classes of `Manifold.verdict`
Latent = Literal["features", "logits"]


class Manifold:
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
        self.features, self.head = encoder(classifier, latent, layer)
        width, wanted = latent_width(self.features), discriminator.inputs[0].shape[-1]
        if width != wanted:
            raise InputError(
                f"the discriminator reads latents of {wanted} numbers, but those of the "
                f"classifier ({latent}) have {width}. Train a discriminator for this latent"
            )

    def latents(self, x: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        """What `logits` goes on from and, flat, the discriminator reads; (B, N) or (B, h, w, c)."""
        return self.features(x, training=training)

    def logits(self, latents: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        """Logits of latents, float32 (B, K)."""
        given = latents if self.head is None else self.head(latents, training=training)
        return tf.cast(given, tf.float32)

    def judge(
        self, latents: tf.Tensor, *, batch_statistics: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Score (B,) and class logits (B, K) of latents; changes nothing in the discriminator.

        Args:
            latents: of `latents`.
            batch_statistics: normalise by the batch, as in training, instead of by the
                running statistics, which are left as they are.
        """
        keep = keras.StatelessScope() if batch_statistics else contextlib.nullcontext()
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


class LatentManifold(Adversary):
    """Moves images so that a discriminator finds their latents more adversarial; no labels.

    One step by default, x + eps * sign(gradient of log D0), that is against the gradient of
    the clean score: these examples make the discriminator more right, they do not fool it.

    Args:
        manifold: classifier and discriminator; both are used as they are at each call.
        settings: how far; `AscentSettings` whose loss is the cross-entropy.
        batch_statistics: whether the discriminator normalises by the batch while crafting,
            as the published code does.
        seed: see `Adversary`.

    Reference: ATLD Eq 13 and 25.
    Differs: the gradient is that of the score, which no saturation of the sigmoid can make
        zero. With `batch_statistics` images depend on each other, and it is that of the
        published loss, the mean of -log D0: every image counts by its p.
    """

    def __init__(
        self,
        manifold: Manifold,
        settings: AscentSettings | None = None,
        *,
        batch_statistics: bool = False,
        seed: int | keras.random.SeedGenerator = 0,
    ) -> None:
        super().__init__(seed=seed)
        one_step = AscentSettings(steps=1, random_start=False, keep="last")
        self.manifold, self.batch_statistics = manifold, batch_statistics
        kind = _CoupledAscent if batch_statistics else GradientAscent
        self.ascent = kind(settings or one_step, seed=self.seeds)

    def craft(
        self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor, noise: RowNoise
    ) -> tf.Tensor:
        """Adversarial images; classifier and labels are not asked."""
        del classifier, y
        return self.craft_and_encode(x, noise)[0]

    def craft_and_encode(self, x: tf.Tensor, noise: RowNoise) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Adversarial images, and the clean latents where crafting has made them on its way.

        A single step from the image itself begins with the image's own latents: whoever
        needs them saves a forward pass. None where the crafting starts elsewhere.
        """
        met: list[tf.Tensor] = []

        def verdict(images: tf.Tensor) -> tf.Tensor:
            met.append(self.manifold.latents(images))
            judged = self.manifold.judge(met[-1], batch_statistics=self.batch_statistics)
            return as_verdict(judged[0])

        x_adv = self.ascent.craft(verdict, x, _all(CLEAN, x), noise)
        settings = self.ascent.settings
        own = settings.steps == 1 and not settings.random_start and settings.keep == "last"
        return x_adv, met[0] if own else None


class _CoupledAscent(GradientAscent):
    """Climbs the sum of log D0 over a batch whose verdicts depend on each other.

    The gradient of the sum of scores would not do: normalised by the batch their sum hardly
    moves, whatever the images.
    """

    def _gradient(self, problem: Any, x_adv: tf.Tensor) -> tuple[tf.Tensor, Any]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x_adv)
            logits = problem.classifier(x_adv)
            loss = losses.cross_entropy(logits, _all(ADVERSARIAL, x_adv))
        gradient = -tape.gradient(loss, x_adv)
        return tf.where(tf.math.is_finite(gradient), gradient, 0.0), self._judged(
            problem, x_adv, logits
        )


class JointAscent(GradientAscent):
    """Climbs the classifier's loss and the discriminator's at once.

    The classifier handed in gives logits with the clean score as one more column, see
    `with_score`. The loss is L(logits, y) + weight * L_D, where L is the cross-entropy or the
    margin loss and L_D = log(1 + exp(score)) is the discriminator's loss if it should find the
    image adversarial (so the image comes to look clean), or log(1 + exp(-score)) for the
    other way round.

    Args:
        settings, seed: see `GradientAscent`.
        weight: float >= 0, of the discriminator's loss.
        towards: which way the image should look, "clean" or "adversarial".

    Reference: ATLD Table V, "(Cla+D)"; it states neither weight nor direction.
    """

    def __init__(
        self,
        settings: AscentSettings,
        *,
        weight: float = 1.0,
        towards: Literal["clean", "adversarial"] = "clean",
        seed: int | keras.random.SeedGenerator = 0,
    ) -> None:
        super().__init__(settings, seed=seed)
        self.weight, self.sign = weight, 1.0 if towards == "clean" else -1.0

    def _loss(self, logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        if self.settings.loss == "margin":
            first = losses.margin(logits[:, :-1], y, self.settings.margin)
        else:
            first = losses.cross_entropy(logits[:, :-1], y)
        return first + self.weight * tf.math.softplus(self.sign * logits[:, -1])

    def _judged(self, problem: Any, x_adv: tf.Tensor, logits: tf.Tensor | None = None) -> Any:
        logits = problem.classifier(x_adv) if logits is None else logits
        judged = super()._judged(problem, x_adv, logits)
        return judged._replace(success=~losses.predicted(logits[:, :-1], problem.y))


def with_score(manifold: Manifold) -> Callable[[tf.Tensor], tf.Tensor]:
    """Images to (B, K + 1): the logits and, last, the clean score, from one forward pass."""

    def both(x: tf.Tensor) -> tf.Tensor:
        latents = manifold.latents(x)
        score = manifold.judge(latents)[0]
        return tf.concat([manifold.logits(latents), score[:, None]], axis=-1)

    return both


def _all(label: int, x: tf.Tensor) -> tf.Tensor:
    return tf.fill([tf.shape(x)[0]], label)
