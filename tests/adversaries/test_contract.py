"""Every registered adversary keeps the contract; one that does nothing does not.

A new adversary adds its cases to `CASES`.
"""

import pytest

from atk_latent.adversaries.base import Adversary
from atk_latent.adversaries.names import ADVERSARIES
from tests.adversaries.contract import EPS, SEED, Case, check_contract, maker


def ascents(name, *, climbs, **settings):
    """The cases of a gradient ascent: Linf on three and on two classes, and L2."""
    return [
        Case({"eps": EPS[norm], "norm": norm, **settings}, norm, EPS[norm], classes, climbs=climbs)
        for norm, classes in (("linf", 3), ("linf", 2), ("l2", 3))
    ]


CASES = {
    "fgsm": ascents("fgsm", climbs=False),
    "rs-fgsm": ascents("rs-fgsm", climbs=False),
    "pgd": ascents("pgd", climbs=True, steps=5),
    "bim": ascents("bim", climbs=True, steps=5),
    "mim": ascents("mim", climbs=True, steps=5),
    "cw-pgd": ascents("cw-pgd", climbs=False, steps=5),
}


def test_every_adversary_has_a_case():
    assert set(CASES) == set(ADVERSARIES)


@pytest.mark.parametrize(
    ("name", "case"),
    [
        pytest.param(name, case, id=f"{name}-{case.norm}-{case.classes}-{i}")
        for name, cases in CASES.items()
        for i, case in enumerate(cases)
    ],
)
def test_named_adversary_keeps_the_contract(name, case):
    check_contract(maker(name, case), case)


class DoNothing(Adversary):
    def craft(self, classifier, x, y, noise):
        return x


def test_an_adversary_that_does_nothing_fails_the_contract():
    with pytest.raises(AssertionError, match="no image moved"):
        check_contract(lambda: DoNothing(seed=SEED), Case({}))
