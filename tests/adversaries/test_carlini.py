"""Carlini and Wagner's attack against distances that are known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.adversaries.factory import make_adversary
from atk_latent.adversaries.minimal import ActiveRows
from atk_latent.errors import InputError

QUICK = {
    "learning_rate": 0.02,
    "search_steps": 8,
    "steps": 150,
    "initial_const": 0.1,
}


@pytest.fixture(scope="module")
def linear():
    """A linear model of three classes, images inside the pixel range, and their classes."""
    rng = np.random.default_rng(0)
    model = keras.Sequential([layers.Input((2, 3, 1)), layers.Flatten(), layers.Dense(3)])
    model.set_weights([rng.standard_normal((6, 3)).astype(np.float32), np.zeros(3, np.float32)])
    x = rng.uniform(0.4, 0.6, (24, 2, 3, 1)).astype(np.float32)
    return model, x, model.predict(x, verbose=0).argmax(axis=1)


def distances(model, x, y):
    """The Euclidean distance of each image to each class's half of the plane (n, 3)."""
    weights, _ = model.get_weights()
    logits = model.predict(x, verbose=0)
    gap = logits[np.arange(len(x)), y][:, None] - logits
    lengths = np.linalg.norm(weights[:, y].T[:, :, None] - weights[None], axis=1)
    return gap / np.maximum(lengths, 1e-9)


def sizes(found, x):
    return np.linalg.norm((np.asarray(found) - x).reshape(len(x), -1), axis=1)


def test_distance_is_the_closed_form_within_two_percent(linear):
    model, x, y = linear
    near = distances(model, x, y)
    near[np.arange(len(x)), y] = np.inf
    found = make_adversary("cw-l2", **QUICK)(model, x, y)
    assert (model(found).numpy().argmax(axis=1) != y).all()
    want = near.min(axis=1)
    assert (sizes(found, x) >= want - 1e-5).all()
    np.testing.assert_allclose(sizes(found, x), want, rtol=0.02, atol=1e-3)


def test_targeted_reaches_its_class_no_nearer_than_its_boundary(linear):
    model, x, y = linear
    wanted = (y + 1) % 3
    found = make_adversary("cw-l2", targeted=True, **QUICK)(model, x, wanted)
    assert (model(found).numpy().argmax(axis=1) == wanted).all()
    want = distances(model, x, y)[np.arange(len(x)), wanted]
    assert (sizes(found, x) >= want - 1e-5).all()
    assert np.median(sizes(found, x) / want) < 1.1


def test_random_targets_take_both_other_classes(linear):
    model, x, y = linear
    found = make_adversary("cw-l2", random_target=True, seed=1, **QUICK)(model, x, y)
    shift = (model(found).numpy().argmax(axis=1) - y) % 3
    assert set(shift) == {1, 2}


def test_confidence_is_the_lead_in_logits(linear):
    model, x, y = linear
    logits = model(make_adversary("cw-l2", confidence=0.5, **QUICK)(model, x, y)).numpy()
    own = logits[np.arange(len(x)), y]
    logits[np.arange(len(x)), y] = -np.inf
    lead = logits.max(axis=1) - own
    assert lead.min() >= 0.5 and np.median(lead) < 0.53


def test_change_over_eps_and_failure_come_back_unchanged(linear):
    model, x, y = linear
    found = sizes(make_adversary("cw-l2", **QUICK)(model, x, y), x)
    eps = float(np.median(found))
    bounded = make_adversary("cw-l2", eps=eps, **QUICK)(model, x, y).numpy()
    np.testing.assert_array_equal(bounded[found > eps], x[found > eps])
    assert sizes(bounded, x).max() <= eps and (sizes(bounded, x) > 0).sum() == (found <= eps).sum()
    stuck = make_adversary("cw-l2", initial_const=1e-9, steps=2, search_steps=1)
    np.testing.assert_array_equal(stuck(model, x, y), x)


def test_early_abort_saves_steps_and_loses_little(linear):
    model, x, y = linear
    seen = tf.Variable(0)

    def counted(images):
        seen.assign_add(tf.shape(images)[0])
        return model(images, training=False)

    passed, found = {}, {}
    for early in (False, True):
        seen.assign(0)
        found[early] = make_adversary("cw-l2", abort_early=early, **QUICK)(counted, x, y)
        passed[early] = int(seen)
    assert passed[False] >= 24 * 8 * 150 and passed[True] < 0.8 * passed[False]
    assert sizes(found[True], x).mean() <= sizes(found[False], x).mean() * 1.02


def test_result_does_not_depend_on_the_batch(linear):
    model, x, y = linear
    adversary = make_adversary("cw-l2", **QUICK)
    whole = adversary.craft_all(model, x, y, batch_size=24, seed=0)
    parts = adversary.craft_all(model, x, y, batch_size=5, seed=0)
    np.testing.assert_allclose(sizes(parts, x), sizes(whole, x), rtol=1e-3)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 9])
def test_active_rows_are_a_power_of_two_and_go_back_to_their_places(size):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.bool), tf.TensorSpec([None, 2])])
    def doubled(active, values):
        rows = ActiveRows(active)
        part = rows.take(values)
        return tf.shape(part)[0], rows.put(values, 2 * part)

    active = np.isin(np.arange(10), np.arange(10)[-size:])
    values = np.arange(20, dtype=np.float32).reshape(10, 2)
    taken, result = doubled(active, values)
    assert taken == {1: 1, 2: 2, 3: 4, 5: 8, 8: 8, 9: 10}[size]
    np.testing.assert_array_equal(result, np.where(active[:, None], 2 * values, values))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": 0}, "'learning_rate' must be greater than 0"),
        ({"initial_const": -1}, "'initial_const' must be greater than 0"),
        ({"steps": 0}, "'steps' must be at least 1"),
        ({"search_steps": 1.5}, "whole number"),
        ({"confidence": -1}, "'confidence' must be at least 0"),
        ({"eps": -1}, "'eps' must be at least 0"),
        ({"targeted": True, "random_target": True}, "exclude each other"),
    ],
)
def test_wrong_setting_is_one_line(settings, message):
    with pytest.raises(InputError, match=message):
        make_adversary("cw-l2", **settings)
