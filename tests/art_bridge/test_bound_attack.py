"""What attacks with a name share: radius, minimal changes, seeds."""

import random

import numpy as np

from atk_latent.art_bridge.bound_attack import change_size, default_eps, seeded
from atk_latent.art_bridge.estimator import estimator_for
from atk_latent.art_bridge.factory import make_attack


def test_default_radius_is_the_customary_one(three):
    assert make_attack("pgd", estimator_for(three[0])).eps == 8 / 255
    assert default_eps((28, 28, 1)) == 0.3
    assert default_eps((28, 28, 1), "l2") == 1.5
    assert default_eps((32, 32, 3), "l2") == 128 / 255
    assert default_eps((32, 32, 3), "l1") == 12


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


def test_sizes_of_changes_by_hand():
    x = np.zeros((1, 2, 2, 1))
    x_adv = np.array([0.3, -0.4, 0, 0]).reshape(1, 2, 2, 1)
    found = [change_size(x, x_adv, norm)[0] for norm in ("linf", "l2", "l1", "l0")]
    np.testing.assert_allclose(found, [0.4, 0.5, 0.7, 2])


def test_seeded_puts_the_states_back():
    np.random.seed(3)
    random.seed(3)
    wanted = np.random.random(), random.random()
    np.random.seed(3)
    random.seed(3)
    with seeded(9):
        np.random.random(), random.random()
    assert (np.random.random(), random.random()) == wanted
