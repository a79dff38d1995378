"""An experiment is trained, attacked, ranked and goes on where it was stopped."""

import dataclasses
import functools
import json

import numpy as np
import pytest

from atk_latent.data.dataset import Dataset
from atk_latent.errors import InputError
from atk_latent.methods.ladder import HELPERS
from atk_latent.reproduction import baselines, run
from atk_latent.reproduction.experiment import (
    Budget,
    ColumnSpec,
    Experiment,
    FixedSet,
    RowSpec,
    check_rows,
)
from atk_latent.reproduction.run import Runner, mean_cell
from atk_latent.results.accuracy import Accuracy
from atk_latent.results.attack_result import Published
from atk_latent.results.comparison import Cell

SHORT = RowSpec("short", "natural", {"epochs": 1})
STILL = RowSpec("tuned", "natural", {"epochs": 1, "learning_rate": 1e-12}, start=SHORT)
PLAN = Experiment(
    title="Two lengths of training on {data} ({model}, {cost})",
    data="digits",
    budgets={
        "quick": Budget(
            "lenet",
            cost="{images} images",
            limit=120,
            images={"many": 40, "few": 20},
            settings={"natural": {"batch_size": 20}},
            texts={"eps": "0.02"},
        )
    },
    rows=(SHORT, RowSpec("long", "natural", {"epochs": 6})),
    columns=(ColumnSpec("clean", None, "many"), ColumnSpec("FGSM", "fgsm:eps={eps}", "few")),
    published={"long": {"FGSM": Published(value=0.5, source="A, Table 1")}},
    notes=("A note on {eps}.",),
    is_timed=True,
)


@pytest.fixture(scope="module", autouse=True)
def squares(dataset):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "load_dataset", lambda *_, **__: dataset)
        yield


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment")
    return folder, baselines.reproduce(PLAN, Runner("quick", folder))


def test_every_row_has_every_column_a_rank_and_a_time(measured):
    _, record = measured
    assert [row["label"] for row in record["rows"]] == ["short", "long"]
    for row in record["rows"]:
        assert [cell["attack"] for cell in row["cells"]] == ["clean", "FGSM"]
        assert [cell["n"] for cell in row["cells"]] == [40, 20]
        assert row["cells"][1]["threat"] == "white-box, Linf"
        assert row["cells"][1]["threat_model"]["eps"] == 0.02
        assert row["training"] > 0
    short, long = record["rows"]
    assert long["cells"][0]["accuracy"] > short["cells"][0]["accuracy"]
    assert long["rank"] < short["rank"]
    assert long["cells"][1]["published"] == {"value": 0.5, "source": "A, Table 1"}


def test_the_table_says_what_the_record_says(measured):
    folder, record = measured
    text = (folder / "table.md").read_text()
    assert json.loads((folder / "result.json").read_text())["rows"] == record["rows"]
    assert text.startswith("# Two lengths of training on digits (lenet, 120 images)")
    assert "| method | clean (40) | FGSM (20) | s/epoch | average rank |" in text
    clean = record["rows"][1]["cells"][0]
    half = 50 * (clean["high"] - clean["low"])
    assert f"| long | {100 * clean['accuracy']:.1f} ± {half:.1f} |" in text
    assert "- FGSM: white-box, Linf." in text and "- A note on 0.02." in text
    assert "[50.00]" in text.split("| long |")[1]


def test_clean_against_robust_accuracy_is_drawn(measured):
    (figure,) = measured[0].glob("*.png")
    assert figure.name == "trade-off-1-white-box-linf-digits.png"
    assert figure.stat().st_size > 5000


def test_the_cards_of_the_runs_lie_beside_the_table(measured):
    folder, _ = measured
    assert {path.name for path in (folder / "cards").iterdir()} == {"short.md", "long.md"}
    assert "natural" in (folder / "cards" / "long.md").read_text()


def test_the_same_call_finds_everything_again(measured, monkeypatch):
    folder, record = measured
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.keras")}
    monkeypatch.setattr(
        "atk_latent.evaluation.runner._attacked", lambda *_: pytest.fail("attacked again")
    )
    again = PLAN(Runner("quick", folder))
    assert again["rows"] == record["rows"]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.keras")} == before


def test_a_row_starts_from_the_classifier_of_another(measured):
    runner = Runner("quick", measured[0])
    first, second = (runner.target(PLAN, row).model.get_weights() for row in (SHORT, STILL))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_images_of_a_fixed_set_are_white_box_for_the_row_they_are_made_on(measured, dataset):
    columns = []

    def images(column):
        columns.append(column.label)
        return dataset.x_test[:10], dataset.y_test[:10]

    plan = dataclasses.replace(
        PLAN,
        rows=(SHORT, dataclasses.replace(PLAN.rows[1], own_attack="B")),
        columns=tuple(
            ColumnSpec(label, "fgsm:eps=0.1", fixed_set=FixedSet("short's", images, row=SHORT))
            for label in ("A", "B")
        ),
        name="sets",
        is_ranked=False,
    )
    table = Runner("quick", measured[0]).measure(plan)
    assert [[c.threat for c in row.cells] for row in table.rows] == [
        ["white-box", "white-box"],
        ["transfer from short's"],
    ]
    assert table.rows[1].cells[0].threat_model.eps == 0.1 and columns == ["A", "B", "A"]
    assert table.rows[0].rank is None
    assert (measured[0] / "sets.md").exists()


def test_a_transfer_attack_is_made_on_another_row_and_leaves_that_row_out(measured):
    column = ColumnSpec("FGSM on long", "fgsm:eps={eps}", "few", crafted_on=PLAN.rows[1])
    table = Runner("quick", measured[0]).measure(
        dataclasses.replace(PLAN, columns=(column,), name="transfer")
    )
    short, long = table.rows
    assert short.cells[0].threat == "transfer from long (white-box there, Linf)"
    assert long.cells == () and long.rank is None


def test_the_mean_of_seeds_has_the_interval_of_one():
    cells = [Cell.of("a", Accuracy.of(np.arange(10) < count)) for count in (8, 6)]
    cell = mean_cell(cells)
    assert cell.accuracy == pytest.approx(0.7) and cell.n == 10 and cell.seeds == (0.8, 0.6)
    assert (cell.low, cell.high) == pytest.approx((0.3968, 0.8922), abs=1e-4)  # Wilson, 7 of 10


def test_every_seed_of_a_mean_is_a_run_of_its_own(noted, monkeypatch):
    runner = noted("quick", seed=5)
    budget = dataclasses.replace(PLAN.budgets["quick"], seeds=3)
    plan = dataclasses.replace(PLAN, budgets={"quick": budget}, over_seeds=True, runs="seed-{seed}")

    def cell(experiment, column, row, seed):
        runner.train(experiment, row, seed)
        return Cell.of(column.label, Accuracy.of([True] * (seed - 4) + [False] * 2))

    monkeypatch.setattr(run, "mean_cell", lambda cells: cells[-1])
    monkeypatch.setattr(runner, "_cell", cell)
    runner.cell(plan, PLAN.columns[0], SHORT)
    seeds = {folder.parent.name: r.options.seed for folder, r in runner.requests.items()}
    assert seeds == {"seed-5": 5, "seed-6": 6, "seed-7": 7}


def test_a_row_takes_over_the_helpers_of_another(card, tmp_path, monkeypatch):
    first = RowSpec("first", "ladder")
    second = RowSpec("second", "ladder", helpers=first)
    third = RowSpec("third", "ladder-gan", helpers=first, helper_files=HELPERS[:1])
    copied = {}

    def look(request, dataset, folder, **_):
        helpers = folder / "helpers"
        if folder.name == "first":
            helpers.mkdir(parents=True)
            for name in HELPERS:
                (helpers / name).write_text(f"made for {name}")
        copied[folder.name] = {path.name: path.read_text() for path in helpers.iterdir()}
        return card(request)

    monkeypatch.setattr(run, "harden", look)
    runner = Runner("quick", tmp_path)
    for row in (second, third):
        runner.train(PLAN, row)
    del copied["first"]
    for row in copied.values():
        row.pop("request.json", None)
    assert copied == {
        "second": {name: f"made for {name}" for name in HELPERS},
        "third": {HELPERS[0]: f"made for {HELPERS[0]}"},
    }


def test_chosen_rows_join_the_table_of_earlier_calls(tmp_path, noted, monkeypatch):
    runner, cells = noted("quick"), []

    def cell(experiment, column, row, seed):
        cells.append(row.label)
        return Cell.of(column.label, Accuracy.of([True, False]))

    monkeypatch.setattr(run.Runner, "_cell", lambda self, *args: cell(*args))
    plan = dataclasses.replace(PLAN, columns=PLAN.columns[:1])
    for patterns, labels in ((("lo*",), ["long"]), (("short", "none"), ["short", "long"])):
        runner.rows = patterns
        table = runner.measure(plan)
        assert [row.label for row in table.rows] == labels
        written = json.loads((tmp_path / "result.json").read_text())
        assert [row["label"] for row in written["rows"]] == labels
    assert cells == ["long", "short"]
    runner.seed = 1  # another seed is another table
    assert [row.label for row in runner.measure(plan).rows] == ["short"]


def test_rows_may_have_seeds_of_their_own(noted, monkeypatch):
    runner, plan = noted("quick"), dataclasses.replace(PLAN, over_seeds=True)
    monkeypatch.setattr(
        runner, "_cell", lambda e, column, row, seed: Cell.of(column.label, Accuracy.of([True]))
    )
    cells = [
        runner.cell(plan, PLAN.columns[0], dataclasses.replace(SHORT, seeds=seeds))
        for seeds in (None, 3)
    ]
    assert [len(cell.seeds) for cell in cells] == [1, 3]


def test_patterns_that_fit_no_row_are_refused():
    check_rows("plan", PLAN, ("lo*", "short"), "quick")
    check_rows("plan", functools.partial(baselines.reproduce, PLAN), ("lo*",), "quick")
    with pytest.raises(InputError, match="--rows must fit a row of plan.*short; long"):
        check_rows("plan", PLAN, ("longer",), "quick")
    with pytest.raises(InputError, match="none, it is a figure"):
        check_rows("plan", baselines.reproduce, ("long",), "quick")


def test_a_row_starts_from_a_classifier_of_other_data_with_a_new_head(
    measured, dataset, tmp_path, monkeypatch
):
    """Two classes elsewhere, three here."""
    few = dataset.y_train < 2
    other = Dataset.from_arrays(
        "other", dataset.x_train[few], dataset.y_train[few], dataset.x_test[:9], np.arange(9) % 2
    )
    monkeypatch.setattr(run, "load_dataset", lambda n, **_: other if n == "other" else dataset)
    first = RowSpec("first", "natural", {"epochs": 1}, data="other")
    second = RowSpec("second", "natural", {"epochs": 1, "learning_rate": 1e-12}, start=first)
    runner = Runner("quick", tmp_path)
    target = runner.target(PLAN, second)
    assert target.model.output_shape == (None, 3)
    before = runner.target(dataclasses.replace(PLAN, data="other"), first).model
    assert before.output_shape == (None, 2)
    for one, two in zip(before.get_weights()[:-2], target.model.get_weights()[:-2], strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_images_without_labels_are_those_that_the_budget_leaves_out(dataset, tmp_path, monkeypatch):
    load = lambda _, limit_train, seed, **__: dataset.subset(limit_train, None, seed)  # noqa: E731
    monkeypatch.setattr(run, "load_dataset", load)
    budget = dataclasses.replace(PLAN.budgets["quick"], limit=100)
    plan = dataclasses.replace(PLAN, budgets={"quick": budget})
    runner = Runner("quick", tmp_path)
    path = runner.text(plan, "{unlabelled}")
    x = np.load(path)["x"]
    assert path == str(tmp_path / "unlabelled-digits.npz") and x.shape == (20, 16, 16, 1)
    every = {image.tobytes() for image in np.round(255 * dataset.x_train).astype(np.uint8)}
    trained = np.round(255 * runner.dataset(plan).x_train).astype(np.uint8)
    left = every - {image.tobytes() for image in trained}
    assert {image.tobytes() for image in x} == left and len(left) == 20
    with pytest.raises(InputError, match="put some into .*unlabelled-digits.npz"):
        Runner("quick", tmp_path / "other").unlabelled(PLAN)


def test_imt_is_told_what_a_column_says(noted, monkeypatch):
    runner, asked = noted("quick"), []
    monkeypatch.setattr(runner, "_target", lambda folder, inference, *_: asked.append(inference))
    row = dataclasses.replace(SHORT, inference="imt+")
    for told in ("", "fgsm"):
        runner.target(PLAN, row, told=told)
    runner.target(PLAN, SHORT)
    assert asked == ["imt+", "imt+:told=fgsm", "none"]


def test_a_row_that_cannot_be_is_named(tmp_path):
    plan = dataclasses.replace(PLAN, rows=(RowSpec("odd", "natural", {"epochs": -1}),))
    with pytest.raises(InputError, match="row 'odd': .*epochs"):
        plan(Runner("quick", tmp_path))
