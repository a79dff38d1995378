"""``--fail-under pgd=0.40``: the accuracies a model must reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from atk_latent import config
from atk_latent.errors import InputError
from atk_latent.results.accuracy import Accuracy, images_needed
from atk_latent.results.attack_result import AttackResult

CLEAN = "clean"
Measure = Literal["interval", "accuracy"]


@dataclass(frozen=True)
class Gate:
    """A lowest accuracy for one attack.

    Args:
        attack: a name ("pgd"), a whole spec ("pgd:eps=8/255") or "clean".
        accuracy: fraction in [0, 1].
    """

    attack: str
    accuracy: float

    def matches(self, spec: str) -> bool:
        """Whether the attack written `spec` is meant: by its whole text or by its name."""
        return self.attack in (spec, config.spec(spec)[0])


def parse_gates(texts: Sequence[str]) -> tuple[Gate, ...]:
    """Reads ``ATTACK=ACC`` options; the accuracy follows the last ``=``.

    Raises:
        InputError: if one has no ``=``, no attack, or an accuracy outside [0, 1].
    """
    gates = []
    for text in texts:
        attack, equals, accuracy = text.rpartition("=")
        if not equals or not attack.strip():
            raise InputError(
                f"--fail-under must read ATTACK=ACCURACY, such as pgd=0.40. Received: {text!r}"
            )
        value = config.number(accuracy, f"the accuracy of --fail-under {attack.strip()}")
        if not 0 <= value <= 1:
            raise InputError(
                f"--fail-under {attack.strip()}: the accuracy must be a fraction from 0 to 1. "
                f"Received: {accuracy!r}"
            )
        gates.append(Gate(attack.strip(), value))
    return tuple(gates)


def check_gates_are_run(gates: Sequence[Gate], specs: Sequence[str]) -> None:
    """Refuses a gate on an attack that is not going to run, before anything is computed.

    Raises:
        InputError: naming the attack and those that run.
    """
    for gate in gates:
        if gate.attack != CLEAN and not any(gate.matches(spec) for spec in specs):
            raise InputError(
                f"--fail-under {gate.attack}: this attack is not run. "
                f"Run: {', '.join([CLEAN, *specs])}"
            )


def failed_gates(
    gates: Sequence[Gate],
    clean: Accuracy,
    results: Sequence[AttackResult],
    measure: Measure = "interval",
) -> list[str]:
    """One line for every gate that is not met; none if all are.

    A gate that several runs of the same attack match must be met by each.

    Args:
        gates: from `parse_gates`.
        clean: accuracy without attack.
        results: the attacks' results.
        measure: what must reach the gate: "interval", the lower end of the 95% interval, so
            that luck with few images does not meet it; "accuracy", the measured one.

    Raises:
        InputError: on a gate whose attack was not run.
    """
    check_gates_are_run(gates, [result.spec for result in results])
    lines = []
    for gate in gates:
        measured = [(_source(r), r.accuracy) for r in results if gate.matches(r.spec)]
        if gate.attack == CLEAN:
            measured = [(CLEAN, clean)]
        for name, accuracy in measured:
            reached = accuracy.low if measure == "interval" else accuracy.value
            if reached < gate.accuracy:
                lines.append(f"gate not met: {name} {_shortfall(accuracy, gate.accuracy)}")
    return lines


def _source(result: AttackResult) -> str:
    """The attack as the user wrote it, and where its images come from if not the target."""
    return result.spec + (f" from {result.surrogate}" if result.surrogate else "")


def _shortfall(accuracy: Accuracy, least: float) -> str:
    """What was measured, by how much it is short, and whether more images could help."""
    interval = f"[{accuracy.low:.4f}, {accuracy.high:.4f}]"
    measured = f"accuracy {accuracy.value:.4f}, 95% interval {interval} on {accuracy.n} images"
    if accuracy.value < least:
        return f"{measured}: {least - accuracy.value:.4f} under {least:g}"
    needed = images_needed(accuracy.value, least)
    advice = (
        "no number of images lifts it there at this accuracy"
        if needed is None
        else f"more images narrow it, and about {needed} would do at this accuracy"
    )
    return (
        f"{measured}: the accuracy reaches {least:g}, but the lower end is "
        f"{least - accuracy.low:.4f} under it; {advice}"
    )
