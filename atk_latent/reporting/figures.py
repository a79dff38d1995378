"""The figures of `methods.figures` as image files; nothing here runs a model."""

from __future__ import annotations

from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atk_latent.methods.figures import AccuracyOverEps, EpsStrip, Figure, ImageSheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Dark blue and orange differ in lightness too, so they hold for colour-blind readers.
RIGHT, WRONG = "#1b4f72", "#d35400"


def _show(axis: Axes, image: np.ndarray) -> None:
    grey = image.shape[-1] == 1
    axis.imshow(image[..., 0] if grey else image, cmap="gray" if grey else None, vmin=0, vmax=1)
    axis.set_xticks([])
    axis.set_yticks([])


def _frame(axis: Axes, right: bool) -> None:
    for spine in axis.spines.values():
        spine.set(edgecolor=RIGHT if right else WRONG, linewidth=1.0 if right else 2.5)


@singledispatch
def draw(figure: Figure, path: Path) -> None:
    """Draws a figure into a file.

    Args:
        figure: what it shows. path: a .png (or any format Matplotlib writes).

    Raises:
        TypeError: on a figure that nothing here draws.
    """
    del path
    raise TypeError(f"there is no drawing of a {type(figure).__name__}")


@draw.register
def _(strip: EpsStrip, path: Path) -> None:
    """Each example carries the labels that the vanilla and the hardened classifier give it.

    A thick orange frame says that the hardened one no longer sees the original class.
    """
    from matplotlib.figure import Figure

    rows, columns = strip.adversarial.shape[:2]
    figure = Figure(figsize=(0.72 * (columns + 3), 1.0 * rows + 0.9), layout="constrained")
    grid = figure.subplots(rows, columns + 2, squeeze=False)
    short = [name if len(name) <= 8 else name[:7] + "." for name in strip.class_names]
    for row in range(rows):
        label = int(strip.label[row])
        _show(grid[row, 0], strip.original[row])
        _show(grid[row, 1], strip.reconstruction[row])
        target = short[int(strip.target[row])]
        grid[row, 0].set_ylabel(f"{short[label]} to {target}", fontsize=8)
        for column in range(columns):
            axis = grid[row, column + 2]
            _show(axis, strip.adversarial[row, column])
            vanilla, hardened = strip.vanilla[row, column], strip.hardened[row, column]
            axis.set_xlabel(f"{short[vanilla]} | {short[hardened]}", fontsize=7, labelpad=2)
            _frame(axis, hardened == label)
    grid[0, 0].set_title("image", fontsize=8)
    grid[0, 1].set_title("decoded", fontsize=8)
    for column, eps in enumerate(strip.eps):
        grid[0, column + 2].set_title(f"eps {eps:g}", fontsize=8)
    figure.suptitle(
        "LADDER examples over eps. Below each: vanilla label | hardened label. "
        "Thick frame: the hardened label left the original class.",
        fontsize=9,
    )
    figure.savefig(path, dpi=110)


@draw.register
def _(curves: AccuracyOverEps, path: Path) -> None:
    """Two lines, in percent."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axis = figure.subplots()
    for name, values, colour, style in (
        ("hardened", curves.hardened, RIGHT, "o-"),
        ("vanilla", curves.vanilla, WRONG, "s--"),
    ):
        percent = [100 * value for value in values]
        axis.plot(curves.eps, percent, style, color=colour, label=name)
    axis.set(xlabel="eps (latent units)", ylabel="accuracy, %", ylim=(0, 101))
    axis.set_title("Accuracy on LADDER examples made against the vanilla model", fontsize=9)
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=120)


@draw.register
def _(sheet: ImageSheet, path: Path) -> None:
    """A row a class, its name on the left."""
    from matplotlib.figure import Figure

    rows, columns = sheet.images.shape[:2]
    figure = Figure(figsize=(0.62 * columns + 1.0, 0.62 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for row in range(rows):
        for column in range(columns):
            _show(grid[row, column], sheet.images[row, column])
        grid[row, 0].set_ylabel(
            sheet.class_names[row][:10], fontsize=8, rotation=0, ha="right", va="center"
        )
    figure.suptitle(sheet.title, fontsize=9)
    figure.savefig(path, dpi=110)
