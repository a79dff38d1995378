"""RayS against a search worked out by hand, closed forms, and after kills."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.adversaries.factory import make_adversary
from atk_latent.adversaries.rays import RaySSettings, blocks
from atk_latent.errors import InputError
from tests.adversaries.test_fab import linear

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


SIGNS = np.array([1, 1, -1, -1, 1, 1, 1, 1, -1, 1, 1, 1])
SHAPE = (2, 3, 2)
GREYS = np.full((5, *SHAPE), 0.5, np.float32)


def channels_first(flat):
    return flat.reshape(SHAPE[2], *SHAPE[:2]).transpose(1, 2, 0).ravel()


WEIGHT = channels_first(SIGNS / 4)
MODEL = linear(np.stack([0 * WEIGHT, WEIGHT], 1), [0, -1 - 0.5 * WEIGHT.sum()])
TRUE = 1 / 3  # 1 / sum of sizes 12 / 4


def test_linear_model_is_found_at_its_distance_and_stops_early():
    found = make_adversary("rays", eps=None, queries=600).run(MODEL, GREYS, [0, 0, 0, 0, 1])
    assert (found.distance[:4] > TRUE).all() and (found.distance[:4] < TRUE + 1e-3).all()
    assert found.distance[4] == 0 and found.queries.tolist() == [600] * 4 + [0]
    for eps, early_stop in ((0.4, True), (0.4, False), (0.33, True)):
        options = {"eps": eps, "early_stop": early_stop, "queries": 600}
        result = make_adversary("rays", **options).run(MODEL, GREYS, [0] * 5)
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
    result = make_adversary("rays", eps=None, queries=16).run(model, GREYS[:1], [0])
    assert result.distance[0] == pytest.approx(TRUE, abs=1e-3)


def test_only_the_label_is_asked():
    def label_only(x):
        return tf.one_hot(tf.argmax(MODEL(x), axis=1), 2)

    adversary = make_adversary("rays", eps=0.4, queries=200)
    want = adversary(MODEL, GREYS, [0] * 5)
    np.testing.assert_array_equal(adversary(label_only, GREYS, [0] * 5), want)
    np.testing.assert_array_equal(adversary.run(MODEL, GREYS, [0] * 5).x_adv, want)


class Killed(Exception):
    pass


def test_a_killed_search_goes_on_to_the_same_result(tmp_path):
    x = np.random.default_rng(0).uniform(0.3, 0.7, (5, *SHAPE)).astype(np.float32)
    y = MODEL(x).numpy().argmax(1)
    adversary = make_adversary("rays", eps=0.05, queries=350)
    seen = []
    whole = adversary.run(
        MODEL, x, y, batch_size=3, on_progress=lambda *counts: seen.append(counts)
    )
    assert seen == sorted(seen) and seen[-1] == (5 * 350, 5 * 350) and len(seen) > 4

    def killer(after):
        calls = iter(range(after))

        def progress(done, total):
            if next(calls, None) is None:
                raise Killed

        return progress

    for after in (1, 3):
        with pytest.raises(Killed):
            adversary.run(
                MODEL, x, y, folder=tmp_path / "s", batch_size=3, on_progress=killer(after)
            )
    left = []
    options = {"folder": tmp_path / "s", "batch_size": 3}
    again = adversary.run(MODEL, x, y, **options, on_progress=lambda *c: left.append(c))
    assert 0 < len(left) < len(seen)
    for one, other in zip(whole, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not [path for path in (tmp_path / "s").iterdir() if path.name.startswith(".")]
    other = make_adversary("rays", eps=0.06, queries=350)
    with pytest.raises(InputError, match="other settings"):
        other.run(MODEL, x, y, **options)
    with pytest.raises(InputError, match="other settings"):
        adversary.run(MODEL, 1 - x, y, **options)


def test_model_of_a_fixed_batch_and_no_images():
    model = keras.Sequential(
        [layers.Input(batch_shape=(4, *SHAPE)), layers.Flatten(), layers.Dense(2)]
    )
    model.set_weights([np.stack([0 * WEIGHT, WEIGHT], 1), np.array([0, -1 - 0.5 * WEIGHT.sum()])])
    adversary = make_adversary("rays", eps=0.4, queries=60)
    result = adversary.run(model, GREYS, [0] * 5)
    assert result.x_adv.shape == GREYS.shape and len(result.distance) == 5
    want = adversary.run(MODEL, GREYS, [0] * 5)
    np.testing.assert_allclose(result.distance, want.distance, atol=2e-3)
    assert len(adversary.run(model, GREYS[:0], []).queries) == 0
    with pytest.raises(InputError, match="5 and 4"):
        adversary.run(model, GREYS, [0] * 4)


@pytest.mark.parametrize("settings", [{"queries": 0}, {"tolerance": 0}, {"eps": -1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        RaySSettings(**settings)
