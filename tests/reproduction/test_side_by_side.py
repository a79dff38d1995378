"""Rows trained at the same time: each once, and after those that it needs."""

import pickle

import pytest

from atk_latent.errors import InputError
from atk_latent.reproduction import run
from atk_latent.reproduction.experiment import Budget, ColumnSpec, Experiment, FixedSet, RowSpec
from atk_latent.reproduction.run import Runner
from atk_latent.reproduction.side_by_side import generations, train_side_by_side

VANILLA = RowSpec("vanilla", "natural")
LADDER = RowSpec("ladder", "ladder", start=VANILLA)
TUNED = RowSpec("tuned", "trades", start=VANILLA, helpers=LADDER)
SAME = RowSpec("vanilla again", "natural", folder="vanilla")


class Backwards:
    """Runs what it is handed in the opposite order, from a pickle."""

    is_parallel = True

    def __init__(self):
        self.groups = []

    def run(self, tasks):
        tasks = list(tasks)
        self.groups.append([(task.key[0].label, task.key[1]) for task in tasks])
        for task in reversed(tasks):
            job, arguments = pickle.loads(pickle.dumps((task.job, task.arguments)))
            yield task, job(*arguments)


def test_a_row_comes_after_those_it_needs_and_each_run_once():
    groups = list(generations([(TUNED, 0), (SAME, 0), (TUNED, 1)]))
    labels = [[(row.folder, seed) for row, seed in group] for group in groups]
    assert labels == [
        [("vanilla", 0), ("vanilla", 1)],
        [("ladder", 0), ("ladder", 1)],
        [("tuned", 0), ("tuned", 1)],
    ]


def trained(row, seed):
    return row.label, seed


def test_each_row_is_prepared_here_first_and_told_when_it_is_trained():
    told, prepared, executor = [], [], Backwards()

    def prepare(row, seed):
        prepared.append((row.label, len(executor.groups)))

    rows = [(LADDER, 0), (SAME, 0)]
    train_side_by_side(rows, trained, prepare, executor, lambda *step: told.append(step))
    assert executor.groups == [[("vanilla again", 0)], [("ladder", 0)]]
    assert prepared == [("vanilla again", 0), ("ladder", 1)]
    assert told == [("trained", 1, 2), ("trained", 2, 2)]


@pytest.fixture
def requests(dataset, card, monkeypatch):
    """What would be trained, in place of any training."""
    noted = []
    monkeypatch.setattr(run, "load_dataset", lambda *_, **__: dataset)
    monkeypatch.setattr(run, "harden", lambda r, *_, **__: noted.append(r) or card(r))
    monkeypatch.setattr(run.RunFolder, "adopt", lambda *_: None)
    return noted


def experiment(**changes):
    never = FixedSet("a CNN", lambda column: pytest.fail("measured"))  # and it cannot be pickled
    fields = {
        "title": "t",
        "data": "digits",
        "budgets": {"quick": Budget("lenet", seeds=2)},
        "rows": (VANILLA, TUNED),
        "columns": (ColumnSpec("set", fixed_set=never), ColumnSpec("from", crafted_on=LADDER)),
        "over_seeds": True,
        "runs": "runs/{seed}",
    }
    return Experiment(**{**fields, **changes})


def test_a_parallel_executor_trains_all_seeds_of_all_rows(requests, tmp_path):
    executor = Backwards()
    plan = experiment()
    Runner("quick", tmp_path, seed=4, executor=executor).train_all(plan, plan.rows)
    assert executor.groups == [
        [(label, seed) for seed in (4, 5)] for label in ("vanilla", "ladder", "tuned")
    ]
    assert {(r.method, r.options.seed) for r in requests} == {
        (method, seed) for method in ("natural", "ladder", "trades") for seed in (4, 5)
    }


def test_a_serial_one_leaves_each_row_for_its_turn(requests, tmp_path):
    plan = experiment()
    Runner("quick", tmp_path).train_all(plan, plan.rows)
    assert not requests


def test_a_row_that_cannot_be_trained_is_named(requests, tmp_path, monkeypatch):
    def refuse(request, *_, **__):
        raise InputError("no such thing")

    monkeypatch.setattr(run, "harden", refuse)
    plan = experiment(rows=(VANILLA,), columns=())
    with pytest.raises(InputError, match="row 'vanilla': no such thing"):
        Runner("quick", tmp_path, executor=Backwards()).train_all(plan, plan.rows)


def test_seeds_that_are_named_are_those(tmp_path):
    runner, row = Runner("quick", tmp_path, seed=1), RowSpec("a", "natural", seeds=3)
    assert list(runner.seeds(experiment(), VANILLA)) == [1, 2]
    assert list(runner.seeds(experiment(), row)) == [1, 2, 3]
    assert list(runner.seeds(experiment(seeds=(0, 7)), row)) == [0, 7]
    assert list(runner.seeds(experiment(over_seeds=False), row)) == [1]
