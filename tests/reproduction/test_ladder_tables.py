"""LADDER's study on a handful of digits: every table, every figure, everything found again."""

import dataclasses
import json

import numpy as np
import pytest

from atk_latent.data.loading import load_dataset
from atk_latent.errors import InputError
from atk_latent.evaluation.ranking import average_ranks
from atk_latent.models.lenet import lenet
from atk_latent.reproduction.ladder import figures as ladder_figures
from atk_latent.reproduction.ladder import surrogates
from atk_latent.reproduction.ladder import tables as ladder_tables
from atk_latent.reproduction.ladder.runs import Cast
from atk_latent.reproduction.ladder.scenes import (
    MNIST,
    PAPER,
    QUICK,
    SCENES,
    attacks,
    published,
    rows_of,
)
from atk_latent.reproduction.ladder.study import printed

PRINTED_RANKS = {  # Table 2's last column
    "Vanilla": 3.57, "FGSM adv.": 6.50, "JSMA adv.": 4.17, "PGD adv.": 7.00, "CW adv.": 3.17,
    "Song adv.": 6.00, "LADDER cavRandom": 5.00, "LADDER Random": 3.29, "LADDER": 3.29,
}  # fmt: skip


def test_the_published_table_has_its_published_ranks():
    rows = {name: printed("mnist")[name] for name in PRINTED_RANKS}
    columns = published()["columns"]
    ranks = average_ranks({name: [row.get(c) for c in columns] for name, row in rows.items()})
    assert {name: round(rank, 2) for name, rank in ranks.items()} == pytest.approx(PRINTED_RANKS)


@pytest.mark.parametrize("data", SCENES)
def test_every_row_has_published_numbers_but_for_its_own_attack(data):
    rows = printed(data)
    for label in [*rows_of(SCENES[data]), "TRADES", "TRADES + LADDER"]:
        own = label.removesuffix(" adv.")
        assert set(rows[label]) == set(published()["columns"]) - {own}
        assert all(0 < value < 1 for value in rows[label].values())


@pytest.mark.parametrize("size", [QUICK, PAPER], ids=["quick", "paper"])
def test_rows_are_methods_and_settings(size, tmp_path):
    cast = Cast(MNIST, size, None, tmp_path, tmp_path / "gan", 0)
    assert cast.settings("Vanilla") == ("natural", {})
    method, settings = cast.settings("CW adv.")
    assert method == "augment" and settings["attack"].startswith("cw-l2:random_target=true")
    assert cast.settings("LADDER")[1] == dict(size.defence)
    with pytest.raises(InputError, match=r"no row 'DeepFool adv\.'"):
        cast.settings("DeepFool adv.")


def test_the_mean_of_seeds_has_the_interval_of_one():
    right = [np.arange(10) < 8, np.arange(10) < 6]
    found = ladder_tables.mean_accuracy(right)
    assert found.value == pytest.approx(0.7) and found.n == 10
    assert (found.low, found.high) == pytest.approx((0.3968, 0.8922), abs=1e-4)  # Wilson, 7 of 10


def test_the_undone_scaling_shows_the_weights_raw_pixels():
    model = lenet((16, 16, 1), 3)
    raw = surrogates.unscaled(model)
    x = np.random.default_rng(0).uniform(0, 1, (4, 16, 16, 1)).astype(np.float32)
    standardised = (x - 0.1307) / 0.3081
    np.testing.assert_allclose(raw(standardised), model(x), rtol=1e-3, atol=1e-4)
    assert np.abs(np.asarray(raw(x)) - model(x)).max() > 0.01
    plain = surrogates.tutorial_cnn((28, 28, 1), 3)
    assert surrogates.unscaled(plain) is plain
    assert surrogates.RAW in surrogates.names(model)
    assert surrogates.RAW not in surrogates.names(plain)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """The study on digits, with budgets of seconds."""
    size = dataclasses.replace(
        QUICK,
        defence={"examples_per_class": 4, "epochs": 1, "batch_size": 20},
        trades={"eps": "0.1", "epochs": 1, "steps": 1, "decay_epochs": None},
        gan_settings={"steps": 2, "batch_size": 10},
        attacked=20,
        slow=20,
        cw="steps=5,search_steps=1",
        song="steps=2",
    )
    full = Cast.settings

    def brief(cast, label):
        method, settings = full(cast, label)
        return method, {**settings, **({"generator_epochs": 1} if "ladder" in method else {})}

    monkeypatch.setattr(Cast, "settings", brief)
    scene = dataclasses.replace(MNIST, data="digits", eps=(5.0,), search=(5.0, 10.0), counts=(20,))
    monkeypatch.setitem(ladder_tables.SIZES, "quick", size)
    for name in ("printed", "_white_box_rows"):
        known = getattr(ladder_tables, name)
        monkeypatch.setattr(ladder_tables, name, lambda _, known=known: known("mnist"))
    monkeypatch.setattr(
        ladder_tables, "load_dataset", lambda name, seed: load_dataset(
            name, limit_train=200, limit_test=60, seed=seed
        ),
    )  # fmt: skip
    return scene, tmp_path


@pytest.mark.slow
def test_the_whole_study_leaves_every_table_and_figure_and_finds_them_again(small, monkeypatch):
    scene, folder = small
    record = ladder_tables.run(scene, "quick", folder)
    tables = ("surrogates", "transfer", "trades", "ladder-examples", "white-box", "vanilla-sets")
    for name in tables:
        assert json.loads((folder / f"{name}.json").read_text())["rows"]
        assert (folder / f"{name}.md").read_text().startswith("# ")
    for number in (4, 6, 7, 8, 9, 10):
        assert (folder / f"figure-{number}.png").stat().st_size > 5000
    rows = {row["label"]: row for row in record["transfer"]["rows"]}
    assert [c["attack"] for c in rows["JSMA adv."]["cells"]] == [
        "clean", "FGSM", "PGD", "CW", "Song", "AutoAttack", "AutoAttack 8/255"
    ]  # fmt: skip
    assert rows["LADDER"]["cells"][0]["published"]["value"] == pytest.approx(0.9912)
    rows = {row["label"]: row for row in record["vanilla-sets"]["rows"]}
    assert [c["threat"] for c in rows["Vanilla"]["cells"]] == ["white-box"] * 5
    assert [(c["attack"], c["threat"]) for c in rows["PGD adv."]["cells"]] == [
        (name, "transfer from the vanilla classifier (white-box there)")
        for name in ("FGSM", "JSMA", "CW", "Song")
    ]
    assert rows["PGD adv."]["cells"][0]["published"]["value"] == pytest.approx(0.81)
    nothing = lambda *_, **__: pytest.fail("made again")  # noqa: E731
    monkeypatch.setattr("atk_latent.evaluation.runner._attacked", nothing)
    monkeypatch.setattr("atk_latent.methods.base.Method.harden", nothing)
    again = ladder_tables.run(scene, "quick", folder)
    assert again["transfer"]["rows"] == record["transfer"]["rows"]
    assert again["surrogate"] == record["surrogate"]


def test_figures_show_one_of_each_class_by_turns():
    labels = np.array([2, 2, 0, 1, 0, 2])
    assert list(ladder_figures.one_of_each(labels, 5)) == [2, 3, 0, 4, 1]


def test_attacks_are_the_papers_and_name_the_gan():
    specs = attacks(QUICK, "runs/gan")
    assert list(specs)[:6] == published()["columns"][1:]
    assert specs["Song"].startswith("song:gan=runs/gan,")
