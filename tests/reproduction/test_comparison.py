"""A comparison hardens, attacks, ranks and goes on where it was stopped."""

import json
from pathlib import Path

import numpy as np
import pytest

from atk_latent.data.dataset import Dataset
from atk_latent.errors import InputError
from atk_latent.methods.ladder import HELPERS
from atk_latent.models.loading import load_classifier
from atk_latent.registry import METHODS
from atk_latent.reproduction import baselines, comparison, table
from atk_latent.reproduction.comparison import Comparison, Row, run_comparison
from atk_latent.results import comparison as results
from atk_latent.results.comparison import Column

PLAN = Comparison(
    title="Two lengths of training",
    data="digits",
    rows=(
        Row("short", "natural", {"epochs": 1}),
        Row("long", "natural", {"epochs": 6}),
    ),
    columns=(Column.of("clean", None, 40), Column.of("FGSM", "fgsm:eps=0.02", 20)),
    budget={"batch_size": 20},
    limit=120,
    notes=("A note.",),
)


@pytest.fixture(scope="module")
def dataset():
    """Bright squares, one place for each of three classes."""
    rng = np.random.default_rng(0)
    y = np.arange(160) % 3
    x = rng.uniform(0, 0.4, (160, 16, 16, 1))
    for row, label in enumerate(y):
        x[row, 5 * label : 5 * label + 5] += 0.3
    return Dataset.from_arrays("digits", x[:120], y[:120], x[120:], y[120:])


@pytest.fixture(scope="module")
def made(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    return folder, run_comparison(PLAN, dataset, folder)


def test_every_row_has_every_column_a_rank_and_a_time(made):
    _, record = made
    assert [row["label"] for row in record["rows"]] == ["short", "long"]
    for row in record["rows"]:
        assert [cell["attack"] for cell in row["cells"]] == ["clean", "FGSM"]
        assert [cell["n"] for cell in row["cells"]] == [40, 20]
        assert row["cells"][1]["threat"] == "white-box, Linf"
        assert row["training"] > 0
    short, long = record["rows"]
    assert long["cells"][0]["accuracy"] > short["cells"][0]["accuracy"]
    assert long["rank"] < short["rank"]


def test_a_row_starts_from_the_classifier_of_another(dataset, tmp_path):
    still = {"epochs": 1, "learning_rate": 1e-12}
    rows = (PLAN.rows[0], Row("tuned", "natural", still, "paper", "short"))
    plan = Comparison("", "digits", rows, PLAN.columns, PLAN.budget, limit=120)
    record = run_comparison(plan, dataset, tmp_path)
    first, second = (
        load_classifier(tmp_path / "runs" / row["label"]).get_weights() for row in record["rows"]
    )
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_row_takes_over_the_helpers_of_another(dataset, tmp_path, monkeypatch):
    for name in HELPERS:
        known = tmp_path / "runs" / "first" / "helpers" / name
        known.parent.mkdir(parents=True, exist_ok=True)
        known.write_text(f"made for {name}")
    found = {}

    def look(request, dataset, place, **_):
        found.update({path.name: path.read_text() for path in (place / "helpers").iterdir()})
        raise InputError("seen")

    monkeypatch.setattr(comparison, "harden", look)
    plan = Comparison("", "digits", (Row("second", "ladder", helpers="first"),), PLAN.columns)
    with pytest.raises(InputError, match="row 'second': seen"):
        run_comparison(plan, dataset, tmp_path)
    assert found == {name: f"made for {name}" for name in HELPERS}


def test_the_table_says_what_the_record_says(made):
    folder, record = made
    text = (folder / "table.md").read_text()
    assert json.loads((folder / "result.json").read_text())["rows"] == record["rows"]
    assert "| method | clean (40) | FGSM (20) | s/epoch | average rank |" in text
    clean = record["rows"][1]["cells"][0]
    half = 50 * (clean["high"] - clean["low"])
    assert f"| long | {100 * clean['accuracy']:.1f} ± {half:.1f} |" in text
    assert "- FGSM: white-box, Linf." in text and "- A note." in text


def test_clean_against_robust_accuracy_is_drawn(made):
    (figure,) = made[0].glob("*.png")
    assert figure.name == "trade-off-1-white-box-linf-digits.png"
    assert figure.stat().st_size > 5000


def test_the_cards_of_the_runs_lie_beside_the_table(made):
    folder, _ = made
    assert {path.name for path in (folder / "cards").iterdir()} == {"short.md", "long.md"}
    assert "natural" in (folder / "cards" / "long.md").read_text()


def test_the_same_call_finds_everything_again(made, dataset, monkeypatch):
    folder, record = made
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.keras")}
    monkeypatch.setattr(
        "atk_latent.evaluation.runner._attacked", lambda *_: pytest.fail("attacked again")
    )
    again = run_comparison(PLAN, dataset, folder)
    assert again["rows"] == record["rows"]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.keras")} == before


def test_a_row_that_cannot_be_is_named(dataset, tmp_path):
    plan = Comparison("", "digits", (Row("odd", "natural", {"epochs": -1}),), ())
    with pytest.raises(InputError, match="row 'odd': .*epochs"):
        run_comparison(plan, dataset, tmp_path)


@pytest.mark.parametrize("scene", [baselines.MNIST, baselines.CIFAR10], ids=lambda s: s.data)
@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_every_row_of_the_baselines_can_be_set(scene, preset):
    rows = baselines.rows(scene, preset, Path("gan"))
    assert len({row.label for row in rows}) == len(rows)
    ablations = {"ladder-cavrandom", "ladder-random", "ladder-gan"}
    assert {row.method for row in rows} == set(METHODS) - ablations
    for row in rows:
        kind = METHODS[row.method]
        model = scene.model if preset == "quick" else scene.paper_model
        settings = kind.settings_for(model, scene.data, row.preset, dict(row.settings))
        if preset == "quick" and kind.starts_from == "scratch" and row.method != "lat":
            assert settings.epochs == scene.epochs, row.label


def test_song_examples_come_from_the_gan_that_the_baselines_train(dataset, tmp_path, monkeypatch):
    trained, plans = {}, []

    def train(request, data, folder, **_):
        trained[folder] = (request, len(data.x_train))

    monkeypatch.setattr(baselines, "load_dataset", lambda *_, **__: dataset)
    monkeypatch.setattr(baselines, "train_gan", train)
    monkeypatch.setattr(baselines, "run_comparison", lambda plan, *_, **__: plans.append(plan))
    baselines.cifar10("quick", tmp_path)
    ((gan, (request, images)),) = trained.items()
    assert images == len(dataset.x_train) and request.overrides == baselines.CIFAR10.gan
    (song,) = (row for row in plans[0].rows if row.label == "song adv.")
    assert song.settings == {"attack": f"song:gan={gan},steps=60"}
    assert plans[0].model == "lenet" and plans[0].limit == baselines.CIFAR10.limit


def test_the_papers_recipes_train_the_papers_network(dataset, tmp_path, monkeypatch):
    plans = []
    monkeypatch.setattr(baselines, "load_dataset", lambda *_, **__: dataset)
    monkeypatch.setattr(baselines, "train_gan", lambda *_, **__: None)
    monkeypatch.setattr(baselines, "run_comparison", lambda plan, *_, **__: plans.append(plan))
    baselines.cifar10("paper", tmp_path)
    assert plans[0].model == "cifarnet" and plans[0].limit is None
    assert "cifarnet" in plans[0].title and "own recipe" in plans[0].title


def test_markdown_marks_what_has_no_time():
    row = results.Row(label="a", cells=(), epochs=3, rank=1.0)
    text = table.markdown(
        results.Comparison(
            date="2026-01-31",
            seed=0,
            versions={},
            title="t",
            data="d",
            data_fingerprint="f",
            columns=(),
            rows=(row,),
            notes=(),
        )  # fmt: skip
    )
    assert "| a | 1.00 |" in text and "s/epoch" not in text
