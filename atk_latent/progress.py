"""How long work tells a listener where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Progress(Protocol):
    """Anything that can be called as ``progress(what, done, total, logs)``.

    Args of a call:
        what: the stage or the attack. done, total: units of it, 0 <= done <= total.
        logs: numbers worth showing beside it, by name, or None.
    """

    def __call__(
        self, what: str, done: int, total: int, logs: Mapping[str, float] | None = None, /
    ) -> None:
        """Hears of one step."""


def prefixed(progress: Progress | None, name: str) -> Progress | None:
    """The listener, hearing the stage "steps" as "`name`: steps"; None for none."""
    if progress is None:
        return None
    return lambda what, done, total, logs=None: progress(f"{name}: {what}", done, total, logs)


def part_of(progress: Progress | None, index: int, count: int) -> Progress | None:
    """The listener, hearing stages as number `index` of `count` equal parts; None for none."""
    if progress is None or count == 1:
        return progress
    return lambda what, done, total, logs=None: progress(
        what, index * total + done, count * total, logs
    )


def renamed(progress: Progress | None, what: str) -> Progress | None:
    """The listener, hearing every stage under the name `what`; None for none."""
    if progress is None:
        return None
    return lambda _, done, total, logs=None: progress(what, done, total, logs)
