"""``--fail-under pgd=0.40``: the accuracies a model must reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from atk_latent import config
from atk_latent.errors import InputError
from atk_latent.evaluation.result import Accuracy, AttackResult

CLEAN = "clean"


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
    gates: Sequence[Gate], clean: Accuracy, results: Sequence[AttackResult]
) -> list[str]:
    """One line for every gate that is not met; none if all are.

    A gate that several runs of the same attack match must be met by each. The measured
    accuracy counts, not the lower end of its interval.

    Args:
        gates: from `parse_gates`.
        clean: accuracy without attack.
        results: the attacks' results.

    Raises:
        InputError: on a gate whose attack was not run.
    """
    check_gates_are_run(gates, [result.spec for result in results])
    lines = []
    for gate in gates:
        measured = [(r.spec, r.robust_accuracy) for r in results if gate.matches(r.spec)]
        if gate.attack == CLEAN:
            measured = [(CLEAN, clean.value)]
        lines += [
            f"gate not met: {spec} accuracy {value:.4f} is under {gate.accuracy:g}"
            for spec, value in measured
            if value < gate.accuracy
        ]
    return lines
