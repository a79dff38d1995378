"""The saliency map attack against pairs found by trying all, and against ART's."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from art.attacks.evasion import SaliencyMapMethod
from art.estimators.classification import TensorFlowV2Classifier
from keras import layers

from atk_latent.adversaries.factory import make_adversary
from atk_latent.adversaries.jsma import JSMASettings, SaliencyMap, best_pair
from atk_latent.errors import InputError

find = tf.function(best_pair, autograph=False)


def scores(rise, fall, legal):
    """The score of every pair of one row, 0 where it is not allowed."""
    up, down = rise[:, None] + rise[None], fall[:, None] + fall[None]
    pairs = np.triu(legal[:, None] & legal[None], 1)
    return np.where(pairs & (up > 0) & (down > 0), up * down, 0.0)


@pytest.mark.parametrize("width", [2, 3, 150])
@pytest.mark.parametrize("kind", ["free", "opposed", "front", "nothing"])
def test_pair_is_the_best_of_all(width, kind):
    rng = np.random.default_rng(width)
    rise, fall = rng.standard_normal((2, 30, width)).astype(np.float32)
    if kind == "opposed":
        fall = 0.3 * fall - rise
    elif kind == "front":  # no feature is better than another in both slopes
        rise = np.abs(rise) + 0.01
        fall = 1 / rise
    elif kind == "nothing":
        rise = -np.abs(rise)
    legal = rng.uniform(size=(30, width)) < 0.7
    pairs, found = (t.numpy() for t in find(rise, fall, tf.constant(legal)))
    for row in range(30):
        table = scores(rise[row], fall[row], legal[row])
        assert found[row] == (table.max() > 0)
        if found[row]:
            p, q = sorted(pairs[row])
            assert table[p, q] >= table.max() * (1 - 1e-5) and p != q
    assert width == 2 or found.any() == (kind != "nothing")


def linear(weights):
    """Logits W^T x of images 1 x n x 1."""
    weights = np.asarray(weights, np.float32)
    model = keras.Sequential(
        [
            layers.Input((1, len(weights), 1)),
            layers.Flatten(),
            layers.Dense(weights.shape[1], use_bias=False),
        ]
    )
    model.set_weights([weights])
    return model


def by_hand(weights, x, target, theta, steps):
    """The paper's loop on a linear model, all pairs of every step."""
    x, sign = x.copy(), math.copysign(1, theta)
    alpha = sign * weights[:, target]
    fall = -sign * (weights.sum(axis=1) - weights[:, target])
    for _ in range(steps):
        if (x @ weights).argmax() == target:
            return x, True
        table = scores(alpha, fall, x < 1 if theta > 0 else x > 0)
        if table.max() == 0:
            return x, False
        for index in np.unravel_index(table.argmax(), table.shape):
            x[index] = np.clip(x[index] + theta, 0, 1)
    return x, (x @ weights).argmax() == target


@pytest.mark.parametrize("theta", [1.0, -1.0, 0.3])
def test_sequence_on_a_linear_model_is_that_of_the_paper(theta):
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((20, 4)).astype(np.float32)
    x = rng.uniform(0, 1, (12, 20)).astype(np.float32)
    target = ((x @ weights).argmax(axis=1) + 1 + np.arange(12) % 3) % 4
    adversary = SaliencyMap(JSMASettings(theta=theta, gamma=0.5, targeted=True))
    found = adversary(linear(weights), x.reshape(12, 1, 20, 1), target).numpy().reshape(12, 20)
    results = [by_hand(weights, x[i], target[i], theta, 5) for i in range(12)]
    for row, (want, reached) in enumerate(results):
        np.testing.assert_allclose(found[row], want if reached else x[row], atol=1e-6)
    assert sum(reached for _, reached in results) >= 3
    assert np.count_nonzero(found != x, axis=1).max() > 2


def test_two_classes_of_opposite_logits_give_arts_images():
    """There beta = -alpha, so the best pair is ART's: the two largest slopes of the target."""
    rng = np.random.default_rng(2)
    weight = rng.standard_normal(30).astype(np.float32)
    model = linear(np.stack([-weight, weight], axis=1))
    x = rng.uniform(0, 1, (10, 1, 30, 1)).astype(np.float32)
    target = 1 - model.predict(x, verbose=0).argmax(axis=1)
    theirs = SaliencyMapMethod(
        TensorFlowV2Classifier(model, 2, (1, 30, 1), clip_values=(0.0, 1.0)),
        theta=1.0,
        gamma=1.0,
        batch_size=10,
        verbose=False,
    )
    found = make_adversary("jsma", gamma=1.0, targeted=True)(model, x, target)
    np.testing.assert_array_equal(found, theirs.generate(x, np.eye(2)[target]))
    assert (np.asarray(found) != x).reshape(10, -1).sum(axis=1).min() >= 1


def test_targets_are_drawn_among_the_other_classes():
    weights = np.eye(3, dtype=np.float32)[np.arange(30) % 3] - 0.2  # value i speaks for i % 3
    x = np.full((60, 1, 30, 1), 0.5, np.float32)
    y = np.arange(60) % 3
    x[np.arange(60), 0, y, 0] = 0.9
    found = make_adversary("jsma", gamma=1.0, seed=4)(linear(weights), x, y).numpy()
    reached = (found.reshape(60, 30) @ weights).argmax(axis=1)
    assert (reached != y).all()
    shift = (reached - y) % 3
    assert 15 < (shift == 1).sum() < 45


def test_share_of_values_is_kept_and_failures_come_back_unchanged():
    weights = np.stack([np.zeros(20), np.ones(20)], axis=1).astype(np.float32)
    weights[:, 0] = -0.01
    model = keras.Sequential([layers.Input((1, 20, 1)), layers.Flatten(), layers.Dense(2)])
    model.set_weights([weights, np.array([0.0, -13.5], np.float32)])  # 1 needs a sum over 13.4
    x = np.stack([np.full(20, 0.5), np.full(20, 0.2)]).astype(np.float32).reshape(2, 1, 20, 1)
    found = make_adversary("jsma", gamma=0.45, targeted=True)(model, x, [1, 1]).numpy()
    assert np.count_nonzero(found[0] == 1) == 8  # 10 + 4 * 0.5 * 2 = 14
    np.testing.assert_array_equal(found[1], x[1])  # 4 + 8 * 0.8 < 13.4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"theta": 0}, "'theta' must not be 0"),
        ({"gamma": 0}, "'gamma' must be greater than 0"),
        ({"gamma": 1.5}, "'gamma' must be between 0 and 1"),
        ({"targeted": "maybe"}, "'targeted' must be true or false"),
        ({"bounds": (1.0, 0.0)}, "low < high"),
    ],
)
def test_wrong_setting_is_one_line(settings, message):
    with pytest.raises(InputError, match=message):
        make_adversary("jsma", **settings)


def test_too_few_values_for_a_pair_is_refused():
    with pytest.raises(InputError, match="two of the 4 values"):
        make_adversary("jsma", gamma=0.3)(linear(np.eye(4)), np.zeros((1, 1, 4, 1), "f4"), [0])
