"""Contracts of every ART attack that can be named, and what each promises alone."""

import random

import keras
import numpy as np
import pytest

from atk_latent.art_bridge import evasion
from atk_latent.art_bridge.estimator import estimator_for
from atk_latent.art_bridge.evasion import BoundAttack, change_size, make_attack, seeded
from atk_latent.errors import InputError
from atk_latent.registry import ATTACKS

QUICK = {
    "fgsm": "fgsm:eps=0.3",
    "pgd": "pgd:eps=0.3,steps=5",
    "cw-l2": "cw-l2:steps=10,search_steps=4",
    "cw-linf": "cw-linf:steps=10,decrease_factor=0.5",
    "jsma": "jsma:gamma=0.5",
    "deepfool": "deepfool:steps=10",
    "square": "square:eps=0.3,queries=40",
    "hopskipjump": "hopskipjump:steps=2,first_queries=20,most_queries=40,draws=20",
    "autoattack": "autoattack:eps=0.3,steps=5,restarts=1,queries=20",
}


def check_contract(bound, x, y):
    """In the ball, in [0, 1], images move, loss not lower, accuracy not higher."""
    target = bound.attack.estimator if hasattr(bound.attack, "estimator") else None
    target = target or bound.attack.attack.estimator
    x_adv = bound.generate(x, y)
    assert x_adv.shape == x.shape and x_adv.dtype == np.float32
    assert np.isfinite(x_adv).all() and x_adv.min() >= -1e-6 and x_adv.max() <= 1 + 1e-6
    if bound.eps is not None:
        assert change_size(x, x_adv, bound.norm).max() <= bound.eps + 1e-5
    assert change_size(x, x_adv, "linf").max() > 1e-4, "no image moved"
    assert target.compute_loss(x_adv, y, "mean") > target.compute_loss(x, y, "mean")
    right = target.predict(x).argmax(1) == y
    assert (right & (target.predict(x_adv).argmax(1) == y)).sum() < right.sum()
    return x_adv


def test_every_art_attack_is_registered_under_its_name():
    assert {recipe.name for recipe in evasion.RECIPES} == set(QUICK) <= set(ATTACKS)
    for name in QUICK:
        assert ATTACKS[name].__self__.name == name


@pytest.mark.parametrize("name", QUICK)
def test_attack_keeps_the_contract_and_its_seed(name, three):
    model, x, y = three
    estimator = estimator_for(model)
    with seeded(7):
        first = check_contract(make_attack(QUICK[name], estimator), x, y)
    with seeded(7):
        again = make_attack(QUICK[name], estimator).generate(x, y)
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("name", QUICK)
def test_attack_works_on_two_classes(name, two):
    model, x, y = two
    with seeded(1):
        check_contract(make_attack(QUICK[name], estimator_for(model)), x, y)


class DoNothing:
    def __init__(self, estimator):
        self.estimator = estimator

    def generate(self, x, y):
        return x


def test_an_attack_that_does_nothing_fails_the_contract(three):
    model, x, y = three
    idle = BoundAttack("idle", "white-box, Linf", "linf", 0.3, DoNothing(estimator_for(model)))
    with pytest.raises(AssertionError, match="no image moved"):
        check_contract(idle, x, y)


def test_fgsm_on_a_linear_model_is_the_sign_computed_by_hand():
    model = keras.Sequential(
        [keras.Input((1, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(2, use_bias=False)]
    )
    model.set_weights([np.array([[1.0, -1.0], [-2.0, 3.0]], np.float32)])
    x = np.array([[0.5, 0.5], [0.05, 0.98]], np.float32).reshape(2, 1, 2, 1)
    # the loss of label 0 rises with w1 - w0 = (-2, 5): signs -, +; of label 1 the other way
    bound = make_attack("fgsm:eps=0.1", estimator_for(model))
    found = bound.generate(x, np.array([0, 1])).reshape(2, 2)
    np.testing.assert_allclose(found, [[0.4, 0.6], [0.15, 0.88]], atol=1e-6)
    found = bound.generate(x, np.array([1, 0])).reshape(2, 2)
    np.testing.assert_allclose(found, [[0.6, 0.4], [0.0, 1.0]], atol=1e-6)


@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_l2_ball_is_an_l2_ball(name, three):
    model, x, y = three
    bound = make_attack(f"{name}:norm=l2,eps=0.9", estimator_for(model))
    assert (bound.threat, bound.norm) == ("white-box, L2", "l2")
    check_contract(bound, x, y)


def test_more_restarts_are_taken(three):
    model, x, y = three
    bound = make_attack("pgd:eps=0.2,steps=3,restarts=3", estimator_for(model))
    assert bound.attack.num_random_init == 3
    check_contract(bound, x, y)


@pytest.mark.parametrize(
    ("spec", "threat"),
    [
        ("fgsm", "white-box, Linf"),
        ("cw-l2", "white-box, L2"),
        ("jsma", "white-box, L0"),
        ("square", "score-based, Linf"),
        ("hopskipjump", "decision-based, L2"),
        ("hopskipjump:norm=linf", "decision-based, Linf"),
    ],
)
def test_threat_says_what_the_attacker_knows(spec, threat, three):
    assert make_attack(spec, estimator_for(three[0])).threat == threat


def test_autoattack_says_that_it_is_arts(three):
    bound = make_attack("autoattack", estimator_for(three[0]))
    assert (bound.name, bound.shown) == ("autoattack", "autoattack (ART variant)")


def test_our_words_become_arts(three):
    bound = make_attack("pgd:eps=8/255,steps=20", estimator_for(three[0], batch_size=64))
    attack = bound.attack
    assert (attack.eps, attack.max_iter, attack.batch_size) == (8 / 255, 20, 64)
    assert attack.eps_step == pytest.approx(2.5 * 8 / 255 / 20)
    assert bound.settings["step_size"] == attack.eps_step
    deepfool = make_attack("deepfool:overshoot=0.1,classes=2", estimator_for(three[0])).attack
    assert (deepfool.epsilon, deepfool.nb_grads) == (0.1, 2)


def test_default_radius_is_the_customary_one(three):
    assert make_attack("pgd", estimator_for(three[0])).eps == 8 / 255
    assert evasion.default_eps((28, 28, 1)) == 0.3
    assert evasion.default_eps((28, 28, 1), "l2") == 1.5
    assert evasion.default_eps((32, 32, 3), "l2") == 128 / 255


def test_minimal_attack_with_a_radius_hands_back_images_it_could_not_reach(three):
    model, x, y = three
    estimator = estimator_for(model)
    free = make_attack("deepfool", estimator).generate(x, y)
    size = change_size(x, free, "l2")
    radius = float(np.median(size))
    bound = make_attack(f"deepfool:eps={radius}", estimator).generate(x, y)
    np.testing.assert_array_equal(bound[size > radius], x[size > radius])
    np.testing.assert_array_equal(bound[size <= radius], free[size <= radius])
    assert (size > radius).any() and (size <= radius).any()


def test_jsma_does_not_take_labels_for_targets(three):
    model, x, y = three
    estimator = estimator_for(model)
    right = estimator.predict(x).argmax(1) == y
    with seeded(0):
        x_adv = make_attack("jsma:gamma=1", estimator).generate(x, y)
    moved = change_size(x, x_adv, "linf") > 0
    assert moved[right].all()


def test_hopskipjump_starts_where_noise_is_never_another_class():
    model = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    kernel = np.zeros((16, 2), np.float32)
    kernel[:, 0] = 1.0
    model.set_weights([kernel, np.array([0.0, 3.0], np.float32)])  # class 1 only if dark
    x = np.stack([np.full((4, 4, 1), 0.9), np.full((4, 4, 1), 0.05)]).astype(np.float32)
    y = np.array([0, 1])
    bound = make_attack("hopskipjump:steps=2,first_queries=20", estimator_for(model))
    with seeded(0):
        x_adv = bound.generate(x, y)
    assert (estimator_for(model).predict(x_adv).argmax(1) != y).all()


def test_square_fits_images_of_any_proportion():
    model = keras.Sequential(
        [keras.Input((4, 12, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    bound = make_attack("square:eps=0.1,queries=3", estimator_for(model))
    x = np.full((2, 4, 12, 1), 0.5, np.float32)
    assert bound.generate(x, np.array([0, 1])).shape == x.shape


def test_dlr_is_the_formula_and_survives_ties():
    logits = np.array([[3.0, 1.0, 0.0], [1.0, 4.0, 2.0], [2.0, 2.0, 2.0]], np.float32)
    one_hot = np.eye(3, dtype=np.float32)
    found = evasion.difference_of_logits_ratio(one_hot[[0, 0, 0]], logits).numpy()
    np.testing.assert_allclose(found, [-(3 - 1) / 3, -(1 - 4) / 3, 0.0], atol=1e-6)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pgdd", "attack 'pgdd'. Did you mean 'pgd'"),
        ("pgd:epz=0.1", "unknown setting 'epz'. Did you mean 'eps'"),
        ("pgd:eps=-1", "'eps' must be greater than 0"),
        ("pgd:eps=2", "'eps' must be between 0 and 1"),
        ("fgsm:eps=abc", "'eps' must be a number"),
        ("pgd:steps=0", "'steps' must be at least 1"),
        ("pgd:steps=1.5", "whole number"),
        ("pgd:eps=0.1,step_size=0.2", "'step_size' must be at most eps"),
        ("fgsm:norm=l3", "one of linf, l2"),
        ("square:p_init=1", "'p_init'"),
        ("jsma:theta=0", "'theta'"),
        ("jsma:gamma=2", "'gamma'"),
        ("cw-linf:decrease_factor=1", "'decrease_factor'"),
        ("hopskipjump:most_queries=5", "'most_queries'"),
        ("art:nothing", "unknown attack 'nothing'"),
    ],
)
def test_wrong_spec_is_one_line(spec, message, three):
    with pytest.raises(InputError) as error:
        make_attack(spec, estimator_for(three[0]))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_art_prefix_takes_arts_own(three):
    estimator = estimator_for(three[0])
    assert type(make_attack("art:pgd", estimator).attack).__module__.startswith("art.")


def test_seeded_puts_the_states_back():
    np.random.seed(3)
    random.seed(3)
    wanted = np.random.random(), random.random()
    np.random.seed(3)
    random.seed(3)
    with seeded(9):
        np.random.random(), random.random()
    assert (np.random.random(), random.random()) == wanted


def test_attacks_write_nothing_on_stdout_or_stderr(three, capfd):
    model, x, y = three
    for spec in QUICK.values():
        make_attack(spec, estimator_for(model)).generate(x[:3], y[:3])
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
