"""LADDER's tables on a handful of digits: every table, every figure, everything found again."""

import dataclasses
import json

import numpy as np
import pytest

from atk_latent.adversaries.carlini import CarliniSettings
from atk_latent.config import build, spec
from atk_latent.data.loading import load_dataset
from atk_latent.evaluation.ranking import average_ranks
from atk_latent.methods.ladder import HELPERS
from atk_latent.models.lenet import lenet
from atk_latent.registry import METHODS
from atk_latent.reporting.image_grid import STYLES
from atk_latent.reproduction import run
from atk_latent.reproduction.experiment import FixedSet
from atk_latent.reproduction.ladder import experiments as ladder, figures, surrogates, tables
from atk_latent.reproduction.published import published
from atk_latent.reproduction.run import Runner

PRINTED_RANKS = {  # Table 2's last column
    "Vanilla": 3.57, "FGSM adv.": 6.50, "JSMA adv.": 4.17, "PGD adv.": 7.00, "CW adv.": 3.17,
    "Song adv.": 6.00, "LADDER cavRandom": 5.00, "LADDER Random": 3.29, "LADDER": 3.29,
}  # fmt: skip
ATTACKS = ["clean", "FGSM", "JSMA", "PGD", "CW", "Song", "AutoAttack"]
EXPERIMENTS = (ladder.MNIST, ladder.SVHN, ladder.CELEBA, ladder.CIFAR10)


def test_the_published_table_has_its_published_ranks():
    rows = {name: published("ladder", "transfer", "mnist")[name] for name in PRINTED_RANKS}
    values = {
        name: [row[c].value if c in row else None for c in ATTACKS] for name, row in rows.items()
    }
    ranks = average_ranks(values)
    assert {name: round(rank, 2) for name, rank in ranks.items()} == pytest.approx(PRINTED_RANKS)


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.data)
def test_every_row_has_published_numbers_but_for_its_own_attack(experiment):
    for table in (experiment, ladder.trades(experiment)):
        for row in table.rows:
            cells = table.published[row.label]
            assert set(cells) == set(ATTACKS) - {row.own_attack}
            assert all(0 < cell.value < 1 for cell in cells.values())
    number = {"svhn": 1, "mnist": 2, "celeba": 3, "cifar10": 4}[experiment.data]
    source = f"LADDER, Table {number}"
    assert {c.source for row in experiment.published.values() for c in row.values()} == {source}
    assert f"Table {number}:" in experiment.title


def test_celeba_has_the_papers_ten_rows():
    labels = [row.label for row in ladder.CELEBA.rows]
    assert len(labels) == 10 and set(labels) == set(published("ladder", "transfer", "celeba"))
    assert len(labels) - 1 <= len(set(STYLES)) == 10  # Figure 8 has a series for all but Vanilla


def test_the_papers_cw_has_the_rate_and_the_constant_of_its_authors(noted):
    text = noted("paper").text(ladder.MNIST, ladder.ATTACKS["CW"])
    settings = build(CarliniSettings, spec(text)[1])
    assert (settings.learning_rate, settings.initial_const) == (0.005, 0.01)
    assert (settings.steps, settings.search_steps) == (1000, 9)


@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_rows_are_methods_and_settings(preset, noted):
    runner, rows = noted(preset), {row.label: row for row in ladder.MNIST.rows}
    budget = ladder.BUDGETS[preset]
    assert runner.request(ladder.MNIST, rows["Vanilla"]).method == "natural"
    request = runner.request(ladder.MNIST, rows["CW adv."])
    assert request.method == "augment" and request.options.preset == "paper"
    assert request.options.overrides["attack"].startswith("cw-l2:random_target=true")
    defence = {"examples_per_class": 150, "epochs": 60} if preset == "quick" else {}
    assert runner.request(ladder.MNIST, rows["LADDER"]).options.overrides == defence
    trades = runner.request(ladder.MNIST, ladder.TRADES).options
    assert trades.preset == preset and trades.overrides == budget.settings["trades"]
    for experiment in EXPERIMENTS:
        for row in (*experiment.rows, *ladder.trades(experiment).rows):
            assert runner.settings(experiment, row) is not None
            assert {row.method} <= set(METHODS)
    (gan,) = (ladder.LADDER_GAN[0].helper_files,)
    assert gan == HELPERS[:1]


def test_variants_take_over_what_ladder_trained(noted):
    varied = ladder.varied(ladder.LADDER, "eps", "5")
    assert varied.folder == "LADDER eps 5" and varied.helpers == ladder.LADDER
    assert varied.settings == {"eps": "5"}
    count = ladder.varied(ladder.FIXED[0], "examples_per_class", 10)
    assert count.folder == "FGSM adv. examples_per_class 10" and count.helpers is None


def test_images_of_the_vanilla_classifier_are_one_seeds():
    paper = ladder.MNIST.budgets["paper"]
    other = ladder.on_fixed_set(ladder.MNIST, FixedSet("elsewhere", None))
    own = ladder.on_fixed_set(ladder.MNIST, FixedSet("vanilla", None, row=ladder.VANILLA))
    assert other.budgets["paper"].seeds == paper.seeds == 3
    assert own.budgets["paper"].seeds == 1
    assert own.column("Song").attack == "song:gan=song-gan,{song}"
    assert own.column("clean").fixed_set is None


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
def small(monkeypatch):
    """The tables on digits, with budgets of seconds."""
    quick = ladder.MNIST.budgets["quick"]
    defence = {"examples_per_class": 4, "epochs": 1, "batch_size": 20}
    settings = {
        method: {**defence, **({"generator_epochs": 1} if "ladder" in method else {})}
        for method in quick.settings
    }
    settings["trades"] = {"eps": "0.1", "epochs": 1, "steps": 1, "decay_epochs": None}
    settings["song-gan"] = {"steps": 2, "batch_size": 10}
    budget = dataclasses.replace(
        quick,
        images={"many": 20, "few": 20},
        settings=settings,
        texts={**quick.texts, "cw": "steps=5,search_steps=1", "song": "steps=2"},
    )
    monkeypatch.setattr(
        ladder, "published", lambda paper, table, _: published(paper, table, "mnist")
    )
    monkeypatch.setattr(
        run, "load_dataset", lambda name, limit_train, seed: load_dataset(
            name, limit_train=200, limit_test=60, seed=seed
        ),
    )  # fmt: skip
    sweeps = {"eps": ("5",), "search": ("5", "10"), "examples": ("20",)}
    return dataclasses.replace(
        ladder.MNIST, data="digits", budgets={"quick": budget}, sweeps=sweeps
    )


@pytest.mark.slow
def test_every_table_and_figure_is_left_and_found_again(small, tmp_path, monkeypatch):
    record = tables.reproduce(small, Runner("quick", tmp_path))
    names = ("surrogates", "transfer", "trades", "ladder-examples", "white-box", "vanilla-sets")
    for name in names:
        assert json.loads((tmp_path / f"{name}.json").read_text())["rows"]
        assert (tmp_path / f"{name}.md").read_text().startswith("# ")
    for number in (4, 6, 7, 8, 9, 10):
        assert (tmp_path / f"figure-{number}.png").stat().st_size > 5000
    rows = {row["label"]: row for row in record["transfer"]["rows"]}
    assert [c["attack"] for c in rows["JSMA adv."]["cells"]] == [
        "clean", "FGSM", "PGD", "CW", "Song", "AutoAttack", "AutoAttack 8/255"
    ]  # fmt: skip
    assert rows["LADDER"]["cells"][0]["published"]["value"] == pytest.approx(0.9912)
    assert rows["LADDER"]["cells"][0]["seeds"] == [rows["LADDER"]["cells"][0]["accuracy"]]
    rows = {row["label"]: row for row in record["vanilla-sets"]["rows"]}
    assert [c["threat"] for c in rows["Vanilla"]["cells"]] == ["white-box"] * 5
    assert [(c["attack"], c["threat"]) for c in rows["PGD adv."]["cells"]] == [
        (name, "transfer from the vanilla classifier") for name in ("FGSM", "JSMA", "CW", "Song")
    ]
    assert rows["PGD adv."]["cells"][0]["published"]["value"] == pytest.approx(0.81)
    nothing = lambda *_, **__: pytest.fail("made again")  # noqa: E731
    monkeypatch.setattr("atk_latent.evaluation.runner._attacked", nothing)
    monkeypatch.setattr("atk_latent.methods.base.Method.harden", nothing)
    again = tables.reproduce(small, Runner("quick", tmp_path))
    assert again["transfer"]["rows"] == record["transfer"]["rows"]
    assert again["surrogate"] == record["surrogate"]


def test_figures_show_one_of_each_class_by_turns():
    labels = np.array([2, 2, 0, 1, 0, 2])
    assert list(figures.one_of_each(labels, 5)) == [2, 3, 0, 4, 1]


def test_attacks_are_the_papers_and_name_the_gan(noted, tmp_path):
    assert list(ladder.ATTACKS)[:6] == ATTACKS[1:]
    runner = noted("quick")
    song = runner.text(ladder.MNIST, ladder.ATTACKS["Song"])
    assert song == f"song:gan={tmp_path / 'song-gan'},steps=60"
    gan = runner.requests[tmp_path / "song-gan"]
    assert gan.judge == str(tmp_path / "seed-0" / "Vanilla" / "model.keras")
    assert runner.request(ladder.MNIST, ladder.VANILLA).options.limit is None
