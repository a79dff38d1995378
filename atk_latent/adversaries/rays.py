"""RayS: the nearest boundary along a ray of signs; the classifier is asked for labels only."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from atk_latent.adversaries import losses
from atk_latent.adversaries.balls import BALLS
from atk_latent.adversaries.base import (
    Adversary,
    Classifier,
    checked_arrays,
    fixed_batch,
    inference,
    padded_batches,
)
from atk_latent.adversaries.gradients import wide
from atk_latent.adversaries.loop_watch import Report
from atk_latent.adversaries.minimal import ActiveRows
from atk_latent.adversaries.noise import RowNoise
from atk_latent.adversaries.rows import choose
from atk_latent.adversaries.settings import read_settings
from atk_latent.adversaries.spec import BATCH_SIZE, ArtClass, ArtParameter, AttackSpec
from atk_latent.progress import Progress, part_of

SEGMENT = 100  # queries between two looks at which images are finished
_Search = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]


@dataclasses.dataclass(frozen=True)
class RaySSettings:
    """How long is searched.

    Args:
        eps: number >= 0 in the units of `bounds`: an image is handed back changed only if
            its change is within `eps` in Linf. None hands back the nearest one found.
        queries: int >= 1, labels asked for each image.
        early_stop: an image within `eps` is left alone from then on; false goes on to the
            end of the budget, for the smallest distance. Without `eps` none stops.
        tolerance: number > 0, where a search along a ray ends, in Euclidean length.
        bounds: (low, high), the legal pixel range.

    Raises:
        InputError: for values out of range.
    """

    eps: float | None = 8 / 255
    queries: int = 10_000
    early_stop: bool = True
    tolerance: float = 1e-3
    bounds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        read_settings(self, eps=(0,), queries=(1,), tolerance=(1e-9,))
        BALLS["linf"](0.0, self.bounds)  # checks the bounds


class RaySResult(NamedTuple):
    """What the search found, one row an image.

    Args:
        x_adv: float32 (n, H, W, C), the adversarial image; the image itself for none.
        distance: float32 (n,), the nearest adversarial image's in Linf, infinite for none.
        queries: int32 (n,), labels that the search needs for an image within `eps`, up to the
            end of the bisection that reaches it, as the published code counts (`early_stop`
            spares the rest of that bisection); for no such image all of the budget.
        success: bool (n,), the distance is within `eps`; without it, finite.
    """

    x_adv: np.ndarray
    distance: np.ndarray
    queries: np.ndarray
    success: np.ndarray


class _State(NamedTuple):
    """Where the search of each image stands; r, s as in the paper.

    Args:
        signs: float32 (B, H, W, C), s, of the nearest ray so far.
        radius: float32 (B,), r, Euclidean length along it to the boundary; infinite for none.
        low, high: float32 (B,), the boundary lies between, while it is searched for.
        distance: float32 (B,), of the nearest adversarial image in Linf.
        block: int32 (B,), the candidate's number.
        flipped: bool (B,), the candidate is `signs` with its block flipped, else `signs`.
        searching: bool (B,), the candidate has passed the fast check.
        spent, needed: int32 (B,), queries in all, and those of `RaySResult.queries`.
    """

    signs: tf.Tensor
    radius: tf.Tensor
    low: tf.Tensor
    high: tf.Tensor
    distance: tf.Tensor
    block: tf.Tensor
    flipped: tf.Tensor
    searching: tf.Tensor
    spent: tf.Tensor
    needed: tf.Tensor


class RaySearch(Adversary):
    """Searches rays x + r s / |s| with s in {-1, +1}^n for the one that meets a boundary first.

    A candidate flips a block of s: the whole, halves, quarters and so on down to single
    values, in C, H, W order. One query tells whether it is adversarial at the present r; if
    so, bisection finds its own r, and it becomes s. Each query of the batch moves every image
    on by one, wherever it stands. Nothing is random: the seed plays no part.

    Args:
        settings: see `RaySSettings`; None takes its defaults.
        seed: see `Adversary`.

    Reference: Chen and Gu, KDD 2020, Algorithms 2 and 3; the hierarchical search, starting
        from s = +1 with the whole flipped, as in their batch code.
    Differs: the budget is kept to the query, where theirs ends with a candidate; an image
        that is misclassified as it is has distance 0 and is not searched.
    """

    def __init__(
        self, settings: RaySSettings | None = None, *, seed: int | keras.random.SeedGenerator = 0
    ) -> None:
        super().__init__(seed=seed)
        self.settings = settings or RaySSettings()
        self.result: RaySResult | None = None
        self._compiled_search: tuple[Classifier, _Search] | None = None

    def craft(
        self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor, noise: RowNoise
    ) -> tf.Tensor:
        """Adversarial images; see `Adversary.craft`."""
        del noise
        return self._images(x, self._end(classifier, x, y))

    def _end(self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor) -> _State:
        """Where the search of each image ends; runs inside a graph."""
        state: _State = self._begin(classifier, x, y)
        (state,) = tf.while_loop(
            lambda state: tf.reduce_any(self._is_open(state)),
            lambda state: (self._segment(classifier, x, y, state),),
            (state,),
            parallel_iterations=1,
        )
        return state

    def craft_all(
        self,
        classifier: Classifier,
        x: np.ndarray,
        y: np.ndarray,
        *,
        batch_size: int = 256,
        seed: int | None = None,
        on_batch: Callable[[int, int], None] | None = None,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Adversarial images of whole arrays; see `Adversary.craft_all`.

        `result` holds the distance and the queries of each image afterwards.
        """
        del seed
        pixels, labels = checked_arrays(x, y, batch_size)
        search, parts = self._search(classifier, pixels.shape[1:]), []
        for start, count, images, targets in padded_batches(classifier, pixels, labels, batch_size):
            part = part_of(progress, start // len(targets), -(-len(x) // len(targets)))
            with self.watch.heard(part, count):
                parts.append([values.numpy()[:count] for values in search(images, targets)])
            if on_batch:
                on_batch(start + count, len(x))
        none = np.empty(0, np.float32), np.empty(0, np.int32)
        columns = zip(*parts, strict=True) if parts else ([pixels], *([part] for part in none))
        x_adv, distance, queries = (np.concatenate(list(column)) for column in columns)
        success = self._within(tf.constant(distance)).numpy()
        self.result = RaySResult(x_adv, distance, queries, success)
        return x_adv

    def _search(self, classifier: Classifier, shape: tuple[int, ...]) -> _Search:
        """The compiled search: images, labels to images, distances and queries."""
        if self._compiled_search is None or self._compiled_search[0] is not classifier:
            call, batch = inference(classifier), fixed_batch(classifier)
            image = tf.TensorSpec([batch, *shape], tf.float32)
            label = tf.TensorSpec([batch], tf.int32)

            def search(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
                state = self._end(call, x, y)
                return self._images(x, state), state.distance, state.needed

            self._compiled_search = (classifier, self.watch.compiled(search, [image, label]))
        return self._compiled_search[1]

    def __getstate__(self) -> dict[str, object]:
        """The state without what was compiled."""
        return {**super().__getstate__(), "_compiled_search": None}

    def _within(self, distance: tf.Tensor) -> tf.Tensor:
        eps = self.settings.eps
        return distance < float("inf") if eps is None else distance <= eps

    def _is_open(self, state: _State) -> tf.Tensor:
        """Which images are still searched for."""
        settings = self.settings
        enough = settings.eps if settings.early_stop and settings.eps is not None else 0.0
        return (state.spent < settings.queries) & (state.distance > enough)

    def _begin(self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor) -> _State:
        zero, no = tf.zeros_like(y, tf.float32), tf.zeros_like(y, tf.bool)
        unknown = tf.where(losses.predicted(classifier(x), y), float("inf"), 0.0)
        none = tf.zeros_like(y)
        return _State(tf.ones_like(x), unknown, zero, zero, unknown, none, ~no, no, none, none)

    def _images(self, x: tf.Tensor, state: _State) -> tf.Tensor:
        return choose(self._within(state.distance), self._along(x, state.radius, state.signs), x)

    def _along(self, x: tf.Tensor, radius: tf.Tensor, signs: tf.Tensor) -> tf.Tensor:
        """clip(x + r s / |s|)."""
        reach = wide(radius * (1.0 / math.sqrt(math.prod(x.shape[1:]))), x)
        return tf.clip_by_value(x + reach * signs, *self.settings.bounds)

    def _segment(self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor, state: _State) -> _State:
        """Up to `SEGMENT` queries more of each image that is open, of which there is one."""
        rows = ActiveRows(self._is_open(state))
        images, labels, mine = rows.take((x, y, state))

        def query(index: tf.Tensor, mine: _State) -> tuple[tf.Tensor, _State]:
            return index + 1, self._query(classifier, images, labels, mine)

        def report(index: tf.Tensor, mine: _State) -> Report:
            far, done = ~self._within(mine.distance), tf.reduce_max(mine.spent)
            return Report(done, self.settings.queries, far, rows.places)

        mine = self.watch.rounds(
            query, (0, SEGMENT), mine, report, lambda mine: tf.reduce_any(self._is_open(mine))
        )
        return rows.put(state, mine)

    def _query(self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor, state: _State) -> _State:
        """One query of each image, and what follows from its answer."""
        settings, width = self.settings, math.prod(x.shape[1:])
        span = settings.bounds[1] - settings.bounds[0]
        whole = span * math.sqrt(width)  # the ray leaves the box here at the latest
        is_open = self._is_open(state)
        signs = self._candidate(state)
        middle = (state.low + state.high) / 2.0
        at = tf.where(state.searching, middle, tf.minimum(state.radius, whole))
        candidates = self._along(x, at, signs)
        hit = ~losses.predicted(classifier(candidates), y)
        nearer = hit & (at < state.radius)
        low = tf.where(state.searching & ~hit, at, tf.where(state.searching, state.low, 0.0))
        high = tf.where(hit, at, state.high)
        searching = tf.where(state.searching, high - low > settings.tolerance, hit)
        distance = tf.reduce_max(tf.abs(candidates - x), list(range(1, x.shape.rank)))
        one = tf.ones_like(state.spent)
        following = _State(
            signs=choose(is_open & nearer, signs, state.signs),
            radius=tf.where(nearer, at, state.radius),
            low=low,
            high=high,
            distance=tf.where(nearer, distance, state.distance),
            block=state.block + tf.where(searching, 0, one),
            flipped=~searching | (state.flipped & ~nearer),
            searching=searching,
            spent=state.spent + one,
            needed=self._needed(state, nearer & (distance <= (settings.eps or 0.0)), high - low),
        )
        rest = choose(is_open, following[1:], state[1:])
        return _State(following.signs, *rest)

    def _needed(self, state: _State, reached: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """The count of queries after this one.

        Args:
            state: before the query. reached: bool (B,), it found an image within `eps`.
            length: float32 (B,), of the interval that is left: the query that reaches `eps`
                brings the halvings with it that end its bisection.
        """
        settings = self.settings
        halvings = tf.math.ceil(tf.math.log(length / settings.tolerance) / math.log(2.0))
        rest = tf.where(reached, tf.cast(tf.maximum(halvings, 0.0), tf.int32), 0)
        counted = tf.minimum(state.needed + 1 + rest, settings.queries)
        return tf.where(state.distance > (settings.eps or 0.0), counted, state.needed)

    def _candidate(self, state: _State) -> tf.Tensor:
        """The signs of the ray each image asks about."""
        height, width, channels = state.signs.shape[1:]
        order = np.arange(channels * height * width).reshape(channels, height, width)
        order = tf.constant(order.transpose(1, 2, 0)[None], tf.int32)
        list_of_blocks = blocks(order.shape.num_elements(), self.settings.queries + 1)
        block = tf.gather(tf.constant(list_of_blocks, tf.int32), state.block)
        start, end = (wide(block[:, i], state.signs) for i in (0, 1))
        inside = (start <= order) & (order < end) & wide(state.flipped, state.signs)
        return tf.where(inside, -state.signs, state.signs)


def blocks(width: int, count: int) -> list[tuple[int, int]]:
    """The first `count` blocks (start, end) of `width` values that candidates flip.

    Level L has 2^L blocks of ceil(width / 2^L) values, or fewer if they reach the end; levels
    of single values repeat for ever.
    """
    ranges: list[tuple[int, int]] = []
    level = 0
    while len(ranges) < count:
        size = -(-width // 2**level)
        starts = range(0, width, size)[: 2**level]
        ranges += [(start, min(start + size, width)) for start in starts]
        level += 1
    return ranges[:count]


RAYS = AttackSpec(
    "rays",
    RaySSettings,
    ("eps", "queries"),
    RaySearch,
    access="decision-based",
    art=ArtClass(
        "The nearest boundary along a ray of signs, in Linf; asks for predicted classes only. "
        "Nothing is random. `result` holds the distance and the queries of each image after "
        "`generate`, distances in [0, 1] pixel units.",
        (
            ArtParameter("eps", 0.3),
            ArtParameter("max_iter", 10_000, "queries"),
            ArtParameter(BATCH_SIZE, 128),
            ArtParameter("early_stop", True, keyword_only=True),
        ),
    ),
)
