"""RayS against a search worked out by hand and closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.adversaries.factory import make_adversary
from atk_latent.adversaries.rays import RaySSettings, blocks
from atk_latent.errors import InputError
from tests.adversaries.test_fab import linear


def searched(adversary, *problem):
    """What a search found, beside its images."""
    adversary.craft_all(*problem)
    return adversary.result


GREY = np.full((1, 1, 4, 1), 0.5, np.float32)
TOY = linear([[0, 1]] * 4, [0, -2.4])


def test_blocks_halve_and_end_with_the_vector():
    singles = [(i, i + 1) for i in range(6)]
    want = [(0, 6), (0, 3), (3, 6), (0, 2), (2, 4), (4, 6), *singles, *singles]
    assert blocks(6, len(want)) == want
    assert blocks(4, 8) == [(0, 4), (0, 2), (2, 4), (0, 1), (1, 2), (2, 3), (3, 4), (0, 1)]


def test_golden_search_of_the_notes():
    """By hand: the 4th candidate passes at query 4, the 8th at 19; 11 and 9 halvings follow."""
    adversary = make_adversary("rays", eps=None, queries=28)
    x, y = tf.constant(GREY), tf.constant([0])
    state, distances = adversary._begin(TOY, x, y), [np.inf]
    for _ in range(28):
        state = adversary._query(TOY, x, y, state)
        distances.append(float(state.distance[0]))
        assert bool(adversary._is_open(state)[0]) == (len(distances) <= 28)
        if len(distances) == 16:  # the first value went down, the others up
            want = 0.5 + 0.200195 * np.array([-1, 1, 1, 1])
            np.testing.assert_allclose(adversary._images(x, state).numpy().ravel(), want, atol=1e-6)
    assert distances[3] == np.inf and distances[4] == 0.5
    np.testing.assert_allclose(distances[15:20], 0.200195, atol=1e-6)  # queries that change nothing
    np.testing.assert_allclose([distances[28], state.radius[0] / 2], 0.100098, atol=1e-6)
    assert state.block.numpy() == [8] and state.needed.numpy() == [28]


@pytest.mark.parametrize(("eps", "first", "queries"), [(0.25, 6, 15), (0.15, 20, 28), (0.6, 4, 15)])
def test_queries_are_counted_to_the_end_of_the_bisection(eps, first, queries):
    """By hand: the 4th candidate passes at query 4 with r = 2, a change of 0.5.

    Query 5 asks r = 1, still 0.5 in Linf after the clip, query 6 r = 0.5, a change of 0.25; the
    interval of 2 takes 11 halvings to 1e-3, so its bisection ends at query 15. The 8th candidate
    passes at query 19 with r = 0.400391, query 20 halves that to a change of 0.1001; 9 halvings
    end at query 28. The published code looks at the distance there, not before.
    """
    stopping = make_adversary("rays", eps=eps, queries=100)
    x, y = tf.constant(GREY), tf.constant([0])
    state = stopping._begin(TOY, x, y)
    while bool(stopping._is_open(state)[0]):
        state = stopping._query(TOY, x, y, state)
    assert (state.spent.numpy()[0], state.needed.numpy()[0]) == (first, queries)
    for early_stop in (True, False):
        adversary = make_adversary("rays", eps=eps, queries=100, early_stop=early_stop)
        found = searched(adversary, TOY, GREY, [0])
        assert found.queries.tolist() == [queries] and found.success.all()
    cut = make_adversary("rays", eps=eps, queries=first + 1)  # the budget ends the count
    assert searched(cut, TOY, GREY, [0]).queries.tolist() == [first + 1]


SIGNS = np.array([1, 1, -1, -1, 1, 1, 1, 1, -1, 1, 1, 1])
SHAPE = (2, 3, 2)
GREYS = np.full((5, *SHAPE), 0.5, np.float32)


def channels_first(flat):
    return flat.reshape(SHAPE[2], *SHAPE[:2]).transpose(1, 2, 0).ravel()


WEIGHT = channels_first(SIGNS / 4)
MODEL = linear(np.stack([0 * WEIGHT, WEIGHT], 1), [0, -1 - 0.5 * WEIGHT.sum()])
TRUE = 1 / 3  # 1 / sum of sizes 12 / 4


def test_linear_model_is_found_at_its_distance_and_stops_early():
    found = searched(make_adversary("rays", eps=None, queries=600), MODEL, GREYS, [0, 0, 0, 0, 1])
    assert (found.distance[:4] > TRUE).all() and (found.distance[:4] < TRUE + 1e-3).all()
    assert found.distance[4] == 0 and found.queries.tolist() == [600] * 4 + [0]
    for eps, early_stop in ((0.4, True), (0.4, False), (0.33, True)):
        options = {"eps": eps, "early_stop": early_stop, "queries": 600}
        result = searched(make_adversary("rays", **options), MODEL, GREYS, [0] * 5)
        assert result.success.all() == (eps > TRUE)
        if eps < TRUE:
            np.testing.assert_array_equal(result.x_adv, GREYS)
            assert (result.queries == 600).all()
        else:
            assert (result.queries < 200).all() and (result.distance <= eps).all()
            assert (MODEL(result.x_adv).numpy().argmax(1) == 1).all()
            assert (result.distance < TRUE + 1e-3).all() != early_stop


def test_flips_go_through_channels_first():
    """Blocks of the first channel come first: one flip of the whole first channel is enough."""
    half = channels_first(np.repeat([-1.0, 1.0], 6) / 4)
    model = linear(np.stack([0 * half, half], 1), [0, -1])
    result = searched(make_adversary("rays", eps=None, queries=16), model, GREYS[:1], [0])
    assert result.distance[0] == pytest.approx(TRUE, abs=1e-3)


def test_only_the_label_is_asked():
    def label_only(x):
        return tf.one_hot(tf.argmax(MODEL(x), axis=1), 2)

    adversary = make_adversary("rays", eps=0.4, queries=200)
    want = adversary(MODEL, GREYS, [0] * 5)
    np.testing.assert_array_equal(adversary(label_only, GREYS, [0] * 5), want)
    np.testing.assert_array_equal(adversary.craft_all(MODEL, GREYS, [0] * 5), want)


def test_model_of_a_fixed_batch_and_no_images():
    model = keras.Sequential(
        [layers.Input(batch_shape=(4, *SHAPE)), layers.Flatten(), layers.Dense(2)]
    )
    model.set_weights([np.stack([0 * WEIGHT, WEIGHT], 1), np.array([0, -1 - 0.5 * WEIGHT.sum()])])
    adversary = make_adversary("rays", eps=0.4, queries=60)
    result = searched(adversary, model, GREYS, [0] * 5)
    assert result.x_adv.shape == GREYS.shape and len(result.distance) == 5
    want = searched(adversary, MODEL, GREYS, [0] * 5)
    np.testing.assert_allclose(result.distance, want.distance, atol=2e-3)
    assert len(searched(adversary, model, GREYS[:0], []).queries) == 0
    with pytest.raises(InputError, match="5 and 4"):
        searched(adversary, model, GREYS, [0] * 4)


@pytest.mark.parametrize("settings", [{"queries": 0}, {"tolerance": 0}, {"eps": -1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        RaySSettings(**settings)
