import types

import pytest

from atk_latent.reproduction.atld import matrix
from atk_latent.results.accuracy import Accuracy
from atk_latent.results.comparison import Cell

SHARED = (
    "epochs",
    "batch_size",
    "algorithm",
    "schedule",
    "learning_rate",
    "momentum",
    "weight_decay",
    "decay_epochs",
    "label_smoothing",
    "augment",
    "eps",
)


@pytest.mark.parametrize("preset", ["quick", "paper"])
@pytest.mark.parametrize("experiment", [matrix.MNIST, matrix.CIFAR10], ids=lambda e: e.data)
def test_rows_differ_in_network_and_method_alone(experiment, preset, noted):
    runner = noted(preset)
    settings = {row.label: runner.settings(experiment, row) for row in experiment.rows}
    for name in SHARED:
        values = {str(s[name]) for s in settings.values() if name in s}
        assert len(values) == 1, (name, values)
    assert {s["steps"] for label, s in settings.items() if "PGD" in label} == {10}
    terms = {
        label: s["theta_term"] for label, s in settings.items() if label.startswith("lenet: A")
    }
    wanted = ("mse_ratio", "none", "mse", "discriminator")
    assert list(terms.values()) == [term for term in wanted for _ in range(2)]
    assert {runner.request(experiment, row).model for row in experiment.rows} == {*matrix.NETWORKS}


def test_terms_are_the_official_game_but_for_the_term(noted):
    runner = noted("quick")
    rows = {row.label: runner.settings(matrix.CIFAR10, row) for row in matrix.ROWS}
    ratio = rows["wrn-10-2: ATLD- mse_ratio"]
    for term in ("none", "mse"):
        other = rows[f"wrn-10-2: ATLD- {term}"]
        changed = {name for name in ratio if ratio[name] != other[name]}
        assert "theta_term" in changed <= {"theta_term", "coefficient"}
    manifold = rows["wrn-10-2: ATLD- manifold"]
    assert (manifold["latent"], manifold["clean_latents"]) == ("features", "joint")


def test_rows_that_matter_have_seeds_and_a_run_serves_both_inferences(noted):
    assert len({row.label for row in matrix.ROWS}) == len(matrix.ROWS) == 36
    with_seeds = [row.label for row in matrix.ROWS if row.seeds]
    assert len(with_seeds) == 8 and not any(label.startswith("lenet:") for label in with_seeds)
    runner = noted("quick")
    for row in matrix.ROWS:
        runner.train(matrix.MNIST, row)
    assert len(runner.requests) == 24
    adaptive = [column for column in matrix.MNIST.columns if column.needs_defence]
    assert len(adaptive) == 2
    for row in matrix.ROWS:
        assert all(column.is_for(row) == (row.inference == "imt") for column in adaptive)


def test_what_a_game_warned_of_stands_below_the_table(tmp_path, noted, monkeypatch):
    runner = noted("quick")
    monkeypatch.setattr(
        runner, "_cell", lambda e, column, *_: Cell.of(column.label, Accuracy.of([True]))
    )
    runner.rows = ("lenet: ATLD* mse_ratio", "lenet: natural")
    metrics = {"lenet ATLD mse_ratio": {"warning": "epoch 1: dead"}, "lenet natural": {}}
    monkeypatch.setattr(
        matrix, "read_card", lambda folder: types.SimpleNamespace(metrics=metrics[folder.name])
    )
    record = matrix.reproduce(matrix.MNIST, runner)
    lines = [note for note in record["notes"] if note not in matrix.NOTES]
    assert len(lines) == 1 and lines[0] == "lenet ATLD mse_ratio: epoch 1: dead."
    assert "epoch 1: dead" in (tmp_path / "table.md").read_text()
