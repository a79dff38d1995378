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
    for name, text, needs, most in protocols.COLUMNS:
        attack, settings = spec(text.format(eps="8/255", step="2/255"))
        assert attack in ATTACKS and settings["eps"] == "8/255" and most >= 200
        assert name.startswith("adaptive: " if needs == "imt" else "static: ")
        assert ATTACKS.entry(attack).target.count("atld_attacks") + ATTACKS.entry(
            attack
        ).target.count("imt:") == (needs == "imt")


def test_the_table_leaves_out_what_makes_no_sense():
    first = protocols.COLUMNS[0][0]
    record = {
        "title": "T",
        "seed": 1,
        "data_fingerprint": "abc",
        "rows": [
            {"label": "vanilla", "cells": {"clean": {"accuracy": 0.9876}}},
            {
                "label": "ATLD (paper)",
                "cells": {"clean": {"accuracy": 0.5}, first: {"accuracy": 0.25}},
            },
        ],
    }
    lines = protocols.markdown(record).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    assert cells[0][1:3] == ["clean", first]
    assert cells[2][:3] == ["vanilla", "98.8", "-"]
    assert cells[3][:3] == ["ATLD (paper)", "50.0", "25.0"]
    assert {len(row) for row in cells} == {2 + len(protocols.COLUMNS)}
