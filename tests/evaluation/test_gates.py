import pytest

from atk_latent.errors import InputError
from atk_latent.evaluation.gates import Gate, check_gates_are_run, failed_gates, parse_gates
from atk_latent.results.accuracy import Accuracy, images_needed, wilson_interval
from tests.result_files import WHITE, attacked

CLEAN = Accuracy.of([True] * 90 + [False] * 10)  # 0.826 to 0.945


def result(spec, right, n=100, surrogate=None):
    return attacked(spec, WHITE.model_copy(update={"crafted_on": surrogate}), right, n=n)


def missed(gate, *results, **more):
    return failed_gates(parse_gates([gate]), CLEAN, results, **more)


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
    weak, strong = result("pgd:eps=0.1", 50), result("pgd:eps=0.3", 20)
    assert missed("clean=0.9", measure="accuracy") == missed("clean=0.82") == []
    assert missed("pgd=0.2", weak, strong, measure="accuracy") == []
    (line,) = missed("pgd=0.4", weak, strong)
    assert "pgd:eps=0.3 accuracy 0.2000" in line and "0.2000 under 0.4" in line
    assert missed("pgd:eps=0.1=0.4", weak, strong) == []


def test_the_lower_end_must_reach_the_gate():
    """50 of 100: 0.4038 to 0.5962 (Wilson)."""
    assert missed("pgd=0.403", result("pgd", 50)) == []
    (line,) = missed("pgd=0.45", result("pgd", 50))
    assert "[0.4038, 0.5962] on 100 images" in line
    assert "the accuracy reaches 0.45, but the lower end is 0.0462 under it" in line
    assert "more images narrow it, and about 381 would do" in line
    assert missed("pgd=0.45", result("pgd", 50), measure="accuracy") == []
    (line,) = missed("pgd=0.5", result("pgd", 50))
    assert "no number of images" in line


def test_a_gate_says_on_which_model_the_images_were_made():
    (line,) = missed("pgd=0.9", result("pgd", 50, surrogate="runs/plain"))
    assert "pgd from runs/plain accuracy" in line


@pytest.mark.parametrize(("share", "wanted"), [(0.5, 0.45), (0.9, 0.85), (0.97, 0.6), (1.0, 0.99)])
def test_so_many_images_are_enough_and_one_in_twenty_fewer_are_not(share, wanted):
    n = images_needed(share, wanted)
    low = lambda images: wilson_interval(share * images, images)[0]  # noqa: E731
    assert low(n) >= wanted - 1e-9
    assert low(n * 0.95) < wanted
    assert images_needed(wanted, wanted) is None and images_needed(0.1, wanted) is None
