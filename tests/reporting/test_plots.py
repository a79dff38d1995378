"""Figures: drawn in colours that hold on light and dark, and said in words."""

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from atk_latent.reporting.plots import COLOURS, INK, bars_chart, charts_of, scatter_chart
from atk_latent.results.accuracy import Accuracy
from atk_latent.results.files import read_result, read_results

from .colours import contrast

GROUNDS = {"light": "#ffffff", "dark": "#14171b"}


@pytest.mark.parametrize("ground", GROUNDS.values(), ids=GROUNDS)
@pytest.mark.parametrize("colour", COLOURS)
def test_colours_stand_out_on_light_and_dark(colour, ground):
    assert contrast(colour, ground) >= 3  # WCAG 2.2, 1.4.11


def accuracy(right, n=200):
    return Accuracy.of([True] * right + [False] * (n - right))


@pytest.fixture(scope="module")
def bars():
    rows = [("none", accuracy(198)), ('a < "b" $x$ --> ]]>', accuracy(30))]
    title = 'Bars of <x> & "y"'
    return bars_chart("bars", title, rows, published={rows[1][0]: 0.5}, first=COLOURS[2])


def test_the_svg_takes_the_colour_of_the_text_and_names_itself(bars):
    drawn = bars.svg()
    root = ElementTree.fromstring(drawn)
    assert root.get("role") == "img"
    assert root[0].text == 'Bars of <x> & "y"'
    assert "99.0 [96.4, 99.7]" in root[1].text and "published" in root[1].text
    assert root.get("aria-labelledby") == f"{root[0].get('id')} {root[1].get('id')}"
    assert "currentColor" in drawn and INK not in drawn
    assert not re.search("#f{6}|white", drawn)  # the page's own ground shows through
    assert "<!--" not in drawn and "<script" not in drawn and "<metadata" not in drawn
    ids = re.findall(r'\bid="([^"]*)"', drawn)
    assert len(ids) == len(set(ids)) and all(name.startswith("bars-") for name in ids)
    used = set(re.findall(r'(?:href="|url\()#([^")]*)', drawn))
    assert used and used <= set(ids)


def test_an_svg_file_follows_light_and_dark_by_itself(bars):
    assert "prefers-color-scheme" in bars.svg(alone=True)
    assert "prefers-color-scheme" not in bars.svg()


def test_the_same_figure_is_the_same_svg():
    rows = [("none", accuracy(198))]
    assert bars_chart("b", "t", rows).svg() == bars_chart("b", "t", rows).svg()


def test_the_png_is_opaque_and_has_the_colours(bars):
    image = np.asarray(Image.open(io.BytesIO(bars.image("png"))).convert("RGBA")).astype(int)
    assert image[..., 3].min() == 255
    for colour in COLOURS[:3]:
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(image[..., :3] - wanted).sum(axis=-1) < 12).sum() > 50


def test_which_figures_an_evaluation_gives(files):
    found = charts_of([read_result(files["evaluation"]).result])
    assert [chart.title for chart in found] == [
        "White-box: accuracy that each attack leaves, runs/a on mnist",
        "Transfer from runs/vanilla: accuracy that each attack leaves, runs/a on mnist",
        "Accuracy over eps on mnist, white-box, Linf",
    ]
    said = "99.0 [96.4, 99.7] at 0, 60.0 [53.1, 66.5] at 0.1, 15.0 [10.7, 20.6] at 0.3"
    assert said in found[2].description


def test_a_step_that_goes_with_the_radius_stays_on_the_line(evaluation, write):
    for attack, step in zip(evaluation["attacks"], (0.025, 0.075), strict=False):
        attack["spec"] += f",step_size={step}"
    found = charts_of([read_result(write("e.json", evaluation)).result])
    assert "15.0 [10.7, 20.6] at 0.3" in found[-1].description


def test_the_worst_case_is_a_bar_and_a_point(told_evaluation, write):
    other = {**told_evaluation, "target": "runs/c"}
    paths = [write("b.json", told_evaluation), write("c.json", other)]
    results = [file.result for file in read_results(paths)]
    bars = charts_of(results)[0]
    assert "worst case of 2 attacks, eps 0.3: 50.0 [18.8, 81.2]" in bars.description
    trades = [c for c in charts_of(results) if c.name.startswith("trade-off")]
    assert "worst case of 2 attacks, eps 0.3" in trades[0].title
    assert "runs/c: clean 83.3 [43.6, 97.0], robust 50.0" in trades[0].description


def test_clean_against_robust_never_mixes_threat_models(files):
    found = charts_of([read_result(files["comparison"]).result])
    trade = [chart for chart in found if chart.name.startswith("trade-off")]
    assert len(trade) == 2
    assert "PGD & Co: clean 95.0 [91.0, 97.3], robust 50.0" in trade[0].description
    assert "transfer from runs/vanilla" in trade[1].title
    assert "robust 75.0" in trade[1].description and "robust 50.0" not in trade[1].description


def test_one_classifier_has_no_trade_off_and_one_radius_no_line(evaluation, write):
    evaluation["attacks"] = evaluation["attacks"][1:2]
    found = charts_of([read_result(write("e.json", evaluation)).result])
    assert [chart.name.partition("-")[0] for chart in found] == ["1"]


def test_a_ladder_run_shows_its_accuracy_over_eps(files):
    (chart,) = charts_of([read_result(files["card"]).result])
    assert "hardened (transfer): 98.8 at 0.5" in chart.description
    assert "latent units" in chart.description


def test_many_points_are_drawn():
    points = [(f"m{i}", accuracy(190 - i), accuracy(10 * i)) for i in range(12)]
    assert scatter_chart("s", "t", points).svg().count("<use") > 12
