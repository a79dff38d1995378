import dataclasses
import json

import pytest

from atk_latent.config import spec
from atk_latent.experiments import atld_protocols as protocols
from atk_latent.registry import ATTACKS, METHODS


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
        target = ATTACKS.entry(attack).target
        assert ("atld_attacks" in target or "imt:" in target) == needs


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
