"""Two sides timed in turn, so that a slow moment of the machine hits both."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


def compare(
    name: str,
    ours: Callable[[], object],
    peer: Callable[[], object],
    *,
    goal: float,
    repeats: int = 5,
) -> bool:
    """Prints one JSON line with the medians and their ratio, peer / ours.

    Args:
        name: of the benchmark. ours, peer: what is timed, once each before the clock starts.
        goal: the ratio that is wanted at least. repeats: timed runs of each side.
    """
    medians, _ = interleaved({"ours": ours, "peer": peer}, repeats)
    ratio = medians["peer"] / medians["ours"]
    report({"name": name, **medians, "ratio": ratio, "goal": goal, "ok": ratio >= goal})
    return bool(ratio >= goal)


def interleaved(
    sides: Mapping[str, Callable[[], Any]], repeats: int
) -> tuple[dict[str, float], dict[str, Any]]:
    """Times the sides in turn.

    Args:
        sides: what is timed, by name; once each before the clock starts.
        repeats: timed runs of each side.

    Returns:
        The median seconds of each side, and what its last run gave.
    """
    results = {side: run() for side, run in sides.items()}
    times: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(repeats):
        for side, run in sides.items():
            start = time.perf_counter()
            results[side] = run()
            times[side].append(time.perf_counter() - start)
    return {side: statistics.median(values) for side, values in times.items()}, results


def report(line: Mapping[str, Any]) -> None:
    """Prints one JSON line, its numbers to four places."""
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}))
