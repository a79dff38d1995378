"""Square: windows, tiles and counts against the papers' rules and closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.adversaries.factory import make_adversary
from atk_latent.adversaries.noise import RowNoise
from atk_latent.adversaries.square import SEGMENT, SquareSettings, _L2Proposals, _length, bump
from atk_latent.errors import InputError
from tests.adversaries.test_fab import counted, linear

SHAPE = (8, 6, 2)
GREY = np.full((4, *SHAPE), 0.5, np.float32)
SIGNS = np.kron([[1, -1], [-1, 1.0]], np.ones((4, 3)))[..., None] * [1, -1]
# The label's lead is 1, sum of the weights' sizes 96 / 8 = 12.
MODEL = linear(np.stack([np.zeros(96), SIGNS.ravel() / 8], 1), [0, -1 - 0.5 * SIGNS.sum() / 8])
TRUE = 1 / 12
FAR = np.clip(0.5 - SIGNS, 0, 1).astype(np.float32)[None].repeat(2, 0)  # its lead is 7


@pytest.mark.parametrize(
    ("side", "want"),
    [(32, [29, 20, 14, 10, 7, 5, 4, 3]), (28, [25, 18, 13, 9, 6, 4, 3, 2])],
)
def test_golden_window_sides(side, want):
    sides = SquareSettings().sides(side, side)
    assert [sides[i] for i in (0, 11, 51, 201, 501, 1001, 2001, 4001)] == want
    assert len(sides) == 4999


def test_l2_windows_are_odd_and_fit():
    sides = SquareSettings(norm="l2").sides(28, 28)
    assert set(sides) == {25, 19, 13, 9, 7, 5, 3}
    assert max(SquareSettings().sides(28, 9)) == 9


def nested_squares(height, width):
    """A hill as the published code builds it: ever larger squares on top of each other."""
    hill = np.zeros((height, width))
    for k in range(max(height, width) // 2 + 1):
        top, left = height // 2 - k, width // 2 - k
        rows, columns = slice(max(top, 0), top + 2 * k + 1), slice(max(left, 0), left + 2 * k + 1)
        hill[rows, columns] += 1 / (k + 1) ** 2
    return hill / np.linalg.norm(hill)


@pytest.mark.parametrize("side", [2, 5, 9])
def test_bump_is_a_hill_above_a_hollow(side):
    want = np.concatenate(
        [nested_squares(side // 2, side), -nested_squares(side - side // 2, side)]
    )
    np.testing.assert_allclose(bump(side), want / np.sqrt(2), atol=1e-6)
    assert bump(1).tolist() == [[-1.0]]


def test_l2_window_moves_the_change_and_keeps_its_size():
    proposals = _L2Proposals(SquareSettings(eps=1.0, norm="l2", queries=300), tf.constant(GREY))
    generator = np.random.default_rng(0)

    def draw(fork, width):
        return tf.constant(generator.random((4, width)), tf.float32)

    x = tf.constant(GREY)
    first = proposals.start(x, draw)
    np.testing.assert_allclose(_length(first - x, (1, 2, 3)).numpy().ravel(), 1, atol=1e-5)
    for index in (0, 250):
        second = proposals.propose(x, first, tf.constant(index), draw)
        np.testing.assert_allclose(_length(second - x, (1, 2, 3)).numpy().ravel(), 1, atol=1e-5)
    side = proposals.sides[250]
    moved = (np.abs((second - first).numpy()) > 1e-6).any(axis=-1).sum(axis=(1, 2))
    assert (moved > 0).all() and (moved <= 2 * side**2).all()
    kept = _length(second - x, (1, 2)), _length(first - x, (1, 2))  # of each channel
    np.testing.assert_allclose(*kept, atol=1e-5)


@pytest.mark.parametrize("eps", [0.9 * TRUE, 2 * TRUE])
def test_linear_model_falls_beyond_its_distance_only(eps):
    adversary = make_adversary("square", eps=eps, queries=400)
    found = adversary(MODEL, GREY, [0] * 4).numpy()
    fallen = MODEL(found).numpy().argmax(1) == 1
    assert fallen.all() if eps > TRUE else not fallen.any()
    np.testing.assert_allclose(np.abs(found - GREY), eps, atol=1e-6)  # the ball's corners
    assert (MODEL(found).numpy()[:, 1] > MODEL(GREY).numpy()[:, 1] + 0.3).all()


def test_l2_falls_beyond_its_distance_only():
    weight = np.repeat(bump(6)[..., None], 2, -1) * [1, -1]  # what a window can make
    weight = np.pad(weight, ((1, 1), (0, 0), (0, 0))).ravel()
    model = linear(np.stack([0 * weight, weight], 1), [0, -0.5 * weight.sum() - 1])
    true = 1 / np.linalg.norm(weight)
    for eps, want in ((0.95 * true, 0), (2 * true, 4)):
        adversary = make_adversary("square", eps=eps, norm="l2", queries=300)
        found = adversary(model, GREY, [0] * 4).numpy()
        assert (model(found).numpy().argmax(1) == 1).sum() == want
        assert np.linalg.norm((found - GREY).reshape(4, -1), axis=1).max() <= eps + 1e-5


def test_queries_are_counted_and_finished_images_leave():
    model, shown = counted(MODEL)
    adversary = make_adversary("square", eps=2 * TRUE, queries=2 * SEGMENT + 1, restarts=2)
    noise = RowNoise(tf.constant([0, 5]))

    @tf.function(
        autograph=False,
        input_signature=[tf.TensorSpec([None, *SHAPE]), tf.TensorSpec([None], tf.int32)],
    )
    def craft(x, y):
        return adversary.craft_counted(model, x, y, noise)

    x, y = np.concatenate([GREY, FAR]), np.array([0, 0, 0, 1, 0, 0])
    found, queries = (a.numpy() for a in craft(x, y))
    won = model(found).numpy().argmax(1) != y
    np.testing.assert_array_equal(won, [True] * 4 + [False] * 2)
    assert queries[3] == 0 and (found[3] == x[3]).all()
    assert (queries[:3] > 0).all() and (queries[:3] <= 2 * SEGMENT).all()
    np.testing.assert_array_equal(queries[4:], 2 * (2 * SEGMENT + 1))
    # A found image is shown until its segment ends; a batch is filled up to a power of two.
    assert queries.sum() < int(shown) - 2 * len(x) <= 4 * 2 * (2 * SEGMENT + 1) + 3 * 4 * SEGMENT


def test_an_image_does_not_depend_on_its_batch():
    x = np.random.default_rng(1).uniform(0.4, 0.6, (7, *SHAPE)).astype(np.float32)
    adversary = make_adversary("square", eps=TRUE, queries=70)
    made = [adversary.craft_all(MODEL, x, [0] * 7, batch_size=n, seed=3) for n in (7, 3, 1)]
    for other in made[1:]:
        np.testing.assert_allclose(other, made[0], atol=1e-6)
    assert np.abs(made[0] - adversary.craft_all(MODEL, x, [0] * 7, seed=4)).max() > 0.01


def test_model_of_a_fixed_batch_and_a_single_query():
    model = keras.Sequential(
        [layers.Input(batch_shape=(4, *SHAPE)), layers.Flatten(), layers.Dense(2)]
    )
    x = np.repeat(GREY, 2, axis=0)[:6]
    y = model.predict(x, verbose=0, batch_size=4).argmax(1)
    found = make_adversary("square", eps=0.2, queries=1).craft_all(model, x, y)
    changed = np.abs(found - x).max(axis=(1, 2, 3)) > 0.1
    before, after = (model.predict(a, verbose=0, batch_size=4) for a in (x, found))
    lead = [(z[range(6), 1 - y] - z[range(6), y]) for z in (before, after)]
    assert changed.any() and ((lead[1] > lead[0]) == changed).all()


@pytest.mark.parametrize("settings", [{"queries": 0}, {"share": 0}, {"eps": -1}, {"norm": "l1"}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        SquareSettings(**settings)
