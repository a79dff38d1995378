"""Feature scattering: images moved so that the whole batch of features moves apart."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import keras
import tensorflow as tf

from atk_latent.adversaries.balls import BALLS
from atk_latent.adversaries.base import Adversary, Classifier
from atk_latent.adversaries.gradient_ascent import AscentSettings
from atk_latent.adversaries.gradients import loss_gradient, repeat
from atk_latent.adversaries.noise import RowNoise
from atk_latent.adversaries.optimal_transport import SinkhornSettings, transport_cost
from atk_latent.config import build
from atk_latent.models.replicas import mine, whole


@dataclasses.dataclass(frozen=True)
class ScatteringSettings(SinkhornSettings):
    """How far images move, and how the distance between batches is measured.

    Args:
        eps: number >= 0, radius of the ball in the units of the bounds.
        norm: "linf" or "l2", what the ball and the step are measured in.
        steps: int >= 1, gradient steps; 1 in the paper.
        step_size: number > 0, or None for 2.5 * eps / steps and at most eps.
        random_start: whether steps begin at a point drawn uniformly from the ball, or at the
            image, where the distance has (nearly) no slope.

    The other settings are those of `SinkhornSettings`.

    Raises:
        InputError: for values out of range.
    """

    eps: float = 8 / 255
    norm: Literal["linf", "l2"] = "linf"
    steps: int = 1
    step_size: float | None = None
    random_start: bool = True

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        super().__post_init__()
        self.ascent()

    def ascent(self, **options: object) -> AscentSettings:
        """The part that says how images move, which checks itself."""
        names = ("eps", "norm", "steps", "step_size", "random_start")
        return build(AscentSettings, {name: getattr(self, name) for name in names} | options)


class FeatureScatter(Adversary):
    """Climbs the optimal-transport distance between clean and moved features of a batch.

    Labels are not asked. Features are the logits. From a uniform random point of the ball,
    not clipped to the bounds, each step goes along the sign of the gradient of

        OT(f(x), f(x_adv)) = sum_ij T_ij (1 - cos(f(x)_i, f(x_adv)_j)),

    through the plan T as through the cost. The images of a batch move together, so what
    becomes of one depends on the others.

    Args:
        settings: see `ScatteringSettings`; None takes its defaults.
        bounds: (low, high), the legal pixel range.
        seed: see `Adversary`.

    Reference: Zhang and Wang, NeurIPS 2019, Algorithm 1; its published code, which always
        starts at random and takes one step.
    """

    def __init__(
        self,
        settings: ScatteringSettings | None = None,
        *,
        bounds: tuple[float, float] = (0.0, 1.0),
        seed: int | keras.random.SeedGenerator = 0,
    ) -> None:
        super().__init__(seed=seed)
        self.settings = settings or ScatteringSettings()
        ball = BALLS[self.settings.norm]
        self.ball = ball(self.settings.eps, bounds)
        self.everywhere = ball(self.settings.eps, (-math.inf, math.inf))

    def craft(
        self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor, noise: RowNoise
    ) -> tf.Tensor:
        """Adversarial images; see `Adversary.craft`."""
        del y
        settings = self.settings
        clean = whole(tf.stop_gradient(classifier(x)))
        length = settings.ascent().step_length

        def distance(features: tf.Tensor) -> tf.Tensor:
            return mine(transport_cost(clean, whole(features), settings), x)

        def step(index: tf.Tensor, x_adv: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            gradient = loss_gradient(classifier, distance, x_adv).direction
            direction = self.ball.steepest_direction(gradient, x_adv)
            moved = self.ball.project(x, x_adv + length * direction)
            return index + 1, tf.ensure_shape(moved, x.shape)

        start = self.everywhere.random_start(x, noise) if settings.random_start else x
        return repeat(step, settings.steps, start, coupled=True)
