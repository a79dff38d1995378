"""What results come to, in plain words."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from atk_latent.reporting.outcomes import Outcome, groups, outcomes_of, worst_cases
from atk_latent.reporting.tables import interval, percent
from atk_latent.results.accuracy import Accuracy
from atk_latent.results.audit import Audit
from atk_latent.results.comparison import Comparison
from atk_latent.results.evaluation import Evaluation
from atk_latent.results.files import Result

UPPER_BOUND = (
    "It is an upper bound: a stronger attack may leave less, and it holds for this threat "
    "model and data only."
)
_FEW_IMAGES = 100  # the interval of 100 of 100 images begins at 96%
_WORDS = {"bad": "Not robust", "fair": "Partly robust", "good": "Held", "open": "Not known"}


@dataclass(frozen=True)
class Verdict:
    """What a result comes to, in plain words.

    Args:
        about: the target and data.
        tone: "bad", "fair", "good" or "open": nothing is known.
        says: the finding. means: what follows. not_means: what does not.
        called: the tone in a word, where it is not that of an attack.
        headline: the robust accuracy, where there is one to show.
        doubts: reasons not to believe it, sentences.
        worst: what it is about: of all attacks on it, or their worst case, what left least.
    """

    about: str
    tone: str
    says: str
    means: str
    not_means: str
    called: str = ""
    headline: Accuracy | None = None
    doubts: tuple[str, ...] = ()
    worst: Outcome | None = None

    @property
    def doubt(self) -> str:
        """The doubts as one text, "" where there is none."""
        return " ".join(self.doubts)

    def doubted(self, *doubts: str) -> Verdict:
        """The verdict with more doubts; a good one is open then."""
        if not doubts:
            return self
        tone = "open" if self.tone == "good" else self.tone
        return replace(self, tone=tone, doubts=(*self.doubts, *doubts))

    @property
    def word(self) -> str:
        """The tone as a word, beside its icon."""
        return self.called or _WORDS[self.tone]


@functools.singledispatch
def verdicts_of(result: Result) -> list[Verdict]:
    """What a result comes to; nothing for a run, which was not attacked."""
    return []


@verdicts_of.register
def _evaluation_verdicts(result: Evaluation) -> list[Verdict]:
    return [attack_verdict(result.title, outcomes_of(result), worst_cases(result))]


def attack_verdict(
    about: str, outcomes: Sequence[Outcome], together: Sequence[Outcome] = ()
) -> Verdict:
    """What the strongest attack on the deployed thing itself left, in plain words.

    Where the file says what became of each image, that is the worst case over attacks, image
    by image, of one group of threat models, one norm and one radius.

    Attacks without a bound are told only where there is no other: given room enough, every
    classifier falls. Static and transfer attacks are told only where nothing attacked what is
    deployed, and then as the open question that they leave.

    Args:
        about: target and data. outcomes: all attacks on it. together: their worst cases.
    """
    # of equals, the worst case
    direct = [outcome for outcome in (*together, *outcomes) if outcome.group.is_direct]
    if not outcomes:
        says = "No attack was run."
        return Verdict(about, "open", says, "Nothing is known of its robustness.", "")
    worst = _strongest(direct or outcomes)
    clean = (
        f"; without attack {percent(worst.clean.value, worst.clean.n)}% {interval(worst.clean)}"
        if worst.clean
        else ""
    )
    surviving = (
        f"{percent(worst.accuracy.value, worst.accuracy.n)}% {interval(worst.accuracy)} of "
        f"{worst.accuracy.n:,} images"
    )
    if worst.parts:
        says = (
            f"Robust accuracy, the worst case over attacks: {surviving} survive every one of "
            f"{len(worst.parts)} attacks ({worst.threat}, eps {worst.eps:.4g}): "
            f"{worst.settings}{clean}."
        )
    else:
        attack = f"The strongest attack tried, {worst.attack} ({worst.threat}), leaves"
        says = f"{attack} {surviving} right{clean}."
    if not direct:
        means = "Nothing attacked the model as it is deployed; who knows it may do far better."
        upper = f"This is no robust accuracy. {UPPER_BOUND}"
        verdict = Verdict(about, "open", says, means, upper, worst=worst)
        return verdict.doubted(*_warnings(outcomes))
    left = worst.accuracy.value / worst.clean.value if worst.clean and worst.clean.value else 0.0
    if left < 0.1:
        tone, share = "bad", "nearly every image that the model gets right"
    elif left < 0.5:
        tone, share = "bad", "most images that the model gets right"
    elif left < 0.9:
        tone, share = "fair", "a part of the images that the model gets right"
    else:
        tone, share = "good", "few of the images that the model gets right"
    means = f"Such an attacker breaks {share}."
    headline = None if worst.eps is None else worst.accuracy  # else no radius, no robustness
    verdict = Verdict(about, tone, says, means, UPPER_BOUND, headline=headline, worst=worst)
    if tone == "good":
        verdict = verdict.doubted(*_too_little(worst, direct))
    return verdict.doubted(*_warnings(direct))


def _too_little(worst: Outcome, direct: Sequence[Outcome]) -> Iterator[str]:
    """What is missing before a model may be called robust."""
    if worst.accuracy.n < _FEW_IMAGES:
        yield f"{worst.accuracy.n} images are few; take {_FEW_IMAGES} or more."
    if all(outcome.parts or outcome.is_single_step for outcome in direct):
        yield "Only attacks of a single step were tried; models that resist those fall to longer."


def _warnings(outcomes: Sequence[Outcome]) -> list[str]:
    """What the attacks themselves say against their numbers, signs of masked gradients."""
    lines = (f"{o.label} warns: {line}" for o in outcomes for line in o.result.warnings)
    return [line if line.endswith(".") else f"{line}." for line in dict.fromkeys(lines)]


def with_audits(verdicts: Sequence[Verdict], audits: Sequence[Audit]) -> tuple[Verdict, ...]:
    """The verdicts; those on what failed an audit say so."""
    failed = {audit.title: [c.name for c in audit.checks if not c.passed] for audit in audits}
    return tuple(
        verdict.doubted(f"The audit of it found signs of masked gradients: {', '.join(names)}.")
        if (names := failed.get(verdict.about)) and verdict.worst
        else verdict
        for verdict in verdicts
    )


def _strongest(outcomes: Sequence[Outcome]) -> Outcome:
    """What left least; attacks without a bound count only where there is no other."""
    bounded = [outcome for outcome in outcomes if outcome.eps is not None] or outcomes
    return min(bounded, key=lambda outcome: outcome.accuracy.value)


@verdicts_of.register
def _comparison_verdicts(result: Comparison) -> list[Verdict]:
    """The method whose worst direct number is best, one for each group of threat models."""
    verdicts = []
    for group, outcomes in groups(outcomes_of(result)):
        rows: dict[str, list[Outcome]] = {}
        for outcome in outcomes:
            rows.setdefault(outcome.target, []).append(outcome)
        worst = {name: _strongest(of_row) for name, of_row in rows.items()}
        best = max(worst, key=lambda name: worst[name].accuracy.value)
        verdict = attack_verdict(f"{best}, best of {len(rows)} on {result.title}", rows[best])
        note = f"{group.name} attacks: of all rows, {best} keeps most under its strongest attack."
        verdicts.append(
            replace(
                verdict,
                says=f"{note} {verdict.says}",
                not_means=f"Intervals that overlap rank nothing. {verdict.not_means}",
            )
        )
    return verdicts


@verdicts_of.register
def _audit_verdicts(audit: Audit) -> list[Verdict]:
    failed = [check.name for check in audit.checks if not check.passed]
    about, count = f"Audit of {audit.title}", len(audit.checks)
    if failed:
        says = f"{len(failed)} of {count} checks failed: {', '.join(failed)}."
        means = "Its robust accuracies may come from attacks that failed, not from robustness."
        return [Verdict(about, "bad", says, means, "", "Failed")]
    says = f"All {count} checks passed."
    means = "No sign of masked gradients was found."
    return [Verdict(about, "good", says, means, "That is no proof of robustness.", "Passed")]
