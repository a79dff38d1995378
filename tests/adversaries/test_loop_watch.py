"""Long attacks say where they stand, and Ctrl-C ends them."""

import os
import signal
import threading
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from atk_latent.adversaries import loop_watch
from atk_latent.adversaries.auto_attack import AutoAttack, AutoAttackSettings
from atk_latent.adversaries.factory import make_adversary
from atk_latent.adversaries.loop_watch import LoopWatch, Report
from atk_latent.progress import part_of, prefixed

SHAPE = (4, 4, 1)
LOOPS = {
    "pgd": ({"steps": 30}, 30, False),
    "apgd-ce": ({"steps": 30}, 30, True),
    "apgd-t": ({"steps": 20, "targets": 2}, 40, True),
    "fab-t": ({"steps": 20, "targets": 2}, 40, True),
    "square": ({"queries": 60}, 60, True),
    "rays": ({"queries": 60}, 60, True),
    "cw-l2": ({"steps": 20, "search_steps": 2}, 40, True),
    "ni-fgsm": ({"steps": 20}, 20, False),
    "jsma": ({"gamma": 1.0, "theta": 0.01}, 8, True),
}


@pytest.fixture(scope="module")
def robust():
    """Four classes that a tiny change never leaves, and 7 images."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(4, use_bias=False)]
    model = keras.Sequential(layers)
    model.set_weights([np.repeat(50.0 * np.eye(4), 4, axis=0)])
    y = np.arange(7) % 4
    x = np.full((7, *SHAPE), 0.3, np.float32)
    x[np.arange(7), y] = 0.8
    return model, x, y


@pytest.fixture
def at_every_round(monkeypatch):
    monkeypatch.setattr(loop_watch, "INTERVAL", 1e-9)


class Ear(list):
    def __call__(self, what, done, total, logs=None):
        self.append((what, done, total, logs))


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_tells_of_its_steps_and_of_what_stands(name, robust, at_every_round):
    settings, total, counts = LOOPS[name]
    adversary = make_adversary(name, **settings)
    if hasattr(adversary.settings, "eps"):
        adversary = make_adversary(name, **settings, eps=1e-3)
    model, x, y = robust
    ear = Ear()
    heard = adversary.craft_all(model, x, y, batch_size=7, seed=0, progress=ear)
    done = [step for _, step, _, _ in ear]
    assert {what for what, *_ in ear} == {"steps"}
    assert {all_steps for _, _, all_steps, _ in ear} == {total}
    assert (
        done == sorted(done) and len(set(done)) > (1 if name == "jsma" else 5) and done[-1] == total
    )
    if counts and name != "jsma":
        assert all(logs == {"standing": 7.0} for *_, logs in ear[:-1])
    again = adversary.craft_all(model, x, y, batch_size=7, seed=0)
    np.testing.assert_array_equal(heard, again)


def test_padding_is_not_counted_and_batches_are_parts(robust, at_every_round):
    model, x, y = robust
    ear = Ear()
    square = make_adversary("square", eps=1e-3, queries=40)
    square.craft_all(model, x, y, batch_size=5, progress=ear)
    assert {total for _, _, total, _ in ear} == {80}
    standing = [(done > 40, logs["standing"]) for _, done, _, logs in ear if logs]
    assert set(standing) == {(False, 5.0), (True, 2.0)}


def test_images_that_fell_do_not_stand(robust, at_every_round):
    model, x, y = robust
    labels = y.copy()
    labels[:3] = (y[:3] + 1) % 4  # misclassified as they are
    ear = Ear()
    make_adversary("square", eps=1e-3, queries=40).craft_all(model, x, labels, progress=ear)
    assert {logs["standing"] for *_, logs in ear if logs} == {4.0}


def test_autoattack_names_its_parts(robust, at_every_round):
    model, x, y = robust
    ear = Ear()
    settings = AutoAttackSettings(eps=1e-3, steps=5, queries=20, targets=2)
    AutoAttack(settings).craft_all(model, x, y, batch_size=4, progress=prefixed(ear, "autoattack"))
    names = list(dict.fromkeys(what for what, *_ in ear))
    parts = ("apgd-ce", "apgd-t", "fab-t", "square")
    assert names == [f"autoattack: {part} ({i} of 4)" for i, part in enumerate(parts, 1)]
    ends = {what: (done, total) for what, done, total, _ in ear}
    assert ends[names[0]] == (10, 10) and ends[names[3]] == (40, 40)  # two batches


def test_reports_come_a_few_times_a_second_whatever_a_round_takes():
    watch = LoopWatch()

    def wait(index):
        time.sleep(0.002)
        return index + 1

    def body(index, state):
        following = tf.numpy_function(wait, [index], tf.int32)
        return tf.ensure_shape(following, []), state

    rounds = watch.compiled(
        lambda n: watch.rounds(body, (0, n), n, lambda index, _: Report(index, 400)),
        [tf.TensorSpec([], tf.int32)],
    )
    ear, began = Ear(), time.monotonic()
    with watch.heard(ear, 0):
        rounds(tf.constant(400))
    assert 2 <= len(ear) <= 2 + (time.monotonic() - began) / loop_watch.INTERVAL
    assert ear[-1] == ("steps", 400, 400, None)


def test_ctrl_c_ends_a_long_attack_within_two_seconds(robust):
    model, x, y = robust
    square = make_adversary("square", eps=1e-3, queries=20_000)
    ear = Stopping()
    with pytest.raises(KeyboardInterrupt):
        square.craft_all(model, x, y, progress=ear)
    assert time.monotonic() - ear.at < 2
    small = make_adversary("square", eps=1e-3, queries=5)
    assert small.craft_all(model, x, y).shape == x.shape  # and the next one runs


class Stopping:
    """Presses Ctrl-C at the first report."""

    at = 0.0

    def __call__(self, *_):
        if not self.at:
            self.at = time.monotonic()
            os.kill(os.getpid(), signal.SIGINT)


def test_an_error_of_the_graph_is_raised_where_it_was_called(robust):
    model, x, y = robust
    square = make_adversary("square", eps=1e-3, queries=40)
    square.craft_all(model, x, y)

    def broken(*_):
        raise ValueError("no listener")

    square.watch._told = 0.0
    with pytest.raises(tf.errors.OpError, match="no listener"), square.watch.heard(broken, 1):
        square.watch._told = 0.0
        square._function(model, SHAPE)(
            tf.constant(x), tf.constant(y, tf.int32), tf.constant([0, 0], tf.int64), 0
        )


def test_from_another_thread_an_attack_runs_where_it_is_called(robust):
    model, x, y = robust
    square, made = make_adversary("square", eps=1e-3, queries=10), []
    thread = threading.Thread(target=lambda: made.append(square.craft_all(model, x, y, seed=1)))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(made[0], square.craft_all(model, x, y, seed=1))


def test_a_part_of_the_work_is_told_as_such():
    ear = Ear()
    part_of(ear, 1, 3)("steps", 5, 10, None)
    assert ear == [("steps", 15, 30, None)]
    assert part_of(None, 0, 2) is None and prefixed(None, "x") is None
