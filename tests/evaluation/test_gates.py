import pytest

from atk_latent.errors import InputError
from atk_latent.evaluation.gates import Gate, check_gates_are_run, failed_gates, parse_gates
from atk_latent.evaluation.result import Accuracy, AttackResult

CLEAN = Accuracy(0.9, 0.8, 0.95, 100)


def result(spec, accuracy):
    name = spec.split(":")[0]
    return AttackResult(name, name, spec, "", "none", 9, accuracy, 0.0, 1.0, 0.0, 0.0, 0.0)


def test_gates_are_read():
    assert parse_gates(["pgd=0.40", "clean=9/10", "pgd:eps=8/255,steps=2=0.1"]) == (
        Gate("pgd", 0.4),
        Gate("clean", 0.9),
        Gate("pgd:eps=8/255,steps=2", 0.1),
    )


@pytest.mark.parametrize("text", ["pgd", "=0.4", "pgd=", "pgd=x", "pgd=1.5", "pgd=-0.1", "pgd=nan"])
def test_a_wrong_gate_is_refused(text):
    with pytest.raises(InputError, match="--fail-under"):
        parse_gates([text])


def test_a_gate_on_an_attack_that_does_not_run_is_refused():
    with pytest.raises(InputError, match="fgsm.*not run.*clean, pgd:steps=3"):
        check_gates_are_run([Gate("fgsm", 0.1)], ["pgd:steps=3"])
    check_gates_are_run([Gate("pgd", 0.1), Gate("clean", 0.1)], ["pgd:steps=3"])


def test_met_and_unmet_gates():
    results = [result("pgd:eps=0.1", 0.5), result("pgd:eps=0.3", 0.2)]
    assert failed_gates(parse_gates(["clean=0.9", "pgd=0.2"]), CLEAN, results) == []
    assert len(failed_gates(parse_gates(["clean=0.91"]), CLEAN, results)) == 1
    lines = failed_gates(parse_gates(["pgd=0.4"]), CLEAN, results)
    assert len(lines) == 1 and "pgd:eps=0.3" in lines[0] and "0.2" in lines[0]
    assert failed_gates(parse_gates(["pgd:eps=0.1=0.4"]), CLEAN, results) == []
