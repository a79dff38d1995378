import numpy as np
import pytest
import tensorflow as tf

from atk_latent.adversaries.balls import BALLS, L1Ball, L2Ball, LinfBall, unit, unit_l1
from atk_latent.adversaries.noise import RowNoise
from atk_latent.errors import InputError

SEED = tf.constant([5, 0], tf.int64)


def rows(n=64, seed=0, scale=1.0):
    return tf.constant(scale * np.random.default_rng(seed).standard_normal((n, 3, 3, 1)), "float32")


def size(change, norm):
    flat = np.reshape(change, (len(change), -1)).astype(np.float64)
    return np.linalg.norm(flat, ord={"linf": np.inf, "l2": 2, "l1": 1}[norm], axis=1)


@pytest.mark.parametrize("norm", BALLS)
def test_projection_is_inside_the_ball_and_the_bounds_and_keeps_inner_points(norm):
    ball = BALLS[norm](0.2, (-1.0, 1.0))
    x = tf.clip_by_value(rows(), -1.0, 1.0)
    found = ball.project(x, x + rows(seed=1))
    assert size(found - x, norm).max() <= 0.2 + 1e-6
    assert found.numpy().min() >= -1 and found.numpy().max() <= 1
    assert size(ball.clip(x, x + rows(seed=1)) - x, norm).max() <= 0.2 + 1e-6
    inner = tf.clip_by_value(x + 0.01 * tf.sign(rows(seed=2)), -1.0, 1.0)
    np.testing.assert_allclose(ball.project(x, inner), inner, atol=1e-6)


def test_projection_by_hand():
    x = tf.constant([[0.2, -0.4]])
    linf = LinfBall(16 / 255, (-1.0, 1.0)).project(x, tf.constant([[0.167255, -0.327255]]))
    np.testing.assert_allclose(linf, [[0.167255, -0.337255]], atol=1e-6)  # notes 5.5
    l2 = L2Ball(1.0, (-5.0, 5.0)).project(x, x + tf.constant([[3.0, 4.0]]))
    np.testing.assert_allclose(l2, x + tf.constant([[0.6, 0.8]]), atol=1e-6)


def test_clip_goes_to_the_ball_first():
    x, far = tf.constant([[0.9, 0.5]]), tf.constant([[1.5, 1.3]])  # a change of (0.6, 0.8)
    np.testing.assert_allclose(L2Ball(0.5).clip(x, far), [[1.0, 0.9]], atol=1e-6)
    want = np.array([0.1, 0.5]) * 0.5 / np.hypot(0.1, 0.5)
    np.testing.assert_allclose(L2Ball(0.5).project(x, far) - x, [want], atol=1e-6)
    linf = LinfBall(0.3)
    np.testing.assert_allclose(linf.clip(x, far), linf.project(x, far))


def test_l1_projection_by_hand():
    ball, x = L1Ball(1.0, (-5.0, 5.0)), tf.constant([[0.2, -0.4, 0.0]])
    for change, want in (
        ([3.0, -1.0, 0.5], [1.0, 0.0, 0.0]),  # less 2 each
        ([1.0, -0.8, 0.1], [0.6, -0.4, 0.0]),  # less 0.4 each
        ([0.3, -0.3, 0.4], [0.3, -0.3, 0.4]),  # on the sphere already
    ):
        found = ball.project(x, x + tf.constant([change]))
        np.testing.assert_allclose(found - x, [want], atol=1e-6)
    # the first value may rise by 0.1 only; 0.9 is left for the others: 0.7 + 0.2
    found = L1Ball(1.0).project(tf.constant([[0.9, 0.1, 0.1]]), tf.constant([[3.0, 1.0, 0.5]]))
    np.testing.assert_allclose(found, [[1.0, 0.8, 0.3]], atol=1e-6)


def test_l1_projection_is_the_nearest_point():
    rng = np.random.default_rng(3)
    x, far = rng.uniform(0, 1, (6, 3, 3, 1)), rng.normal(0.5, 1, (6, 3, 3, 1))
    ball = L1Ball(0.8)
    x, far = (tf.constant(part, tf.float32) for part in (x, far))
    project = tf.function(ball.project, autograph=False)
    nearest = project(x, far)
    distance = size(nearest - far, "l2")
    for _ in range(200):  # no feasible point near it or anywhere is nearer
        shift = rng.normal(0, rng.choice([0.01, 0.3]), x.shape)
        other = project(x, nearest + tf.constant(shift, tf.float32))
        assert (size(other - far, "l2") >= distance - 1e-5).all()
    np.testing.assert_allclose(size(nearest - x, "l1"), 0.8, atol=1e-5)


def test_l1_ascent_moves_the_largest_values_that_can_move():
    gradient = tf.reshape(tf.constant([[*range(150), 150.0, -150.0]]), (1, 8, 19, 1))
    found = np.ravel(L1Ball(1.0).steepest_direction(gradient))  # 1% of 152 is 2
    assert set(np.flatnonzero(found)) == {150, 151}
    np.testing.assert_allclose(found[150:], [0.5, -0.5])
    at = np.full((1, 8, 19, 1), 0.5, np.float32)
    at[0, -1, -2:] = [[1.0], [0.0]]  # neither can go further
    found = np.ravel(L1Ball(1.0).steepest_direction(gradient, tf.constant(at)))
    np.testing.assert_allclose(found[148:], [0.5, 0.5, 0, 0])


@pytest.mark.parametrize("norm", BALLS)
def test_start_on_the_sphere(norm):
    x = tf.zeros((500, 1, 2, 1))
    change = BALLS[norm](0.5, (-1.0, 1.0)).random_start_on_sphere(x, RowNoise(SEED)).numpy()
    np.testing.assert_allclose(size(change, norm), 0.5, rtol=1e-5)
    np.testing.assert_allclose(change.mean(axis=0), 0, atol=0.05)


@pytest.mark.parametrize("norm", BALLS)
def test_random_start_fills_the_ball(norm):
    x = tf.zeros((4000, 1, 2, 1))
    change = BALLS[norm](0.5, (-1.0, 1.0)).random_start(x, RowNoise(SEED)).numpy()
    lengths = size(change, norm)
    assert lengths.max() <= 0.5 + 1e-6
    # uniform in 2 dimensions: a quarter lies within half the radius
    assert np.mean(lengths < 0.25) == pytest.approx(0.25, abs=0.03)
    np.testing.assert_allclose(change.mean(axis=0), 0, atol=0.02)


@pytest.mark.parametrize("norm", BALLS)
def test_radius_zero_is_the_image(norm):
    ball, x = BALLS[norm](0.0), tf.sigmoid(rows())
    np.testing.assert_array_equal(ball.project(x, x + rows(seed=1)), x)
    np.testing.assert_array_equal(ball.random_start(x, RowNoise(SEED)), x)


def test_ascent_directions_have_size_one_and_survive_tiny_and_zero_gradients():
    gradient = tf.concat([rows(3), rows(3, scale=1e-30), tf.zeros((1, 3, 3, 1))], axis=0)
    found = L2Ball(1.0).steepest_direction(gradient).numpy()
    np.testing.assert_allclose(size(found[:6], "l2"), 1, rtol=1e-5)
    np.testing.assert_array_equal(found[6], 0)
    sparse = L1Ball(1.0).steepest_direction(gradient).numpy()
    np.testing.assert_allclose(size(sparse[:6], "l1"), 1, rtol=1e-5)
    np.testing.assert_array_equal(sparse[6], 0)
    np.testing.assert_array_equal(LinfBall(1.0).steepest_direction(gradient), np.sign(gradient))
    np.testing.assert_allclose(np.abs(unit_l1(rows(3))).sum((1, 2, 3)), 1, rtol=1e-5)
    np.testing.assert_allclose(unit(tf.constant([[3.0, 4.0]])), [[0.6, 0.8]], rtol=1e-6)


def test_noise_of_a_row_does_not_depend_on_its_batch():
    whole, part = RowNoise(SEED), RowNoise(SEED, 5)
    for kind in ("uniform", "normal"):
        every = getattr(whole, kind)(tf.zeros((9, 3, 3, 1))).numpy()
        np.testing.assert_array_equal(every[5:], getattr(part, kind)(tf.zeros((4, 3, 3, 1))))
        assert len(np.unique(every)) == every.size


def test_forks_and_seeds_differ():
    like = tf.zeros((2, 3, 3, 1))
    drawn = [RowNoise(SEED).uniform(like), RowNoise(SEED + [1, 0]).uniform(like)]
    drawn += [RowNoise(SEED).fork(i).uniform(like) for i in range(3)]
    drawn += [RowNoise(SEED).fork(0).fork(1).uniform(like)]
    assert len({t.numpy().tobytes() for t in drawn}) == len(drawn)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((-0.1,), "-0.1"), ((0.1, (1.0, 0.0)), r"\(1.0, 0.0\)"), ((float("nan"),), "finite")],
)
def test_wrong_ball_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        LinfBall(*arguments)
