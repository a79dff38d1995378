"""NI-FGSM: gradient steps with momentum, each gradient taken one step ahead."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import keras
import tensorflow as tf

from atk_latent.adversaries import losses
from atk_latent.adversaries.balls import BALLS, unit_l1
from atk_latent.adversaries.base import Classifier
from atk_latent.adversaries.gradients import GradientAdversary, loss_gradient
from atk_latent.adversaries.loop_watch import Report
from atk_latent.adversaries.noise import RowNoise
from atk_latent.adversaries.settings import read_settings
from atk_latent.adversaries.spec import BATCH_SIZE, ArtClass, ArtParameter, AttackSpec


@dataclasses.dataclass(frozen=True)
class NesterovSettings:
    """How far the images climb, and with how much momentum.

    Args:
        eps: number >= 0, radius of the ball in the units of `bounds`.
        norm: "linf" or "l2", what the ball and the step are measured in.
        steps: int >= 1, forward-backward passes.
        step_size: number > 0 in the units of `bounds`; None is eps / steps.
        decay: number >= 0, of the momentum (the paper's mu).
        targeted: labels are the classes wanted, and the loss is descended.
        bounds: (low, high), the legal pixel range.

    Raises:
        InputError: for values out of range.
    """

    eps: float = 8 / 255
    norm: Literal["linf", "l2"] = "linf"
    steps: int = 10
    step_size: float | None = None
    decay: float = 1.0
    targeted: bool = False
    bounds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        read_settings(self, ("step_size",), eps=(0,), steps=(1,), decay=(0,))
        BALLS[self.norm](self.eps, self.bounds)  # checks the bounds

    @property
    def step_length(self) -> float:
        """`step_size`; where it is open eps / steps."""
        return self.eps / self.steps if self.step_size is None else self.step_size


class NesterovAscent(GradientAdversary):
    """Climbs the cross-entropy from each image, looking one step of the momentum ahead.

    With momentum g and step length a: the gradient is that at x + a * decay * g,
    g <- decay * g + gradient / its L1 norm, and x moves by a along the steepest direction of g,
    back into the ball and the bounds. The last iterate is handed back.

    Args:
        settings: see `NesterovSettings`; None takes its defaults.
        seed: see `Adversary`; nothing is drawn.

    Reference: Lin et al., ICLR 2020, "Nesterov accelerated gradient and scale invariance for
        adversarial attacks", Eqs 6 and 7, Algorithm 1 without its copies of smaller scale.
    Differs: in L2 the step has length a; the point ahead is not cut to the pixel range, as there.
    """

    def __init__(
        self,
        settings: NesterovSettings | None = None,
        *,
        seed: int | keras.random.SeedGenerator = 0,
    ) -> None:
        super().__init__(seed=seed)
        self.settings = settings or NesterovSettings()
        self.ball = BALLS[self.settings.norm](self.settings.eps, self.settings.bounds)

    def craft(
        self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor, noise: RowNoise
    ) -> tf.Tensor:
        """Adversarial images; see `Adversary.craft`."""
        del noise
        settings, length = self.settings, self.settings.step_length
        sign = -1.0 if settings.targeted else 1.0

        def loss(logits: tf.Tensor) -> tf.Tensor:
            return sign * losses.log_odds(logits, y)

        def step(
            index: tf.Tensor, state: tuple[tf.Tensor, tf.Tensor]
        ) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
            x_adv, momentum = state
            ahead = x_adv + length * settings.decay * momentum
            gradient = loss_gradient(classifier, loss, ahead).direction
            momentum = settings.decay * momentum + unit_l1(gradient)
            moved = x_adv + length * self.ball.steepest_direction(momentum, x_adv)
            return index + 1, (self.ball.project(x, moved), momentum)

        x_adv, _ = self.watch.rounds(
            step,
            (0, settings.steps),
            (x, tf.zeros_like(x)),
            lambda index, _: Report(index, settings.steps),
        )
        return x_adv


NI_FGSM = AttackSpec(
    "ni-fgsm",
    NesterovSettings,
    ("eps", "norm", "steps", "step_size", "decay"),
    NesterovAscent,
    norms=("linf", "l2"),
    art=ArtClass(
        "Gradient ascent with Nesterov's look-ahead, compiled. Parameters are those of ART's "
        "`MomentumIterativeMethod`, with the steps of the paper for defaults.",
        (
            ArtParameter("norm", math.inf),
            ArtParameter("eps", 0.3),
            ArtParameter(
                "eps_step",
                0.03,
                "step_size",
                kind=float,
                text="number > 0, length of a step.",
                from_settings=lambda settings: settings.step_length,
            ),
            ArtParameter("decay", 1.0),
            ArtParameter("max_iter", 10, "steps"),
            ArtParameter("targeted", False),
            ArtParameter(BATCH_SIZE, 32),
        ),
    ),
)
