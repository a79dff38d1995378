"""Places for the labels of crowded points, so that none covers another."""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, float]
MARKER = 9.0  # the side of a marker, in typographic points
HEIGHT = 10.0  # of a label; a digit is six tenths of it wide
_DISTANCES = (11.0, 17.0, 24.0, 32.0, 41.0, 51.0)
_DIRECTIONS = tuple(math.radians(45 + 30 * i) for i in range(12))


def free_places(points: Sequence[Point], labels: Sequence[str]) -> list[Point]:
    """Where to centre each label, from its point; all in typographic points.

    The first place that covers neither a marker nor a label placed before, the nearest
    first, beginning at the upper right; the last one tried where no place is free.

    Args:
        points: centres of the markers. labels: what stands beside them.
    """
    covered = [(x, y, MARKER, MARKER) for x, y in points]
    places: list[Point] = []
    for (x, y), label in zip(points, labels, strict=True):
        width = 0.6 * HEIGHT * len(label)
        for dx, dy in ((r * math.cos(a), r * math.sin(a)) for r in _DISTANCES for a in _DIRECTIONS):
            box = (x + dx, y + dy, width, HEIGHT)
            if not any(_overlap(box, other) for other in covered):
                break
        covered.append(box)
        places.append((dx, dy))
    return places


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return 2 * abs(a[0] - b[0]) < a[2] + b[2] and 2 * abs(a[1] - b[1]) < a[3] + b[3]
