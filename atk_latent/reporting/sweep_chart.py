"""The figure of a sweep: means over seeds, their spread, and every seed."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from atk_latent.reporting.plots import COLOURS, INK, Chart
from atk_latent.results.comparison import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = ("o", "s", "^", "D")


def sweep_chart(table: Comparison) -> Chart:
    """Accuracy of every row under every column, in percent, over seeds.

    Args:
        table: cells with `seeds`. Large marks are the means, bars are one standard deviation
            long each way, small dots are the seeds.
    """
    labels = [row.label for row in table.rows]
    series = {
        column.label: [
            [100 * value for value in (cell.seeds or (cell.accuracy,))] if cell else []
            for cell in (row.cell(column.label) for row in table.rows)
        ]
        for column in table.columns
    }

    def draw(axes: Axes) -> None:
        for i, (name, values) in enumerate(series.items()):
            at = [x + 0.06 * (i - (len(series) - 1) / 2) for x in range(len(labels))]
            drawn = [(x, v) for x, v in zip(at, values, strict=True) if v]
            colour = COLOURS[i % len(COLOURS)]
            axes.errorbar(
                [x for x, _ in drawn],
                [statistics.fmean(v) for _, v in drawn],
                yerr=[statistics.stdev(v) if len(v) > 1 else 0.0 for _, v in drawn],
                color=colour,
                marker=_MARKERS[i % len(_MARKERS)],
                linestyle="none",
                capsize=3,
                label=name,
            )
            for x, v in drawn:
                axes.plot([x] * len(v), v, ".", color=colour, alpha=0.5, markersize=5)
        axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right", fontsize=8)
        axes.set(ylabel="accuracy, %", ylim=(0, 101))
        axes.grid(axis="y", alpha=0.3, color=INK)
        axes.legend(fontsize=8)

    numbers = "; ".join(
        f"{label}: " + ", ".join(
            f"{name} {statistics.fmean(values[i]):.1f}" for name, values in series.items()
            if values[i]
        )
        for i, label in enumerate(labels)
    )  # fmt: skip
    return Chart("sweep", table.title, numbers, draw, height=3.8)
