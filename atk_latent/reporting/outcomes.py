"""What became of each image: worst case over attacks, confusion, accuracy of a class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from atk_latent import config
from atk_latent.errors import InputError
from atk_latent.results.accuracy import Accuracy
from atk_latent.results.attack_result import AttackResult
from atk_latent.results.comparison import Comparison
from atk_latent.results.evaluation import Evaluation
from atk_latent.results.threat import NORM_WORDS, ThreatGroup, ThreatModel

SINGLE_STEP = ("fgsm", "rs-fgsm")


@dataclass(frozen=True)
class Outcome:
    """One attack on one classifier, as reports show it.

    Args:
        target: the classifier. data: the data set.
        clean: accuracy without attack, None where it was not measured.
        result: of the attack.
        parts: the attacks that this is the worst case of; none for an attack itself.
        threat_words: of a worst case over several threat models of one group.
    """

    target: str
    data: str
    clean: Accuracy | None
    result: AttackResult
    parts: tuple[str, ...] = ()
    threat_words: str = ""

    @property
    def accuracy(self) -> Accuracy:
        """The robust accuracy."""
        return self.result.accuracy

    @property
    def eps(self) -> float | None:
        """Radius in [0, 1] pixel units; None: no bound, or none that the file says."""
        return self.result.eps

    @property
    def group(self) -> ThreatGroup:
        """The group of threat models it belongs to."""
        return self.result.threat_model.group

    @property
    def threat(self) -> str:
        """The threat model in words."""
        return self.threat_words or self.result.threat

    @property
    def column(self) -> tuple[str, ThreatModel]:
        """What all cells of a comparison's column share: the attack and its attacker."""
        return self.result.attack, self.result.threat_model.attacker

    @property
    def norm(self) -> str:
        """What the change is measured in: "Linf"; the threat model where it names none."""
        norm = self.result.threat_model.norm
        return NORM_WORDS[norm] if norm else self.threat

    @property
    def attack(self) -> str:
        """The attack with its radius: "pgd, eps 0.03137"."""
        name = self.result.attack
        return name if self.eps is None else f"{name}, eps {self.eps:.4g}"

    @property
    def settings(self) -> str:
        """What the user set beside the radius: "steps=40"; nothing if nothing."""
        return self._set_by_user({"eps"})

    @property
    def family(self) -> str:
        """Attack and settings that are the same at every radius: one line over eps."""
        settings = self._set_by_user({"eps", "step_size"})
        return ", ".join(part for part in (self.result.attack, settings) if part)

    @property
    def label(self) -> str:
        """Attack, radius and settings: "pgd, eps 0.3, steps=40"."""
        return ", ".join(part for part in (self.attack, self.settings) if part)

    @property
    def is_single_step(self) -> bool:
        """Whether it is an attack that follows the gradient once."""
        try:
            name, settings = config.spec(self.result.spec)
        except InputError:
            name, settings = self.result.name, {}
        steps = str(settings.get("steps", self.result.settings.get("steps", "")))
        return name.removeprefix("art:") in SINGLE_STEP or steps == "1"

    def _set_by_user(self, but: set[str]) -> str:
        if self.parts:
            return "; ".join(self.parts)
        try:
            _, settings = config.spec(self.result.spec)
        except InputError:
            return self.result.spec
        return ", ".join(f"{key}={value}" for key, value in settings.items() if key not in but)


def outcomes_of(result: Evaluation | Comparison) -> tuple[Outcome, ...]:
    """One an attack, or one a row and attack, by rows."""
    if isinstance(result, Evaluation):
        return tuple(
            Outcome(result.target, result.data, result.clean, attack) for attack in result.attacks
        )
    return tuple(
        Outcome(row.label, result.data, row.clean.measured if row.clean else None, attack)
        for row in result.rows
        for attack in result.results(row)
    )


def groups(outcomes: Sequence[Outcome]) -> Iterator[tuple[ThreatGroup, list[Outcome]]]:
    """The outcomes of each group of threat models, in order of appearance."""
    for group in dict.fromkeys(outcome.group for outcome in outcomes):
        yield group, [outcome for outcome in outcomes if outcome.group == group]


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
        return np.asarray(self.counts / np.maximum(1, self.counts.sum(axis=1, keepdims=True)))

    def most_confused(self, most: int) -> list[tuple[int, int, int]]:
        """True class, other class and images of the largest counts off the diagonal."""
        off = self.counts * (1 - np.eye(len(self.counts), dtype=int))
        order = np.argsort(-off, axis=None, kind="stable")[:most]
        pairs = [divmod(int(place), len(off)) for place in order]
        return [(true, other, int(off[true, other])) for true, other in pairs if off[true, other]]


def survives(evaluation: Evaluation, result: AttackResult) -> np.ndarray | None:
    """Bool (n,): correct before and after the attack; None where the file does not say."""
    if (
        evaluation.labels is None
        or evaluation.clean_predictions is None
        or result.predictions is None
    ):
        return None
    labels, clean = np.asarray(evaluation.labels), np.asarray(evaluation.clean_predictions)
    return np.asarray((clean == labels) & (np.asarray(result.predictions) == labels))


def confusion(evaluation: Evaluation, result: AttackResult) -> Confusion | None:
    """True classes against those of the attacked images; None where the file does not say."""
    robust = survives(evaluation, result)
    if robust is None:
        return None
    labels, predicted = np.asarray(evaluation.labels), np.asarray(result.predictions)
    classes = max(len(evaluation.class_names), int(max(labels.max(), predicted.max())) + 1)
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (labels, predicted), 1)
    rows = (robust[labels == k] for k in range(classes))
    return Confusion(counts, tuple(Accuracy.of(row) if len(row) else None for row in rows))


def worst_cases(evaluation: Evaluation) -> tuple[Outcome, ...]:
    """For each group of threat models, norm and radius with several attacks, what survives all.

    An image counts only if it is correct without attack and under every single attack, so the
    accuracy is at most that of the strongest attack. Attacks without a radius have no common
    threat model and are left out.

    Reference: Croce and Hein, ICML 2020, section 5 (AutoAttack is such a worst case); Tramer
    and Boneh, NeurIPS 2019, Eq. 2.
    """
    comparable: dict[tuple[ThreatGroup, str, float], list[Outcome]] = {}
    for outcome in outcomes_of(evaluation):
        if outcome.eps is not None and survives(evaluation, outcome.result) is not None:
            key = (outcome.group, outcome.norm, round(outcome.eps, 9))
            comparable.setdefault(key, []).append(outcome)
    return tuple(
        _worst_case(evaluation, outcomes) for outcomes in comparable.values() if len(outcomes) > 1
    )


def _worst_case(evaluation: Evaluation, outcomes: Sequence[Outcome]) -> Outcome:
    first = outcomes[0]
    survivors = [survives(evaluation, outcome.result) for outcome in outcomes]
    accuracy = Accuracy.of(np.logical_and.reduce([each for each in survivors if each is not None]))
    same = all(outcome.threat == first.threat for outcome in outcomes)
    return Outcome(
        first.target,
        first.data,
        first.clean,
        AttackResult(
            attack=f"worst case of {len(outcomes)} attacks",
            spec="",
            threat_model=first.result.threat_model,
            inference=first.result.inference,
            n=accuracy.n,
            robust_accuracy=accuracy.value,
            low=accuracy.low,
            high=accuracy.high,
        ),
        parts=tuple(outcome.family for outcome in outcomes),
        threat_words="" if same else f"{first.group.name}, {first.norm}",
    )
