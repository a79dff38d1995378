"""ATLD's Figures 4 and 5, drawn from measured tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from atk_latent.atomic import atomic_file
from atk_latent.config import number
from atk_latent.reporting.image_grid import STYLES, lines
from atk_latent.reproduction.atld import columns, rows
from atk_latent.reproduction.experiment import Experiment
from atk_latent.reproduction.run import Runner
from atk_latent.results.comparison import Comparison

ABLATED = (rows.SCATTERING.label, *(row.label for row in rows.OFFICIAL))
SHOWN = (columns.CLEAN, columns.FGSM, columns.PGD_20, columns.CW_20)


def figure_four(experiment: Experiment, table: Comparison, runner: Runner) -> None:
    """Draws feature scattering, ATLD-, ATLD and ATLD+ side by side as `figure-4.png`.

    Args:
        experiment: of the table, for the title. table: Tables I or II. runner: whose folder.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axis = figure.subplots()
    present = [row for row in table.rows if row.label in ABLATED]
    places, width = np.arange(len(SHOWN)), 0.8 / max(len(present), 1)
    for index, row in enumerate(present):
        cells = [row.cell(column.label) for column in SHOWN]
        heights = [100 * cell.accuracy if cell else np.nan for cell in cells]
        colour = STYLES[index][0]
        axis.bar(places + index * width, heights, width, color=colour, label=row.label)
    axis.set_xticks(places + 0.4 - width / 2, [column.label for column in SHOWN])
    axis.set(ylabel="accuracy, %", ylim=(0, 100))
    axis.set_title(f"ATLD Figure 4 on {experiment.data} (static)", fontsize=9)
    axis.legend(fontsize=8)
    with atomic_file(runner.folder / "figure-4.png") as part:
        figure.savefig(part, dpi=120, format="png")


def figure_five(experiment: Experiment, table: Comparison, runner: Runner) -> None:
    """Draws the accuracy over eps: `figure-5.png` under PGD-20, `figure-5-cw.png` under CW-20."""
    radii = experiment.sweeps["eps"]
    for name, attack in (("figure-5", "PGD-20"), ("figure-5-cw", "CW-20")):
        series: dict[str, Sequence[float]] = {
            row.label: [c.accuracy for c in row.cells if c.attack.startswith(f"{attack} ")]
            for row in table.rows
        }
        with atomic_file(runner.folder / f"{name}.png") as part:
            lines(
                [number(eps, "eps") for eps in radii],
                series,
                part,
                labels=("eps, Linf", f"accuracy under {attack} (static), %"),
                title=f"ATLD Figure 5 on {experiment.data}",
            )
