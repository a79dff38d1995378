"""Away from what the classifier says of the clean image, whatever its label: TRADES' attack."""

from __future__ import annotations

import dataclasses
from typing import Literal

import keras
import tensorflow as tf

from atk_latent.adversaries.balls import BALLS, Ball
from atk_latent.adversaries.base import Classifier
from atk_latent.adversaries.gradients import GradientAdversary, loss_gradient, repeat
from atk_latent.adversaries.noise import RowNoise
from atk_latent.config import check_range


def kl_divergence(logits: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """KL(p || q) of p = softmax(logits) and q = softmax(others), float32 (B,).

    Args:
        logits, others: (B, K); gradients flow into both.
    """
    log_p, log_q = (tf.nn.log_softmax(tf.cast(z, tf.float32)) for z in (logits, others))
    return tf.reduce_sum(tf.exp(log_p) * (log_p - log_q), axis=-1)


@dataclasses.dataclass(frozen=True)
class KLSettings:
    """How far and how the images climb.

    Args:
        eps: number >= 0, radius of the ball in the units of `bounds`.
        norm: "linf" or "l2", what the ball and the step are measured in.
        steps: int >= 1.
        step_size: number > 0, in the units of `bounds`; None is 2.5 * eps / steps, at most eps.
        start: number >= 0, deviation of the normal noise that the start is moved by: the
            gradient at the image itself is 0.
        bounds: (low, high), the legal pixel range.

    Raises:
        InputError: for values out of range.
    """

    eps: float = 8 / 255
    norm: Literal["linf", "l2"] = "linf"
    steps: int = 10
    step_size: float | None = None
    start: float = 0.001
    bounds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        check_range("steps", self.steps, 1)
        check_range("start", self.start, 0)
        if self.step_size is not None:
            check_range("step_size", self.step_size, 1e-12)
        self.ball()

    def ball(self) -> Ball:
        """The ball, which checks the bounds."""
        return BALLS[self.norm](self.eps, self.bounds)

    @property
    def step_length(self) -> float:
        """`step_size`, or what stands for it where it is open."""
        if self.step_size is not None:
            return self.step_size
        return min(2.5 * self.eps / self.steps, self.eps)


class KLAscent(GradientAdversary):
    """Climbs KL(softmax f(x) || softmax f(x')) in x' from a point very near x; labels unused.

    Args:
        settings: see `KLSettings`; None takes its defaults.
        seed: see `Adversary`.

    Reference: Zhang et al. 2019 (TRADES), Algorithm 1.
    Differs: the L2 step follows the gradient scaled to length 1, as the Linf step follows its
        sign; their code gives it to an optimizer.
    """

    def __init__(
        self, settings: KLSettings | None = None, *, seed: int | keras.random.SeedGenerator = 0
    ) -> None:
        super().__init__(seed=seed)
        self.settings = settings or KLSettings()
        self.ball = self.settings.ball()

    def craft(
        self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor, noise: RowNoise
    ) -> tf.Tensor:
        """Adversarial images; see `Adversary.craft`."""
        del y
        clean, length = tf.stop_gradient(classifier(x)), self.settings.step_length

        def step(index: tf.Tensor, x_adv: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            slope = loss_gradient(classifier, lambda logits: kl_divergence(clean, logits), x_adv)
            moved = x_adv + length * self.ball.steepest_direction(slope.direction, x_adv)
            moved = self.ball.project(x, moved)
            moved.set_shape(x_adv.shape)
            return index + 1, moved

        return repeat(step, self.settings.steps, x + self.settings.start * noise.normal(x))
