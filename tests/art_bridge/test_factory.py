"""Our attacks by name: contracts, threat texts, settings, and wrong words."""

import keras
import numpy as np
import pytest

from atk_latent.adversaries.factory import make_adversary
from atk_latent.art_bridge.estimator import estimator_for
from atk_latent.art_bridge.factory import make_attack
from atk_latent.attacks import FastPGD
from atk_latent.errors import InputError

ASCENTS = ("fgsm", "rs-fgsm", "pgd", "bim", "mim", "cw-pgd")
MORE_CLASSES = {"apgd-dlr": 3, "apgd-t": 4}


@pytest.mark.parametrize(("name", "classes"), MORE_CLASSES.items())
def test_too_few_classes_are_refused_at_once(name, classes, two):
    message = f"at least {classes} classes. Received: 2; use apgd-ce"
    with pytest.raises(InputError, match=message):
        make_attack(name, estimator_for(two[0]))


@pytest.mark.parametrize(
    ("spec", "threat"),
    [
        ("fgsm", "white-box, Linf"),
        ("pgd:norm=l1", "white-box, L1"),
        ("apgd-ce:norm=l2", "white-box, L2"),
        ("fab", "white-box, Linf"),
        ("cw-l2", "white-box, L2"),
        ("jsma", "white-box, L0"),
        ("square:norm=l2", "score-based, L2"),
        ("rays", "decision-based, Linf"),
        ("autoattack:norm=l2", "white-box, L2"),
        ("hopskipjump", "decision-based, L2"),
        ("hopskipjump:norm=linf", "decision-based, Linf"),
        ("art:square", "score-based, Linf"),
    ],
)
def test_threat_says_what_the_attacker_knows(spec, threat, three):
    assert str(make_attack(spec, estimator_for(three[0])).threat) == threat


@pytest.mark.parametrize("name", ASCENTS)
def test_defaults_are_those_of_the_adversary(name, three):
    estimator = estimator_for(three[0])
    bound = make_attack(name, estimator)
    want = make_adversary(name, eps=8 / 255).settings
    found = bound.attack.settings()
    assert found.step_size == pytest.approx(want.step_length)
    for field in ("eps", "norm", "steps", "random_start", "restarts", "decay", "loss", "keep"):
        assert getattr(found, field) == getattr(want, field), field
    l2 = make_attack(f"{name}:norm=l2", estimator)
    assert (l2.eps, str(l2.threat), l2.attack.norm) == (128 / 255, "white-box, L2", 2)


def test_pgd_means_what_it_means_in_art(three):
    estimator = estimator_for(three[0])
    spec = "pgd:eps=0.3,steps=40"
    ours, theirs = make_attack(spec, estimator), make_attack(f"art:{spec}", estimator)
    assert isinstance(ours.attack, FastPGD) and ours.attack.num_random_init == 1
    for name in ("norm", "eps", "eps_step", "max_iter", "num_random_init", "batch_size"):
        assert getattr(ours.attack, name) == getattr(theirs.attack, name)
    assert (ours.threat, ours.norm, ours.eps) == (theirs.threat, theirs.norm, theirs.eps)
    assert theirs.settings.items() <= ours.settings.items()
    for name in ("fgsm", "pgd", "square", "jsma", "cw-l2", "autoattack"):
        assert type(make_attack(name, estimator).attack).__module__.startswith("atk_latent.")


def test_settings_reach_the_adversary_and_the_record(three):
    bound = make_attack("cw-pgd:eps=0.2,steps=3,margin=0,eot=2", estimator_for(three[0]))
    found = bound.attack.settings()
    assert bound.settings["margin"] == found.margin == 0
    assert (found.eot, found.loss, found.steps) == (2, "margin", 3)
    square = make_attack("square:queries=77,share=0.3", estimator_for(three[0]))
    assert (square.attack.max_iter, square.attack.p_init) == (77, 0.3)
    assert square.settings["share"] == 0.3
    carlini = make_attack("cw-l2", estimator_for(three[0]))
    assert (carlini.eps, carlini.attack.max_iter, carlini.attack.binary_search_steps) == (
        None,
        100,
        6,
    )


def test_fgsm_on_a_linear_model_is_the_sign_computed_by_hand():
    model = keras.Sequential(
        [keras.Input((1, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(2, use_bias=False)]
    )
    model.set_weights([np.array([[1.0, -1.0], [-2.0, 3.0]], np.float32)])
    x = np.array([[0.5, 0.5], [0.05, 0.98]], np.float32).reshape(2, 1, 2, 1)
    # the loss of label 0 rises with w1 - w0 = (-2, 5): signs -, +; of label 1 the other way
    for spec in ("fgsm:eps=0.1", "art:fgsm:eps=0.1"):
        bound = make_attack(spec, estimator_for(model))
        found = bound.generate(x, np.array([0, 1])).reshape(2, 2)
        np.testing.assert_allclose(found, [[0.4, 0.6], [0.15, 0.88]], atol=1e-6)
        found = bound.generate(x, np.array([1, 0])).reshape(2, 2)
        np.testing.assert_allclose(found, [[0.6, 0.4], [0.0, 1.0]], atol=1e-6)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pgdd", "attack 'pgdd'. Did you mean 'pgd'"),
        ("pgd:epz=0.1", "unknown setting 'epz'. Did you mean 'eps'"),
        ("pgd:targeted=true", "unknown setting 'targeted'"),
        ("fgsm:steps=5", "unknown setting 'steps'"),
        ("pgd:eps=-1", "'eps' must be greater than 0"),
        ("pgd:eps=0", "'eps' must be greater than 0"),
        ("apgd-ce:eps=2", "'eps' must be between 0 and 1"),
        ("fgsm:eps=abc", "'eps' must be a number"),
        ("pgd:steps=0", "'steps' must be at least 1"),
        ("pgd:steps=1.5", "whole number"),
        ("pgd:keep=first", "one of best, last"),
        ("pgd:restarts=2,random_start=false", "'restarts' must be 1 without random_start"),
        ("fgsm:norm=l3", "one of linf, l2"),
        ("mim:decay=-1", "'decay' must be at least 0"),
        ("cw-pgd:margin=-1", "'margin' must be at least 0"),
        ("rs-fgsm:step_size=0", "'step_size' must be greater than 0"),
        ("square:share=2", "'share' must be between"),
        ("jsma:theta=0", "'theta'"),
        ("jsma:gamma=2", "'gamma'"),
        ("art:pgd:eps=-1", "'eps' must be greater than 0"),
        ("art:pgd:eps=0.1,step_size=0.2", "'step_size' must be at most eps"),
        ("art:square:p_init=1", "'p_init'"),
        ("art:jsma:gamma=2", "'gamma'"),
        ("cw-linf:decrease_factor=1", "'decrease_factor'"),
        ("hopskipjump:most_queries=5", "'most_queries'"),
        ("art:nothing", "unknown attack 'nothing'"),
        ("art:bim", "ART has no attack 'bim'"),
    ],
)
def test_wrong_spec_is_one_line(spec, message, three):
    with pytest.raises(InputError) as error:
        make_attack(spec, estimator_for(three[0]))
    assert message in str(error.value) and "\n" not in str(error.value)
