"""APGD: gradient ascent that picks its own step size, on cross-entropy, DLR or targeted DLR."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal, NamedTuple

import keras
import tensorflow as tf

from atk_latent.adversaries import losses
from atk_latent.adversaries.balls import BALLS, Ball
from atk_latent.adversaries.base import Classifier
from atk_latent.adversaries.expectation import expected_gradient, expected_logits
from atk_latent.adversaries.gradients import GradientAdversary, wide
from atk_latent.adversaries.loop_watch import Report
from atk_latent.adversaries.noise import RowNoise
from atk_latent.adversaries.settings import read_settings
from atk_latent.adversaries.spec import BATCH_SIZE, NB_TARGETS, ArtClass, ArtParameter, AttackSpec
from atk_latent.errors import InputError

_START = 1  # fork of the noise for random starts
_INERTIA = 0.75  # share of the new step in each move; the rest is the last move again


@dataclasses.dataclass(frozen=True)
class APGDSettings:
    """How far, how long and on what loss APGD climbs.

    Args:
        eps: number >= 0, radius of the ball in the units of `bounds`; 0 leaves images alone.
        norm: "linf" or "l2".
        steps: int >= 1, forward-backward passes of each run after the one at its start.
        loss: "cross-entropy" or "dlr".
        targets: int >= 0; more than 0 aims the DLR loss at that many classes, one after the
            other, those of rank 2, 3, ... among the clean logits (at most K - 1). The labels
            stay the true ones.
        restarts: int >= 1, random starts, of each target where there are some.
        eot: int >= 1, passes whose gradients and logits are averaged at every step; more
            than one for a classifier that answers at random.
        rho: number in [0, 1], the share of rising steps below which the step is halved.
        early_stop: an image leaves at the first check after it is misclassified; without
            it, at the end of its run. The other images end the same either way.
        bounds: (low, high), the legal pixel range.

    Raises:
        InputError: for values out of range, or targets without the DLR loss.
    """

    eps: float = 8 / 255
    norm: Literal["linf", "l2"] = "linf"
    steps: int = 100
    loss: Literal["cross-entropy", "dlr"] = "cross-entropy"
    targets: int = 0
    restarts: int = 1
    eot: int = 1
    rho: float = 0.75
    early_stop: bool = True
    bounds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        least = {"eps": 0, "steps": 1, "targets": 0, "restarts": 1, "eot": 1}
        read_settings(self, rho=(0, 1), **{name: (low,) for name, low in least.items()})
        if self.targets and self.loss != "dlr":
            raise InputError(
                f"setting 'targets' needs loss=dlr; set it to 0. Received: {self.targets} with "
                f"loss={self.loss}"
            )
        self.ball()

    def ball(self) -> Ball:
        """The ball, which checks the bounds."""
        return BALLS[self.norm](self.eps, self.bounds)


def checkpoints(steps: int) -> list[int]:
    """The numbers of iterations after which the step size is looked at.

    The first window is 22% of the steps, each next one 3% shorter, none below 6%.

    Reference: Croce and Hein, ICML 2020, section 3.2, rounded down as their code does.
    """
    window, less, least = (max(int(share * steps), 1) for share in (0.22, 0.03, 0.06))
    ends: list[int] = []
    while (done := (ends[-1] if ends else 0) + window) <= steps:
        ends.append(done)
        window = max(window - less, least)
    return ends


class _Result(NamedTuple):
    """What is handed back of each image: x (B, ...), log-odds (B,), misclassified bool (B,)."""

    x: tf.Tensor
    odds: tf.Tensor
    fooled: tf.Tensor


class _Run(NamedTuple):
    """One run of the images that are still in it, n of them.

    Args:
        row: int32 (n,), place in the batch. open: bool (n,), robust when the run began.
        x, previous, gradient: the iterate, the one before it, the direction to go.
        best, best_gradient, best_loss, best_odds: of the iterate of the highest loss.
        hit, fooled: the last misclassified iterate, and whether there was one.
        step: step size. loss: of `x`. rises: steps of this window that raised it.
        best_before: `best_loss` at the last check. halved: the step was halved there.
    """

    row: tf.Tensor
    open: tf.Tensor
    x: tf.Tensor
    previous: tf.Tensor
    gradient: tf.Tensor
    best: tf.Tensor
    best_gradient: tf.Tensor
    best_loss: tf.Tensor
    best_odds: tf.Tensor
    hit: tf.Tensor
    fooled: tf.Tensor
    step: tf.Tensor
    loss: tf.Tensor
    rises: tf.Tensor
    best_before: tf.Tensor
    halved: tf.Tensor


class _Problem(NamedTuple):
    """A batch to climb: the classifier, the images, their labels and the classes aimed at."""

    classifier: Classifier
    x: tf.Tensor
    y: tf.Tensor
    target: tf.Tensor

    def rows(self, row: tf.Tensor) -> _Problem:
        return _Problem(self.classifier, *(tf.gather(part, row) for part in self[1:]))


class AdaptiveAscent(GradientAdversary):
    """Gradient ascent with momentum whose step size halves where the loss stops rising.

    Each run starts on the sphere with a step of 2 eps. At the `checkpoints` an image's step
    is halved if at most `rho` of the window's steps raised its loss, or if the best loss is
    that of the last check and the step was not halved there; it then goes on from its best
    point. Images misclassified from the start come back as they are; later runs take only
    the images still classified correctly, gathered into a smaller batch.

    What comes back: the last misclassified iterate of the run that succeeded; else, of the
    image and the runs' highest-loss iterates, the one of the highest cross-entropy.

    Args:
        settings: see `APGDSettings`; None takes its defaults.
        seed: see `Adversary`.

    Reference: Croce and Hein, ICML 2020, Algorithm 1, and their code: the clean image is
        the best point of no run, the earliest step of the first window is compared with a
        loss of 0, and a halved image keeps its momentum.
    Differs: where no run succeeds their code hands back the clean image; cross-entropy is
        climbed through `losses.log_odds`; DLR needs three classes and targeted DLR four,
        with fewer classes the numerator of the loss alone, `losses.logit_lead`, is climbed.
    """

    def __init__(
        self, settings: APGDSettings | None = None, *, seed: int | keras.random.SeedGenerator = 0
    ) -> None:
        super().__init__(seed=seed)
        self.settings = settings or APGDSettings()
        self.ball = self.settings.ball()

    def craft(
        self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor, noise: RowNoise
    ) -> tf.Tensor:
        """Adversarial images; see `Adversary.craft`."""
        settings = self.settings
        logits = expected_logits(classifier, x, settings.eot)
        aims = losses.runners_up(logits, settings.targets) if settings.targets else y[:, None]
        runs = settings.restarts * int(aims.shape[1])

        def run(index: tf.Tensor, result: _Result) -> tuple[tf.Tensor, _Result]:
            problem = _Problem(classifier, x, y, aims[:, index // settings.restarts])
            budget = index * settings.steps, runs * settings.steps
            return index + 1, self._run(problem, self._start(x, noise, index), result, budget)

        odds = losses.log_odds(logits, y)
        result = _Result(x, odds, _fooled(logits, y, odds))
        return tf.while_loop(
            lambda index, result: (index < runs) & ~tf.reduce_all(result.fooled),
            run,
            (tf.zeros((), tf.int32), result),
            parallel_iterations=1,
        )[1].x

    def _start(self, x: tf.Tensor, noise: RowNoise, index: tf.Tensor) -> tf.Tensor:
        return self.ball.random_start_on_sphere(x, noise.fork(_START).fork(index))

    def _run(
        self, problem: _Problem, start: tf.Tensor, result: _Result, budget: tuple[tf.Tensor, int]
    ) -> _Result:
        """`result` after one run from `start`, window by window.

        Args:
            budget: steps before this run, and of all runs.
        """
        fixed = problem.x.shape[0] is not None  # the classifier may take no other batch size
        leave = self.settings.early_stop and not fixed
        ends = checkpoints(self.settings.steps)
        ends += [self.settings.steps] if ends[-1] < self.settings.steps else []
        marks = tf.constant([0, *ends])

        def window(index: tf.Tensor, result: _Result, run: _Run) -> tuple[tf.Tensor, _Result, _Run]:
            span = marks[index], marks[index + 1]
            run = self._climb(problem.rows(run.row), run, span, budget)
            run = self._check(run, tf.cast(span[1] - span[0], tf.float32))
            result = _stored(result, run)
            return index + 1, result, _selected(run, ~run.fooled) if leave else run

        robust = tf.range(len(problem.y)) if fixed else _where(~result.fooled)
        is_open = ~tf.gather(result.fooled, robust)
        run = self._begun(problem.rows(robust), tf.gather(start, robust), robust, is_open)
        state = (tf.zeros((), tf.int32), result, run)
        batch = problem.x.shape[:1]
        shapes = tf.nest.map_structure(
            lambda t: batch + t.shape[1:] if t.shape.rank else t.shape, state
        )
        _, result, _ = tf.while_loop(
            lambda index, _, run: (index < len(ends)) & (tf.shape(run.row)[0] > 0),
            window,
            state,
            shape_invariants=shapes,
            parallel_iterations=1,
        )
        return result

    def _begun(self, problem: _Problem, x: tf.Tensor, row: tf.Tensor, is_open: tf.Tensor) -> _Run:
        """A run at its start, which counts as an iterate."""
        gradient, loss, odds, fooled = self._seen(problem, x)
        slot = tf.float32.min if self.settings.loss == "cross-entropy" else 0.0  # a loss of 0
        return _Run(
            row=row,
            open=is_open,
            x=x,
            previous=x,
            gradient=gradient,
            best=x,
            best_gradient=gradient,
            best_loss=loss,
            best_odds=odds,
            hit=x,
            fooled=fooled,
            step=tf.fill(tf.shape(loss), 2.0 * self.settings.eps),
            loss=tf.fill(tf.shape(loss), slot),
            rises=tf.zeros_like(loss),
            best_before=loss,
            halved=tf.ones_like(fooled),
        )

    def _climb(
        self,
        problem: _Problem,
        run: _Run,
        span: tuple[tf.Tensor, tf.Tensor],
        budget: tuple[tf.Tensor, int],
    ) -> _Run:
        """The run after the iterations `span[0]` to `span[1]` - 1; `budget` as of `_run`."""

        def step(index: tf.Tensor, run: _Run) -> tuple[tf.Tensor, _Run]:
            share = tf.where(index == 0, 1.0, _INERTIA)
            direction = self.ball.steepest_direction(run.gradient, run.x)
            ahead = self.ball.clip(problem.x, run.x + wide(run.step, run.x) * direction)
            x = run.x + share * (ahead - run.x) + (1.0 - share) * (run.x - run.previous)
            x = self.ball.clip(problem.x, x)
            gradient, loss, odds, fooled = self._seen(problem, x)
            better = loss > run.best_loss
            moved = run._replace(
                x=x,
                previous=run.x,
                gradient=gradient,
                best=tf.where(wide(better, x), x, run.best),
                best_gradient=tf.where(wide(better, x), gradient, run.best_gradient),
                best_loss=tf.where(better, loss, run.best_loss),
                best_odds=tf.where(better, odds, run.best_odds),
                hit=tf.where(wide(fooled, x), x, run.hit),
                fooled=run.fooled | fooled,
                loss=loss,
                rises=run.rises + tf.cast(loss > run.loss, tf.float32),
            )
            for new, old in zip(moved, run, strict=True):
                new.set_shape(old.shape)
            return index + 1, moved

        def report(index: tf.Tensor, run: _Run) -> Report:
            return Report(budget[0] + index, budget[1], ~run.fooled, run.row)

        return self.watch.rounds(step, span, run, report)

    def _check(self, run: _Run, length: tf.Tensor) -> _Run:
        """The run after a window of `length` steps: steps halved where the loss stalls."""
        stuck = ~run.halved & (run.best_before >= run.best_loss)
        halved = (run.rises <= self.settings.rho * length) | stuck
        back = wide(halved, run.x)
        return run._replace(
            x=tf.where(back, run.best, run.x),
            gradient=tf.where(back, run.best_gradient, run.gradient),
            step=tf.where(halved, run.step / 2.0, run.step),
            rises=tf.zeros_like(run.rises),
            best_before=run.best_loss,
            halved=halved,
        )

    def _seen(self, problem: _Problem, x: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Of each point: the direction of its gradient, its loss, log-odds and success."""
        eot = self.settings.eot
        slope = expected_gradient(
            problem.classifier, lambda logits: self._loss(problem, logits, eot > 1), x, eot
        )
        odds = losses.log_odds(slope.logits, problem.y)
        fooled = _fooled(slope.logits, problem.y, odds)
        return slope.direction, self._loss(problem, slope.logits), odds, fooled

    def _loss(self, problem: _Problem, logits: tf.Tensor, averaged: bool = False) -> tf.Tensor:
        """What is climbed; a gradient to be averaged needs cross-entropy's own slope."""
        classes = int(logits.shape[-1])
        if self.settings.loss == "cross-entropy":
            return (losses.cross_entropy if averaged else losses.log_odds)(logits, problem.y)
        if self.settings.targets:
            kind = losses.targeted_dlr if classes >= 4 else losses.logit_lead
            return kind(logits, problem.y, problem.target)
        return (losses.dlr if classes >= 3 else losses.logit_lead)(logits, problem.y)


def _fooled(logits: tf.Tensor, y: tf.Tensor, odds: tf.Tensor) -> tf.Tensor:
    """Misclassified; logits that are not numbers count as robust."""
    return ~losses.predicted(logits, y) & (odds == odds)


def _where(chosen: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.where(chosen)[:, 0], tf.int32)


def _selected(run: _Run, chosen: tf.Tensor) -> _Run:
    return _Run(*(tf.gather(part, _where(chosen)) for part in run))


def _stored(result: _Result, run: _Run) -> _Result:
    """`result` with what the run has found so far for its images."""
    before = _Result(*(tf.gather(part, run.row) for part in result))
    x_new = tf.where(wide(run.fooled, run.x), run.hit, run.best)
    better = run.open & (run.fooled | (run.best_odds > before.odds))
    now = _Result(
        tf.where(wide(better, x_new), x_new, before.x),
        tf.where(better, run.best_odds, before.odds),
        before.fooled | run.fooled,
    )
    place = run.row[:, None]
    merged = _Result(
        *(tf.tensor_scatter_nd_update(*pair) for pair in zip(result, [place] * 3, now, strict=True))
    )
    for new, old in zip(merged, result, strict=True):
        new.set_shape(old.shape)
    return merged


_LOSSES = {"cross_entropy": "cross-entropy", "difference_logits_ratio": "dlr"}  # ART's, ours
_ART = ArtClass(
    "Gradient ascent that picks its own step size, as in the official AutoAttack, compiled.",
    (
        ArtParameter("norm", math.inf),
        ArtParameter("eps", 0.3),
        ArtParameter("max_iter", 100, "steps"),
        ArtParameter("nb_random_init", 1, "restarts"),
        ArtParameter(BATCH_SIZE, 32),
        ArtParameter(
            "loss_type",
            "cross_entropy",
            "loss",
            kind=Literal["cross_entropy", "difference_logits_ratio"],
            text='"cross_entropy" or "difference_logits_ratio", which needs three classes.',
            to_settings=lambda value: {"loss": _LOSSES.get(value, value)},
            from_settings=lambda settings: {v: k for k, v in _LOSSES.items()}[settings.loss],
        ),
        ArtParameter("eot", 1, keyword_only=True),
    ),
    "From ART's `AutoProjectedGradientDescent`, whose parameters these are: the first step is "
    "2 eps (no `eps_step`), one random start for ART's five, and nothing is targeted.",
)
APGD_CE = AttackSpec(
    "apgd-ce",
    APGDSettings,
    ("eps", "norm", "steps", "restarts", "eot"),
    AdaptiveAscent,
    norms=("linf", "l2"),
    art=_ART,
)
APGD_DLR = dataclasses.replace(
    APGD_CE.variant("apgd-dlr", APGD_CE.options, loss="dlr"),
    least_classes=3,
    fewer_classes="apgd-ce",
)
APGD_T = dataclasses.replace(
    APGD_CE,
    name="apgd-t",
    options=(*APGD_CE.options, "targets"),
    defaults={"loss": "dlr", "targets": 9},
    least_classes=4,
    fewer_classes="apgd-ce",
    art=ArtClass(
        "APGD on the targeted logit ratio, towards one class after another: untargeted in effect. "
        "It needs four classes.",
        (*_ART.parameters[:5], NB_TARGETS, _ART.parameters[-1]),  # all but the loss
    ),
)
