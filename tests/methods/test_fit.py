import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.config import build
from atk_latent.data.streams import batches
from atk_latent.labels import is_correct
from atk_latent.methods.base import Method
from atk_latent.methods.callbacks import Checkpoint, Plateau, PlateauRule
from atk_latent.methods.fit import Loop, run_fit
from atk_latent.methods.natural import Natural, natural_settings
from atk_latent.methods.optimizers import SGDL2, Optimizer
from atk_latent.methods.settings import MethodSettings


def linear(width=2, classes=2, weights=None):
    model = keras.Sequential([layers.Input((width,)), layers.Dense(classes)])
    if weights is not None:
        model.set_weights(weights)
    return model


def data(n=40, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 2)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.int64)


class Stop(Exception):
    pass


class Kill(keras.callbacks.Callback):
    """Ends a `fit` in the middle of an epoch, as a kill would."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch, self.now = epoch, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.now == self.epoch and batch == 1:
            raise Stop


class Noisy(Method):
    """Crafts with random numbers, so that its random state matters."""

    def __init__(self, classifier):
        super().__init__(classifier)
        self.seeds = keras.random.SeedGenerator(3)

    def perturb(self, x, y):
        return x + keras.random.normal(tf.shape(x), stddev=0.5, seed=self.seeds)


def noisy():
    keras.utils.set_random_seed(1)
    method = Noisy(linear(weights=[np.ones((2, 2)) * [[0.1, -0.1]], np.zeros(2)]))
    method.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    return method


def fit(method, folder, callbacks=()):
    return run_fit(
        method,
        lambda step: batches(data(), 8, seed=5, start_step=step),
        Loop(epochs=6, steps_per_epoch=5, stage="x", checkpoint=folder),
        callbacks=list(callbacks),
    )


def test_batches_cover_every_row_once_an_epoch_and_depend_on_the_seed():
    rows = np.arange(10)
    stream = batches(rows, 4, seed=1)
    first = [b.numpy() for b in stream.take(6)]
    assert [len(b) for b in first] == [4, 4, 2, 4, 4, 2]
    assert sorted(np.concatenate(first[:3])) == list(range(10))
    assert np.concatenate(first[:3]).tolist() != np.concatenate(first[3:]).tolist()
    other = np.concatenate([b.numpy() for b in batches(rows, 4, seed=2).take(3)])
    assert other.tolist() != np.concatenate(first[:3]).tolist()


@pytest.mark.parametrize("start", [1, 3, 4, 7])
def test_batches_can_start_anywhere(start):
    whole = [b.numpy().tolist() for b in batches(np.arange(10), 4, seed=1).take(10)]
    late = [b.numpy().tolist() for b in batches(np.arange(10), 4, seed=1, start_step=start).take(3)]
    assert late == whole[start : start + 3]


def test_a_killed_run_ends_bit_for_bit_where_an_undisturbed_one_does(tmp_path, untimed):
    whole = noisy()
    logs = fit(whole, tmp_path / "a")
    with pytest.raises(Stop):
        fit(noisy(), tmp_path / "b", [Kill(3)])
    states = sorted(p.name for p in (tmp_path / "b").iterdir())
    assert states == ["epoch-000002", "epoch-000003"]
    resumed = noisy()
    before = json.loads((tmp_path / "b" / "epoch-000003" / "logs.json").read_text())
    after = fit(resumed, tmp_path / "b")
    assert untimed(after) == untimed(logs)
    assert after[:3] == before  # with the seconds they took when they ran
    for one, two in zip(whole.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    for one, two in zip(whole.optimizer.variables, resumed.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


def test_a_finished_run_trains_no_further(tmp_path):
    fit(noisy(), tmp_path)
    again = noisy()
    fit(again, tmp_path, [Kill(6)])
    assert not np.allclose(again.classifier.get_weights()[0], [[0.1, -0.1]] * 2)


def test_a_half_written_state_is_ignored(tmp_path):
    with pytest.raises(Stop):
        fit(noisy(), tmp_path, [Kill(2)])
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "variables.npz").write_bytes(b"half")
    assert len(fit(noisy(), tmp_path)) == 6


def plateau(values, **settings):
    keeper = Checkpoint(None)
    keeper.logs = [{"v": v} for v in values]
    options = {"learning_rate": 1.0, "min_improvement": 0.01, "patience": 2, "cuts": 1} | settings
    return Plateau(keeper, PlateauRule("v", **options))


@pytest.mark.parametrize(
    ("values", "plateaus"),
    [
        ([1.0, 0.9, 0.8], 0),
        ([1.0, 0.995, 0.991], 1),
        ([1.0, 1.0, 1.0, 0.5, 0.5, 0.5], 2),
        ([1.0, 0.995, 0.98, 0.979, 0.9], 0),
    ],
)
def test_plateaus_are_counted_relatively(values, plateaus):
    assert plateau(values).plateaus() == plateaus
    assert plateau([1e-3 * v for v in values]).plateaus() == plateaus


def test_plateau_lowers_the_rate_then_stops():
    watcher = plateau([1.0, 1.0, 1.0])
    watcher.set_model(noisy())
    watcher.on_train_begin()
    assert float(watcher.model.optimizer.learning_rate) == pytest.approx(0.3)
    assert not watcher.finished
    assert plateau([1.0, 1.0, 1.0, 1.0, 1.0]).finished


def test_l2_is_part_of_the_gradient_as_in_pytorch():
    # v = 0.9 v + (g + 0.1 w); w -= 0.5 v, twice from w = 2 with g = 1.
    weight = keras.Variable(2.0)
    optimizer = SGDL2(0.5, momentum=0.9, l2=0.1)
    optimizer.apply([tf.constant(1.0)], [weight])
    assert float(weight) == pytest.approx(2 - 0.5 * 1.2)
    optimizer.apply([tf.constant(1.0)], [weight])
    assert float(weight) == pytest.approx(1.4 - 0.5 * (0.9 * 1.2 + 1 + 0.14))
    assert SGDL2.from_config(optimizer.get_config()).l2 == 0.1


def test_one_step_of_the_two_term_loss_by_hand():
    # Zero weights: p = (.5, .5). Clean x = (2, 0), y = 0; adversarial x = (0, 4), same y.
    # dL/dW = .5 * outer(x, p - e0) + .5 * outer(x_adv, p - e0), p - e0 = (-.5, .5).
    method = Method(linear(weights=[np.zeros((2, 2)), np.zeros(2)]), alpha=0.5)
    method.compile(
        keras.optimizers.SGD(1.0),
        keras.losses.SparseCategoricalCrossentropy(True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    x, x_adv = np.array([[2.0, 0.0]], np.float32), np.array([[0.0, 4.0]], np.float32)
    logs = method.train_on_batch((x, x_adv), np.array([0]), return_dict=True)
    assert logs["loss"] == pytest.approx(np.log(2))
    kernel, bias = method.classifier.get_weights()
    np.testing.assert_allclose(kernel, [[0.5, -0.5], [1.0, -1.0]], atol=1e-6)
    np.testing.assert_allclose(bias, [0.5, -0.5], atol=1e-6)


def test_alpha_weighs_the_clean_loss():
    method = Method(linear(weights=[np.zeros((2, 2)), np.zeros(2)]), alpha=0.75)
    method.compile(keras.optimizers.SGD(1.0), keras.losses.SparseCategoricalCrossentropy(True))
    x, x_adv = np.array([[2.0, 0.0]], np.float32), np.array([[0.0, 4.0]], np.float32)
    method.train_on_batch((x, x_adv), np.array([0]))
    np.testing.assert_allclose(method.classifier.get_weights()[0], [[0.75, -0.75], [0.5, -0.5]])


def test_the_halves_may_show_different_images_with_labels_of_their_own():
    method = Method(linear(weights=[np.zeros((2, 2)), np.zeros(2)]))
    method.compile(
        keras.optimizers.SGD(1.0),
        keras.losses.SparseCategoricalCrossentropy(True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    x, x_adv = np.array([[2.0, 0.0]], np.float32), np.array([[0.0, 4.0]], np.float32)
    method.fit(
        tf.data.Dataset.from_tensors(((x, x_adv), (np.array([0]), np.array([1])))), verbose=0
    )
    kernel, bias = method.classifier.get_weights()
    np.testing.assert_allclose(kernel, [[0.5, -0.5], [-1.0, 1.0]], atol=1e-6)
    np.testing.assert_allclose(bias, [0.0, 0.0], atol=1e-6)


def test_fit_reports_adversarial_accuracy_and_evaluate_does_not():
    method = noisy()
    x, y = data()
    history = method.fit(x, y, validation_data=(x, y), epochs=1, verbose=0).history
    assert set(history) == {"loss", "accuracy", "adversarial_accuracy", "val_loss", "val_accuracy"}


def test_correct_takes_integer_and_one_hot_labels():
    logits = tf.constant([[1.0, 2.0], [2.0, 1.0]])
    for y in ([1, 1], [[0.0, 1.0], [0.0, 1.0]], [[1], [1]]):
        assert is_correct(tf.constant(y), logits).numpy().tolist() == [1.0, 0.0]


def test_natural_training_learns():
    method = Natural(
        linear(),
        build(MethodSettings, {"epochs": 20, "batch_size": 8, "learning_rate": 0.5}),
        seed=1,
    )
    x, y = data(200)
    logs = method.harden(x, y, validation_data=data(100, seed=9))
    assert len(logs) == 20
    assert logs[-1]["val_accuracy"] > 0.93


@pytest.mark.parametrize(
    ("model", "data", "optimizer"),
    [
        ("lenet", "mnist", Optimizer(10, 64, 0.01, 0.5, 0.0)),
        ("svhnnet", "svhn", Optimizer(150, 1280, 0.1, 0.9, 5e-4)),
        ("celebanet", "celeba", Optimizer(100, 64, 0.01, 0.9, 0.0)),
        ("cifarnet", "cifar10", Optimizer(200, 128, 0.1, 0.9, 5e-4)),
    ],
)
def test_vanilla_settings_are_those_of_the_published_code(model, data, optimizer):
    assert natural_settings(model, data) == MethodSettings(optimizer)


def test_the_vanilla_classifier_of_another_preset_is_quick_or_the_papers():
    assert natural_settings("lenet", "mnist", "quick").optimizer.epochs == 5
    assert natural_settings("lenet", "mnist", "stable") == natural_settings("lenet", "mnist")
