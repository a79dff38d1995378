import json

import keras
import numpy as np
import pytest
from keras import layers

from atk_latent.reproduction.atld import toy as atld_toy
from atk_latent.reproduction.run import Runner


def test_the_moons_are_two_classes_that_a_curve_separates():
    x, y = atld_toy.moons(400, seed=3)
    assert x.shape == (400, 1, 2, 1) and x.min() >= 0 and x.max() <= 1
    assert np.bincount(y).tolist() == [200, 200]
    again, _ = atld_toy.moons(400, seed=3)
    np.testing.assert_array_equal(x, again)
    points = x.reshape(-1, 2)
    nearest = [
        y[np.argsort(np.sum((points - point) ** 2, axis=1))[1]] for point in points
    ]  # the neighbour's class is the own one, and no straight line does as well
    assert np.mean(nearest == y) > 0.99
    fit = np.linalg.lstsq(np.c_[points, np.ones(400)], 2.0 * y - 1, rcond=None)[0]
    assert np.mean((np.c_[points, np.ones(400)] @ fit > 0) == y) < 0.95


def test_mean_margin_is_the_lead_of_the_own_logit():
    net = keras.Sequential([keras.Input((1, 2, 1)), layers.Flatten()])  # logits are coordinates
    x = np.array([[0.2, 0.7], [0.9, 0.4]], np.float32).reshape(2, 1, 2, 1)
    assert atld_toy.mean_margin(net, x, np.array([1, 1])) == pytest.approx(
        (0.5 - 0.5) / 2, abs=1e-6
    )
    assert atld_toy.mean_margin(net, x, np.array([1, 0])) == pytest.approx(0.5)


@pytest.mark.slow
def test_both_figures_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setitem(atld_toy.EPOCHS, "quick", 1)
    for name, make in (("atld-fig1", atld_toy.figure_one), ("atld-fig3", atld_toy.figure_three)):
        record = make(Runner("quick", tmp_path, seed=1))
        assert record == json.loads((tmp_path / f"{name}.json").read_text())
        assert (tmp_path / f"{name}.png").stat().st_size > 10_000
