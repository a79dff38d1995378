"""A grid of methods, settings and seeds: its cells, its table, its figure."""

import csv
import io
import json

import keras
import numpy as np
import pytest

from atk_latent.errors import InputError
from atk_latent.reproduction import run
from atk_latent.reproduction.run import Runner
from atk_latent.reproduction.sweep import Axis, Sweep, run_sweep, spread
from atk_latent.results.comparison import Comparison
from atk_latent.results.files import read_result

GRID = Sweep(
    "digits",
    ("natural", "trades"),
    (Axis.parse("epochs=1,2"), Axis.parse("trades:beta=6")),
    seeds=(3, 5),
    attacks=("fgsm:eps=0.05",),
    preset="quick",
    model="lenet",
)


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("beta=1,3,6", Axis("beta", ("1", "3", "6"))),
        ("eps = 8/255 , 0.1", Axis("eps", ("8/255", "0.1"))),
        ("eps=[0.1,0.2],0.3", Axis("eps", ("0.1,0.2", "0.3"))),
        ("milestones=[1,2]", Axis("milestones", ("1,2",))),
        ("trades-ladder:awp-gamma=0.1", Axis("awp_gamma", ("0.1",), "trades-ladder")),
    ],
)
def test_an_axis_is_read(text, axis):
    assert Axis.parse(text) == axis


@pytest.mark.parametrize(
    "text", ["beta", "=1", "beta=", "beta=1,", "beta=[1,2", "beta=1]", "a=[]x"]
)
def test_an_axis_that_reads_otherwise_is_refused(text):
    with pytest.raises(InputError, match=r"--set must read KEY=A,B,C.*\[A,B\]"):
        Axis.parse(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ("tradez",)}, "Did you mean 'trades'"),
        ({"methods": ("pgd", "pgd")}, "--method names pgd twice"),
        ({"seeds": (1, 1)}, "--seeds names 1 twice"),
        ({"axes": (Axis("beta", ("1",), "mart"),)}, "add --method mart"),
        ({"axes": (Axis("eps", ("1",)), Axis("eps", ("2",), "pgd"))}, "--set names pgd:eps twice"),
    ],
)
def test_what_comes_twice_or_is_unknown_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        Sweep("digits", **{"methods": ("pgd",), **changes})


def test_every_combination_is_a_row_with_a_folder_of_its_own():
    axes = (Axis("eps", ("8/255", "0.1")), Axis("beta", ("1", "6"), "trades"))
    rows = Sweep("digits", ("pgd", "trades"), axes).rows()
    assert [row.label for row in rows] == [
        *("pgd eps=8/255", "pgd eps=0.1", "trades eps=8/255 beta=1", "trades eps=8/255 beta=6"),
        *("trades eps=0.1 beta=1", "trades eps=0.1 beta=6"),
    ]
    assert rows[0].folder == "pgd,eps=8%2F255"
    long = [Axis("extra_data", ("a/" * 200 + name for name in "xy"))]
    folders = [r.folder for r in Sweep("d", ("pgd",), (Axis("x", tuple(long[0].values)),)).rows()]
    assert len(set(folders)) == 2 and max(map(len, folders)) < 200


def test_spread_is_that_of_a_sample():
    assert spread([1.0, 3.0]) == 1.41 and spread([1.0]) is None


@pytest.fixture
def planted(dataset, card, monkeypatch):
    """In place of every training a network with weights of its request is saved."""
    requests = []

    def plant(request, data, folder, **_):
        requests.append(request)
        options = request.options
        keras.utils.set_random_seed(options.seed + 10 * int(options.overrides["epochs"]))
        layers = [keras.Input(data.image_shape), keras.layers.Flatten(), keras.layers.Dense(3)]
        run.RunFolder(folder, request, resume=True).open()
        keras.Sequential(layers).save(folder / "model.keras")
        return card(request)

    monkeypatch.setattr(run, "load_dataset", lambda *_, **__: dataset)
    monkeypatch.setattr(run, "harden", plant)
    return requests


def test_a_sweep_leaves_one_table_and_one_figure_and_goes_on(planted, tmp_path, monkeypatch):
    record = run_sweep(GRID, Runner("quick", tmp_path))
    assert {(r.method, r.options.seed, *r.options.overrides.items()) for r in planted} == {
        (method, seed, ("epochs", epochs), *beta)
        for method, beta in (("natural", ()), ("trades", (("beta", "6"),)))
        for epochs in "12"
        for seed in (3, 5)
    }
    assert [row.label for row in record.rows][2:] == [
        "trades epochs=1 beta=6",
        "trades epochs=2 beta=6",
    ]
    clean = record.rows[1].cell("clean")
    assert len(clean.seeds) == 2 and clean.accuracy == pytest.approx(np.mean(clean.seeds), abs=0.02)
    assert record.rows[0].cells[1].threat == "white-box, Linf"

    stored = read_result(tmp_path).result
    assert isinstance(stored, Comparison) and stored.rows == record.rows
    lines = list(csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text())))
    assert [(line["method"], line["epochs"], line["beta"]) for line in lines] == [
        *(("natural", "1", ""), ("natural", "2", "")),
        *(("trades", "1", "6"), ("trades", "2", "6")),
    ]
    percent = [100 * value for value in clean.seeds]
    assert float(lines[1]["clean"]) == round(np.mean(percent), 2)
    assert float(lines[1]["clean sd"]) == round(np.std(percent, ddof=1), 2)
    text = (tmp_path / "table.md").read_text()
    assert "| natural | 2 |  |" in text and "the seeds 3, 5" in text
    assert (tmp_path / "figure.svg").read_text().startswith("<svg")
    assert (tmp_path / "figure.png").stat().st_size > 5000
    assert json.loads((tmp_path / "result.json").read_text())["schema"] == "atk_latent/comparison/2"

    monkeypatch.setattr(
        "atk_latent.evaluation.runner._attacked", lambda *_: pytest.fail("attacked again")
    )
    again = run_sweep(GRID, Runner("quick", tmp_path))
    assert again.rows == record.rows


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axes": (Axis("betta", ("1",)),)}, "betta"),
        ({"axes": (Axis("epochs", ("1", "many")),)}, "epochs"),
        ({"attacks": ("fgsm:eps=0.1", "pgd:epss=1")}, "epss"),
        ({"model": "lennet"}, "lenet"),
    ],
)
def test_every_cell_is_read_before_any_is_trained(planted, tmp_path, changes, message):
    sweep = Sweep("digits", ("trades",), **{"preset": "quick", "model": "lenet", **changes})
    with pytest.raises(InputError, match=message):
        run_sweep(sweep, Runner("quick", tmp_path / "out"))
    assert not planted and not (tmp_path / "out").exists()
