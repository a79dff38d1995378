"""What became of each image: counted by hand."""

import numpy as np
import pytest

from atk_latent.reporting.outcomes import (
    Confusion,
    confusion,
    groups,
    outcomes_of,
    survives,
    worst_cases,
)
from atk_latent.results.accuracy import wilson_interval
from atk_latent.results.files import read_result
from atk_latent.results.version_1 import threat_model


@pytest.fixture
def result(files):
    return read_result(files["told"]).result


def test_an_image_survives_if_it_is_right_before_and_after(result):
    first, second, *_ = result.attacks
    assert survives(result, first).tolist() == [True, False, True, True, True, False]
    assert survives(result, second).tolist() == [True, True, False, True, True, False]


def test_the_worst_case_counts_what_survives_all_and_mixes_nothing(result):
    (found,) = worst_cases(result)  # not eps 0.1, L2, transfer, or an attack without a radius
    assert found.accuracy.value == 3 / 6  # images 0, 3 and 4; each attack alone leaves 4
    assert (found.accuracy.low, found.accuracy.high) == wilson_interval(3, 6)
    assert found.parts == ("fgsm", "pgd, steps=20")
    assert (found.threat, found.eps, found.norm) == ("white-box, Linf", 0.3, "Linf")


SMOOTH = "smooth surrogate, tanh for sign"
BESIDE = "sees classifier and discriminator but not the IMT step"


@pytest.mark.parametrize(
    ("threats", "count"),
    [
        (["white-box, Linf", "static: white-box, Linf, unaware of IMT"], 0),
        (["white-box, Linf", "score-based, Linf"], 0),
        (["white-box, Linf", f"adaptive: white-box through IMT ({SMOOTH}), Linf"], 0),
        (["transfer from a (white-box there, Linf)", "transfer from b (white-box there, Linf)"], 0),
        ([f"adaptive: {BESIDE}, Linf", f"adaptive: white-box through IMT ({SMOOTH}), Linf"], 1),
    ],
)
def test_groups_of_threat_models_stay_apart(told_evaluation, write, threats, count):
    told_evaluation["attacks"] = told_evaluation["attacks"][:2]
    for attack, threat in zip(told_evaluation["attacks"], threats, strict=True):
        attack["threat_model"] = threat_model(threat, attack["eps"], "imt")
    found = worst_cases(read_result(write("e.json", told_evaluation)).result)
    assert len(found) == count
    assert all(m.threat == "Adaptive, Linf" for m in found)  # two ways to be adaptive


def test_an_older_file_has_no_outcomes(files):
    result = read_result(files["evaluation"]).result
    assert worst_cases(result) == ()
    assert survives(result, result.attacks[0]) is None
    assert confusion(result, result.attacks[0]) is None


def test_confusion_counts_true_against_predicted_classes(result):
    found = confusion(result, result.attacks[0])
    assert found.counts.tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 2]]
    assert [a.value for a in found.robust] == [0.5, 1.0, 0.5]  # one fox was wrong before
    assert found.shares[0].tolist() == [0.5, 0.5, 0.0]
    assert found.most_confused(5) == [(0, 1, 1)]


def test_a_class_without_images_has_no_accuracy(told_evaluation, write):
    told_evaluation["class_names"] = [*"abcd"]
    result = read_result(write("e.json", told_evaluation)).result
    found = confusion(result, result.attacks[0])
    assert found.counts.shape == (4, 4) and found.robust[3] is None
    assert found.shares[3].tolist() == [0] * 4


def test_the_most_confused_come_first_and_the_diagonal_never():
    counts = np.array([[9, 2, 0], [3, 9, 1], [0, 2, 9]])
    found = Confusion(counts, (None,) * 3)
    assert found.most_confused(3) == [(1, 0, 3), (0, 1, 2), (2, 1, 2)]
    assert len(found.most_confused(9)) == 4


def test_groups_part_what_must_not_be_mixed(files):
    outcomes = outcomes_of(read_result(files["evaluation"]).result)
    assert {group.name: len(of_group) for group, of_group in groups(outcomes)} == {
        "White-box": 3,
        "Transfer from runs/vanilla": 1,
    }


def test_a_comparison_has_an_outcome_a_row_and_attack(files):
    found = outcomes_of(read_result(files["comparison"]).result)
    assert [(o.target, o.result.attack, o.eps) for o in found] == [
        ("PGD & Co", "PGD-20", 0.3),
        ("PGD & Co", "moved", 0.3),
        ("Natural", "PGD-20", 0.3),
        ("Natural", "moved", 0.3),
    ]
    assert found[0].clean.value == 0.95
    assert found[0].label == "PGD-20, eps 0.3, steps=20"
