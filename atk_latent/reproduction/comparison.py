"""Several methods, one data set, one network, one budget: hardened, attacked and ranked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atk_latent.art_bridge.context import AttackContext
from atk_latent.atomic import atomic_file
from atk_latent.data.dataset import Dataset
from atk_latent.errors import InputError
from atk_latent.evaluation.runner import Options, clean_predictions, run_attacks
from atk_latent.methods.ladder import HELPERS
from atk_latent.models.loading import load_classifier
from atk_latent.progress import Progress, renamed
from atk_latent.reporting.plots import trade_offs
from atk_latent.reproduction.table import table_of, write_table
from atk_latent.results import comparison as results
from atk_latent.results.accuracy import Accuracy
from atk_latent.results.comparison import Cell, Column
from atk_latent.results.record import Json
from atk_latent.training.pipeline import Request, Run, harden


@dataclass(frozen=True)
class Row:
    """One method of a comparison.

    Args:
        label: what the table calls it.
        method: registered name.
        settings: on top of the preset.
        preset: of the method.
        start: label of an earlier row whose classifier is trained on; None starts anew.
        helpers: label of an earlier row with the same start whose boundaries and generator
            serve this one, too.
    """

    label: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    preset: str = "paper"
    start: str | None = None
    helpers: str | None = None


@dataclass(frozen=True)
class Comparison:
    """What is compared, on what, at what cost.

    Args:
        title: heads the table.
        data: registered name or path.
        rows: the methods. columns: the attacks, the first one without attack.
        budget: settings that every row gets, such as epochs.
        model: registered name; None takes the data set's own.
        limit: training images at most.
        notes: lines below the table.
    """

    title: str
    data: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    budget: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    limit: int | None = None
    notes: tuple[str, ...] = ()


def run_comparison(
    comparison: Comparison,
    dataset: Dataset,
    folder: Path,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Json:
    """Hardens by every row, attacks with every column, and leaves `result.json` and `table.md`.

    Beside them lies a figure, clean against robust accuracy, for each kind of threat.

    Runs are folders below `folder/runs`, attacked chunks lie in `folder/chunks`; both are
    found again, so the same call goes on where a stopped one was.

    Args:
        comparison: what to do. dataset: its data, loaded and limited.
        folder: where everything goes.
        seed: of training and attacks.
        progress: told (stage, done, in all, logs).

    Returns:
        The content of `result.json`.

    Raises:
        InputError: if a row cannot be hardened as asked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for row in comparison.rows:
        card = _hardened(comparison, row, dataset, folder, seed, progress)
        model = load_classifier(Path(card["run"]), dataset.image_shape, dataset.num_classes)
        cells = tuple(
            _cell(column, model, dataset, folder / "chunks", seed, renamed(progress, row.label))
            for column in comparison.columns
        )
        rows.append(
            results.Row(
                label=row.label,
                cells=cells,
                run=card["run"],
                seconds=card["seconds"],
                epochs=card["settings"].get("epochs"),
                training=card.get("training_seconds"),
            )
        )
    table = table_of(
        dataset,
        title=comparison.title,
        columns=comparison.columns,
        rows=rows,
        notes=comparison.notes,
        seed=seed,
    )
    table = write_table(folder, table)
    for chart in trade_offs([table]):
        with atomic_file(folder / f"{chart.name}.png") as part:
            part.write_bytes(chart.image("png"))
    return table.to_json()


def _hardened(
    comparison: Comparison,
    row: Row,
    dataset: Dataset,
    folder: Path,
    seed: int,
    progress: Progress | None,
) -> dict[str, Any]:
    settings, model = {**comparison.budget, **row.settings}, comparison.model
    if row.start is not None:
        model = str(folder / "runs" / row.start / "model.keras")
    request = Request(
        row.method, comparison.data, row.preset, model, settings, comparison.limit, seed
    )
    place = folder / "runs" / row.label
    try:
        if row.helpers is not None and not place.exists():
            run = Run(place, request, resume=True)
            run.adopt(folder / "runs" / row.helpers / "helpers", HELPERS)
        return harden(request, dataset, place, resume=True, progress=progress)
    except InputError as error:
        raise InputError(f"row '{row.label}': {error}") from None


def _cell(
    column: Column,
    model: Any,
    dataset: Dataset,
    store: Path,
    seed: int,
    progress: Progress | None,
) -> Cell:
    """The accuracy under one attack, with its interval."""
    x, y = dataset.x_test[: column.limit], dataset.y_test[: column.limit]
    if column.spec is None:
        return Cell.of(column.label, Accuracy.of(clean_predictions(model, x, y) == y))
    options = Options(
        seed=seed, progress=progress, store=store, context=AttackContext(data=dataset)
    )
    (result,) = run_attacks(model, x, y, [column.spec], options)
    return Cell.of_attack(column.label, result)
