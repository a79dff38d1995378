"""Two sides timed in turn, so that a slow moment of the machine hits both."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable


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
    ours(), peer()
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    for _ in range(repeats):
        for side, run in (("ours", ours), ("peer", peer)):
            start = time.perf_counter()
            run()
            times[side].append(time.perf_counter() - start)
    medians = {side: statistics.median(values) for side, values in times.items()}
    ratio = medians["peer"] / medians["ours"]
    line = {"name": name, **medians, "ratio": ratio, "goal": goal, "ok": ratio >= goal}
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}))
    return bool(ratio >= goal)
