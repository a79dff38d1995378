"""Latent manifold adversarial examples: images whose latents a discriminator finds adversarial."""

from __future__ import annotations

import keras
import tensorflow as tf

from atk_latent.adversaries import losses
from atk_latent.adversaries.base import Adversary, Classifier
from atk_latent.adversaries.gradient_ascent import AscentSettings, Best, GradientAscent, Problem
from atk_latent.adversaries.latent_discriminator import (
    ADVERSARIAL,
    CLEAN,
    LatentDiscriminator,
    all_of,
    as_verdict,
)
from atk_latent.adversaries.noise import RowNoise


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
        manifold: LatentDiscriminator,
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

    def craft_and_encode(
        self, x: tf.Tensor, noise: RowNoise, *, move_statistics: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Adversarial images, and the clean latents where crafting has made them on its way.

        A single step from the image itself begins with the image's own latents: whoever
        needs them saves a forward pass. None where the crafting starts elsewhere.

        Args:
            x: float32 (B, H, W, C). noise: of the random start.
            move_statistics: with `batch_statistics`, whether the discriminator's running
                statistics follow the clean latents, then those of every step, as in the
                published code, whose discriminator is always in training mode.
        """
        met: list[tf.Tensor] = []

        def verdict(images: tf.Tensor) -> tf.Tensor:
            met.append(self.manifold.latents(images))
            judged = self.manifold.judge(
                met[-1], batch_statistics=self.batch_statistics, move_statistics=move_statistics
            )
            return as_verdict(judged[0])

        if move_statistics:
            verdict(x)
        x_adv = self.ascent.craft(verdict, x, all_of(CLEAN, x), noise)
        if move_statistics:
            return x_adv, met[0]
        settings = self.ascent.settings
        own = settings.steps == 1 and not settings.random_start and settings.keep == "last"
        return x_adv, met[0] if own else None


class _CoupledAscent(GradientAscent):
    """Climbs the sum of log D0 over a batch whose verdicts depend on each other.

    The gradient of the sum of scores would not do: normalised by the batch their sum hardly
    moves, whatever the images.
    """

    coupled = True

    def _gradient(self, problem: Problem, x_adv: tf.Tensor) -> tuple[tf.Tensor, Best]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x_adv)
            logits = problem.classifier(x_adv)
            loss = losses.cross_entropy(logits, all_of(ADVERSARIAL, x_adv))
        gradient = -tape.gradient(loss, x_adv)
        return tf.where(tf.math.is_finite(gradient), gradient, 0.0), self._judged(
            problem, x_adv, logits
        )
