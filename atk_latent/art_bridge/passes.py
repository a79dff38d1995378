"""Where an attack of ART's own stands, by the passes that its estimators make."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Literal

from art.attacks.attack import EvasionAttack

from atk_latent.art_bridge.estimator import CompiledKerasClassifier
from atk_latent.progress import Progress

Kind = Literal["gradients", "predictions"]
INTERVAL = 0.2  # seconds between two reports, at least


@contextlib.contextmanager
def told(
    attack: object, images: int, kind: Kind, most: int, progress: Progress | None
) -> Iterator[None]:
    """While it lasts, `progress` is told ("passes", done, most) by the estimators of `attack`.

    ART's attacks say nothing of their steps themselves. Passes are those of an image on average;
    images that leave early make fewer than `most`.

    Args:
        attack: an ART attack, or an adapter with one at `attack`; parts at `attacks` count too.
        images: how many are attacked. kind: which passes are counted. most: of an image.
        progress: None to tell nobody.
    """
    estimators = _estimators(attack) if progress is not None else []
    seen, due = 0, time.monotonic() + INTERVAL

    def heard(passed: str, rows: int) -> None:
        nonlocal seen, due
        seen += rows * (passed == kind)
        if progress is not None and time.monotonic() >= due:
            due = time.monotonic() + INTERVAL
            progress("passes", min(seen // max(images, 1), most), most)

    for estimator in estimators:
        estimator.on_pass = heard
    try:
        yield
        if progress is not None and seen:
            progress("passes", most, most)
    finally:
        for estimator in estimators:
            estimator.on_pass = None


def _estimators(attack: object) -> list[CompiledKerasClassifier]:
    """The estimators of an attack and of its parts, each once."""
    inner = getattr(attack, "attack", None)
    if inner is not None:
        return _estimators(inner)
    parts = [attack, *getattr(attack, "attacks", ())]
    estimators = [part.estimator for part in parts if isinstance(part, EvasionAttack)]
    return [one for one in set(estimators) if isinstance(one, CompiledKerasClassifier)]


Teller = Callable[[object, int, Progress | None], contextlib.AbstractContextManager[None]]


def teller(kind: Kind, most: int) -> Teller:
    """`told` of an attack that makes at most so many passes of a kind for an image."""
    return lambda attack, images, progress: told(attack, images, kind, most, progress)
