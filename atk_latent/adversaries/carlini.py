"""Carlini and Wagner's attack: the smallest L2 change that makes the classifier err."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import keras
import tensorflow as tf

from atk_latent.adversaries import losses
from atk_latent.adversaries.base import Classifier
from atk_latent.adversaries.gradients import GradientAdversary, loss_gradient, wide
from atk_latent.adversaries.loop_watch import Report
from atk_latent.adversaries.minimal import (
    ActiveRows,
    MinimalSettings,
    random_targets,
    successes,
    where_rows,
)
from atk_latent.adversaries.noise import RowNoise
from atk_latent.adversaries.rows import choose
from atk_latent.adversaries.settings import read_settings
from atk_latent.adversaries.spec import BATCH_SIZE, ArtClass, ArtParameter, AttackSpec
from atk_latent.errors import InputError

_INSIDE = 0.999999  # keeps the arc tangent of a value at its bound finite
_LARGEST = 1e10  # of the constant, while no success bounds it
_CHECKS = 10  # how often a search step asks whether an image still gets better
_DECAYS, _TINY = (0.9, 0.999), 1e-8  # Adam's


@dataclasses.dataclass(frozen=True)
class CarliniSettings(MinimalSettings):
    """How long and for what is searched; the defaults are CleverHans'.

    Args:
        targeted: labels are the classes wanted.
        bounds: (low, high), the legal pixel range.
        random_target: towards a class drawn for each image, uniformly among those that are
            not its label, instead of any other class.
        confidence: number >= 0, by how much the class wanted (or another) must lead.
        learning_rate: number > 0, of Adam.
        search_steps: int >= 1, constants tried.
        steps: int >= 1, steps of Adam for each constant.
        abort_early: an image leaves a constant once its loss falls by less than 0.01% in a
            tenth of the steps.
        initial_const: number > 0, the first constant.
        eps: an image changed by more, in L2, is handed back unchanged; None: any change counts.

    Raises:
        InputError: for values out of range.
    """

    random_target: bool = False
    confidence: float = 0.0
    learning_rate: float = 5e-3
    search_steps: int = 9
    steps: int = 1000
    abort_early: bool = True
    initial_const: float = 1e-2
    eps: float | None = None

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        super().__post_init__()
        positive, low = ("learning_rate", "initial_const"), {"search_steps": (1,), "steps": (1,)}
        read_settings(self, positive, confidence=(0,), eps=(0,), **low)
        if self.targeted and self.random_target:
            raise InputError(
                "settings 'targeted' and 'random_target' exclude each other: labels are the "
                "classes wanted, or classes are drawn"
            )


class _Nearest(NamedTuple):
    """The nearest success of each image: x (B, ...), its squared distance (B,), inf if none."""

    x: tf.Tensor
    distance: tf.Tensor


class _Constant(NamedTuple):
    """The search over the constant c: c and the bounds around it, all (B,)."""

    value: tf.Tensor
    low: tf.Tensor
    high: tf.Tensor


class _Descent(NamedTuple):
    """One image's descent at one constant.

    Args:
        w: x in tanh space (B, ...). mean, square: Adam's moments, same shape.
        loss: at the step before (B,). before: at the last check (B,).
        won: a success was met (B,). best: over all constants.
    """

    w: tf.Tensor
    mean: tf.Tensor
    square: tf.Tensor
    loss: tf.Tensor
    before: tf.Tensor
    won: tf.Tensor
    best: _Nearest


class _Problem(NamedTuple):
    """The images (B, ...), their labels or targets (B,) and constants (B,)."""

    x: tf.Tensor
    y: tf.Tensor
    constant: tf.Tensor


class CarliniL2(GradientAdversary):
    """Minimises the squared distance plus c times the margin, for several constants c.

    An image is x_adv = low + (high - low) * (tanh(w) + 1) / 2, and Adam descends
    |x_adv - x|^2 + c * max(0, lead of the label + confidence) in w, from x. Image by image,
    c is halved towards the largest that failed after a success, and multiplied by 10 (or
    halved towards the least that succeeded) after a failure. Of all steps of all constants
    the nearest success is kept; an image without one comes back unchanged.

    Args:
        settings: see `CarliniSettings`; None takes its defaults.
        seed: of the target classes; see `Adversary`.

    Reference: Carlini and Wagner, S&P 2017, section VI.A, f6; defaults of CleverHans 3.1.
    Differs: early abort is decided for each image on its own, not for the batch, so that
        finished images cost nothing more and results do not depend on the batch.
    """

    def __init__(
        self, settings: CarliniSettings | None = None, *, seed: int | keras.random.SeedGenerator = 0
    ) -> None:
        super().__init__(seed=seed)
        self.settings = settings or CarliniSettings()

    @property
    def _wanted(self) -> bool:
        """Labels inside the search are the classes wanted."""
        return self.settings.targeted or self.settings.random_target

    def craft(
        self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor, noise: RowNoise
    ) -> tf.Tensor:
        """Adversarial images; see `Adversary.craft`."""
        settings = self.settings
        if settings.random_target:
            y = random_targets(y, classifier(x).shape[-1], noise)
        zeros = tf.zeros_like(y, tf.float32)
        nearest = _Nearest(x, zeros + tf.float32.max)
        constant = _Constant(zeros + settings.initial_const, zeros, zeros + _LARGEST)

        def search(
            index: tf.Tensor, constant: _Constant, nearest: _Nearest
        ) -> tuple[tf.Tensor, _Constant, _Nearest]:
            problem = _Problem(x, y, constant.value)
            won, nearest = self._descend(classifier, problem, nearest, index * settings.steps)
            return index + 1, _following(constant, won), nearest

        _, _, nearest = tf.while_loop(
            lambda index, *_: index < settings.search_steps,
            search,
            (0, constant, nearest),
            parallel_iterations=1,
        )
        if settings.eps is None:
            return nearest.x
        return where_rows(nearest.distance <= settings.eps**2, nearest.x, x)

    def _descend(
        self, classifier: Classifier, problem: _Problem, nearest: _Nearest, before: tf.Tensor
    ) -> tuple[tf.Tensor, _Nearest]:
        """Adam at one constant: which images met a success, and the nearest ones.

        Args:
            before: steps at the constants before, which count for `watch` alone.
        """
        settings, x = self.settings, problem.x
        stretch = max(1, settings.steps // _CHECKS)
        low, high = settings.bounds
        w = tf.atanh(_INSIDE * (2 * (x - low) / (high - low) - 1))
        far = tf.zeros_like(problem.constant) + tf.float32.max
        start = _Descent(
            w, tf.zeros_like(x), tf.zeros_like(x), far, far, tf.zeros_like(far, tf.bool), nearest
        )

        def segment(
            index: tf.Tensor, active: tf.Tensor, state: _Descent
        ) -> tuple[tf.Tensor, tf.Tensor, _Descent]:
            rows = ActiveRows(active)
            part, own = rows.take((state, problem))
            stop = tf.minimum(index + stretch, settings.steps)

            def step(i: tf.Tensor, part: _Descent) -> tuple[tf.Tensor, _Descent]:
                return i + 1, self._step(classifier, own, part, i)

            def report(i: tf.Tensor, part: _Descent) -> Report:
                missed = part.best.distance >= tf.float32.max
                total = settings.search_steps * settings.steps
                return Report(before + i, total, missed, rows.places)

            part = self.watch.rounds(step, (index, stop), part, report)
            going = rows.active
            if settings.abort_early:
                going &= part.loss < 0.9999 * part.before
            part = choose(rows.active, part._replace(before=part.loss), rows.take(state))
            return stop, rows.put(active, going), rows.put(state, part)

        _, _, end = tf.while_loop(
            lambda index, active, _: (index < settings.steps) & tf.reduce_any(active),
            segment,
            (0, tf.ones_like(problem.y, tf.bool), start),
            parallel_iterations=1,
        )
        return end.won, end.best

    def _step(
        self, classifier: Classifier, problem: _Problem, state: _Descent, index: tf.Tensor
    ) -> _Descent:
        """One step of Adam, after a look at where it starts."""
        settings, (low, high) = self.settings, self.settings.bounds
        margin = losses.targeted_margin if self._wanted else losses.margin
        bent = tf.tanh(state.w)
        x_adv = low + (high - low) * (bent + 1) / 2
        change = x_adv - problem.x
        distance = tf.reduce_sum(tf.square(change), axis=list(range(1, change.shape.rank)))
        slope, scale, logits = loss_gradient(
            classifier, lambda logits: -margin(logits, problem.y, settings.confidence), x_adv
        )
        lead = -margin(logits, problem.y, settings.confidence)
        loss = distance + problem.constant * lead
        gradient = 2 * change + wide(problem.constant * scale, slope) * slope
        gradient *= (high - low) / 2 * (1 - tf.square(bent))
        success = (lead <= 0) & successes(logits, problem.y, self._wanted)
        nearer = success & (distance < state.best.distance)
        best = choose(nearer, _Nearest(x_adv, distance), state.best)
        slow, fast = _DECAYS
        mean = slow * state.mean + (1 - slow) * gradient
        square = fast * state.square + (1 - fast) * tf.square(gradient)
        time = tf.cast(index + 1, tf.float32)
        rate = settings.learning_rate * tf.sqrt(1 - fast**time) / (1 - slow**time)
        w = state.w - rate * mean / (tf.sqrt(square) + _TINY)
        return _Descent(w, mean, square, loss, state.before, state.won | success, best)


def _following(constant: _Constant, won: tf.Tensor) -> _Constant:
    """The next constant of each image, after it succeeded or failed with this one."""
    value = constant.value
    low = tf.where(won, constant.low, tf.maximum(constant.low, value))
    high = tf.where(won, tf.minimum(constant.high, value), constant.high)
    following = tf.where(high < _LARGEST, (low + high) / 2, value * 10)
    return _Constant(tf.minimum(following, _LARGEST), low, high)


CW_L2 = AttackSpec(
    "cw-l2",
    CarliniSettings,
    (
        "eps",
        "steps",
        "search_steps",
        "learning_rate",
        "initial_const",
        "confidence",
        "random_target",
        "abort_early",
    ),
    CarliniL2,
    option_defaults={"steps": 100, "search_steps": 6, "learning_rate": 0.05, "initial_const": 1.0},
    norms=("l2",),
    minimal=True,
    art=ArtClass(
        "Carlini and Wagner's attack: the smallest L2 change, by Adam in tanh space, compiled.",
        (
            ArtParameter("confidence", 0.0),
            ArtParameter("targeted", False),
            ArtParameter("learning_rate", 5e-3),
            ArtParameter("binary_search_steps", 9, "search_steps"),
            ArtParameter("max_iter", 1000, "steps"),
            ArtParameter("initial_const", 1e-2),
            ArtParameter(BATCH_SIZE, 128),
            ArtParameter("random_target", False, keyword_only=True),
            ArtParameter("abort_early", True, keyword_only=True),
            ArtParameter("eps", None, keyword_only=True),
        ),
        "From ART's `CarliniL2Method`, whose parameters these are: defaults are CleverHans'; Adam "
        "in place of a line search, so no `max_halving` and `max_doubling`; constants are "
        "weighed against distances in [0, 1] pixel units.",
    ),
)
