"""FAB: the nearest adversarial image, found by steps onto linearised decision boundaries."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from atk_latent.adversaries import losses
from atk_latent.adversaries.balls import BALLS
from atk_latent.adversaries.base import Classifier
from atk_latent.adversaries.gradients import GradientAdversary, loss_gradient, repeat, wide
from atk_latent.adversaries.hyperplane import dual_size, shortest_change, size
from atk_latent.adversaries.loop_watch import Report
from atk_latent.adversaries.minimal import ActiveRows
from atk_latent.adversaries.noise import RowNoise
from atk_latent.adversaries.rows import choose
from atk_latent.adversaries.settings import read_settings
from atk_latent.adversaries.spec import BATCH_SIZE, NB_TARGETS, ArtClass, ArtParameter, AttackSpec

START_RADIUS = {"linf": 0.3, "l2": 1.0}  # of random starts where no eps is given
_TINY, _TINIEST = 1e-8, 1e-12  # of a distance, of a gradient: the published code's


@dataclasses.dataclass(frozen=True)
class FABSettings:
    """How the boundary is approached.

    Args:
        eps: number >= 0 in the units of `bounds`: an image is handed back changed only if an
            adversarial image within `eps` was found, and then leaves the search. None looks
            for the smallest change of every image, whatever its size.
        norm: "linf" or "l2", what the change is measured in.
        steps: int >= 1 of each run.
        targets: int >= 0. 0 heads for the nearest boundary of any class, which takes a
            backward pass for every class; n runs once for each of the n classes with the
            highest logits after the label's, a single backward pass a step. There are K - 1
            of them at most.
        restarts: int >= 1, runs for each target. The first starts from the image, the others
            half of `eps` away in a random direction (without `eps` half of 0.3 Linf, 1.0 L2).
        alpha_max: number in [0, 1], the largest share of the step that starts at the image.
        eta: number >= 1, how far a step goes beyond the boundary.
        beta: number in [0, 1], what is kept of the change after an adversarial step.
        bounds: (low, high), the legal pixel range.

    Raises:
        InputError: for values out of range.
    """

    eps: float | None = 8 / 255
    norm: Literal["linf", "l2"] = "linf"
    steps: int = 100
    targets: int = 0
    restarts: int = 1
    alpha_max: float = 0.1
    eta: float = 1.05
    beta: float = 0.9
    bounds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        read_settings(
            self,
            eps=(0,),
            steps=(1,),
            targets=(0,),
            restarts=(1,),
            alpha_max=(0, 1),
            eta=(1,),
            beta=(0, 1),
        )
        BALLS[self.norm](0.0, self.bounds)  # checks the bounds


class _Problem(NamedTuple):
    """Images to change: classifier, images, labels, targets if any, places in the batch."""

    classifier: Classifier
    x: tf.Tensor
    y: tf.Tensor
    target: tf.Tensor | None
    row: tf.Tensor


class _Nearest(NamedTuple):
    """The nearest adversarial image so far: x (B, ...), distance (B,), infinite for none."""

    x: tf.Tensor
    distance: tf.Tensor


_State = tuple[tf.Tensor, _Nearest]  # the point, and the nearest so far
_Boundary = tuple[tf.Tensor, tf.Tensor, tf.Tensor]  # distance, lead, normal


class FastAdaptiveBoundary(GradientAdversary):
    """Looks for the adversarial image nearest to each image.

    A step takes the boundary where another class draws level with the label, linearised at
    the present point, and goes a little beyond it: from the present point, mixed with the
    same move from the image itself, which keeps the search near. Where that is adversarial
    it is kept if it is the nearest so far, and the search goes back towards the image.

    An image that is misclassified as it is stays so and costs no step. Only images still
    open are worked on from one run to the next (all of them where the model's batch size is
    fixed). Values of a gradient that are not finite count as 0.

    Args:
        settings: see `FABSettings`; None takes its defaults.
        seed: see `Adversary`.

    Reference: Croce and Hein, ICML 2020, "Minimally distorted adversarial examples with a
        fast adaptive boundary attack", Algorithm 1; the targeted variant and the order of
        targets as in AutoAttack.
    Differs: no final search along the line to the image (AutoAttack has none either); an
        image without an adversarial one within `eps` is handed back unchanged.
    """

    def __init__(
        self, settings: FABSettings | None = None, *, seed: int | keras.random.SeedGenerator = 0
    ) -> None:
        super().__init__(seed=seed)
        self.settings = settings or FABSettings()

    def craft(
        self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor, noise: RowNoise
    ) -> tf.Tensor:
        """Adversarial images; see `Adversary.craft`."""
        restarts, logits = self.settings.restarts, classifier(x)
        targets = self._targets(logits)
        runs = restarts * (targets.shape[1] or 1)

        def run(index: tf.Tensor, nearest: _Nearest) -> tuple[tf.Tensor, _Nearest]:
            rows = ActiveRows(self._is_open(nearest))
            start = self._start(x, noise.fork(index), index % restarts)
            images, labels, aims, start, mine = rows.take((x, y, targets, start, nearest))
            aim = tf.gather(aims, index // restarts, axis=1) if targets.shape[1] else None
            problem = _Problem(classifier, images, labels, aim, rows.places)
            budget = index * self.settings.steps, runs * self.settings.steps
            return index + 1, rows.put(nearest, self._run(problem, start, mine, budget))

        unknown = tf.where(losses.predicted(logits, y), float("inf"), 0.0)
        _, nearest = tf.while_loop(
            lambda index, nearest: (index < runs) & tf.reduce_any(self._is_open(nearest)),
            run,
            (tf.zeros((), tf.int32), _Nearest(x, unknown)),
            parallel_iterations=1,
        )
        if self.settings.eps is None:
            return nearest.x
        return choose(self._is_open(nearest), x, nearest.x)

    def _is_open(self, nearest: _Nearest) -> tf.Tensor:
        """Which images are still looked at: those without a success, without `eps` all."""
        return nearest.distance > (self.settings.eps or 0.0)

    @property
    def _enough(self) -> float:
        """The distance at which an image counts as fallen."""
        return float(np.finfo(np.float32).max) if self.settings.eps is None else self.settings.eps

    def _targets(self, logits: tf.Tensor) -> tf.Tensor:
        """The classes to head for by falling logit, int32 (B, targets); none is (B, 0)."""
        count = min(self.settings.targets, logits.shape[1] - 1)
        return tf.math.top_k(logits, count + 1).indices[:, 1:]

    def _start(self, x: tf.Tensor, noise: RowNoise, restart: tf.Tensor) -> tf.Tensor:
        if self.settings.restarts == 1:
            return x
        norm, eps = self.settings.norm, self.settings.eps
        ball = BALLS[norm](0.5 * (START_RADIUS[norm] if eps is None else eps), self.settings.bounds)
        return tf.where(restart == 0, x, ball.random_start_on_sphere(x, noise))

    def _run(
        self,
        problem: _Problem,
        start: tf.Tensor,
        nearest: _Nearest,
        budget: tuple[tf.Tensor, int],
    ) -> _Nearest:
        """The nearest of `nearest` and all adversarial points of one run from `start`.

        Args:
            budget: steps before this run, and of all runs.
        """

        def step(index: tf.Tensor, state: _State) -> tuple[tf.Tensor, _State]:
            return index + 1, self._step(problem, *state)

        def report(index: tf.Tensor, state: _State) -> Report:
            far = state[1].distance > self._enough
            return Report(budget[0] + index, budget[1], far, problem.row)

        state: _State = (start, nearest)
        return self.watch.rounds(step, (0, self.settings.steps), state, report)[1]

    def _step(
        self, problem: _Problem, point: tf.Tensor, nearest: _Nearest
    ) -> tuple[tf.Tensor, _Nearest]:
        """Algorithm 1, one iteration: p' = (1 - a) (p + eta d_p) + a (x + eta d_x)."""
        settings, x = self.settings, problem.x
        lead, normal = self._boundary(problem, point)
        # The plane is lead + <normal, z - p> = 0, so x lacks <normal, p - x> more than p.
        apart = tf.reduce_sum(normal * (point - x), list(range(1, x.shape.rank)), keepdims=True)
        both = shortest_change(
            tf.concat([point, x], 0),
            tf.concat([normal, normal], 0),
            tf.concat([-lead, apart - lead], 0),
            norm=settings.norm,
            bounds=settings.bounds,
        )
        d_point, d_x = tf.split(both, 2)
        near, far = (tf.maximum(size(d, settings.norm), _TINY) for d in (d_point, d_x))
        alpha = tf.minimum(near / (near + far), settings.alpha_max)
        moved = (1 - alpha) * (point + settings.eta * d_point) + alpha * (x + settings.eta * d_x)
        moved = tf.clip_by_value(moved, *settings.bounds)
        fooled = ~losses.predicted(problem.classifier(moved), problem.y)
        distance = tf.reshape(size(moved - x, settings.norm), [-1])
        closer = fooled & (distance < nearest.distance)
        nearest = choose(closer, _Nearest(moved, distance), nearest)
        return choose(fooled, x + settings.beta * (moved - x), moved), nearest

    def _boundary(self, problem: _Problem, point: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """By how much the class headed for leads the label, and the gradient of that lead.

        Returns:
            float32 (B, 1, ..., 1) and the shape of `point`.
        """
        if problem.target is None:
            return self._nearest_boundary(problem, point)

        def lead(logits: tf.Tensor) -> tf.Tensor:
            return losses.logit_lead(logits, problem.y, problem.target)

        slope = loss_gradient(problem.classifier, lead, point)
        return wide(lead(slope.logits), point), slope.direction

    def _nearest_boundary(self, problem: _Problem, point: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """As `_boundary`, of the class with the smallest |lead| / dual norm of its gradient."""
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(point)
            logits = problem.classifier(point)
        classes = logits.shape[1]

        def compare(index: tf.Tensor, best: _Boundary) -> tuple[tf.Tensor, _Boundary]:
            other = tf.one_hot((problem.y + index + 1) % classes, classes)
            weights = other - tf.one_hot(problem.y, classes)  # of z_other - z_y
            lead = tf.reduce_sum(logits * weights, axis=1)
            normal = tape.gradient(logits, point, weights, unconnected_gradients="zero")
            normal = tf.where(tf.math.is_finite(normal), normal, 0.0)
            dual = tf.reshape(dual_size(normal, self.settings.norm), [-1])
            distance = tf.abs(lead) / (dual + _TINIEST)
            return index + 1, choose(distance < best[0], (distance, lead, normal), best)

        zero = tf.zeros_like(problem.y, tf.float32)
        nothing = (zero + float("inf"), zero, tf.zeros_like(point))
        _, lead, normal = repeat(compare, classes - 1, nothing)
        return wide(lead, point), normal


_PARAMETERS = (
    ArtParameter("norm", math.inf),
    ArtParameter("eps", 0.3),
    ArtParameter("max_iter", 100, "steps"),
    ArtParameter("nb_restarts", 1, "restarts"),
    ArtParameter(BATCH_SIZE, 32),
)
FAB = AttackSpec(
    "fab",
    FABSettings,
    ("eps", "norm", "steps", "restarts"),
    FastAdaptiveBoundary,
    norms=("linf", "l2"),
    art=ArtClass(
        "The nearest adversarial image, by steps onto linearised boundaries, compiled.", _PARAMETERS
    ),
)
FAB_T = dataclasses.replace(
    FAB,
    name="fab-t",
    options=(*FAB.options, "targets"),
    defaults={"targets": 9},
    art=ArtClass(
        "FAB towards one class after another, a single backward pass a step, compiled.",
        (*_PARAMETERS, NB_TARGETS),
    ),
)
