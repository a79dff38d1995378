"""Every registered adversary keeps the contract; one that does nothing does not.

What its spec says (norms, classes, a small change or a ball) makes the cases of an attack, so a
new one is tested as soon as it has a line in the registry.
"""

import dataclasses
import functools

import pytest

from atk_latent.adversaries.base import Adversary
from atk_latent.adversaries.feature_scattering import FeatureScatter, ScatteringSettings
from atk_latent.adversaries.kl_ascent import KLAscent, KLSettings
from atk_latent.registry import ATTACKS
from tests.adversaries.contract import EPS, SEED, Case, check_contract

# Enough for so small a network; a new attack needs no line here.
QUICK = {"steps": 5, "queries": 60, "targets": 2}
OWN = {
    "apgd-ce": {"steps": 6},
    "apgd-dlr": {"steps": 6},
    "apgd-t": {"steps": 6},
    "cw-l2": {"steps": 40, "search_steps": 3},
    "jsma": {"gamma": 0.5},
    "rays": {"queries": 300},
}
# They promise that no success is lost and no image's own loss ends lower.
NEVER_LOSES = {"pgd", "bim", "mim", "cw-l2", "fab", "fab-t", "rays"}
NEVER_LOSES |= {"apgd-ce", "apgd-dlr", "apgd-t"}
RADII = {**EPS, "l1": 1.0}
MINIMAL_SIZES = {"l0": 8}  # half of the 16 values
WITH_RESTARTS = ("pgd", "fab-t", "square")


def case(spec, norm, classes, **more):
    fields = {field.name for field in dataclasses.fields(spec.settings)}
    settings = {name: value for name, value in QUICK.items() if name in spec.options}
    settings |= {**spec.option_defaults, **OWN.get(spec.name, {}), **more}
    settings |= {"norm": norm} if "norm" in fields else {}
    eps = MINIMAL_SIZES.get(norm) if spec.minimal else RADII[norm]
    settings |= {} if spec.minimal else {"eps": eps}
    targeted = settings.get("targeted", False)
    return Case(settings, norm, eps, classes, targeted, climbs=spec.name in NEVER_LOSES)


def cases(spec):
    """Each norm, the least number of classes and one more, labels that are wanted, restarts."""
    least = spec.least_classes
    found = [case(spec, norm, least + 1) for norm in spec.norms]
    found.append(case(spec, spec.norms[0], least))
    fields = {field.name for field in dataclasses.fields(spec.settings)}
    if "targeted" in fields and spec.variant_of is None:
        found.append(case(spec, spec.norms[0], least, targeted=True))
    if spec.name in WITH_RESTARTS:
        found.append(case(spec, spec.norms[-1], least, restarts=2))
    if spec.name == "apgd-dlr":  # the numerator of its loss needs two classes alone
        found.append(case(spec, "linf", 2))
    return found


# AutoAttack is a cascade of adversaries; tests/art_bridge/test_contract.py runs it.
SPECS = [spec for spec in map(ATTACKS.get, ATTACKS) if spec.factory and spec.name != "autoattack"]


@pytest.mark.parametrize(
    ("spec", "one"),
    [
        pytest.param(spec, one, id=f"{spec.name}-{one.norm}-{one.classes}-{i}")
        for spec in SPECS
        for i, one in enumerate(cases(spec))
    ],
)
def test_registered_adversary_keeps_the_contract(spec, one):
    assert issubclass(spec.factory, Adversary)
    check_contract(functools.partial(spec.adversary, seed=SEED, **one.settings), one)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_kl_ascent_keeps_the_contract(norm):
    """Of two classes the divergence climbs on either side, towards the right one too."""
    settings = KLSettings(eps=EPS[norm], norm=norm, steps=5)
    check_contract(lambda: KLAscent(settings, seed=SEED), Case({}, norm, EPS[norm], climbs=False))


@pytest.mark.parametrize("more", [{}, {"steps": 3, "stabilised": True}])
def test_feature_scattering_keeps_the_contract(more):
    settings = ScatteringSettings(eps=EPS["linf"], **more)
    check_contract(lambda: FeatureScatter(settings, seed=SEED), Case({}, climbs=False))


class DoNothing(Adversary):
    def craft(self, classifier, x, y, noise):
        return x


def test_an_adversary_that_does_nothing_fails_the_contract():
    with pytest.raises(AssertionError, match="no image moved"):
        check_contract(lambda: DoNothing(seed=SEED), Case({}))
