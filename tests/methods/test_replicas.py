"""Several replicas train as one device does: the same weights, the same logs.

Processes of their own (`replica_runs`): logical devices must be there before TensorFlow starts.
"""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from atk_latent.methods.distribution import _part
from atk_latent.models.replicas import balanced, drawn, mine, moments, rows_of, total, whole
from atk_latent.registry import METHODS
from tests.methods.replica_runs import VARIANTS

QUICK = ("pgd-awp", "free", "tla-both", "atld", "ladder-fresh")
EVERY = (*METHODS, *VARIANTS, "ladder-generator", "song-gan")
SCRIPT = Path(__file__).with_name("replica_runs.py")


def results(folder, jobs, count):
    path = folder / f"{count}.npz"
    run = subprocess.run(
        [sys.executable, str(SCRIPT), str(path), ",".join(jobs), str(count)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[2])},
    )
    assert run.returncode == 0, run.stderr[-3000:]
    with np.load(path) as stored:
        return dict(stored)


def tolerance(name):
    """Adam's first step is the rate, 2e-4, times a sign, which rounding decides near 0."""
    return 1e-4 if name.startswith("song-gan/weight") else 1e-5


def compare(folder, jobs, counts):
    expected = results(folder, jobs, 1)
    moved = {name.split("/")[0] for name in expected if "/weight" in name}
    assert moved == set(jobs)
    for count in counts:
        values = results(folder, jobs, count)
        assert set(values) == set(expected)
        far = {
            name: float(np.abs(values[name] - expected[name]).max())
            for name in expected
            if not np.allclose(values[name], expected[name], rtol=1e-5, atol=tolerance(name))
        }
        assert not far, (count, far)


def test_two_replicas_train_as_one_device(tmp_path):
    compare(tmp_path, QUICK, (2,))


@pytest.mark.slow
def test_every_method_trains_on_two_and_four_replicas_as_on_one_device(tmp_path):
    compare(tmp_path, EVERY, (2, 4))


@pytest.mark.parametrize(("rows", "size", "groups"), [(10, 4, 1), (3, 4, 1), (12, 4, 2), (7, 2, 1)])
def test_the_parts_of_a_batch_are_its_rows_in_order(rows, size, groups):
    batch = (tf.range(rows), tf.range(rows) * 2)
    parts = [_part(batch, tf.constant(index), size, groups) for index in range(size)]
    for x, doubled in parts:
        np.testing.assert_array_equal(2 * x, doubled)
    counts = [len(x) for x, _ in parts]
    assert min(counts) >= groups and max(counts) - min(counts) <= groups
    seen = np.stack([np.reshape(x, (groups, -1)) for x, _ in parts if len(x) == counts[0]], 0)
    assert seen[0, 0, 0] == 0
    everything = np.concatenate([x for x, _ in parts])
    _, times = np.unique(everything, return_counts=True)
    assert len(times) == rows and len({*times}) == 1  # each row counts as often as any other


def test_alone_a_replica_has_the_batch():
    x = tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])
    rows = rows_of(x)
    assert (int(rows.first), int(rows.count), int(rows.total)) == (0, 3, 3)
    for same in (whole(x), mine(x, x), drawn(lambda count: x[:count], x), total([x, None])[0]):
        np.testing.assert_array_equal(same, x)
    loss = tf.constant(0.3)
    assert balanced(loss, x) is loss
    np.testing.assert_allclose(moments(x, (0,))[0], [[3.0, 13 / 3]], rtol=1e-6)


def test_fit_leaves_a_model_as_it_was():
    from atk_latent.methods import distribution

    model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization()])
    before = dict(vars(model))
    stream = tf.data.Dataset.from_tensors((tf.zeros((2, 2)), tf.zeros((2, 2))))
    with distribution.trained_together(model, stream):
        assert distribution.shared(stream, model) is stream
    assert set(vars(model)) == set(before)
