"""Rows of small images with a caption each; nothing here runs a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

MARK = "#d35400"  # as `figures.WRONG`: differs from black in lightness too


def image_grid(
    rows: Sequence[Sequence[np.ndarray]],
    path: Path,
    *,
    names: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
    marked: Sequence[Sequence[bool]] = (),
    title: str = "",
) -> None:
    """Draws images in rows.

    Args:
        rows: images (height, width, channels) in [0, 1]; rows may differ in length.
        path: a .png (or any format Matplotlib writes).
        names: one a row, at its left. captions: above each image.
        marked: which images get a thick orange frame.
        title: above it all.
    """
    from matplotlib.figure import Figure

    columns = max(len(row) for row in rows)
    size = (0.66 * columns + 1.3, 0.86 * len(rows) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for i, row in enumerate(rows):
        for j, axis in enumerate(grid[i]):
            axis.set(xticks=[], yticks=[])
            if j >= len(row):
                axis.set_axis_off()
                continue
            image = np.clip(row[j], 0, 1)
            grey = image.shape[-1] == 1
            axis.imshow(
                image[..., 0] if grey else image, cmap="gray" if grey else None, vmin=0, vmax=1
            )
            if captions:
                axis.set_title(captions[i][j], fontsize=7, pad=2)
            if marked and marked[i][j]:
                for spine in axis.spines.values():
                    spine.set(edgecolor=MARK, linewidth=2.5)
        if names:
            grid[i, 0].set_ylabel(names[i], fontsize=8, rotation=0, ha="right", va="center")
    figure.suptitle(title, fontsize=9)
    figure.savefig(path, dpi=120)


STYLES = (  # colour, marker and dash; each alone tells series apart
    *(("#1b4f72", "o-"), (MARK, "s--"), ("#5b2c6f", "^:"), ("#0e6655", "v-.")),
    *(("#7b241c", "D-"), ("#424949", "x--"), ("#b7950b", "P:"), ("#2e86c1", "*-.")),
    *(("#af7ac5", "<-"), ("#145a32", ">--")),
)


def scatter(
    series: dict[str, list[list[float]]], path: Path, *, labels: tuple[str, str], title: str = ""
) -> None:
    """Draws points, told apart by colour and marker.

    Args:
        series: at most ten, name to [x, y] pairs in [0, 1], shown in percent.
        path: a .png (or any format Matplotlib writes).
        labels: of the two axes. title: above it.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 4.2), layout="constrained")
    axis = figure.subplots()
    for (name, points), (colour, style) in zip(series.items(), STYLES, strict=False):
        across, up = (100 * np.asarray(points)).T
        axis.plot(across, up, style[0], color=colour, label=name)
    axis.set(xlabel=labels[0], ylabel=labels[1])
    axis.set_title(title, fontsize=9)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def lines(
    x: Sequence[float],
    series: dict[str, Sequence[float]],
    path: Path,
    *,
    labels: tuple[str, str],
    level: dict[str, float] | None = None,
    title: str = "",
) -> None:
    """Draws one line a series over `x`, told apart by colour, dash and marker.

    Args:
        x: positions. series: name to values in [0, 1], shown in percent.
        path: a .png (or any format Matplotlib writes).
        labels: of the two axes. level: name to a value that is the same for all x.
        title: above it.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 3.5), layout="constrained")
    axis = figure.subplots()
    for (name, values), (colour, style) in zip(series.items(), STYLES, strict=False):
        axis.plot(x, [100 * value for value in values], style, color=colour, label=name)
    for (name, value), (colour, _) in zip((level or {}).items(), STYLES, strict=False):
        axis.axhline(100 * value, color=colour, linewidth=1, alpha=0.6, label=name)
    axis.set(xlabel=labels[0], ylabel=labels[1])
    axis.set_title(title, fontsize=9)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    figure.savefig(path, dpi=120)
