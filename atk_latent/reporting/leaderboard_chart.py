"""Clean against worst-case accuracy of a board, placed for a drawing of links."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from atk_latent.reporting.label_places import free_places
from atk_latent.reporting.leaderboard import Board, Row
from atk_latent.reporting.tables import interval, percent
from atk_latent.results.accuracy import Accuracy

WIDTH, HEIGHT = 360, 280  # of the drawing, in its own units; about a phone's width
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 348, 10, 236  # of its axes
_TICKS = 5  # at most, on an axis


@dataclass(frozen=True)
class Axis:
    """A scale of accuracies.

    Args:
        low, high: its ends, percent. start, end: where they are drawn.
    """

    low: int
    high: int
    start: float
    end: float

    @classmethod
    def around(cls, accuracies: Sequence[Accuracy], start: float, end: float) -> Axis:
        """The whole tens that hold all intervals."""
        low = min(math.floor(10 * accuracy.low) for accuracy in accuracies)
        high = max(math.ceil(10 * accuracy.high) for accuracy in accuracies)
        return cls(10 * low, 10 * max(high, low + 1), start, end)

    def at(self, share: float) -> float:
        """Where a fraction is drawn."""
        part = (100 * share - self.low) / (self.high - self.low)
        return round(self.start + part * (self.end - self.start), 1)

    @property
    def ticks(self) -> tuple[tuple[int, float], ...]:
        """Percents and where they are drawn."""
        step = next(s for s in (2, 5, 10, 20, 25) if (self.high - self.low) / s <= _TICKS)
        return tuple(
            (value, self.at(value / 100)) for value in range(self.low, self.high + 1, step)
        )


@dataclass(frozen=True)
class Point:
    """One row of the board.

    Args:
        row: which one. number: of it in the board. x, y: where it is drawn.
        left, right, top, bottom: ends of its intervals. label: where its number is drawn.
    """

    row: Row
    number: int
    x: float
    y: float
    left: float
    right: float
    top: float
    bottom: float
    label: tuple[float, float]

    @property
    def words(self) -> str:
        """The row in a sentence."""
        worst, clean = self.row.worst, self.row.clean
        without = f"clean {percent(clean.value, clean.n)}%, " if clean else ""
        audit = "; audit failed" if self.row.audit_failed else ""
        return (
            f"{self.number}  {self.row.model.name}: {without}worst case "
            f"{percent(worst.value, worst.n)}% {interval(worst)}{audit}"
        )


@dataclass(frozen=True)
class Scatter:
    """The drawing of a board.

    Args:
        across: clean accuracy. up: worst case. points: one a row whose clean accuracy is known.
    """

    across: Axis
    up: Axis
    points: tuple[Point, ...]


def scatter_of(board: Board) -> Scatter | None:
    """The drawing of a board; None where fewer than two rows have a clean accuracy."""
    known = [(i, row, row.clean) for i, row in enumerate(board.rows, 1) if row.clean]
    if len(known) < 2:
        return None
    across = Axis.around([clean for _, _, clean in known], _LEFT, _RIGHT)
    up = Axis.around([row.worst for _, row, _ in known], _BOTTOM, _TOP)
    centres = [(across.at(clean.value), up.at(row.worst.value)) for _, row, clean in known]
    upward = [(x, -y) for x, y in centres]
    places = free_places(upward, [str(i) for i, _, _ in known])
    points = tuple(
        Point(
            row, number, x, y,
            left=across.at(clean.low), right=across.at(clean.high),
            top=up.at(row.worst.high), bottom=up.at(row.worst.low),
            label=(round(x + dx, 1), round(y - dy, 1)),
        )
        for (number, row, clean), (x, y), (dx, dy) in zip(known, centres, places, strict=True)
    )  # fmt: skip
    return Scatter(across, up, points)
