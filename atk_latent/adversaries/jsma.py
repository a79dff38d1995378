"""The saliency map attack: few values, two at a time."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import keras
import tensorflow as tf

from atk_latent.adversaries.base import Classifier
from atk_latent.adversaries.gradients import GradientAdversary
from atk_latent.adversaries.loop_watch import Report
from atk_latent.adversaries.minimal import (
    ActiveRows,
    MinimalSettings,
    random_targets,
    successes,
    where_rows,
)
from atk_latent.adversaries.noise import RowNoise
from atk_latent.adversaries.settings import read_settings
from atk_latent.adversaries.spec import BATCH_SIZE, ArtClass, ArtParameter, AttackSpec
from atk_latent.errors import InputError

_BLOCK = 32  # features that the search for the best pair takes at once
_NEVER = -4.0  # a slope, on a scale where the largest is 1, that no pair can make up for
_TILTS = tuple(2.0**power for power in range(-5, 6))


@dataclasses.dataclass(frozen=True)
class JSMASettings(MinimalSettings):
    """How much is changed.

    Args:
        targeted: labels are the classes wanted; else a class is drawn for each image,
            uniformly among those that are not its label.
        bounds: (low, high), the legal pixel range.
        theta: what is added to a value, in the units of `bounds`, not 0.
        gamma: in (0, 1], the largest share of an image's values that may change.

    Raises:
        InputError: for values out of range.
    """

    theta: float = 1.0
    gamma: float = 0.145

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        super().__post_init__()
        if self.theta == 0:
            raise InputError("setting 'theta' must not be 0: no value would change")
        read_settings(self, ("gamma",), gamma=(0, 1))


class _State(NamedTuple):
    """x (B, n), still going bool (B,)."""

    x: tf.Tensor
    active: tf.Tensor


class SaliencyMap(GradientAdversary):
    """Changes, step by step, the two values that most raise the target and lower the rest.

    With alpha the sum of the two values' slopes of the target's logit and beta that of the
    sum of all other logits, the pair of the largest -alpha * beta is taken among those with
    alpha > 0 > beta (alpha < 0 < beta where `theta` is negative). Values at their bound
    are left out. An image is done when the target is predicted, when no such pair is left,
    or after gamma * n / 2 steps, n values an image. The pair is the best of all n (n - 1) / 2;
    see `best_pair`. Finished images cost nothing more; see `ActiveRows`.

    Args:
        settings: see `JSMASettings`; None takes its defaults.
        seed: of the target classes; see `Adversary`.

    Reference: Papernot et al., EuroS&P 2016, Algorithms 1 and 3, whose theta 1 and gamma
        14.5% are the defaults.
    Differs: an image that ends where the attacker does not want it comes back unchanged.
        Slopes are those of logits; those of softmax outputs add up to 0, so that
        beta = -alpha.
    """

    def __init__(
        self, settings: JSMASettings | None = None, *, seed: int | keras.random.SeedGenerator = 0
    ) -> None:
        super().__init__(seed=seed)
        self.settings = settings or JSMASettings()

    def craft(
        self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor, noise: RowNoise
    ) -> tf.Tensor:
        """Adversarial images; see `Adversary.craft`."""
        settings, shape = self.settings, x.shape[1:]
        steps = math.floor(settings.gamma * math.prod(shape) / 2 + 1e-9)
        if not steps:
            raise InputError(
                f"setting 'gamma' must let two of the {math.prod(shape)} values of an image "
                f"change. Received: {settings.gamma:g}"
            )
        target = y
        if not settings.targeted:
            target = random_targets(y, classifier(x).shape[-1], noise)

        def step(index: tf.Tensor, state: _State) -> tuple[tf.Tensor, _State]:
            rows = ActiveRows(state.active)
            part, wanted = rows.take((state, target))
            return index + 1, rows.put(state, self._step(classifier, shape, part, wanted))

        flat = tf.reshape(x, [-1, math.prod(shape)])
        end = self.watch.rounds(
            step,
            (0, steps),
            _State(flat, tf.ones_like(y, tf.bool)),
            lambda index, state: Report(index, steps, state.active),
            going=lambda state: tf.reduce_any(state.active),
        )
        x_adv = tf.reshape(end.x, tf.shape(x))
        x_adv.set_shape(x.shape)
        won = successes(classifier(x_adv), y, settings.targeted)
        return where_rows(won, x_adv, x)

    def _step(
        self, classifier: Classifier, shape: tf.TensorShape, state: _State, target: tf.Tensor
    ) -> _State:
        """Two values of each image that is still going, or its end."""
        x = state.x
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(x)
            logits = classifier(tf.reshape(x, [-1, *shape]))
        own = tf.one_hot(target, logits.shape[-1])
        slopes = (tape.gradient(logits, x, part, "zero") for part in (own, 1 - own))
        sign = math.copysign(1.0, self.settings.theta)
        alpha, beta = (sign * tf.where(tf.math.is_finite(s), s, 0.0) for s in slopes)
        low, high = self.settings.bounds
        room = x < high if sign > 0 else x > low
        pair, exists = best_pair(alpha, -beta, room)
        going = state.active & exists & ~successes(logits, target, True)
        changed = tf.reduce_any(tf.one_hot(pair, x.shape[1], True, False, dtype=tf.bool), axis=1)
        moved = tf.clip_by_value(x + self.settings.theta, low, high)
        return _State(tf.where(changed & going[:, None], moved, x), going)


class _Pair(NamedTuple):
    """The best pair of each row so far: score (B,), features int32 (B, 2)."""

    score: tf.Tensor
    features: tf.Tensor


def best_pair(rise: tf.Tensor, fall: tf.Tensor, legal: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The pair of features of the largest (rise_p + rise_q) * (fall_p + fall_q), both sums > 0.

    It is exact without looking at all pairs. For every t > 0 the product A * B of two
    positive numbers is at most ((t * A + B / t) / 2)^2, which is a sum over the two
    features; so a feature's best pair scores at most what it gives with the feature of the
    largest term, for the t where that is least. Features are taken in the order of this
    bound, some at a time, until no other can be in a better pair.

    Args:
        rise, fall: float32 (B, n). legal: bool (B, n), the features that may be taken.

    Returns:
        The pair, int32 (B, 2), and whether there is one, bool (B,).
    """
    rise, fall = (_scaled(slope, legal) for slope in (rise, fall))
    bound, order = tf.math.top_k(_bounds(rise, fall), rise.shape[1])
    rise, fall = (tf.gather(slope, order, batch_dims=1) for slope in (rise, fall))
    width = rise.shape[1]

    def block(start: tf.Tensor, best: _Pair) -> tuple[tf.Tensor, _Pair]:
        stop = tf.minimum(start + _BLOCK, width)
        one, two = tf.range(start, stop), tf.range(stop)
        sums = [s[:, start:stop, None] + s[:, None, :stop] for s in (rise, fall)]
        fits = (sums[0] > 0) & (sums[1] > 0) & (two[None, :] < one[:, None])
        scores = tf.reshape(tf.where(fits, sums[0] * sums[1], 0.0), [-1, tf.size(one) * stop])
        at = tf.argmax(scores, axis=1, output_type=tf.int32)
        score = tf.reduce_max(scores, axis=1)
        pair = tf.stack([start + at // stop, at % stop], axis=1)
        better = score > best.score
        return stop, _Pair(
            tf.where(better, score, best.score), tf.where(better[:, None], pair, best.features)
        )

    def unsettled(start: tf.Tensor, best: _Pair) -> tf.Tensor:
        following = bound[:, tf.minimum(start, width - 1)]
        return (start < width) & tf.reduce_any(following > best.score)

    none = _Pair(tf.zeros_like(rise[:, 0]), tf.zeros_like(order[:, :2]))
    _, best = tf.while_loop(unsettled, block, (0, none), parallel_iterations=1)
    return tf.gather(order, best.features, batch_dims=1), best.score > 0


def _scaled(slope: tf.Tensor, legal: tf.Tensor) -> tf.Tensor:
    """Slopes over the largest legal one of their row; a negative number where not legal."""
    slope = tf.where(legal, slope, 0.0)
    largest = tf.reduce_max(tf.abs(slope), axis=1, keepdims=True)
    return tf.where(legal, tf.math.divide_no_nan(slope, largest), _NEVER)


def _bounds(rise: tf.Tensor, fall: tf.Tensor) -> tf.Tensor:
    """No pair with this feature scores more, (B, n); a little above, for rounding."""

    def bound(tilt: float) -> tf.Tensor:
        term = tilt * rise + fall / tilt
        most = tf.reduce_max(term, axis=1, keepdims=True)
        return tf.square(tf.nn.relu(term + most)) / 4

    lowest = bound(_TILTS[0])
    for tilt in _TILTS[1:]:
        lowest = tf.minimum(lowest, bound(tilt))
    return lowest * (1 + 1e-5)


JSMA = AttackSpec(
    "jsma",
    JSMASettings,
    ("theta", "gamma"),
    SaliencyMap,
    norms=("l0",),
    minimal=True,
    art=ArtClass(
        "The saliency map attack: two values at a time, those that most favour a class, compiled.",
        (
            ArtParameter("theta", 1.0),
            ArtParameter("gamma", 0.145),
            ArtParameter(BATCH_SIZE, 128),
            ArtParameter("targeted", False, keyword_only=True),
        ),
        "From ART's `SaliencyMapMethod`, whose parameters these are: that one takes the two "
        "largest slopes of the target and leaves the other classes out, always takes labels for "
        "targets, and hands back images that did not reach theirs.",
    ),
)
