import dataclasses
import json

import numpy as np
import pytest

from atk_latent.config import spec
from atk_latent.data.dataset import Dataset
from atk_latent.registry import ATTACKS, METHODS
from atk_latent.reproduction.atld import tables as protocols
from atk_latent.results.accuracy import Accuracy


@pytest.mark.parametrize("preset", ["quick", "paper"])
@pytest.mark.parametrize("scene", [protocols.MNIST, protocols.CIFAR10], ids=lambda s: s.data)
def test_every_row_can_be_asked_for(scene, preset):
    rows = protocols.requests(scene, preset, 3)
    assert list(rows) == ["vanilla", "PGD training", "paper", "official", "stable"]
    for request in rows.values():
        method = METHODS[request.method]
        settings = method.settings_for(
            request.model, request.data, request.preset, request.overrides
        )
        assert request.seed == 3
        if preset == "quick" and request.method != "natural":
            assert settings.epochs == scene.epochs and request.limit == scene.limit
    radius = [METHODS["atld"].settings_for("", scene.data, p, {}).eps for p in ("paper", "stable")]
    assert radius == pytest.approx(2 * [0.3 if scene.data == "mnist" else 8 / 255])


def test_columns_are_registered_attacks_and_say_static_or_adaptive():
    for column in (*protocols.STATIC[1:], *protocols.ADAPTIVE):
        needs = column in protocols.ADAPTIVE
        attack, settings = spec(column.spec.format(eps="8/255", step="2/255"))
        assert attack in ATTACKS and settings["eps"] == "8/255" and column.limit >= 200
        assert column.label.startswith("adaptive: " if needs else "static: ")
        assert bool({"discriminator", "imt"} & set(ATTACKS[attack].needs)) == needs


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """The three tables of four rows whose cells are made up."""
    card = {"settings": {"epochs": 2}, "seconds": 3.0, "training_seconds": 2.0}
    rows = [
        protocols.Contender(label, name, tmp_path / name, inference, card)
        for label, name, inference in (
            ("vanilla", "vanilla", "none"),
            ("PGD training", "PGD training", "none"),
            ("ATLD- (official)", "official", "none"),
            ("ATLD (official)", "official", "imt"),
        )
    ]
    asked = []

    def cell(self, column, row, printed=({}, ""), *, surrogate=None):
        asked.append((column.label, row.label, surrogate and surrogate.name))
        made = protocols.cell(column.label, Accuracy.of([True, False]), threat="t")
        value = printed[0].get(column.label)
        return made | ({"published": {"value": value, "source": printed[1]}} if value else {})

    monkeypatch.setattr(protocols.Bench, "cell", cell)
    x, y = np.zeros((4, 4, 4, 1), np.float32), np.arange(4) % 2
    data = Dataset.from_arrays("cifar10", x, y, x, y)
    bench = protocols.Bench(protocols.CIFAR10, data, tmp_path, 0)
    main = protocols._main_table(bench, rows, tmp_path, "small")
    transfer = protocols._transfer_table(bench, rows, tmp_path, "small")
    protocols._budgets(bench, rows, tmp_path, "small")
    return main, transfer, tmp_path, asked


def test_adaptive_attacks_are_for_rows_behind_imt_and_published_numbers_for_the_code(tables):
    main, *_ = tables
    by_label = {row["label"]: {c["attack"]: c for c in row["cells"]} for row in main["rows"]}
    adaptive = {column.label for column in protocols.ADAPTIVE}
    assert adaptive <= set(by_label["ATLD (official)"])
    assert not adaptive & set(by_label["ATLD- (official)"])
    assert by_label["ATLD (official)"]["clean"]["published"]["value"] == 86.42
    assert "published" not in by_label["ATLD- (official)"]["clean"]
    assert by_label["PGD training"]["static: PGD-20"]["published"]["value"] == 44.90


def test_nobody_is_attacked_with_images_made_on_himself(tables):
    _, transfer, _, asked = tables
    made = {(row, agent) for _, row, agent in asked if agent}
    assert made == {
        (row["label"], agent)
        for row in transfer["rows"]
        for agent in protocols.AGENTS
        if agent != row["label"]
    }


def test_budgets_are_a_table_and_a_figure(tables):
    *_, folder, _ = tables
    found = json.loads((folder / "budgets.json").read_text())
    count = 2 * len(protocols.CIFAR10.budgets)
    assert [len(row["cells"]) for row in found["rows"]] == [count] * 4
    assert (folder / "figure-5.png").stat().st_size > 5000
    assert (folder / "transfer.md").read_text().startswith("# ATLD Table III on cifar10")


@pytest.mark.slow
def test_small_runs_end_in_a_table_that_leaves_out_what_makes_no_sense(tmp_path, monkeypatch):
    scene = dataclasses.replace(
        protocols.MNIST, data="digits", limit=60, epochs=2, test=20, budgets=("0.1",)
    )
    asked = protocols.requests
    monkeypatch.setattr(
        protocols,
        "requests",
        lambda *a: {name: asked(*a)[name] for name in ("vanilla", "official")},
    )
    cheap = [c for c in protocols.STATIC if "auto" not in str(c.spec)]
    monkeypatch.setattr(protocols, "STATIC", tuple(cheap[:2]))
    monkeypatch.setattr(protocols, "BUDGET_IMAGES", 20)
    monkeypatch.setattr(protocols, "ADAPTIVE", protocols.ADAPTIVE[2:3])
    record = protocols.run(scene, "quick", tmp_path)
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
    printed = protocols.published()
    columns = {column.label for column in (*protocols.STATIC, *protocols.ADAPTIVE)}
    for data in ("cifar10", "cifar100", "svhn"):
        for values in printed[data].values():
            assert set(values) <= columns and all(20 < v < 100 for v in values.values())
