"""A long training of ATLD beside PGD training and feature scattering, epoch by epoch."""

from __future__ import annotations

import csv
import dataclasses
import functools
from pathlib import Path

from atk_latent.atomic import atomic_file
from atk_latent.reporting.image_grid import STYLES
from atk_latent.reproduction.atld import matrix
from atk_latent.reproduction.experiment import Budget, Experiment, Settings
from atk_latent.reproduction.run import Runner
from atk_latent.results.record import Json

NETWORK = "wrn-10-2"
ROWS = tuple(
    dataclasses.replace(row, seeds=None)
    for row in matrix.ROWS
    if row.label.removeprefix(f"{NETWORK}: ").replace("ATLD ", "ATLD- ") in matrix.WITH_SEEDS
    and row.model == NETWORK
)
PANELS = {  # column of `history.csv`, and what it says
    "val_pgd_accuracy": "PGD-20 accuracy on held-out images",
    "divergence": "divergence of clean and adversarial latents",
    "discriminator_accuracy": "accuracy of the discriminator",
}


def _budget(epochs: int, limit: int | None) -> Budget:
    settings: Settings = {
        "algorithm": "sgd",
        "schedule": "steps",
        "batch_size": 50,
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 2e-4,
        "label_smoothing": 0.5,
        "augment": "crop-flip",
        "early_stopping": True,
        "validation_share": 0.05,
        "validation_steps": 20,
        "epochs": epochs,
        "decay_epochs": (epochs * 3 // 5, epochs * 9 // 10),
    }
    return dataclasses.replace(
        matrix.CIFAR10.budgets["quick"],
        cost=f"{{model}}, {{images}} training images, {epochs} passes",
        limit=limit,
        settings=dict.fromkeys(dict.fromkeys(row.method for row in ROWS), settings),
    )


CIFAR10 = dataclasses.replace(
    matrix.CIFAR10,
    title="ATLD beside PGD training and feature scattering on {data} ({cost}, Linf {eps})",
    budgets={"quick": _budget(40, None), "paper": _budget(100, None)},
    rows=ROWS,
    notes=(
        *matrix.NOTES[:2],
        (
            "All rows: SGD 0.1, decayed twice, momentum 0.9, weight decay 2e-4, labels smoothed by "
            "0.5. The weights are those of the epoch with the highest PGD-20 accuracy on 5% of "
            "the training images, which are held out."
        ),
    ),
    over_seeds=False,
    runs="runs",
)


def reproduce(experiment: Experiment, runner: Runner) -> Json:
    """The table, and `curves.png`: what the epochs of each finished run came to."""
    table = runner.measure(experiment)
    runs = {row.run: row.label for row in table.rows if row.run and row.inference == "none"}
    draw({label: history(Path(run)) for run, label in runs.items()}, runner.folder / "curves.png")
    return table.to_json()


def history(run: Path) -> dict[str, list[float]]:
    """The panels that a run's `history.csv` has, one number an epoch."""
    with (run / "history.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        name: [float(row[name]) for row in rows] for name in PANELS if rows and rows[0].get(name)
    }


def draw(series: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Draws a panel for each of `PANELS`, a line for each run that has it.

    Args:
        series: label to `history`. path: a .png.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(PANELS), 3.4), layout="constrained")
    axes = figure.subplots(1, len(PANELS), squeeze=False)[0]
    for axis, (name, title) in zip(axes, PANELS.items(), strict=True):
        for (label, columns), (colour, style) in zip(series.items(), STYLES, strict=False):
            values = columns.get(name, [])
            axis.plot(range(1, len(values) + 1), values, style, color=colour, label=label)
        axis.set(xlabel="epoch")
        axis.set_title(title, fontsize=9)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=7)
    with atomic_file(path) as part:
        figure.savefig(part, dpi=120, format="png")


cifar10 = functools.partial(reproduce, CIFAR10)
