"""FAB and its projection against closed forms, a linear and a quadratic program."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize

from atk_latent.adversaries.fab import FABSettings, FastAdaptiveBoundary, _Nearest, _Problem
from atk_latent.adversaries.factory import make_adversary
from atk_latent.adversaries.hyperplane import shortest_change, size
from atk_latent.errors import InputError

WEIGHT = np.array([3.0, -1.0, 0.5, 2.0], np.float32)


def change(x, normal, gap, norm="linf", bounds=(0.0, 1.0)):
    x, normal, gap = (tf.constant(np.atleast_2d(v), tf.float32) for v in (x, normal, gap))
    return shortest_change(x, normal, gap, norm=norm, bounds=bounds).numpy()[0]


@pytest.mark.parametrize(
    ("x", "level", "want"),
    [
        ((0.5, 0.5), 1.8, (0.1, 0.1)),
        ((0.5, 0.5), 0.9, (-0.2, -0.2)),
        ((0.9, 0.5), 2.4, (0.1, 0.2)),
        ((0.5, 0.5), 3.5, (0.5, 0.5)),  # not in the box: its corner
    ],
)
def test_golden_linf_projections(x, level, want):
    np.testing.assert_allclose(change(x, (1, 2), level - np.dot(x, (1, 2))), want, atol=1e-6)


def test_l2_projections_by_hand():
    # free: gap * w / |w|^2; bound met by the second value: the first makes up for it
    np.testing.assert_allclose(change((0.5, 0.5), (1, 2), 0.3, "l2"), (0.06, 0.12), atol=1e-6)
    np.testing.assert_allclose(change((0.5, 0.9), (1, 2), 0.3, "l2"), (0.1, 0.1), atol=1e-6)
    np.testing.assert_allclose(change((0.5, 0.5), (1, -2), 9, "l2"), (0.5, -0.5), atol=1e-6)


def test_no_normal_no_change_and_tiny_normals_do_not_underflow():
    for norm in ("linf", "l2"):
        np.testing.assert_array_equal(change((0.5, 0.5), (0, 0), 1.0, norm), (0, 0))
    found = change((0.5, 0.5), (1e-25, 2e-25), 0.3e-25, "l2")
    np.testing.assert_allclose(found, (0.06, 0.12), atol=1e-6)


def least_linf(x, normal, gap, low, high):
    n = len(x)
    change_within = np.block([[np.eye(n), -np.ones((n, 1))], [-np.eye(n), -np.ones((n, 1))]])
    found = optimize.linprog(
        [0] * n + [1],
        A_ub=change_within,
        b_ub=np.zeros(2 * n),
        A_eq=[[*normal, 0]],
        b_eq=[gap],
        bounds=[*zip(low - x, high - x, strict=True), (0, None)],
    )
    return found.fun if found.success else None


def least_l2(x, normal, gap, low, high):
    found = optimize.minimize(
        lambda d: d @ d,
        np.zeros(len(x)),
        jac=lambda d: 2 * d,
        bounds=list(zip(low - x, high - x, strict=True)),
        constraints={"type": "eq", "fun": lambda d: normal @ d - gap, "jac": lambda d: normal},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    return np.sqrt(found.fun)


@pytest.mark.parametrize(("norm", "least"), [("linf", least_linf), ("l2", least_l2)])
def test_projection_is_the_shortest_way_on_random_problems(norm, least):
    generator, bound = np.random.default_rng(0), 0
    for _ in range(30):
        n = generator.integers(2, 9)
        x, normal = generator.uniform(-1, 2, n), generator.normal(size=n)
        normal[generator.random(n) < 0.2] = 0
        inside = generator.uniform(-1, 2, n)  # a point of the box, so there is a solution
        gap = normal @ (inside - x)
        found = change(x, normal, gap, norm, (-1.0, 2.0)).astype(float)
        assert (x + found >= -1 - 1e-5).all() and (x + found <= 2 + 1e-5).all()
        assert normal @ found == pytest.approx(gap, abs=1e-4)
        length = np.linalg.norm(found, np.inf if norm == "linf" else 2)
        assert length == pytest.approx(least(x, normal, gap, -1.0, 2.0), abs=2e-4)
        free = abs(gap) / np.linalg.norm(normal, 1 if norm == "linf" else 2) if gap else 0
        bound += length > free + 1e-3
    assert bound > 5, "the box hardly ever bound"


def linear(weights, offsets):
    """Logits of flattened images."""
    weights, offsets = (np.asarray(a, np.float32) for a in (weights, offsets))
    return lambda x: tf.reshape(x, [-1, len(weights)]) @ weights + offsets


TWO = linear(np.stack([0 * WEIGHT, WEIGHT], 1), [0, -3])  # a grey image lacks 0.75
GREY = np.full((3, 1, 4, 1), 0.5, np.float32)


def test_golden_step_and_way_back():
    x = tf.fill((1, 1, 2, 1), 0.5)
    problem = _Problem(linear([[0, 1], [0, 2]], [0, -1.8]), x, tf.constant([0]), None, tf.range(1))
    moved, nearest = FastAdaptiveBoundary(FABSettings())._step(
        problem, x, _Nearest(x, tf.constant([np.inf]))
    )
    np.testing.assert_allclose(nearest.x.numpy().ravel(), [0.605] * 2, atol=1e-6)
    np.testing.assert_allclose(nearest.distance, [0.105], atol=1e-6)
    np.testing.assert_allclose(moved.numpy().ravel(), [0.5945] * 2, atol=1e-6)


@pytest.mark.parametrize(("name", "norm"), [("fab", "l2"), ("fab-t", "linf"), ("fab-t", "l2")])
def test_distance_to_a_linear_boundary(name, norm):
    found = make_adversary(name, eps=None, norm=norm, steps=30)(TWO, GREY, [0, 0, 1])
    distance = size(found - GREY, norm).numpy().ravel()
    true = 0.75 / np.linalg.norm(WEIGHT, 1 if norm == "linf" else 2)
    assert (true < distance[:2]).all() and (distance[:2] < 1.01 * true).all()
    assert distance[2] == 0  # misclassified as it is
    assert (TWO(found).numpy()[:2].argmax(1) == 1).all()


def test_eps_decides_what_is_handed_back():
    true = 0.75 / np.abs(WEIGHT).sum()
    for eps, changed in ((0.95 * true, False), (1.1 * true, True)):
        found = make_adversary("fab-t", eps=eps, steps=30)(TWO, GREY, [0, 0, 0]).numpy()
        if not changed:
            np.testing.assert_array_equal(found, GREY)
        else:
            assert (TWO(found).numpy().argmax(1) == 1).all()
            assert true < np.abs(found - GREY).max() <= eps


def counted(classifier):
    """The classifier, and the number of images it was shown."""
    shown = tf.Variable(0)

    def call(x):
        shown.assign_add(tf.shape(x)[0])
        return classifier(x)

    return call, shown


def test_nearest_class_is_not_the_one_with_the_highest_logit():
    # Class 1 lacks 0.4 and takes 0.4 of two values, class 2 lacks 0.8 and takes 0.2.
    model = linear([[0, 0.5, 0], [0, 0.5, 0], [0, 0, 2], [0, 0, 2]], [0, -0.9, -2.8])
    for name, targets, distance in (("fab", 0, 0.2), ("fab-t", 1, 0.4), ("fab-t", 9, 0.2)):
        adversary = make_adversary(name, eps=None, steps=25, targets=targets)
        change = adversary(model, GREY[:1], [0]).numpy() - GREY[:1]
        assert np.abs(change).max() == pytest.approx(distance, rel=0.02)


def test_targets_go_by_rank_and_found_images_leave_the_batch():
    # Class 1 lacks 1 and 0.2, class 2 a little more: 0.25 and 0.05 a value.
    model, shown = counted(linear(np.array([[0, 1, 1]] * 4), [0, -3.0, -3.2]))
    x = np.stack([np.full((1, 4, 1), v, np.float32) for v in (0.5, 0.7)])
    adversary, counts = make_adversary("fab-t", eps=0.1, steps=10, targets=2), []
    found = adversary(model, x, [0, 0]).numpy()
    np.testing.assert_array_equal(found[0], x[0])
    assert model(found).numpy()[1].argmax() == 1
    for rows in (slice(0, 1), slice(1, 2), slice(0, 2)):
        shown.assign(0)
        adversary(model, x[rows], [0] * len(x[rows]))
        counts.append(int(shown))
    # The second image is done after one run: 1 look at it and 10 steps of two queries.
    assert counts == [1 + 2 * 20, 1 + 20, counts[0] + counts[1]]


@pytest.mark.filterwarnings("ignore::atk_latent.adversaries.gradients.ZeroGradientWarning")
def test_restarts_leave_a_flat_spot():
    def flat(x):  # no gradient within 0.02 of a grey image
        away = tf.reduce_sum(tf.nn.relu(tf.abs(x - 0.5) - 0.02), axis=(1, 2, 3))
        return tf.stack([tf.zeros_like(away), away - 0.2], axis=1)

    for norm, eps in (("linf", 0.2), ("l2", 0.4)):
        if norm == "linf":
            once = make_adversary("fab", eps=eps, norm=norm, steps=5)
            np.testing.assert_array_equal(once(flat, GREY, [0, 0, 0]), GREY)
        more = make_adversary("fab", eps=eps, norm=norm, steps=5, restarts=4)
        found = more(flat, GREY, [0, 0, 0])
        assert (flat(found).numpy()[:, 1] > 0).all()
        assert size(found - GREY, norm).numpy().max() <= eps


@pytest.mark.parametrize(
    "settings",
    [{"eps": -1}, {"steps": 0}, {"targets": -1}, {"alpha_max": 2}, {"eta": 0.5}, {"beta": 1.5}],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        FABSettings(**settings)


def test_text_is_read_and_wrong_words_are_refused():
    assert FABSettings(eps="8/255").eps == 8 / 255 and FABSettings(eps="none").eps is None
    with pytest.raises(InputError, match="norm"):
        FABSettings(norm="l7")
    with pytest.raises(InputError, match="bounds"):
        FABSettings(bounds=(1.0, 0.0))
