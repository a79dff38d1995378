"""Options that every method takes: schedules, smoothing, crops, early stopping, extra data, AWP."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.config import build, flat
from atk_latent.data.streams import batches
from atk_latent.errors import InputError
from atk_latent.methods.augment import AugmentSettings
from atk_latent.methods.augmentation import PADDING, Augmentation, crop_flip
from atk_latent.methods.base import Method
from atk_latent.methods.callbacks import BestWeights
from atk_latent.methods.extra_data import ExtraData, read_images
from atk_latent.methods.fit import Loop, run_fit
from atk_latent.methods.ladder import LADDERSettings
from atk_latent.methods.objectives import CrossEntropy, smoothed
from atk_latent.methods.settings import MethodSettings


def linear(kernel=((1.0, -1.0), (-2.0, 2.0)), bias=(0.0, 0.0)):
    model = keras.Sequential([layers.Input((1, 2, 1)), layers.Flatten(), layers.Dense(2)])
    model.set_weights([np.array(kernel), np.array(bias)])
    return model


def data(n=40, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.random((n, 1, 2, 1), np.float32)
    return x, (x[:, 0, 0, 0] > 0.5).astype(np.int64)


# Learning rate


def test_the_rate_drops_when_the_epochs_begin():
    settings = build(
        MethodSettings, {"learning_rate": 0.1, "decay_epochs": (60, 90), "epochs": 400}
    )
    optimizer = settings.optimizer.make(steps_per_epoch=5)
    for epoch, step, rate in (
        (0, 0, 0.1),
        (59, 4, 0.1),
        (60, 0, 0.01),
        (89, 4, 0.01),
        (90, 0, 0.001),
    ):
        optimizer.iterations.assign(5 * epoch + step)
        assert float(optimizer.learning_rate) == pytest.approx(rate)


def test_the_cyclic_rate_rises_for_two_fifths_and_falls_to_nothing():
    rate = build(
        MethodSettings, {"learning_rate": 0.2, "schedule": "cyclic", "epochs": 3}
    ).optimizer.make(3)
    found = []
    for step in range(9):
        rate.iterations.assign(step)
        found.append(float(rate.learning_rate))
    np.testing.assert_allclose(found[3], 0.2, rtol=1e-6)  # 4 of 10 parts
    np.testing.assert_allclose([found[0], found[8]], [0.05, 0.2 / 6], rtol=1e-5)
    assert found == sorted(found[:4]) + sorted(found[4:], reverse=True)


def test_adam_and_sgd_are_told_apart():
    assert isinstance(
        build(MethodSettings, {"algorithm": "adam"}).optimizer.make(1), keras.optimizers.Adam
    )
    assert build(MethodSettings, {"weight_decay": 0.5}).optimizer.make(1).l2 == 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decay_epochs": (60, 30)}, "rising"),
        ({"decay_epochs": (0,)}, "from 1 on"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"early_stopping": True}, "validation_eps"),
        ({"validation_share": 0.0}, "validation_share"),
        ({"augment": "flip"}, "crop-flip"),
        ({"awp_gamma": -1}, "awp_gamma"),
        ({"schedule": "cyclic", "decay_epochs": "3"}, "schedule=steps"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        build(MethodSettings, changes)


# Labels


@pytest.mark.parametrize(
    ("classes", "smoothing", "own", "other"),
    [(10, 0.5, 0.5, 0.055556), (100, 0.5, 0.5, 0.005051), (10, 0.1, 0.9, 0.011111)],
)
def test_smoothed_labels_are_the_golden_ones(classes, smoothing, own, other):
    row = smoothed(tf.constant([1]), classes, smoothing)[0].numpy()
    np.testing.assert_allclose(row[:3], [other, own, other], atol=1e-6)
    assert row.sum() == pytest.approx(1)


def test_smoothed_cross_entropy_is_the_golden_one():
    logits = tf.constant([[2.0, 1.0, 0.0]])
    assert float(CrossEntropy(0.5)(tf.constant([0]), logits)) == pytest.approx(1.157606, abs=1e-6)
    assert float(CrossEntropy()(tf.constant([[0]]), logits)) == pytest.approx(0.407606, abs=1e-6)
    assert float(CrossEntropy()(tf.constant([[1.0, 0, 0]]), logits)) == pytest.approx(
        0.407606, abs=1e-6
    )
    assert CrossEntropy.from_config(CrossEntropy(0.5).get_config()).smoothing == 0.5


# Crops and mirror images


def test_crops_are_windows_of_the_padded_image_mirrored_or_not():
    x = np.random.default_rng(0).random((40, 6, 5, 2)).astype(np.float32)
    padded = np.pad(x, [(0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)])
    seed = tf.constant([3, 8], tf.int64)
    moved = crop_flip(tf.constant(x), seed).numpy()
    seen = set()
    for row in range(40):
        places = [
            (down, across, mirror)
            for down in range(2 * PADDING + 1)
            for across in range(2 * PADDING + 1)
            for mirror in (1, -1)
            if np.array_equal(
                moved[row], padded[row, down : down + 6, across : across + 5][:, ::mirror]
            )
        ]
        assert len(places) == 1
        seen.add(places[0])
    assert len({down for down, _, _ in seen}) == len({across for _, across, _ in seen}) == 9
    assert len({mirror for _, _, mirror in seen}) == 2
    np.testing.assert_array_equal(moved, crop_flip(tf.constant(x), seed))


def test_members_of_a_pair_are_moved_alike_and_a_resumed_stream_as_before():
    x, y = np.random.default_rng(0).random((8, 6, 6, 1)).astype(np.float32), np.arange(8)

    def plain(step):
        return batches(((x, 2 * x), y), 4, seed=1, start_step=step)

    assert Augmentation().apply(plain, 5) is plain
    stream = Augmentation("crop-flip").apply(plain, 5)
    whole = list(stream(0).take(4))
    for (one, two), _ in whole:
        np.testing.assert_array_equal(2 * one.numpy(), two.numpy())
    late = next(iter(stream(3)))
    np.testing.assert_array_equal(late[0][0], whole[3][0][0])
    assert np.abs(whole[0][0][0] - next(iter(plain(0)))[0][0]).max() > 0


# Early stopping


class Scores:
    """A score that peaks in the second epoch, and what the weights were then."""

    def __init__(self, model, scores):
        self.model, self.scores, self.weights = model, list(scores), []

    def __call__(self):
        self.weights.append([w.copy() for w in self.model.get_weights()])
        return self.scores[len(self.weights) - 1]


def fitted(scores, folder=None, epochs=4, ema=0.0, done=0):
    keras.utils.set_random_seed(0)
    method = Method(linear(), build(MethodSettings, {"ema": ema}))
    method.compile(method.settings.optimizer.make(5), CrossEntropy(), jit_compile=False)
    score = Scores(method.classifier, scores[done:])
    best = BestWeights([method.classifier], score, "score")
    logs = run_fit(
        method,
        lambda step: batches(data(), 8, seed=2, start_step=step),
        Loop(epochs, steps_per_epoch=5, stage="x", checkpoint=folder),
        best=best,
    )
    return method, score, logs


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_weights_of_the_best_epoch_stay(ema):
    method, score, logs = fitted([0.2, 0.5, 0.5, 0.1], ema=ema)
    assert [row["score"] for row in logs] == [0.2, 0.5, 0.5, 0.1]
    for kept, then in zip(method.classifier.get_weights(), score.weights[1], strict=True):
        np.testing.assert_array_equal(kept, then)
    assert np.abs(score.weights[1][0] - score.weights[3][0]).max() > 1e-4


def test_the_best_epoch_survives_a_resumed_run(tmp_path):
    scores = [0.2, 0.5, 0.1, 0.4]
    fitted(scores, tmp_path, epochs=3)
    method, _, logs = fitted(scores, tmp_path, epochs=4, done=3)
    whole = fitted(scores)[0]
    assert [row["score"] for row in logs] == scores
    for one, two in zip(
        method.classifier.get_weights(), whole.classifier.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, two)
    again = fitted(scores, tmp_path, epochs=4, done=4)[0]  # nothing left to train
    np.testing.assert_array_equal(
        again.classifier.get_weights()[0], whole.classifier.get_weights()[0]
    )


def test_early_stopping_needs_an_image_to_hold_out():
    method = Method(
        linear(), build(MethodSettings, {"early_stopping": True, "validation_eps": 0.1})
    )
    with pytest.raises(InputError, match="Received: 1"):
        method.harden(*(part[:1] for part in data()))


def test_early_stopping_scores_pgd_accuracy_on_held_out_images():
    settings = build(
        MethodSettings,
        {
            "epochs": 2,
            "batch_size": 8,
            "early_stopping": True,
            "validation_share": 0.25,
            "validation_eps": 0.1,
        },
    )
    method = Method(linear(), settings)
    images, labels = data()
    x, y, *_ = split = settings.early_stopping.split(images, labels, method.seed)
    score = settings.early_stopping.score(method.classifier, split, settings.linf_radius, 0)
    assert len(x) == len(y) == 30
    trained_on = {tuple(row) for row in x.reshape(30, 2)}
    held = [i for i, row in enumerate(images.reshape(40, 2)) if tuple(row) not in trained_on]
    assert len(held) == 10
    # The classifier says 0 where x1 > 2 x2; PGD moves both pixels by .1 against the label.
    against = 0.1 * np.where(labels[held, None] == 0, [-1, 1], [1, -1])
    worst = np.clip(images[held].reshape(10, 2) + against, 0, 1)
    right = (worst @ [1.0, -2.0] > 0) == (labels[held] == 0)
    assert score() == pytest.approx(np.mean(right))
    logs = method.harden(*data())
    assert len(logs) == 2
    assert "val_pgd_accuracy" in logs[0]


# Extra data


def test_extra_images_are_labelled_by_the_teacher(tmp_path):
    x, _ = data(12)
    np.savez(tmp_path / "extra.npz", x=x)
    linear([[-1.0, 1.0], [2.0, -2.0]]).save(tmp_path / "teacher.keras")
    extra = ExtraData(str(tmp_path / "extra.npz"))
    found, labels = extra.labelled(linear(), (1, 2, 1))
    np.testing.assert_array_equal(found, x)
    u = x.reshape(12, 2) @ [1.0, -2.0]
    np.testing.assert_array_equal(labels, u < 0)
    named = ExtraData(extra.path, teacher=str(tmp_path / "teacher.keras"))
    np.testing.assert_array_equal(named.labelled(linear(), (1, 2, 1))[1], u > 0)


def test_a_share_of_each_batch_is_extra_and_an_epoch_is_one_pass_over_the_rest():
    x, extra = np.zeros((10, 1, 2, 1), np.float32), np.ones((7, 1, 2, 1), np.float32)
    one, two = (x, np.arange(10)), (extra, np.arange(7))
    stream, rows = ExtraData(share=0.25).mixed(one, two, batch_size=8, seed=0)
    assert rows == 16
    first = list(stream(0).take(3))
    assert [len(b[1]) for b in first] == [8, 6, 8]
    assert [int(np.sum(b[0].numpy()[:, 0, 0, 0])) for b in first] == [2, 2, 2]
    seen = np.concatenate([b[1].numpy()[:-2] for b in first[:2]])
    assert sorted(seen) == list(range(10))
    np.testing.assert_array_equal(next(iter(stream(2)))[1], first[2][1])


def test_extra_data_reaches_the_training(tmp_path):
    np.savez(tmp_path / "extra.npz", x=np.ones((4, 1, 2, 1), np.float32))
    method = Method(
        linear(),
        build(MethodSettings, {"batch_size": 8, "extra_data": str(tmp_path / "extra.npz")}),
    )
    stream, rows = method.training_batches(*data())
    assert rows == 80
    np.testing.assert_array_equal(next(iter(stream(0)))[0][4:], np.ones((4, 1, 2, 1)))


def test_a_fixed_set_takes_no_extra_data():
    for kind in (LADDERSettings, AugmentSettings):
        with pytest.raises(InputError, match="fixed set"):
            kind(extra_data=ExtraData("extra.npz"))


def test_files_that_are_not_there_are_missed_before_anything_runs():
    for settings in (
        build(MethodSettings, {"teacher": "none.keras"}),
        AugmentSettings(examples_from="no.npz"),
    ):
        with pytest.raises(InputError, match="there is nothing at 'no"):
            settings.check_files()


def test_settings_of_a_card_are_read_back():
    for settings in (
        MethodSettings(),
        build(MethodSettings, {"decay_epochs": (3, 4), "validation_eps": 0.1}),
    ):
        stored = json.loads(json.dumps(flat(settings)))
        assert build(MethodSettings, stored) == settings


def test_files_that_hold_no_such_images_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.ones(3))
    np.savez(tmp_path / "b.npz", x=np.ones((2, 3, 3, 1)))
    np.savez(tmp_path / "c.npz", x=np.full((2, 1, 2, 1), 3.0))
    np.savez(tmp_path / "d.npz", x=np.full((2, 1, 2, 1), 255, np.uint8))
    for name, message in (("a", "'x'"), ("b", "shape"), ("c", "3..3"), ("none", "none.npz")):
        with pytest.raises(InputError, match=message):
            read_images(str(tmp_path / f"{name}.npz"), (1, 2, 1))
    assert read_images(str(tmp_path / "d.npz"), (1, 2, 1)).max() == 1.0


# Adversarial weight perturbation

X, Y = np.full((1, 1, 2, 1), 0.5, np.float32), np.array([0])


def gradient(kernel, bias):
    z = np.array([0.5, 0.5]) @ kernel + bias
    top = np.exp(z) / np.exp(z).sum() - [1, 0]
    return np.outer([0.5, 0.5], top), top


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_gradients_are_taken_where_the_weights_are_worse_and_applied_where_they_are(ema):
    kernel, bias, gamma = np.array([[1.0, -1.0], [-2.0, 2.0]]), np.zeros(2), 0.3
    method = Method(
        linear(),
        build(
            MethodSettings, {"awp_gamma": gamma, "ema": ema, "momentum": 0.0, "learning_rate": 1.0}
        ),
    )
    method.compile(method.settings.optimizer.make(1), CrossEntropy(), jit_compile=False)
    loss = method.train_on_batch(X, Y, return_dict=True)["loss"]
    climb, _ = gradient(kernel, bias)
    worse = kernel + gamma * np.linalg.norm(kernel) / np.linalg.norm(climb) * climb
    slope, top = gradient(worse, bias)
    found = method.classifier.get_weights()
    np.testing.assert_allclose(found[0], kernel - slope, atol=1e-5)
    np.testing.assert_allclose(found[1], bias - top, atol=1e-5)  # biases do not move
    assert float(loss) > np.log(1 + np.exp(1.0))  # the loss at the worse weights
    if ema:
        average = method.optimizer._model_variables_moving_average[0]
        np.testing.assert_allclose(average, kernel - slope, atol=1e-5)


def test_no_move_before_the_warm_up_ends():
    settings = {"momentum": 0.0, "learning_rate": 1.0}
    kernels = []
    for changes in ({}, {"awp_gamma": 0.3, "awp_warmup": 1}):
        method = Method(linear(), build(MethodSettings, {**settings, **changes}))
        method.compile(method.settings.optimizer.make(1), CrossEntropy(), jit_compile=False)
        for _ in range(2):
            method.train_on_batch(X, Y)
            kernels.append(method.classifier.get_weights()[0])
    np.testing.assert_array_equal(kernels[0], kernels[2])
    assert np.abs(kernels[1] - kernels[3]).max() > 1e-3


def test_both_passes_see_the_same_statistics_and_count_once():
    model = keras.Sequential(
        [
            layers.Input((1, 2, 1)),
            layers.BatchNormalization(momentum=0.5),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    method = Method(model, build(MethodSettings, {"awp_gamma": 0.1}))
    method.compile(method.settings.optimizer.make(1), CrossEntropy(), jit_compile=False)
    x, y = data(8)
    method.train_on_batch(x, y)
    assert float(model.layers[0].moving_mean[0]) == pytest.approx(0.5 * x.mean(), abs=1e-6)
