"""Square: random squares, kept where they help; the classifier is only asked for logits."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from atk_latent.adversaries import losses
from atk_latent.adversaries.balls import BALLS, unit
from atk_latent.adversaries.base import Adversary, Classifier
from atk_latent.adversaries.loop_watch import Report
from atk_latent.adversaries.minimal import ActiveRows
from atk_latent.adversaries.noise import RowNoise
from atk_latent.adversaries.rows import choose
from atk_latent.adversaries.settings import read_settings
from atk_latent.adversaries.spec import BATCH_SIZE, ArtClass, ArtParameter, AttackSpec

SEGMENT = 50  # queries between two looks at which images are finished
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
_TILES = 5  # of the first L2 proposal, along a side
_TINY = 1e-12

Draw = Callable[[tf.Tensor | int, int], tf.Tensor]  # (fork, width) -> uniform (B, width)


@dataclasses.dataclass(frozen=True)
class SquareSettings:
    """How much is tried.

    Args:
        eps: number >= 0, radius of the ball in the units of `bounds`.
        norm: "linf" or "l2".
        queries: int >= 1, images shown to the classifier for each restart, the first
            proposal included (the image itself, asked once, is not).
        restarts: int >= 1.
        share: number in (0, 1], of the pixels in the first window; it is halved after 10,
            50, 200, 500, 1000, 2000, 4000, 6000 and 8000 windows.
        bounds: (low, high), the legal pixel range.

    Raises:
        InputError: for values out of range.
    """

    eps: float = 8 / 255
    norm: Literal["linf", "l2"] = "linf"
    queries: int = 5000
    restarts: int = 1
    share: float = 0.8
    bounds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        read_settings(self, eps=(0,), queries=(1,), restarts=(1,), share=(1e-6, 1))
        BALLS[self.norm](self.eps, self.bounds)  # checks the bounds

    def sides(self, height: int, width: int) -> list[int]:
        """The side of each window in turn, in pixels; of one at least."""
        sides = []
        for index in range(max(self.queries - 1, 1)):
            share = self.share / 2 ** sum(index > after for after in _HALVINGS)
            side = max(round((share * height * width) ** 0.5), 1)
            if self.norm == "l2":
                side = max(side, 3) | 1  # odd
            sides.append(min(side, height, width))
        return sides


class _Problem(NamedTuple):
    """A batch: classifier, images, labels, where random numbers come from, places in the whole.

    Args:
        budget: queries before this search, and of all searches.
    """

    classifier: Classifier
    x: tf.Tensor
    y: tf.Tensor
    draw: Draw
    row: tf.Tensor
    budget: tuple[tf.Tensor, int]


class _Best(NamedTuple):
    """The best proposal of each image so far.

    Args:
        x: float32 (B, ...). lead: float32 (B,), of the other classes over the label.
        won: bool (B,). queries: int32 (B,), asked until then.
    """

    x: tf.Tensor
    lead: tf.Tensor
    won: tf.Tensor
    queries: tf.Tensor


class Square(Adversary):
    """Random search with square windows: a proposal stays where the label's lead falls.

    Linf: the image starts with vertical stripes of +-eps; each window adds +-2 eps to what
    it covers, clipped to the ball, so that it stays at the ball's corners. L2: the image
    starts with a grid of `bump` tiles; each window takes the change from a second window,
    and what is left of eps, and puts it where it is, as the bump with its own old change.

    Finished images leave the batch every `SEGMENT` queries (none does where the model's
    batch size is fixed). An image without a success is handed back as the best proposal, or
    unchanged where none lowered the lead.

    Args:
        settings: see `SquareSettings`; None takes its defaults.
        seed: see `Adversary`.

    Reference: Andriushchenko et al., ECCV 2020, Algorithms 1-3; margin loss, share 0.8 and
        no rescaling of the schedule to the budget, as in AutoAttack.
    Differs: every image has windows of its own where the published code shares one among
        the batch, so an image's result does not depend on its batch; windows also reach the
        last row and column; a tie of two logits is a success only if the label loses it.
    """

    def __init__(
        self, settings: SquareSettings | None = None, *, seed: int | keras.random.SeedGenerator = 0
    ) -> None:
        super().__init__(seed=seed)
        self.settings = settings or SquareSettings()

    def craft(
        self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor, noise: RowNoise
    ) -> tf.Tensor:
        """Adversarial images; see `Adversary.craft`."""
        return self.craft_counted(classifier, x, y, noise)[0]

    def craft_counted(
        self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor, noise: RowNoise
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """As `craft`, and the queries until the success of each image, int32 (B,).

        0 for an image misclassified as it is, all of the budget for one without a success.
        """
        logits = classifier(x)
        known = _Best(
            x, losses.logit_lead(logits, y), ~losses.predicted(logits, y), tf.zeros_like(y)
        )

        def restart(index: tf.Tensor, best: _Best) -> tuple[tf.Tensor, _Best]:
            rows = ActiveRows(~best.won)
            draw = _drawer(noise.fork(index), x)
            images, labels, mine = rows.take((x, y, best))
            queries, restarts = self.settings.queries, self.settings.restarts
            problem = _Problem(
                classifier,
                images,
                labels,
                lambda *what: rows.take(draw(*what)),
                rows.places,
                (index * queries, restarts * queries),
            )
            return index + 1, rows.put(best, self._search(problem, mine))

        _, best = tf.while_loop(
            lambda index, best: (index < self.settings.restarts) & ~tf.reduce_all(best.won),
            restart,
            (tf.zeros((), tf.int32), known),
            parallel_iterations=1,
        )
        return best.x, best.queries

    def _search(self, problem: _Problem, known: _Best) -> _Best:
        """The better of `known` and one search, image by image."""
        proposals = _PROPOSALS[self.settings.norm](self.settings, problem.x)
        nothing = known._replace(lead=tf.fill(tf.shape(known.lead), float("-inf")))
        first = proposals.start(problem.x, problem.draw)
        windows = self.settings.queries - 1

        def segment(index: tf.Tensor, best: _Best) -> tuple[tf.Tensor, _Best]:
            rows = ActiveRows(~best.won)
            images, labels, row, mine = rows.take((problem.x, problem.y, problem.row, best))
            part = problem._replace(
                x=images, y=labels, row=row, draw=lambda *what: rows.take(problem.draw(*what))
            )

            def window(index: tf.Tensor, best: _Best) -> tuple[tf.Tensor, _Best]:
                tried = proposals.propose(part.x, best.x, index, part.draw)
                return index + 1, _update(part, best, tried)

            def report(index: tf.Tensor, best: _Best) -> Report:
                before, total = part.budget
                return Report(before + 1 + index, total, ~best.won, part.row)

            end = tf.minimum(index + SEGMENT, windows)
            mine = self.watch.rounds(window, (index, end), mine, report)
            return end, rows.put(best, mine)

        best: _Best = _update(problem, nothing, first)
        _, best = tf.while_loop(
            lambda index, best: (index < windows) & ~tf.reduce_all(best.won),
            segment,
            (tf.zeros((), tf.int32), best),
            parallel_iterations=1,
        )
        better = best.won | (best.lead > known.lead)
        return choose(better, best, known)._replace(queries=best.queries)


def _update(problem: _Problem, best: _Best, x_new: tf.Tensor) -> _Best:
    """`best` after one query of each image: better by a higher lead, or by a success."""
    logits = problem.classifier(x_new)
    lead, won = losses.logit_lead(logits, problem.y), ~losses.predicted(logits, problem.y)
    queries = best.queries + tf.cast(~best.won, tf.int32)
    better = ~best.won & (won | (lead > best.lead))
    return choose(better, _Best(x_new, lead, won, queries), best)._replace(queries=queries)


def _drawer(noise: RowNoise, x: tf.Tensor) -> Draw:
    """Uniform numbers of each image by fork and width."""
    return lambda fork, width: noise.fork(fork).uniform(tf.zeros([tf.shape(x)[0], width]))


def _sign(drawn: tf.Tensor) -> tf.Tensor:
    return tf.where(drawn < 0.5, -1.0, 1.0)


class _Proposals(abc.ABC):
    """What a norm starts with and what it tries next.

    Args:
        settings: the radius, the bounds and the windows. x: (B, H, W, C), for its shape.
    """

    def __init__(self, settings: SquareSettings, x: tf.Tensor) -> None:
        self.eps, self.bounds = settings.eps, settings.bounds
        self.height, self.width, self.channels = x.shape[1:]
        self.sides = settings.sides(self.height, self.width)

    @abc.abstractmethod
    def start(self, x: tf.Tensor, draw: Draw) -> tf.Tensor:
        """The first proposal of each image; takes the numbers of fork -1."""

    @abc.abstractmethod
    def propose(self, x: tf.Tensor, best: tf.Tensor, index: tf.Tensor, draw: Draw) -> tf.Tensor:
        """Window number `index` on top of `best`; takes the numbers of fork `index`."""

    def _window(self, drawn: tf.Tensor, side: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """A square of this side at a place drawn for each image.

        Args:
            drawn: (B, 2), uniform in [0, 1). side: int32 ().

        Returns:
            Its mask bool (B, H, W, 1), and each pixel's row (B, H) and column (B, W) in it.
        """
        room = tf.constant([self.height, self.width]) - side + 1
        corner = tf.cast(drawn * tf.cast(room, tf.float32), tf.int32)
        row = tf.range(self.height) - corner[:, :1]
        column = tf.range(self.width) - corner[:, 1:]
        in_rows, in_columns = ((place >= 0) & (place < side) for place in (row, column))
        return (in_rows[:, :, None] & in_columns[:, None, :])[..., None], row, column


class _LinfProposals(_Proposals):
    """Corners of the ball; see `Square`."""

    def start(self, x: tf.Tensor, draw: Draw) -> tf.Tensor:
        """Vertical stripes of +-eps, a sign for each column and channel."""
        drawn = draw(-1, self.width * self.channels)
        stripes = self.eps * _sign(tf.reshape(drawn, [-1, 1, self.width, self.channels]))
        return tf.clip_by_value(x + stripes, *self.bounds)

    def propose(self, x: tf.Tensor, best: tf.Tensor, index: tf.Tensor, draw: Draw) -> tf.Tensor:
        """+-2 eps in a window, a sign for each channel, clipped to the ball."""
        drawn = draw(index, 2 + self.channels)
        mask, _, _ = self._window(drawn[:, :2], tf.gather(self.sides, index))
        change = tf.where(mask, 2 * self.eps * _sign(drawn[:, None, None, 2:]), 0.0)
        inside = x + tf.clip_by_value(best + change - x, -self.eps, self.eps)
        return tf.clip_by_value(inside, *self.bounds)


class _L2Proposals(_Proposals):
    """Points of the sphere, clipped to the bounds; see `Square`."""

    def __init__(self, settings: SquareSettings, x: tf.Tensor) -> None:
        super().__init__(settings, x)
        different = sorted(set(self.sides))
        self.bump_of = [different.index(side) for side in self.sides]
        self.most = max(different, default=1)
        self.bumps = np.zeros((len(different), 2, self.most, self.most), np.float32)
        for bumps, side in zip(self.bumps, different, strict=True):
            bumps[:, :side, :side] = bump(side), bump(side).T

    def start(self, x: tf.Tensor, draw: Draw) -> tf.Tensor:
        """A grid of bumps, each with a direction of its own and a sign for each channel."""
        side = max(min(self.height, self.width) // _TILES, 1)
        down, across = self.height // side, self.width // side
        spare = (self.height - down * side, self.width - across * side)
        margin = [(gap // 2, gap - gap // 2) for gap in spare]
        tiled = [np.pad(np.tile(b, (down, across)), margin) for b in (bump(side), bump(side).T)]
        tile = np.arange(down * across).reshape(down, across).repeat(side, 0).repeat(side, 1)
        tile = np.pad(tile, margin)
        drawn = draw(-1, down * across * (1 + self.channels))
        drawn = tf.reshape(drawn, [-1, down * across, 1 + self.channels])
        drawn = tf.gather(drawn, tile, axis=1)
        change = tf.where(drawn[..., :1] < 0.5, *(tf.constant(b[None, ..., None]) for b in tiled))
        return self._on_sphere(x, change * _sign(drawn[..., 1:]))

    def propose(self, x: tf.Tensor, best: tf.Tensor, index: tf.Tensor, draw: Draw) -> tf.Tensor:
        """The change of a second window moves to the first, as a bump on what is there."""
        side, change = tf.gather(self.sides, index), best - x
        drawn = draw(index, 5 + self.channels)
        here, row, column = self._window(drawn[:, :2], side)
        there, _, _ = self._window(drawn[:, 2:4], side)
        flat = tf.cast(drawn[:, 4] >= 0.5, tf.int32)[:, None, None] * self.most + row[:, :, None]
        flat = tf.where(here[..., 0], flat * self.most + column[:, None, :], 0)
        new = tf.gather(
            tf.reshape(tf.gather(self.bumps, tf.gather(self.bump_of, index)), [-1]), flat
        )
        new = new[..., None] * _sign(drawn[:, None, None, 5:])
        old = tf.where(here, change, 0.0)
        new = tf.where(here, new + old / (_length(old, (1, 2)) + _TINY), 0.0)
        unused = tf.nn.relu(self.eps**2 - _length(change, (1, 2, 3)) ** 2) / self.channels
        moved = _length(tf.where(here | there, change, 0.0), (1, 2))
        new *= tf.sqrt(unused + moved**2) / (_length(new, (1, 2)) + _TINY)
        return self._on_sphere(x, tf.where(here, new, tf.where(there, 0.0, change)))

    def _on_sphere(self, x: tf.Tensor, change: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value(x + self.eps * unit(change), *self.bounds)


def bump(side: int) -> np.ndarray:
    """A hill above a hollow, float32 (side, side) of Euclidean length 1.

    Each falls from its middle by rings: at Chebyshev distance r it is the sum of 1 / (k + 1)^2
    over k from r up to its largest r.
    """
    halves = []
    for height in (side // 2, side - side // 2):
        rows, columns = np.arange(height) - height // 2, np.arange(side) - side // 2
        ring = np.maximum(np.abs(rows)[:, None], np.abs(columns)[None])
        count = max(height, side) // 2 + 1
        levels = np.cumsum(1.0 / np.arange(count, 0, -1) ** 2)[::-1]
        hill = levels[ring]
        halves.append(hill / max(float(np.linalg.norm(hill)), _TINY))
    both = np.concatenate([halves[0], -halves[1]])
    return np.asarray(both / np.linalg.norm(both), np.float32)


def _length(values: tf.Tensor, axes: tuple[int, ...]) -> tf.Tensor:
    return tf.sqrt(tf.reduce_sum(tf.square(values), axes, keepdims=True))


_PROPOSALS: dict[str, type[_Proposals]] = {"linf": _LinfProposals, "l2": _L2Proposals}

SQUARE = AttackSpec(
    "square",
    SquareSettings,
    ("eps", "norm", "queries", "restarts", "share"),
    Square,
    access="score-based",
    norms=("linf", "l2"),
    art=ArtClass(
        "Random squares, kept where they help; asks for logits only. Parameters are those of "
        "ART's `SquareAttack`, and so are their defaults.",
        (
            ArtParameter("norm", math.inf),
            ArtParameter("max_iter", 100, "queries"),
            ArtParameter("eps", 0.3),
            ArtParameter("p_init", 0.8, "share"),
            ArtParameter("nb_restarts", 1, "restarts"),
            ArtParameter(BATCH_SIZE, 128),
        ),
        "The share of pixels shrinks by the count of queries, as in the official code, not by the "
        "share of `max_iter`; no `adv_criterion` and no `loss` of one's own.",
    ),
)
