"""Sinkhorn against numbers worked out in NumPy, and its gradient against finite differences."""

import numpy as np
import pytest
import tensorflow as tf

from atk_latent.adversaries.optimal_transport import (
    SinkhornSettings,
    cosine_cost,
    sinkhorn,
    transport_cost,
)
from atk_latent.errors import InputError

PUBLISHED = SinkhornSettings()
EXACT = SinkhornSettings(stabilised=True, tolerance=1e-9, sinkhorn_iterations=3000)


@pytest.mark.parametrize(
    ("cost", "plan", "distance", "iterations", "u", "v"),
    [
        (
            [[0.0, 1.0], [1.0, 0.0]],
            [[0.499999, 0.0], [0.0, 0.499999]],
            0.0,
            1,
            [-0.006931, -0.006931],
            [0.0, 0.0],
        ),
        (
            [[0.1, 0.4], [0.3, 0.2]],
            [[0.499999, 2.2e-11], [4.8e-8, 0.499999]],
            0.15,
            2,
            [0.092851, 0.131213],
            [0.000218, 0.061856],
        ),
        (
            [[0.02, 0.01], [0.03, 0.05]],
            [[0.116959, 0.429902], [0.383040, 0.070097]],
            0.021634,
            1,
            None,
            None,
        ),
    ],
)
def test_plans_are_those_of_the_published_code(cost, plan, distance, iterations, u, v):
    cost = tf.constant(cost, tf.float64)
    found = sinkhorn(cost, PUBLISHED)
    np.testing.assert_allclose(found.plan, plan, atol=1e-6, rtol=0)
    assert float(tf.reduce_sum(found.plan * cost)) == pytest.approx(distance, abs=1.5e-6)
    assert int(found.iterations) == iterations
    if u is not None:
        np.testing.assert_allclose(found.u, u, atol=1e-6)
        np.testing.assert_allclose(found.v, v, atol=1e-6)
    assert 0 < 1 - float(tf.reduce_sum(found.plan)) < 5e-6  # the published 1e-6 costs mass


def test_cosine_cost_by_hand_and_its_transport():
    a = tf.constant([[1.0, 0.0], [0.0, 1.0]], tf.float64)
    b = tf.constant([[1.0, 1.0], [0.0, 2.0]], tf.float64)
    np.testing.assert_allclose(cosine_cost(a, b), [[0.292893, 1], [0.292893, 0]], atol=1e-6)
    added = transport_cost(a, b, PUBLISHED)
    assert float(tf.reduce_sum(added)) == pytest.approx(0.146446, abs=1e-6)
    assert added.shape == (2,)


def test_cost_of_a_zero_vector_is_one_and_its_gradient_finite():
    z = tf.zeros((1, 2))
    with tf.GradientTape() as tape:
        tape.watch(z)
        cost = cosine_cost(z, tf.constant([[1.0, 0.0]]))
    assert float(cost[0, 0]) == 1
    assert np.isfinite(tape.gradient(cost, z)).all()


def test_stabilised_plan_keeps_its_mass_where_the_published_one_loses_it():
    cost = tf.constant([[2.0, 2.2, 1.9], [2.1, 2.0, 2.0]], tf.float32) * 5  # exp(-C / reg) is 0
    plan = sinkhorn(cost, EXACT).plan
    np.testing.assert_allclose(tf.reduce_sum(plan, 0), 3 * [1 / 3], atol=1e-4)
    np.testing.assert_allclose(tf.reduce_sum(plan, 1), 2 * [1 / 2], atol=1e-4)
    assert float(tf.reduce_sum(sinkhorn(cost, PUBLISHED).plan)) < 0.9


def test_stabilised_plan_has_the_closed_form_of_two_points():
    # Symmetric cost: T = [[a, b], [b, a]] with a / b = exp((c12 - c11) / reg) and a + b = 1/2.
    cost = tf.constant([[0.01, 0.02], [0.02, 0.01]], tf.float64)
    share = 0.5 / (1 + np.exp(-1.0))
    expected = [[share, 0.5 - share], [0.5 - share, share]]
    np.testing.assert_allclose(sinkhorn(cost, EXACT).plan, expected, atol=1e-9)


@pytest.mark.parametrize("settings", [PUBLISHED, EXACT], ids=["published", "stabilised"])
def test_gradient_is_that_of_finite_differences(settings):
    rng = np.random.default_rng(1)
    a, b = tf.constant(rng.normal(size=(4, 3))), rng.normal(size=(4, 3))
    settings = SinkhornSettings(regularisation=0.3, stabilised=settings.stabilised)

    @tf.function(autograph=False)
    def distance(points):
        with tf.GradientTape() as tape:
            tape.watch(points)
            total = tf.reduce_sum(transport_cost(a, points, settings))
        return total, tape.gradient(total, points)

    gradient = distance(tf.constant(b))[1].numpy()
    plan = sinkhorn(cosine_cost(a, tf.constant(b)), settings).plan
    with tf.GradientTape() as tape:
        points = tf.constant(b)
        tape.watch(points)
        fixed = tf.reduce_sum(plan * cosine_cost(a, points))
    frozen_plan = tape.gradient(fixed, points).numpy()
    numeric = np.zeros_like(b)
    for place in np.ndindex(b.shape):
        step = np.zeros_like(b)
        step[place] = 1e-6
        sides = [float(distance(tf.constant(b + sign * step))[0]) for sign in (1, -1)]
        numeric[place] = (sides[0] - sides[1]) / 2e-6
    np.testing.assert_allclose(gradient, numeric, atol=1e-7, rtol=1e-5)
    assert np.abs(gradient - frozen_plan).max() > 1e-3  # the plan itself moves


def test_settings_out_of_range_are_refused():
    with pytest.raises(InputError, match="regularisation"):
        SinkhornSettings(regularisation=0.0)
    with pytest.raises(InputError, match="sinkhorn_iterations"):
        SinkhornSettings(sinkhorn_iterations=0)
