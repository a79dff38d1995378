"""What became of each image: worst case over attacks, confusion, accuracy of a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from atk_latent.reporting.results import Evaluation, Kind, Measurement
from atk_latent.results.accuracy import Accuracy


@dataclass(frozen=True)
class Confusion:
    """Which class images of a true class are taken for.

    Args:
        counts: int (K, K), images by true class and predicted class.
        robust: K accuracies, right before and after the attack; None for a class without
            images.
    """

    counts: np.ndarray
    robust: tuple[Accuracy | None, ...]

    @property
    def shares(self) -> np.ndarray:
        """The counts as shares of their true class; 0 for a class without images."""
        return self.counts / np.maximum(1, self.counts.sum(axis=1, keepdims=True))

    def most_confused(self, most: int) -> list[tuple[int, int, int]]:
        """True class, other class and images of the largest counts off the diagonal."""
        off = self.counts * (1 - np.eye(len(self.counts), dtype=int))
        order = np.argsort(-off, axis=None, kind="stable")[:most]
        pairs = [divmod(int(place), len(off)) for place in order]
        return [(true, other, int(off[true, other])) for true, other in pairs if off[true, other]]


def survives(result: Evaluation, found: Measurement) -> np.ndarray | None:
    """Bool (n,): right before and after the attack; None where the file does not say."""
    if result.outcomes is None or found.predictions is None:
        return None
    labels, clean = (np.asarray(numbers) for numbers in result.outcomes)
    return (clean == labels) & (np.asarray(found.predictions) == labels)


def confusion(result: Evaluation, found: Measurement) -> Confusion | None:
    """True classes against those of the attacked images; None where the file does not say."""
    robust = survives(result, found)
    if robust is None or result.outcomes is None:
        return None
    labels, predicted = np.asarray(result.outcomes[0]), np.asarray(found.predictions)
    names = result.record.get("class_names") or ()
    classes = max(len(names), int(max(labels.max(), predicted.max())) + 1)
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (labels, predicted), 1)
    rows = (robust[labels == k] for k in range(classes))
    return Confusion(counts, tuple(Accuracy.of(row) if len(row) else None for row in rows))


def worst_cases(result: Evaluation) -> tuple[Measurement, ...]:
    """For each kind of threat, norm and radius with several attacks, what survives them all.

    An image counts only if it is right without attack and under every single attack, so the
    accuracy is at most that of the strongest attack. Attacks without a radius have no common
    threat model and are left out.

    Reference: Croce and Hein, ICML 2020, section 5 (AutoAttack is such a worst case); Tramer
    and Boneh, NeurIPS 2019, Eq. 2.
    """
    groups: dict[tuple[Kind, str, float], list[Measurement]] = {}
    for m in result.measurements:
        if m.eps is not None and survives(result, m) is not None:
            groups.setdefault((m.kind, m.norm, round(m.eps, 9)), []).append(m)
    return tuple(_worst_case(result, found) for found in groups.values() if len(found) > 1)


def _worst_case(result: Evaluation, found: Sequence[Measurement]) -> Measurement:
    first = found[0]
    kept = [survived for m in found if (survived := survives(result, m)) is not None]
    left = np.logical_and.reduce(kept)
    same = all(m.threat == first.threat for m in found)
    return Measurement(
        first.target,
        first.data,
        f"worst case of {len(found)} attacks",
        "",
        first.threat if same else f"{first.kind.name}, {first.norm}",
        first.kind,
        Accuracy.of(left),
        first.clean,
        eps=first.eps,
        of=tuple(m.family for m in found),
    )
