"""What an attack left of a classifier's accuracy, and how sure that number is."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

import atk_latent
from atk_latent.results.accuracy import Accuracy

SCHEMAS = {  # what a result file says it is; atk_latent/reporting/schemas/ holds each
    kind: f"atk_latent/{kind}/1" for kind in ("evaluation", "audit", "comparison", "card")
}
_PACKAGES = ("tensorflow", "keras", "adversarial-robustness-toolbox", "numpy")


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
        counts: what the attack counted (`song`: searched, succeeded, wrong_at_start).
        predictions: the class given to each of the `n` attacked images, in order.
        examples: some of them, see `samples.examples`.
        published: what a paper prints for the same measurement: `value` (a fraction) and
            `source`.
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
    counts: Mapping[str, int] = field(default_factory=dict)
    predictions: Sequence[int] = ()
    examples: Sequence[Mapping[str, Any]] = ()
    published: Mapping[str, Any] | None = None

    def to_dict(self, *, samples: bool = False) -> dict[str, Any]:
        """The fields by name, ready for JSON; `published` only where there is such a number.

        Args:
            samples: with `predictions` and `examples`, what is known of single images.
        """
        left_out = set() if samples else {"predictions", "examples"}
        if self.published is None:
            left_out.add("published")
        return {name: value for name, value in asdict(self).items() if name not in left_out}


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


@dataclass(frozen=True)
class Samples:
    """What is known of each image before any attack.

    With the `predictions` of an attack it says which images the attack changed: image i
    is robust where clean_predictions[i] == labels[i] == predictions[i].

    Args:
        labels: true classes, in order.
        clean_predictions: the classes given to the images as they are.
        class_names: one name a class.
    """

    labels: Sequence[int]
    clean_predictions: Sequence[int]
    class_names: Sequence[str]


def evaluation_record(
    *,
    target: str,
    data: str,
    clean: Accuracy,
    attacks: Sequence[AttackResult],
    seed: int,
    samples: Samples | None = None,
    suite: str | None = None,
) -> dict[str, Any]:
    """What `atkl evaluate` writes: accuracies are fractions.

    Args:
        target: the classifier, as the user named it.
        data: the data set's name.
        clean: accuracy on the images as they are.
        attacks: one result an attack.
        seed: what every random draw came from.
        samples: the single images; None leaves out all that is known of them.
        suite: the named list of attacks that was run.
    """
    return {
        **provenance("evaluation"),
        "target": target,
        "data": data,
        "n": clean.n,
        "clean_accuracy": clean.value,
        "clean_low": clean.low,
        "clean_high": clean.high,
        "attacks": [result.to_dict(samples=samples is not None) for result in attacks],
        "seed": seed,
        "suite": suite,
        "versions": versions(),
        **(asdict(samples) if samples else {}),
    }
