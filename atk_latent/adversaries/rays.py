"""RayS: the nearest boundary along a ray of signs; the classifier is asked for labels only."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from atk_latent.adversaries import losses
from atk_latent.adversaries.balls import BALLS
from atk_latent.adversaries.base import Adversary, Classifier, fixed_batch, inference
from atk_latent.adversaries.gradients import wide
from atk_latent.adversaries.minimal import ActiveRows
from atk_latent.adversaries.noise import RowNoise
from atk_latent.adversaries.rows import choose
from atk_latent.adversaries.settings import preset, read_settings
from atk_latent.atomic import atomic_file, check_parent, write_json
from atk_latent.config import check_range
from atk_latent.errors import InputError
from atk_latent.labels import label_tensor
from atk_latent.models.fingerprint import fingerprint

SEGMENT = 100  # queries between two looks at which images are finished


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
        queries: int32 (n,), labels asked until the image was within `eps`, or at all.
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
        spent, needed: int32 (B,), queries in all, and while the image was not within `eps`.
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


class RayS(Adversary):
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
        self,
        settings: RaySSettings | None = None,
        *,
        seed: int | keras.random.SeedGenerator = 0,
    ) -> None:
        super().__init__(seed=seed)
        self.settings = settings or RaySSettings()

    def craft(
        self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor, noise: RowNoise
    ) -> tf.Tensor:
        """Adversarial images; see `Adversary.craft`."""
        del noise
        (state,) = tf.while_loop(
            lambda state: tf.reduce_any(self._is_open(state)),
            lambda state: (self._segment(classifier, x, y, state),),
            (self._begin(classifier, x, y),),
            parallel_iterations=1,
        )
        return self._images(x, state)

    def run(
        self,
        classifier: Classifier,
        x: np.ndarray,
        y: np.ndarray,
        *,
        folder: str | Path | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        batch_size: int = 256,
    ) -> RaySResult:
        """Searches whole arrays and can be stopped at any moment and called again.

        Args:
            classifier, x, y: as for `craft_all`.
            folder: where each batch's state is kept, whole or not at all, every `SEGMENT`
                queries; the same call goes on from it and gives the same result as one that
                was never stopped. None keeps nothing.
            on_progress: called after each segment with (queries, queries in all); an image
                that is finished early counts its whole budget.
            batch_size: images at once, int >= 1; a model of a fixed batch size keeps to its own.

        Raises:
            InputError: for a batch size below 1, lengths that differ, or a folder that holds
                the state of another search.
        """
        check_range("batch_size", batch_size, 1)
        if len(x) != len(y):
            raise InputError(f"images and labels must be as many. Received: {len(x)} and {len(y)}")
        pixels, labels = np.asarray(x, np.float32), label_tensor(y).numpy()
        size = fixed_batch(classifier) or batch_size
        keeper = _Keeper(folder, self._fingerprint(classifier, pixels, labels, size))
        begin, segment = self._compile(classifier, pixels.shape[1:])
        total, parts = len(x) * self.settings.queries, []
        for start in range(0, len(x), size):
            count = min(size, len(x) - start)
            images, targets = (
                _padded(a[start : start + count], classifier) for a in (pixels, labels)
            )
            state = keeper.load(start) or begin(images, targets)
            while self._is_open(state).numpy()[:count].any():
                state = segment(images, targets, state)
                keeper.save(start, state)
                if on_progress:
                    left = tf.where(self._is_open(state), self.settings.queries - state.spent, 0)
                    ahead = (len(x) - start - count) * self.settings.queries
                    on_progress(total - ahead - int(np.sum(left[:count])), total)
            part = self._images(images, state), state.distance, state.needed
            parts.append([values.numpy()[:count] for values in part])
        if not parts:
            return RaySResult(pixels, *(np.empty(0, kind) for kind in ("float32", "int32", "bool")))
        made, distance, queries = (np.concatenate(column) for column in zip(*parts, strict=True))
        return RaySResult(made, distance, queries, self._within(tf.constant(distance)).numpy())

    def _compile(self, classifier: Classifier, shape: tuple[int, ...]) -> tuple[Callable, Callable]:
        """`_begin` and `_segment` for a classifier and an image shape."""
        call = inference(classifier)
        batch = fixed_batch(classifier)
        image = tf.TensorSpec([batch, *shape], tf.float32)
        label = tf.TensorSpec([batch], tf.int32)
        real, yes = tf.TensorSpec([batch], tf.float32), tf.TensorSpec([batch], tf.bool)
        state = _State(image, real, real, real, real, label, yes, yes, label, label)

        @tf.function(autograph=False, input_signature=[image, label])
        def begin(x: tf.Tensor, y: tf.Tensor) -> _State:
            return self._begin(call, x, y)

        @tf.function(autograph=False, input_signature=[image, label, state])
        def segment(x: tf.Tensor, y: tf.Tensor, state: _State) -> _State:
            return self._segment(call, x, y, state)

        return begin, segment

    def _fingerprint(
        self, classifier: Classifier, x: np.ndarray, y: np.ndarray, size: int
    ) -> dict[str, Any]:
        """What a kept state belongs to."""
        known = fingerprint(classifier) if isinstance(classifier, keras.Layer) else ""
        digest = hashlib.sha256(known.encode())
        for array in (x, y):
            digest.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        settings = json.loads(json.dumps(dataclasses.asdict(self.settings)))
        return {"settings": settings, "batch_size": size, "data_and_model": digest.hexdigest()}

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
        _, mine = tf.while_loop(
            lambda index, mine: tf.reduce_any(self._is_open(mine)),
            lambda index, mine: (index + 1, self._query(classifier, images, labels, mine)),
            (tf.zeros((), tf.int32), mine),
            parallel_iterations=1,
            maximum_iterations=SEGMENT,
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
        asked = self._along(x, at, signs)
        hit = ~losses.predicted(classifier(asked), y)
        nearer = hit & (at < state.radius)
        low = tf.where(state.searching & ~hit, at, tf.where(state.searching, state.low, 0.0))
        high = tf.where(hit, at, state.high)
        searching = tf.where(state.searching, high - low > settings.tolerance, hit)
        distance = tf.reduce_max(tf.abs(asked - x), list(range(1, x.shape.rank)))
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
            needed=state.needed + tf.where(state.distance > (settings.eps or 0.0), one, 0),
        )
        rest = choose(is_open, following[1:], state[1:])
        return _State(following.signs, *rest)

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


class _Keeper:
    """The states of batches in a folder, each file whole or absent; without a folder nowhere."""

    def __init__(self, folder: str | Path | None, belongs_to: dict[str, Any]) -> None:
        self.folder = None if folder is None else check_parent(folder, "folder")
        if self.folder is None:
            return
        self.folder.mkdir(exist_ok=True)
        card = self.folder / "search.json"
        if not card.exists():
            write_json(card, belongs_to)
        elif json.loads(card.read_text(encoding="utf-8")) != belongs_to:
            raise InputError(
                f"folder {self.folder} holds a search with other settings, images, labels or "
                "weights. Choose another folder or remove it."
            )

    def load(self, start: int) -> _State | None:
        """The state of the batch that begins at image `start`, None where none is kept."""
        if self.folder is None or not (self.folder / _file(start)).exists():
            return None
        with np.load(self.folder / _file(start)) as kept:
            return _State(*(tf.constant(kept[name]) for name in _State._fields))

    def save(self, start: int, state: _State) -> None:
        """Keeps the state in place of an older one."""
        if self.folder is not None:
            with atomic_file(self.folder / _file(start)) as path:
                arrays = {name: value.numpy() for name, value in state._asdict().items()}
                np.savez_compressed(path, **arrays)


def _file(start: int) -> str:
    return f"images-{start:08d}.npz"


def blocks(width: int, count: int) -> list[tuple[int, int]]:
    """The first `count` blocks (start, end) of `width` values that candidates flip.

    Level L has 2^L blocks of ceil(width / 2^L) values, or fewer if they reach the end; levels
    of single values repeat for ever.
    """
    found: list[tuple[int, int]] = []
    level = 0
    while len(found) < count:
        size = -(-width // 2**level)
        starts = range(0, width, size)[: 2**level]
        found += [(start, min(start + size, width)) for start in starts]
        level += 1
    return found[:count]


def _padded(rows: np.ndarray, classifier: Classifier) -> tf.Tensor:
    """The rows, the last one repeated up to the batch size of a model that has a fixed one."""
    missing = (fixed_batch(classifier) or len(rows)) - len(rows)
    return tf.constant(np.pad(rows, [(0, missing)] + [(0, 0)] * (rows.ndim - 1), mode="edge"))


rays = preset(RayS, RaySSettings)
