"""The parts of a cascade over chunks, added up by hand; and through a whole evaluation."""

import json

import keras
import numpy as np
import pytest

from atk_latent.evaluation import runner
from atk_latent.results.diagnostics import Component, Diagnostics


def said(images, shares, warnings=()):
    parts = tuple(
        Component(
            name=name,
            settings={},
            n_in=n,
            robust_accuracy=share,
            seconds=1.5,
            forward=10 * n,
            backward=n,
        )
        for name, n, share in zip("ab", (images, images // 2), shares, strict=True)
    )
    return Diagnostics(components=parts, warnings=("few classes", *warnings)), images


def test_counts_add_up_and_shares_are_weighted_by_images():
    total = Diagnostics.total([said(8, (0.5, 0.25), ["odd"]), said(2, (1.0, 0.5), ["odd"])])
    first, second = total.components
    assert (first.name, first.n_in, first.robust_accuracy) == ("a", 10, 0.6)
    assert (second.name, second.n_in, second.robust_accuracy) == ("b", 5, 0.3)
    assert (first.seconds, first.forward, second.backward) == (3.0, 100, 5)
    assert total.warnings == ("few classes", "odd")


def test_counts_of_a_search_add_up():
    parts = [(Diagnostics(counts={"searched": n, "succeeded": 1}), n) for n in (3, 4)]
    assert Diagnostics.total(parts).counts == {"searched": 7, "succeeded": 2}


def test_nothing_said_is_nothing():
    assert Diagnostics.total([]) == Diagnostics()


@pytest.mark.parametrize("stored", [False, True])
def test_autoattack_says_what_each_part_left(tmp_path, stored):
    model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(2))
    kernel = np.array([[0.0, 10.0]] * 4, np.float32)
    model.set_weights([kernel, np.array([0.0, -20.0], np.float32)])
    x = np.stack([np.full((2, 2, 1), v) for v in (0.1, 0.4, 0.6, 0.9)]).astype(np.float32)
    spec = "autoattack:eps=0.2,steps=5,queries=10"
    options = runner.Options(batch_size=3, store=tmp_path / "store" if stored else None)
    for _ in range(2 if stored else 1):
        (found,) = runner.run_attacks(model, x, np.array([0, 0, 1, 1]), [spec], options)
    assert found.robust_accuracy == 0.5  # 0.4 and 0.6 cross one half, 0.1 and 0.9 cannot
    assert [part.name for part in found.components] == ["apgd-ce", "fab-t", "square"]
    assert [part.n_in for part in found.components] == [4, 2, 2]
    assert found.components[-1].robust_accuracy == 0.5
    assert any("2 classes" in line for line in found.warnings)
    json.dumps(found.to_json())
