"""Grids and lines are drawn with what they were given."""

import matplotlib.figure
import numpy as np
import pytest

from atk_latent.reporting.image_grid import MARK, image_grid, lines, scatter


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved."""
    figures = []
    save = matplotlib.figure.Figure.savefig
    monkeypatch.setattr(
        matplotlib.figure.Figure,
        "savefig",
        lambda f, *a, **k: (figures.append(f), save(f, *a, **k)),
    )
    return figures


def test_a_grid_has_its_images_captions_and_frames(drawn, tmp_path):
    rows = [[np.full((4, 4, 1), v) for v in (0.0, 0.5, 1.0)], [np.full((4, 4, 1), 2.0)]]
    image_grid(
        rows,
        tmp_path / "a.png",
        names=["first", "second"],
        captions=[["a", "b", "c"], ["d"]],
        marked=[[False, True, False], [False]],
        title="a title",
    )
    axes = np.array(drawn[0].axes).reshape(2, 3)
    assert [axis.get_title() for axis in axes[0]] == ["a", "b", "c"]
    assert axes[0, 1].images[0].get_array().max() == 0.5
    assert axes[1, 0].images[0].get_array().max() == 1.0  # clipped
    assert not axes[1, 1].axison
    assert matplotlib.colors.to_hex(axes[0, 1].spines["left"].get_edgecolor()) == MARK
    assert axes[1, 0].get_ylabel() == "second"
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_lines_and_points_are_percent_and_told_apart(drawn, tmp_path):
    lines(
        [1, 2],
        {"one": [0.1, 0.2], "two": [0.3, 0.4]},
        tmp_path / "l.png",
        labels=("x", "y"),
        level={"base": 0.5},
    )
    scatter({"one": [[0.1, 0.9]], "two": [[0.2, 0.8]]}, tmp_path / "s.png", labels=("x", "y"))
    first, second = (figure.axes[0].lines for figure in drawn)
    assert list(first[0].get_ydata()) == [10, 20] and list(first[2].get_ydata()) == [50, 50]
    assert [list(line.get_xydata()[0]) for line in second] == [[10, 90], [20, 80]]
    for pair in (first[:2], second):
        assert pair[0].get_marker() != pair[1].get_marker()
        assert pair[0].get_color() != pair[1].get_color()
