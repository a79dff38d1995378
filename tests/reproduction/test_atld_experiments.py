import dataclasses
import json

import pytest

from atk_latent.config import spec
from atk_latent.registry import ATTACKS
from atk_latent.reproduction import run
from atk_latent.reproduction.atld import experiments as atld
from atk_latent.reproduction.run import Runner
from atk_latent.results.accuracy import Accuracy
from atk_latent.results.comparison import Cell
from atk_latent.results.threat import ThreatModel


@pytest.mark.parametrize("preset", ["quick", "paper"])
@pytest.mark.parametrize("experiment", [atld.MNIST, atld.CIFAR10], ids=lambda e: e.data)
def test_every_row_can_be_trained(experiment, preset, noted):
    runner = noted(preset, seed=3)
    for row in atld.ROWS:
        settings = runner.settings(experiment, row)
        options = runner.request(experiment, row).options
        assert options.seed == 3
        if preset == "quick" and row.method != "natural":
            assert settings["epochs"] == 8
            assert options.limit == (15_000 if experiment.data == "mnist" else 10_000)
    names = [folder.name for folder in runner.requests]
    assert names == ["vanilla", "PGD training", "paper", "official", "stable"]
    radius = 0.3 if experiment.data == "mnist" else 8 / 255
    for row in atld.ROWS[1:]:
        if row.folder != "official":
            assert runner.settings(experiment, row)["eps"] == pytest.approx(radius)


def test_columns_are_registered_attacks_and_say_static_or_adaptive():
    for column in (*atld.STATIC, *atld.ADAPTIVE):
        attack, settings = spec(column.attack.format(eps="8/255", step="2/255"))
        assert attack in ATTACKS and settings["eps"] == "8/255"
        images = {name: b.images[column.images] for name, b in atld.MNIST.budgets.items()}
        assert min(images.values()) >= 200
        assert column.label.startswith("adaptive: " if column.needs_defence else "static: ")
        knows = bool({"imt", "discriminator"} & set(ATTACKS[attack].needs))
        assert knows == column.needs_defence == (column in atld.ADAPTIVE)


@pytest.fixture
def tables(tmp_path, monkeypatch, noted):
    """The three tables of five rows whose cells are made up."""
    runner, cells = noted("quick"), []

    def cell(experiment, column, row, seed):
        cells.append((column.label, row.label, column.crafted_on and column.crafted_on.label))
        threat = None if column.attack is None else ThreatModel(access="white-box")
        return Cell.of(column.label, Accuracy.of([True, False]), threat)

    monkeypatch.setattr(runner, "_cell", cell)
    folders = ("vanilla", "PGD training", "official")
    rows = tuple(row for row in atld.ROWS if row.folder in folders)
    experiment = dataclasses.replace(atld.CIFAR10, rows=rows)
    main = atld.reproduce(experiment, runner)
    return main, json.loads((tmp_path / "transfer.json").read_text()), tmp_path, cells


def test_adaptive_attacks_are_for_rows_behind_imt_and_published_numbers_for_the_code(tables):
    main, *_ = tables
    by_label = {row["label"]: {c["attack"]: c for c in row["cells"]} for row in main["rows"]}
    adaptive = {column.label for column in atld.ADAPTIVE}
    assert adaptive <= set(by_label["ATLD (official)"])
    assert not adaptive & set(by_label["ATLD- (official)"])
    assert by_label["ATLD (official)"]["clean"]["published"]["value"] == 86.42 / 100
    assert "published" not in by_label["ATLD- (official)"]["clean"]
    assert by_label["PGD training"]["static: PGD-20"]["published"]["value"] == 44.90 / 100
    times = {row["label"]: row["training"] for row in main["rows"]}
    assert times["ATLD (official)"] == 2.0 and times["ATLD+ (official)"] is None


def test_nobody_is_attacked_with_images_made_on_himself(tables):
    _, transfer, _, cells = tables
    pairs = {(row, agent) for _, row, agent in cells if agent}
    assert pairs == {
        (row["label"], agent.label)
        for row in transfer["rows"]
        for agent in atld.AGENTS
        if agent.label != row["label"]
    }


def test_budgets_are_a_table_and_a_figure(tables):
    *_, folder, _ = tables
    rows = json.loads((folder / "budgets.json").read_text())["rows"]
    count = 2 * len(atld.CIFAR10.sweeps["eps"])
    assert [len(row["cells"]) for row in rows] == [count] * 5
    assert (folder / "figure-5.png").stat().st_size > 5000
    assert (folder / "transfer.md").read_text().startswith("# ATLD Table III on cifar10")


@pytest.mark.slow
def test_small_runs_end_in_a_table_that_leaves_out_what_makes_no_sense(
    dataset, tmp_path, monkeypatch
):
    monkeypatch.setattr(run, "load_dataset", lambda *_, **__: dataset)
    short = {"epochs": 1, "decay_epochs": None}
    budget = dataclasses.replace(
        atld.MNIST.budgets["quick"],
        images=dict.fromkeys(("many", "few", "curve"), 20),
        settings={"atld": short},
    )
    experiment = dataclasses.replace(
        atld.MNIST,
        data="mnist",
        budgets={"quick": budget},
        rows=tuple(r for r in atld.ROWS if r.folder in ("vanilla", "official")),
        columns=(atld.CLEAN, atld.STATIC[0], atld.ADAPTIVE[2]),
        sweeps={"eps": ("0.1",)},
    )
    monkeypatch.setattr(atld, "AGENTS", atld.AGENTS[:1])
    record = atld.reproduce(experiment, Runner("quick", tmp_path))
    labels = [row["label"] for row in record["rows"]]
    assert labels == ["vanilla", "ATLD- (official)", "ATLD (official)", "ATLD+ (official)"]
    for row in record["rows"]:
        adaptive = [c for c in row["cells"] if c["attack"].startswith("adaptive")]
        assert len(adaptive) == (row["inference"] != "none")
        assert all(c["threat"].startswith("adaptive") for c in adaptive)
    lines = (tmp_path / "table.md").read_text().splitlines()
    vanilla = next(line for line in lines if line.startswith("| vanilla |"))
    assert " - |" in vanilla
    transfer = json.loads((tmp_path / "transfer.json").read_text())
    by_label = {row["label"]: row["cells"] for row in transfer["rows"]}
    assert [c["attack"] for c in by_label["vanilla"]] == ["clean"]
    assert "transfer from vanilla" in by_label["ATLD (official)"][1]["threat"]
    budgets = json.loads((tmp_path / "budgets.json").read_text())
    assert [c["attack"] for c in budgets["rows"][0]["cells"]] == ["PGD-20 0.1", "CW-20 0.1"]
    assert (tmp_path / "figure-5.png").stat().st_size > 5000


def test_published_numbers_are_those_of_known_columns():
    columns = {column.label for column in atld.CIFAR10.columns}
    for experiment in (atld.CIFAR10, atld.CIFAR100, atld.SVHN):
        assert "ATLD (official)" in experiment.published
        assert set(experiment.published) <= {row.label for row in atld.ROWS}
        for cells in experiment.published.values():
            assert set(cells) <= columns and all(0.2 < p.value < 1 for p in cells.values())
    assert atld.MNIST.published == {}
