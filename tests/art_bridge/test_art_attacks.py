"""Contracts of every attack of ART's that can be named, and what each promises alone."""

import keras
import numpy as np
import pytest

from atk_latent.art_bridge.art_attacks import ART_ATTACKS
from atk_latent.art_bridge.bound_attack import change_size, seeded
from atk_latent.art_bridge.estimator import estimator_for
from atk_latent.art_bridge.factory import make_attack
from atk_latent.registry import ATTACKS
from tests.art_bridge.contract import check_contract


def test_registered_ones_are_those_without_one_of_ours():
    assert set(ART_ATTACKS) <= set(ATTACKS)
    for name, spec in ART_ATTACKS.items():
        assert spec.name == name
        assert (ATTACKS[name] is spec) == (name in ("cw-linf", "deepfool", "hopskipjump"))


@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_l2_ball_is_an_l2_ball(name, three):
    model, x, y = three
    bound = make_attack(f"art:{name}:norm=l2,eps=0.9", estimator_for(model))
    assert (str(bound.threat), bound.norm) == ("white-box, L2", "l2")
    check_contract(bound, x, y)


def test_autoattack_says_that_it_is_arts(three):
    bound = make_attack("art:autoattack", estimator_for(three[0]))
    assert (bound.name, bound.title) == ("autoattack", "autoattack (ART variant)")


def test_our_words_become_arts(three):
    bound = make_attack(
        "art:pgd:eps=8/255,steps=20,restarts=3", estimator_for(three[0], batch_size=64)
    )
    attack = bound.attack
    assert (attack.eps, attack.max_iter, attack.batch_size) == (8 / 255, 20, 64)
    assert attack.num_random_init == 3
    assert attack.eps_step == pytest.approx(2.5 * 8 / 255 / 20)
    assert bound.settings["step_size"] == attack.eps_step
    deepfool = make_attack("deepfool:overshoot=0.1,classes=2", estimator_for(three[0])).attack
    assert (deepfool.epsilon, deepfool.nb_grads) == (0.1, 2)


def test_jsma_does_not_take_labels_for_targets(three):
    model, x, y = three
    estimator = estimator_for(model)
    right = estimator.predict(x).argmax(1) == y
    with seeded(0):
        x_adv = make_attack("art:jsma:gamma=1", estimator).generate(x, y)
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
    bound = make_attack("art:square:eps=0.1,queries=3", estimator_for(model))
    x = np.full((2, 4, 12, 1), 0.5, np.float32)
    assert bound.generate(x, np.array([0, 1])).shape == x.shape
