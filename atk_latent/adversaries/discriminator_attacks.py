"""Attacks that see classifier and discriminator: the four groups of ATLD's Table V."""

from __future__ import annotations

import dataclasses
from typing import Literal

import keras
import tensorflow as tf

from atk_latent.adversaries import losses
from atk_latent.adversaries.base import Adversary, Classifier
from atk_latent.adversaries.gradient_ascent import AscentSettings, Best, GradientAscent, Problem
from atk_latent.adversaries.latent_discriminator import CLEAN, LatentDiscriminator, all_of
from atk_latent.adversaries.noise import RowNoise
from atk_latent.adversaries.settings import check_radius
from atk_latent.config import build, check_range


@dataclasses.dataclass(frozen=True)
class ManifoldAttackSettings:
    """How far, and against whom.

    Args:
        eps: float > 0, Linf radius in [0, 1] pixels; None is the customary one of the images.
        steps: int >= 1. step_size: float > 0; None is eps for one step, else eps / 4 (2/255
            for 8/255, the published one).
        loss: of the classifier, "cross-entropy" or "margin"; not asked by "manifold".
        weight: float >= 0, of the discriminator's loss in "joint".
        towards: how the image should look to the discriminator.
        random_start: whether to start at random in the ball.
    """

    eps: float | None = None
    steps: int = 20
    step_size: float | None = None
    loss: Literal["cross-entropy", "margin"] = "cross-entropy"
    weight: float = 1.0
    towards: Literal["clean", "adversarial"] = "clean"
    random_start: bool = True

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        check_radius(self.eps, "linf")
        check_range("weight", self.weight, 0)
        check_range("steps", self.steps, 1)

    def ascent(self, **changes: object) -> AscentSettings:
        """The climb, with the steps of the published attacks."""
        eps = 0.0 if self.eps is None else self.eps
        step = self.step_size or (eps if self.steps == 1 else eps / 4)
        values = {
            "eps": eps,
            "steps": self.steps,
            "step_size": step,
            "random_start": self.random_start,
            "keep": "last",
            **changes,
        }
        return build(AscentSettings, values)


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

    def _judged(self, problem: Problem, x_adv: tf.Tensor, logits: tf.Tensor | None = None) -> Best:
        logits = problem.classifier(x_adv) if logits is None else logits
        judged = super()._judged(problem, x_adv, logits)
        return judged._replace(success=~losses.predicted(logits[:, :-1], problem.y))


class ChainAscent(Adversary):
    """Climbs the classifier's loss, then takes one step of eps on the discriminator.

    Args:
        manifold: the classifier and its discriminator. settings: see `ManifoldAttackSettings`.

    Reference: ATLD Table V, "Cla20 + D1".
    """

    def __init__(self, manifold: LatentDiscriminator, settings: ManifoldAttackSettings) -> None:
        super().__init__()
        self.manifold = manifold
        self.first = GradientAscent(settings.ascent(loss=settings.loss))
        # around where the first ended: as far as a pixel can go inside the ball of the image
        eps = self.first.settings.eps
        self.last = GradientAscent(
            settings.ascent(
                eps=2 * eps,
                steps=1,
                step_size=eps,
                random_start=False,
                targeted=settings.towards == "clean",
            )
        )

    def craft(
        self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor, noise: RowNoise
    ) -> tf.Tensor:
        """Adversarial images; see `Adversary.craft`."""
        x_first = self.first.craft(classifier, x, y, noise)
        moved = self.last.craft(self.manifold.verdict, x_first, all_of(CLEAN, x), noise)
        return self.first.ball.project(x, moved)


class DiscriminatorAscent(Adversary):
    """Climbs or descends the discriminator's verdict; labels are not asked.

    Args:
        manifold: the classifier and its discriminator. settings: see `ManifoldAttackSettings`.

    Reference: ATLD Table V, "D1" and "D20".
    """

    def __init__(self, manifold: LatentDiscriminator, settings: ManifoldAttackSettings) -> None:
        super().__init__()
        self.manifold = manifold
        self.ascent = GradientAscent(settings.ascent(targeted=settings.towards == "clean"))

    def craft(
        self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor, noise: RowNoise
    ) -> tf.Tensor:
        """Adversarial images; see `Adversary.craft`."""
        del classifier, y
        return self.ascent.craft(self.manifold.verdict, x, all_of(CLEAN, x), noise)
