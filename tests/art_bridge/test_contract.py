"""Every attack of the registry, and every one of ART's, keeps the contract and its seed.

Settings and problems come from the specs: a new attack is tested as soon as it has a line in the
registry, and a test here adds one to see it.
"""

import sys
import types

import numpy as np
import pytest

from atk_latent import attacks
from atk_latent.adversaries.spec import AttackSpec
from atk_latent.art_bridge import attack_classes
from atk_latent.art_bridge.art_attacks import ART_ATTACKS
from atk_latent.art_bridge.bound_attack import BoundAttack, seeded
from atk_latent.art_bridge.context import AttackContext
from atk_latent.art_bridge.estimator import estimator_for
from atk_latent.art_bridge.factory import attack_spec, make_attack
from atk_latent.data.dataset import Dataset
from atk_latent.inference.imt import IMT, IMTClassifier, IMTSettings
from atk_latent.registry import ATTACKS, Attack
from atk_latent.results.threat import ThreatModel
from tests.art_bridge.conftest import images
from tests.art_bridge.contract import check_contract, quick_text

NAMES = [
    *ATTACKS,
    *(f"art:{name}" for name, spec in ART_ATTACKS.items() if spec is not ATTACKS[name]),
]
# It climbs the discriminator's verdict alone; tests/art_bridge/test_atld.py looks at that.
HARMLESS = ("atld-manifold",)


def problem(spec, request):
    """The classifier, images, context and further settings that an attack needs."""
    more = {}
    if "gan" in spec.needs:
        model, x, y = request.getfixturevalue("strips")
        more, context = {"gan": request.getfixturevalue("gan_run")}, AttackContext()
    elif {"imt", "discriminator"} & set(spec.needs):
        discriminator, x, y = request.getfixturevalue("game")
        deployed = IMTClassifier(IMT(discriminator, IMTSettings(step_size=0.05, radius=0.05)))
        model, context = discriminator.classifier, AttackContext(imt=deployed)
    else:
        fixture = {2: "two", 3: "three", 4: "four"}[spec.least_classes]
        model, x, y = request.getfixturevalue(fixture)
        classes = spec.least_classes
        data = Dataset("stripes", *images(classes, 60, 1), x, y, tuple("abcd"[:classes]))
        context = AttackContext(data=data)
    return estimator_for(model), x, y, context, more


@pytest.mark.parametrize("name", NAMES)
def test_attack_keeps_the_contract_its_seed_and_quiet(name, request, capfd):
    """On two classes where it can."""
    spec = attack_spec(name)
    estimator, x, y, context, more = problem(spec, request)
    capfd.readouterr()
    bound = make_attack(quick_text(name, spec, **more), estimator, context)
    assert bound.name == name.removeprefix("art:") == spec.name
    assert bound.threat.access == spec.access and bound.norm in spec.norms
    assert bound.minimal == spec.minimal
    with seeded(7):
        x_adv = check_contract(bound, x, y, harms=name not in HARMLESS)
    with seeded(7):
        np.testing.assert_array_equal(bound.generate(x, y), x_adv)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ART_ATTACKS)
def test_arts_own_keep_the_contract_on_three_classes(name, three):
    model, x, y = three
    with seeded(1):
        bound = make_attack(quick_text(f"art:{name}", ART_ATTACKS[name]), estimator_for(model))
        check_contract(bound, x, y)


@pytest.mark.parametrize("name", ATTACKS)
def test_registry_line_and_spec_agree(name):
    spec, line = ATTACKS[name], ATTACKS.entry(name)
    assert spec.name == name and spec.summary == line.summary
    assert (spec.factory is None) == (spec.bind is not None)
    if spec.factory is not None:  # it has an ART class, of its own or of its kin
        assert bool(line.art_class) == (spec.variant_of is None)
        assert set(spec.options) <= set(spec.settings.__dataclass_fields__)


class DoNothing:
    def __init__(self, estimator):
        self.estimator = estimator

    def generate(self, x, y):
        return x


def test_an_attack_that_does_nothing_fails_the_contract(three):
    model, x, y = three
    threat = ThreatModel(access="white-box", norm="linf", eps=0.3)
    with pytest.raises(AssertionError, match="no image moved"):
        check_contract(BoundAttack("idle", threat, DoNothing(estimator_for(model))), x, y)


TOY = """
import dataclasses
import tensorflow as tf
from atk_latent.adversaries import losses
from atk_latent.adversaries.base import Adversary
from atk_latent.adversaries.gradients import loss_gradient
from atk_latent.adversaries.spec import AttackSpec

@dataclasses.dataclass(frozen=True)
class Settings:
    '''How far it goes.

    Args:
        eps: number > 0, the length of the step.
        noise: number >= 0, the share of it that is drawn.
    '''

    eps: float = 0.1
    noise: float = 0.5

class Step(Adversary):
    def __init__(self, settings, *, seed=0):
        super().__init__(seed=seed)
        self.settings = settings

    def craft(self, classifier, x, y, noise):
        share = 1 - self.settings.noise * noise.uniform(x)
        slope = loss_gradient(classifier, lambda z: losses.log_odds(z, y), x).direction
        return tf.clip_by_value(x + self.settings.eps * share * tf.sign(slope), 0.0, 1.0)

STEP = AttackSpec("step", Settings, ("eps", "noise"), Step)
"""


@pytest.fixture
def toy(monkeypatch):
    """An attack that is one file and one registry line."""
    module = types.ModuleType("toy_attack")
    exec(TOY, module.__dict__)
    monkeypatch.setitem(sys.modules, "toy_attack", module)
    line = Attack("toy_attack:STEP", "one step, Linf", art_class="OneStep")
    monkeypatch.setitem(ATTACKS._entries, "step", line)
    return module.STEP


def test_a_new_attack_is_one_file_and_one_line(toy, two, request, capfd):
    """Option names, defaults, checks, ART class, list and contract: nothing else is declared."""
    from click.testing import CliRunner

    from atk_latent.cli.list import list_names

    assert "step" in CliRunner().invoke(list_names, ["attacks"]).output
    assert isinstance(toy, AttackSpec)
    test_attack_keeps_the_contract_its_seed_and_quiet("step", request, capfd)
    test_registry_line_and_spec_agree("step")
    estimator, x, y = estimator_for(two[0]), *two[1:]
    with pytest.raises(ValueError, match="Did you mean 'noise'"):
        make_attack("step:noisy=1", estimator)
    bound = make_attack("step:noise=0", estimator)
    assert (bound.eps, bound.settings) == (8 / 255, {"eps": 8 / 255, "noise": 0.0})
    want = make_attack("fgsm", estimator).generate(x, y)
    np.testing.assert_allclose(bound.generate(x, y), want, atol=1e-6)
    kind = attack_classes.attack_class("step")
    assert kind.__module__ == attacks.__name__ and kind.__name__ == "OneStep"
    text = "noise: number >= 0, the share of it that is drawn."
    assert text in kind.__doc__ and kind.__doc__.startswith("One step, Linf.")
    attack = kind(estimator, 0.2, noise=0.0)
    want = make_attack("fgsm:eps=0.2", estimator).generate(x, y)
    np.testing.assert_allclose(attack.generate(x, y), want, atol=1e-6)
