"""Panels of an attack: images, words and the confusion of classes."""

import base64
import io
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from atk_latent.errors import InputError
from atk_latent.reporting.example_panels import example_panels
from atk_latent.reporting.page import make_report, write_report
from atk_latent.reporting.plots import COLOURS
from atk_latent.results.files import read_result


def near(image, colour):
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(image.astype(int) - wanted).sum(axis=-1) < 30).sum())


@pytest.fixture(scope="module")
def panels(files):
    return example_panels(read_result(files["told"]).result, 5)


def test_every_attack_has_its_panel_and_the_strongest_is_first(panels):
    assert [panel.title for panel in panels] == [
        *("fgsm, eps 0.3", "pgd, eps 0.3, steps=20", "pgd, eps 0.1, steps=20"),
        *("pgd, eps 0.3", "pgd-l2, eps 0.3", "cw-l2"),
    ]
    assert [panel.first for panel in panels].index(True) == 4  # not the transfer, not the unbounded
    assert len({panel.anchor for panel in panels}) == 6


def test_what_became_of_an_image_is_said_in_words(panels):
    misled, held, before = panels[0].triples
    assert misled.text == (
        "Image 1, true class cat, misled: original, predicted cat (75.0%); "
        "change, scale ±0.3, L2 1.2; adversarial, predicted dog (50.0%)"
    )
    assert (held.word, before.word) == ("held", "wrong before")


def test_the_figure_of_examples_frames_what_was_misled(panels):
    chart = panels[0].charts[0]
    image = np.asarray(Image.open(io.BytesIO(chart.image("png"))).convert("RGB"))
    assert near(image, COLOURS[1]) > 100 and near(image, COLOURS[0]) > 20
    root = ElementTree.fromstring(chart.svg(alone=True))
    assert "predicted dog (50.0%)" in root[1].text and not chart.in_page
    pictures = root.iter("{http://www.w3.org/2000/svg}image")
    assert len(list(pictures)) == 9


def test_the_matrix_holds_counts_shares_and_the_accuracy_of_each_class(panels):
    table = panels[0].table
    assert table.headings == ("true class", "cat", "dog", "fox", "robust accuracy, %")
    assert table.rows[0][:4] == ("cat", 1, 1, 0) and table.rows[2][4].value == 0.5
    assert table.shares[0] == (None, 0.5, 0.5, 0.0, None)
    assert "cat taken for dog: 1" in panels[0].charts[1].description
    assert b"<svg" in panels[0].charts[1].image("svg")


def test_many_classes_are_told_by_their_most_confused_pairs(told_evaluation, write):
    told_evaluation["class_names"] = [f"class {i}" for i in range(21)]
    panel = example_panels(read_result(write("e.json", told_evaluation)).result, 1)[0]
    assert panel.table.headings[:3] == ("true class", "taken for", "images")
    assert [row[:4] for row in panel.table.rows] == [("class 0", "class 1", 1, 50.0)]
    assert panel.table.rows[0][4].value == 0.5 and not panel.table.shares
    assert len(panel.charts) == 1


def test_a_file_with_images_but_no_classes_of_all_shows_the_images(told_evaluation, write):
    del told_evaluation["labels"]
    told_evaluation["attacks"][0]["examples"][0]["confidence"] = None
    panel, *_ = example_panels(read_result(write("e.json", told_evaluation)).result, 1)
    assert panel.table is None and len(panel.triples) == 3
    assert panel.triples[0].pictures[2].lines == ("adversarial", "predicted dog")


def test_an_older_file_has_no_panel(files):
    assert example_panels(read_result(files["evaluation"]).result, 1) == ()


def test_half_a_picture_is_refused_and_nothing_is_written(told_evaluation, write, tmp_path):
    whole = base64.b64decode(told_evaluation["attacks"][0]["examples"][0]["image"])
    half = base64.b64encode(whole[:40]).decode()
    told_evaluation["attacks"][0]["examples"][0]["image"] = half
    result = read_result(write("e.json", told_evaluation))
    with pytest.raises(InputError, match="Image 1, true class cat: its picture is no whole PNG"):
        write_report(make_report([result]), tmp_path / "out")
    assert not (tmp_path / "out").exists()
