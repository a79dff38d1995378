"""States inside an epoch: a training that is stopped there ends as if it had not been."""

import keras
import numpy as np
import pytest
from keras import layers

from atk_latent.config import build
from atk_latent.errors import InputError
from atk_latent.methods.adversarial import PGDSettings, PGDTraining
from atk_latent.methods.fit import LoopOptions, loop_options
from atk_latent.methods.states import Position
from atk_latent.training.request import Execution


class Stop(Exception):
    pass


class StopAt(keras.callbacks.Callback):
    """Ends a `fit` after so many batches in all, as a kill would."""

    def __init__(self, batches):
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise Stop


def method():
    keras.utils.set_random_seed(1)
    classifier = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Flatten(),
            layers.Dropout(0.2, seed=2),
            layers.Dense(5, activation="tanh"),
            layers.BatchNormalization(),
            layers.Dense(2),
        ]
    )
    values = {"epochs": 3, "batch_size": 10, "steps": 1, "eps": 0.1, "ema": 0.9, "momentum": 0.9}
    return PGDTraining(classifier, build(PGDSettings, values), seed=3)


def data():
    x = np.random.default_rng(0).random((44, 4, 4, 1), np.float32)
    return x, (x.mean(axis=(1, 2, 3)) > 0.5).astype(np.int64)


def train(folder, callbacks=(), minutes=1e-6):
    trained = method()
    with loop_options(LoopOptions(checkpoint_minutes=minutes)):
        logs = trained.harden(*data(), folder=folder, callbacks=list(callbacks))
    return trained, logs


@pytest.mark.parametrize("batches", [3, 7, 9])
def test_a_training_stopped_inside_an_epoch_ends_bit_for_bit_the_same(tmp_path, untimed, batches):
    whole, logs = train(tmp_path / "whole")
    with pytest.raises(Stop):
        train(tmp_path / "part", [StopAt(batches)])
    states = sorted(path.name for path in (tmp_path / "part").glob("epoch-*"))
    inside = batches % 5
    assert states[-1] == f"epoch-{batches // 5:06d}-step-{inside:09d}"
    resumed, resumed_logs = train(tmp_path / "part")
    for one, other in zip(whole.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    assert untimed(logs) == untimed(resumed_logs)


def test_without_minutes_there_are_states_after_epochs_alone(tmp_path):
    with pytest.raises(Stop):
        train(tmp_path, [StopAt(8)], minutes=None)
    assert [path.name for path in tmp_path.glob("epoch-*")] == ["epoch-000001"]


def test_a_state_whose_metrics_were_changed_falls_back_to_the_one_before(tmp_path):
    with pytest.raises(Stop):
        train(tmp_path, [StopAt(8)])
    newest = max(tmp_path.glob("epoch-*"))
    (newest / "metrics.json").write_text('["high"]')
    with pytest.warns(UserWarning, match="going on from the state before it"):
        assert len(train(tmp_path)[1]) == 3


def test_legs_of_a_training():
    assert Position().legs(2) == [(0, 2, 0)]
    assert Position(1, 3).legs(2) == [(1, 2, 3)]
    assert Position(0, 3).legs(2) == [(0, 1, 3), (1, 2, 0)]
    assert Position(2).legs(2) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("strategy", "horovod"),
        ("precision", "float16"),
        ("jit", "maybe"),
        ("checkpoint_minutes", 0),
    ],
)
def test_wrong_ways_to_run_are_refused(name, value):
    with pytest.raises(InputError, match=f"{name}.*Received: '?{value}"):
        Execution(**{name: value})
