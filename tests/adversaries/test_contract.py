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


SEARCH = {"learning_rate": 0.05, "initial_const": 1.0}
CASES = {
    "fgsm": ascents("fgsm", climbs=False),
    "rs-fgsm": ascents("rs-fgsm", climbs=False),
    "pgd": [
        *ascents("pgd", climbs=True, steps=5),
        Case({"eps": 1.0, "norm": "l1", "steps": 5}, "l1", 1.0),
    ],
    "bim": ascents("bim", climbs=True, steps=5),
    "mim": ascents("mim", climbs=True, steps=5),
    "cw-pgd": ascents("cw-pgd", climbs=False, steps=5),
    "kl-pgd": [  # of two classes the divergence climbs on either side, towards the right one too
        Case({"eps": EPS[norm], "norm": norm, "steps": 5}, norm, EPS[norm], climbs=False)
        for norm in ("linf", "l2")
    ],
    "feature-scattering": [
        Case({"eps": EPS["linf"]}, climbs=False),
        Case({"eps": EPS["linf"], "steps": 3, "stabilised": True}, climbs=False),
    ],
    "apgd-ce": ascents("apgd-ce", climbs=True, steps=6),
    "apgd-dlr": ascents("apgd-dlr", climbs=True, steps=6)[1:],
    "apgd-t": [Case({"eps": EPS["linf"], "steps": 6, "targets": 2}, classes=5)],
    "jsma": [
        Case({"gamma": 0.5}, "l0", 8, 3, climbs=False),
        Case({"gamma": 0.5, "targeted": True}, "l0", 8, 2, targeted=True, climbs=False),
    ],
    "cw-l2": [
        Case({"steps": 40, "search_steps": 3, **SEARCH}, "l2", None),
        Case(
            {"steps": 40, "search_steps": 3, "targeted": True, **SEARCH},
            "l2",
            None,
            2,
            targeted=True,
        ),
    ],
    "fab": [Case({"eps": EPS["linf"], "steps": 5})],
    "fab-t": [
        Case({"eps": EPS["l2"], "norm": "l2", "steps": 5, "restarts": 2}, "l2", EPS["l2"], 2)
    ],
    "square": [
        Case({"eps": EPS["linf"], "queries": 60, "restarts": 2}, classes=2, climbs=False),
        Case({"eps": EPS["l2"], "norm": "l2", "queries": 60}, "l2", EPS["l2"], climbs=False),
    ],
    "rays": [Case({"eps": EPS["linf"], "queries": 300})],
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
