"""One loop for FGSM, PGD, BIM, MIM and margin-loss PGD; they differ by settings only."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal, NamedTuple

import keras
import tensorflow as tf

from atk_latent.adversaries import losses
from atk_latent.adversaries.balls import BALLS, Ball, unit_l1
from atk_latent.adversaries.base import Classifier
from atk_latent.adversaries.expectation import expected_gradient, expected_logits
from atk_latent.adversaries.gradients import GradientAdversary, wide
from atk_latent.adversaries.loop_watch import Report
from atk_latent.adversaries.minimal import ActiveRows
from atk_latent.adversaries.noise import RowNoise
from atk_latent.adversaries.settings import read_settings
from atk_latent.adversaries.spec import BATCH_SIZE, ArtClass, ArtParameter, AttackSpec, Values
from atk_latent.config import check_range, convert
from atk_latent.errors import InputError

_START = 1  # fork of the noise for random starts


@dataclasses.dataclass(frozen=True)
class AscentSettings:
    """How far and how the images climb.

    Args:
        eps: number >= 0, radius of the ball in the units of `bounds`; 0 leaves images alone.
        norm: "linf", "l2" or "l1", what the ball and the step are measured in.
        steps: int >= 1, forward-backward passes of each start.
        step_size: number > 0 in the units of `bounds`, or None for `step_length`'s own. It
            may be longer than `eps`: the result is projected.
        random_start: whether a start is drawn uniformly from the ball, or is the image itself.
        clip_start: whether a drawn start is clipped to the bounds; the steps are in any case.
        restarts: int >= 1, starts; more than one needs `random_start`. An image that
            succeeded takes no further one.
        decay: number >= 0, of the momentum (MIM's mu); 0 is plain gradient ascent.
        loss: "cross-entropy", or "margin", the papers' "CW".
        margin: number >= 0, confidence of the margin loss; 50 in the papers.
        targeted: labels are the classes wanted, and the loss is descended.
        keep: "best" hands back, for each image, the best of the image itself and of every
            iterate of every start: one that succeeds before one that does not, then the
            highest loss, so neither a later step nor a restart loses anything. It costs one
            forward pass more, two with a random start. "last" hands back the last iterate,
            as the papers do; of several starts the best last one.
        eot: int >= 1, passes whose gradients and logits are averaged at every step; more
            than one for a classifier that answers at random.
        bounds: (low, high), the legal pixel range.

    Raises:
        InputError: for values out of range.
    """

    eps: float = 8 / 255
    norm: Literal["linf", "l2", "l1"] = "linf"
    steps: int = 40
    step_size: float | None = None
    random_start: bool = True
    clip_start: bool = True
    restarts: int = 1
    decay: float = 0.0
    loss: Literal["cross-entropy", "margin"] = "cross-entropy"
    margin: float = 50.0
    targeted: bool = False
    keep: Literal["best", "last"] = "best"
    eot: int = 1
    bounds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        least = {"eps": 0, "decay": 0, "margin": 0, "steps": 1, "restarts": 1, "eot": 1}
        read_settings(self, **{name: (low,) for name, low in least.items()})
        if self.step_size is not None and not self.step_size > 0:
            raise InputError(
                f"setting 'step_size' must be greater than 0. Received: {self.step_size!r}"
            )
        if self.restarts > 1 and not self.random_start:
            raise InputError(
                "setting 'restarts' must be 1 without random_start: every start would be the "
                f"image itself. Received: {self.restarts}"
            )
        self.ball()

    def ball(self) -> Ball:
        """The ball, which checks the bounds."""
        return BALLS[self.norm](self.eps, self.bounds)

    @property
    def step_length(self) -> float:
        """`step_size`; where it is open eps / steps with momentum, else 2.5 * eps / steps.

        The second is at most eps, so one step is a step of eps.
        """
        if self.step_size is not None:
            return self.step_size
        if self.decay:
            return self.eps / self.steps
        return min(2.5 * self.eps / self.steps, self.eps)


class Best(NamedTuple):
    """The best point of each image so far: x float32 (B, ...), loss (B,), success bool (B,)."""

    x: tf.Tensor
    loss: tf.Tensor
    success: tf.Tensor

    def or_better(self, other: Best) -> Best:
        """Image by image, `other` where it is better; never where its loss is not a number."""
        higher = (self.success == other.success) & (other.loss > self.loss)
        better = (other.success & ~self.success & (other.loss == other.loss)) | higher
        merged = Best(
            tf.where(wide(better, self.x), other.x, self.x),
            tf.where(better, other.loss, self.loss),
            tf.where(better, other.success, self.success),
        )
        for new, old in zip(merged, self, strict=True):
            new.set_shape(old.shape)
        return merged


class Problem(NamedTuple):
    """A batch to climb: the classifier, the centres and what the loss is to be."""

    classifier: Classifier
    x: tf.Tensor
    y: tf.Tensor


# the images, their velocity, () without momentum, and the best so far, () where none is looked for
_State = tuple[tf.Tensor, tf.Tensor, Best | tuple[()]]


class GradientAscent(GradientAdversary):
    """Climbs the loss from each image, or from random points near it, inside a ball.

    Each step moves by `step_length` along the steepest direction of the norm (the sign of
    the gradient for Linf, the gradient scaled to length 1 for L2, the signs of its largest
    values for L1), back into the bounds and the ball. With momentum the direction is that of
    g <- decay * g + gradient / its L1 norm. Values of a gradient that are not finite count as 0.

    Args:
        settings: see `AscentSettings`; None takes its defaults.
        seed: see `Adversary`.

    Reference: Goodfellow et al. 2015 (FGSM); Kurakin et al. 2017 (BIM); Madry et al. 2018
        (PGD); Dong et al. 2018, Algorithm 1 (MIM); Carlini and Wagner 2017 (margin).
    Differs: cross-entropy is climbed through `losses.log_odds`, whose gradient has the same
        direction and does not vanish; random starts are clipped to the bounds unless
        `clip_start` is off: ATLD's code leaves that to the first step.
    """

    def __init__(
        self, settings: AscentSettings | None = None, *, seed: int | keras.random.SeedGenerator = 0
    ) -> None:
        super().__init__(seed=seed)
        self.settings = settings or AscentSettings()
        self.ball = self.settings.ball()

    def craft(
        self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor, noise: RowNoise
    ) -> tf.Tensor:
        """Adversarial images; see `Adversary.craft`."""
        settings = self.settings
        problem = Problem(classifier, x, y)
        if settings.keep == "last" and settings.restarts == 1:
            return self._climb(problem, self._start(x, noise, 0), ())[0]
        start = Best(
            x, tf.fill(tf.shape(y), tf.float32.min), tf.zeros_like(y, tf.bool)
        )  # worse than any point whose loss is a number
        if settings.keep == "best" and settings.random_start:
            start = self._judged(problem, x)

        if settings.restarts == 1:
            return self._climbed(problem, self._start(x, noise, 0), start).x

        def restart(index: tf.Tensor, best: Best) -> tuple[tf.Tensor, Best]:
            rows = ActiveRows((index == 0) | ~best.success)
            images, labels, begin, part = rows.take((x, y, self._start(x, noise, index), best))
            before = index * settings.steps
            part = self._climbed(Problem(classifier, images, labels), begin, part, before)
            return index + 1, rows.put(best, part)

        _, best = tf.while_loop(
            lambda index, best: (
                (index == 0) | ((index < settings.restarts) & ~tf.reduce_all(best.success))
            ),
            restart,
            (tf.zeros((), tf.int32), start),
            parallel_iterations=1,
        )
        return best.x

    def _climbed(
        self, problem: Problem, begin: tf.Tensor, best: Best, before: tf.Tensor | int = 0
    ) -> Best:
        """`best`, or what one start gives where that is better; `before` as of `_climb`."""
        tracked = best if self.settings.keep == "best" else ()
        last, passed = self._climb(problem, begin, tracked, before)
        return (passed or best).or_better(self._judged(problem, last))

    def _start(self, x: tf.Tensor, noise: RowNoise, index: tf.Tensor | int) -> tf.Tensor:
        if not self.settings.random_start:
            return x
        drawn = self.ball.random_start if self.settings.clip_start else self.ball.unclipped_start
        return drawn(x, noise.fork(_START).fork(index))

    def _climb(
        self,
        problem: Problem,
        start: tf.Tensor,
        best: Best | tuple[()],
        before: tf.Tensor | int = 0,
    ) -> tuple[tf.Tensor, Best | tuple[()]]:
        """The last iterate from `start`, and the best of `best` and all before the last.

        Without a `best`, (), none is looked for. `before`: steps of earlier starts, which count
        for `watch` alone.
        """
        total = self.settings.restarts * self.settings.steps
        length = self.settings.step_length

        def step(index: tf.Tensor, state: _State) -> tuple[tf.Tensor, _State]:
            x_adv, velocity, best_so_far = state
            gradient, judged = self._gradient(problem, x_adv)
            if isinstance(best_so_far, Best):
                best_so_far = best_so_far.or_better(judged)
            if self.settings.decay:
                gradient = velocity = self.settings.decay * velocity + unit_l1(gradient)
            moved = x_adv + length * self.ball.steepest_direction(gradient, x_adv)
            moved = self.ball.project(problem.x, moved)
            moved.set_shape(x_adv.shape)
            return index + 1, (moved, velocity, best_so_far)

        velocity = tf.zeros_like(start) if self.settings.decay else ()
        last, _, best_so_far = self.watch.rounds(
            step,
            (0, self.settings.steps),
            (start, velocity, best),
            lambda index, _: Report(before + index, total),
        )
        return last, best_so_far

    def _gradient(self, problem: Problem, x_adv: tf.Tensor) -> tuple[tf.Tensor, Best]:
        """The direction of each image's gradient, and what its logits say of it."""
        slope = expected_gradient(
            problem.classifier,
            lambda logits: self._loss(logits, problem.y),
            x_adv,
            self.settings.eot,
        )
        return slope.direction, self._judged(problem, x_adv, slope.logits)

    def _judged(self, problem: Problem, x_adv: tf.Tensor, logits: tf.Tensor | None = None) -> Best:
        """The point with the loss to climb and whether it is where the attacker wants it."""
        if logits is None:
            logits = expected_logits(problem.classifier, x_adv, self.settings.eot)
        hit = losses.predicted(logits, problem.y)
        loss = self._loss(logits, problem.y)
        return Best(x_adv, loss, hit if self.settings.targeted else ~hit)

    def _loss(self, logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        settings = self.settings
        if settings.loss == "margin":
            kind = losses.targeted_margin if settings.targeted else losses.margin
            return kind(logits, y, settings.margin)
        # averaged gradients are weighted by the cross-entropy's own slopes
        loss = (losses.log_odds if settings.eot == 1 else losses.cross_entropy)(logits, y)
        return -loss if settings.targeted else loss


def _starts(value: object) -> Values:
    """ART's number of random starts as settings; 0 is one start at the image itself."""
    starts = convert("restarts", value, int)
    check_range("restarts", starts, 0)
    return {"random_start": starts > 0, "restarts": max(1, starts)}


_ART = ArtClass(
    "Projected gradient ascent on the cross-entropy, compiled. Parameters are those of ART's "
    "`ProjectedGradientDescent`, and so are their defaults.",
    (
        ArtParameter("norm", math.inf),
        ArtParameter("eps", 0.3),
        ArtParameter(
            "eps_step",
            0.1,
            "step_size",
            kind=float,
            text="number > 0, length of a step.",
            from_settings=lambda settings: settings.step_length,
        ),
        ArtParameter("max_iter", 100, "steps"),
        ArtParameter("targeted", False),
        ArtParameter(
            "num_random_init",
            0,
            "restarts",
            text="int >= 0, random starts; 0 starts once, at the image itself.",
            to_settings=_starts,
            from_settings=lambda settings: settings.restarts if settings.random_start else 0,
        ),
        ArtParameter(BATCH_SIZE, 32),
        ArtParameter(
            "decay",
            None,
            kind=float | None,
            keyword_only=True,
            text="number >= 0, of the momentum (MIM); None is none.",
            to_settings=lambda value: {"decay": value or 0.0},
        ),
        ArtParameter("keep", "best", keyword_only=True),
        ArtParameter("eot", 1, keyword_only=True),
    ),
    'ART hands back the last iterate of the best start, this one the best iterate (`keep="last"` '
    "does as ART); a random start is uniform in the ball in every norm; `random_eps`, "
    "`summary_writer` and masks are not supported.",
)
PGD = AttackSpec(
    "pgd",
    AscentSettings,
    ("eps", "steps", "step_size", "random_start", "restarts", "norm", "keep", "eot"),
    GradientAscent,
    norms=("linf", "l2", "l1"),
    art=_ART,
)
FGSM = PGD.variant("fgsm", ("eps", "norm"), steps=1, random_start=False, keep="last")
RS_FGSM = PGD.variant("rs-fgsm", ("eps", "norm", "step_size"), steps=1, keep="last")
BIM = PGD.variant("bim", ("eps", "steps", "step_size", "norm", "keep", "eot"), random_start=False)
MIM = PGD.variant(
    "mim",
    ("eps", "steps", "step_size", "norm", "decay", "keep", "eot"),
    random_start=False,
    decay=1.0,
    steps=10,
)
CW_PGD = dataclasses.replace(
    PGD,
    name="cw-pgd",
    options=(*PGD.options, "margin"),
    defaults={"loss": "margin"},
    art=ArtClass(
        'The papers\' "CW20/40/100": projected gradient ascent on the margin loss, compiled.',
        (*_ART.parameters, ArtParameter("margin", 50.0, keyword_only=True)),
        _ART.differs,
    ),
)
