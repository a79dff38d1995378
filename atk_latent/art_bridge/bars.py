"""Progress bars on stderr for who passes ``verbose=True``, ART's word."""

from __future__ import annotations

from collections.abc import Mapping

from tqdm.auto import tqdm


class ProgressBars:
    """A `Progress` that shows a bar for each stage, as ART's own attacks do.

    Example:
        >>> bars = ProgressBars()
        >>> bars("pgd", 1, 2, {"standing": 3})
        >>> bars("pgd", 2, 2)
    """

    def __init__(self) -> None:
        self._bars: dict[str, tqdm] = {}

    def __call__(
        self, what: str, done: int, total: int, logs: Mapping[str, float] | None = None, /
    ) -> None:
        """Shows where the stage `what` stands; a finished one is closed."""
        if what not in self._bars:
            self._bars[what] = tqdm(desc=what)
        bar = self._bars[what]
        bar.total, bar.n = total, done
        if logs:
            bar.set_postfix({name: f"{value:.4g}" for name, value in logs.items()}, refresh=False)
        bar.refresh()
        if done >= total:
            self._bars.pop(what).close()
