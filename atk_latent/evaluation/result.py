"""What an attack left of a classifier's accuracy, and how sure that number is."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

import atk_latent
from atk_latent.errors import InputError

_Z95 = 1.959963984540054  # the 97.5% point of the normal distribution
SCHEMAS = {  # what a result file says it is; atk_latent/reporting/schemas/ holds each
    kind: f"atk_latent/{kind}/1" for kind in ("evaluation", "audit", "comparison", "card")
}
_PACKAGES = ("tensorflow", "keras", "adversarial-robustness-toolbox", "numpy")


def wilson_interval(correct: int, n: int) -> tuple[float, float]:
    """The 95% Wilson score interval of a fraction.

    Args:
        correct: int in [0, n].
        n: int >= 1.

    Returns:
        (low, high), fractions in [0, 1].

    Raises:
        InputError: if `n` is 0: no image, no fraction.

    Reference: Wilson, JASA 1927.
    """
    if n < 1:
        raise InputError("no images to evaluate: 0 came, at least 1 is needed")
    share, spread = correct / n, _Z95**2 / n
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    low = 0.0 if correct == 0 else max(0.0, centre - half)  # exact there, not nearly
    high = 1.0 if correct == n else min(1.0, centre + half)
    return low, high


@dataclass(frozen=True)
class Accuracy:
    """A measured accuracy with its 95% Wilson interval.

    Args:
        value: fraction in [0, 1].
        low: lower end of the interval.
        high: upper end of the interval.
        n: images it was measured on.
    """

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, correct: Any) -> Accuracy:
        """From one truth value an image.

        Raises:
            InputError: if there is none.
        """
        right, n = int(sum(bool(c) for c in correct)), len(correct)
        low, high = wilson_interval(right, n)
        return cls(right / n, low, high, n)


@dataclass(frozen=True)
class AttackResult:
    """One attack on one classifier.

    Args:
        attack: how it is shown: "pgd", "autoattack (ART variant)".
        name: as registered: "pgd", "autoattack".
        spec: as the user wrote it: "pgd:eps=8/255".
        threat: what the attacker knows: "white-box, Linf", "transfer from RUN (white-box
            there, Linf)", "decision-based, L2".
        inference: what happens at prediction time: "none".
        n: images.
        robust_accuracy: fraction of all `n` images that are classified right before and
            after the attack. An image that was wrong before counts as wrong.
        low: lower end of the 95% Wilson interval.
        high: upper end.
        linf: mean over all `n` images of the largest change of a value, pixel units.
        l2: mean over all `n` images of the Euclidean size of the change, pixel units.
        seconds: crafting and scoring.
        eps: radius in [0, 1] pixel units; None: no bound.
        settings: every setting the attack ran with.
        surrogate: what the attack was crafted on where that is not the target.
        components: of a cascade (AutoAttack): what each part did, see `cascade`.
        warnings: reasons to doubt the number that the attack itself found.
    """

    attack: str
    name: str
    spec: str
    threat: str
    inference: str
    n: int
    robust_accuracy: float
    low: float
    high: float
    linf: float
    l2: float
    seconds: float
    eps: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    surrogate: str | None = None
    components: Sequence[Mapping[str, Any]] = ()
    warnings: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, ready for JSON."""
        return asdict(self)


def versions() -> dict[str, str]:
    """The versions a number depends on, by package."""
    found = {"atk_latent": atk_latent.__version__}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def provenance(kind: str) -> dict[str, str]:
    """How a result file begins: its schema and the day it was measured.

    Args:
        kind: one of `SCHEMAS`.
    """
    return {"schema": SCHEMAS[kind], "date": datetime.date.today().isoformat()}


def evaluation_record(
    *, target: str, data: str, clean: Accuracy, attacks: Sequence[AttackResult], seed: int
) -> dict[str, Any]:
    """What `atkl evaluate` writes: accuracies are fractions.

    Args:
        target: the classifier, as the user named it.
        data: the data set's name.
        clean: accuracy on the images as they are.
        attacks: one result an attack.
        seed: what every random draw came from.
    """
    return {
        **provenance("evaluation"),
        "target": target,
        "data": data,
        "n": clean.n,
        "clean_accuracy": clean.value,
        "clean_low": clean.low,
        "clean_high": clean.high,
        "attacks": [result.to_dict() for result in attacks],
        "seed": seed,
        "versions": versions(),
    }
