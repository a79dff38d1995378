"""Whatever runs the chunks, in whatever order: the numbers are the same."""

import logging
import pickle
import random

import keras
import numpy as np
import pytest

from atk_latent.art_bridge.context import AttackContext
from atk_latent.art_bridge.estimator import estimator_for
from atk_latent.art_bridge.factory import make_attack
from atk_latent.evaluation import runner
from atk_latent.evaluation.chunks import Series, all_chunks
from atk_latent.evaluation.executors import SerialExecutor, Task
from atk_latent.evaluation.ray_worker import MOST_KEPT, Latest
from atk_latent.evaluation.runner import Case, ChunkJob, Deployed, Options, Surrogate
from atk_latent.evaluation.store import Chunk, ChunkStore
from atk_latent.inference.imt import IMT, IMTClassifier, IMTSettings
from tests.evaluation import two_halves

ATTACKS = ("pgd:eps=0.1,steps=2", "square:eps=0.1,queries=5")


class Shuffled:
    """Takes some tasks at once, sends each job through a pickle, hands results back in disorder.

    As Ray does, but here.
    """

    is_parallel = True

    def __init__(self, width=5, seed=0):
        self.width, self.random, self.ran, self.local, self.jobs = (
            width,
            random.Random(seed),
            [],
            [],
            {},
        )

    def run(self, tasks):
        tasks, held, over = iter(tasks), [], False
        while held or not over:
            while len(held) < self.width and not over:
                task = next(tasks, None)
                over = task is None
                held += [] if over else [task]
            self.random.shuffle(held)
            if held:
                task = held.pop()
                self.ran.append(task.arguments[0])
                self.local += [task.arguments[0]] if task.is_local else []
                yield task, self.sent(task)(*task.arguments)

    def sent(self, task):
        """The job as it arrives in a worker, which keeps it."""
        if task.is_local:
            return task.job
        if id(task.job) not in self.jobs:
            self.jobs[id(task.job)] = task, pickle.loads(pickle.dumps(task.job))
        return self.jobs[id(task.job)][1]


@pytest.fixture(scope="module")
def images():
    return two_halves.images(23)


@pytest.fixture(scope="module")
def model():
    """Convolution and batch norm, weights that were not trained."""
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((two_halves.SIDE, two_halves.SIDE, 1)),
        keras.layers.Conv2D(4, 3),
        keras.layers.BatchNormalization(),
        keras.layers.ReLU(),
        keras.layers.Flatten(),
        keras.layers.Dense(2),
    ]
    model = keras.Sequential(layers)
    model.layers[1].moving_mean.assign(np.linspace(-0.2, 0.2, 4))
    return model


def without_time(results):
    return [result.model_copy(update={"seconds": 0}) for result in results]


def test_serial_runs_in_order_and_only_when_asked():
    begun = []
    tasks = (begun.append(i) or Task(i, pow, (i, 2)) for i in range(3))
    running = SerialExecutor().run(tasks)
    assert next(running)[1] == 0 and begun == [0]
    assert [result for _, result in running] == [1, 4]


def test_any_order_gives_the_serial_numbers_to_the_last_digit(model, images):
    opposite = keras.models.clone_model(model)
    opposite.set_weights([-w for w in model.get_weights()])
    cases = [*ATTACKS, Case(ATTACKS[0], Surrogate("other", opposite))]
    serial = runner.run_attacks(model, *images, cases, Options(seed=2, batch_size=4))
    executor = Shuffled()
    options = Options(seed=2, batch_size=4, executor=executor)
    shuffled = runner.run_attacks(model, *images, cases, options)
    assert executor.ran != sorted(executor.ran) and len(executor.ran) == 3 * 6
    assert without_time(shuffled) == without_time(serial)


def test_what_is_deployed_and_what_knows_of_it_travel_too(images):
    manifold = two_halves.game().manifold
    imt = IMTClassifier(IMT(manifold, IMTSettings(step_size=0.1, radius=0.1), variant="imt+"))
    specs = ["pgd:eps=0.1,steps=2", "atld-joint:eps=0.1,steps=2", "through-imt:attack=fgsm,eps=0.1"]
    results = []
    for executor in (SerialExecutor(), Shuffled()):
        options = Options(
            batch_size=5,
            deployed=Deployed("imt+", imt),
            context=AttackContext(imt=imt),
            executor=executor,
        )
        results.append(
            without_time(runner.run_attacks(manifold.classifier, *images, specs, options))
        )
    assert results[0] == results[1]


def test_stored_chunks_are_not_made_again_in_any_order(model, images, tmp_path):
    options = Options(batch_size=4, store=tmp_path)
    serial = runner.run_attacks(model, *images, ATTACKS, options)
    paths = sorted(tmp_path.glob("*/*.npz"))
    assert len(paths) == 2 * 6
    for path in paths[::2]:
        path.unlink()
    executor = Shuffled()
    again = runner.run_attacks(
        model, *images, ATTACKS, Options(batch_size=4, store=tmp_path, executor=executor)
    )
    assert len(executor.ran) == 6
    assert without_time(again) == without_time(serial)
    assert sorted(tmp_path.glob("*/*.npz")) == paths  # and nobody's claim is left
    assert not list(tmp_path.glob("*/*.lock"))


def broken(start, *_):
    raise RuntimeError(f"at {start}")


def test_every_image_is_told_and_claims_end_with_a_failure(images, tmp_path):
    x, y = images
    told, store = [], ChunkStore(tmp_path, {})

    series = Series("mine", broken, x, y, 4, store, lambda *step: told.append(step))
    with pytest.raises(RuntimeError, match="at "):
        list(all_chunks([series], Shuffled()))
    assert told == [("mine", 0, 23)]
    for start in series.starts:
        with store.claim(start) as is_ours:
            assert is_ours


def nothing_changed(start, x, y):
    no = np.zeros(len(x))
    return Chunk(start, x, y, no == 0, no, no, 0.0)


def test_progress_rises_to_all_images_of_every_attack(images):
    told, store = [], ChunkStore(None, {})
    series = [
        Series(name, nothing_changed, *images, 4, store, lambda *step: told.append(step))
        for name in ("one", "two")
    ]
    assert len(list(all_chunks(series, Shuffled()))) == 2 * 6
    for name in ("one", "two"):
        done = [count for what, count, _ in told if what == name]
        assert done == sorted(done) and (done[0], done[-1]) == (0, 23)


def test_an_attack_that_trains_helpers_runs_here_and_says_so(model, images, caplog, monkeypatch):
    bind = runner.make_attack
    monkeypatch.setattr(  # its helpers take minutes
        runner,
        "make_attack",
        lambda spec, *rest: bind(spec.replace("ladder:eps", "fgsm:eps"), *rest),
    )
    executor = Shuffled()
    options = Options(batch_size=8, executor=executor)
    with caplog.at_level(logging.WARNING):
        runner.run_attacks(model, *images, ["fgsm:eps=0.1", "ladder:eps=0.1"], options)
    assert sorted(executor.local) == [0, 8, 16]
    assert "it runs serially" in caplog.text
    caplog.clear()
    runner.run_attacks(model, *images, ["ladder:eps=0.1"], Options(batch_size=8))
    assert "serially" not in caplog.text


def test_a_job_that_travels_takes_no_images_no_listener_and_no_data(model, images):
    estimator = estimator_for(model)
    context = AttackContext(data=object(), progress=print)
    job = ChunkJob(
        make_attack(ATTACKS[0], estimator),
        estimator,
        estimator,
        ATTACKS[0],
        Options(seed=5, batch_size=4, context=context),
    )
    copy = pickle.loads(pickle.dumps(job))
    assert copy.options.context == AttackContext(seed=5)
    assert (copy.options.seed, copy.options.batch_size) == (5, 4)
    assert copy.target is copy.crafted_on  # one model, not two
    x, y = images
    here, there = job(4, x[4:8], y[4:8]), copy(4, x[4:8], y[4:8])
    assert here.x_adv is not None and there.x_adv is None
    np.testing.assert_array_equal(here.l2, there.l2)


def test_a_worker_keeps_what_it_used_last():
    latest = Latest()
    for i in range(MOST_KEPT):
        latest.put(str(i), i)
    assert latest.use("0") == 0
    latest.put("new", 1)
    assert "0" in latest and "1" not in latest
