"""A table of measured accuracies: its record, its ranks and its Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from atk_latent.atomic import atomic_file
from atk_latent.data.dataset import Dataset
from atk_latent.evaluation.ranking import average_ranks
from atk_latent.reporting.tables import slug
from atk_latent.results.comparison import Cell, Column, Comparison, Row
from atk_latent.results.files import write_result
from atk_latent.results.provenance import today, versions


def table_of(
    dataset: Dataset,
    *,
    title: str,
    columns: Sequence[Column],
    rows: Sequence[Row],
    notes: Sequence[str],
    seed: int,
) -> Comparison:
    """The record of a table, measured today.

    Args:
        dataset: what it was measured on. title: heads the table.
        columns: in order. rows: a cell may be missing.
        notes: lines below the table. seed: of all that was drawn.
    """
    return Comparison(
        date=today(),
        title=title,
        data=dataset.name,
        data_fingerprint=dataset.fingerprint(),
        columns=tuple(columns),
        rows=tuple(rows),
        notes=tuple(notes),
        seed=seed,
        versions=versions(),
    )


def write_table(
    folder: Path, table: Comparison, *, name: str = "result", ranked: bool = True
) -> Comparison:
    """Ranks the rows, and leaves `NAME.json` and `NAME.md` (`table.md` for `result`).

    The cards of the rows' runs, in words, are copied into `cards/`.

    Args:
        folder: where. table: without ranks. name: of the two files.
        ranked: whether an average over the columns makes sense; the paper's rule.

    Returns:
        The table with its ranks.
    """
    if ranked:
        table = _with_ranks(table)
    folder.mkdir(parents=True, exist_ok=True)
    for row in table.rows:
        _copy_card(row, folder / "cards")
    write_result(folder / f"{name}.json", table)
    with atomic_file(folder / f"{'table' if name == 'result' else name}.md") as part:
        part.write_text(markdown(table), encoding="utf-8")
    return table


def _with_ranks(table: Comparison) -> Comparison:
    cells = {row.label: [row.cell(column.label) for column in table.columns] for row in table.rows}
    ranks = average_ranks(
        {row: [c.accuracy if c else None for c in of_row] for row, of_row in cells.items()}
    )
    rows = tuple(row.model_copy(update={"rank": ranks[row.label]}) for row in table.rows)
    return table.model_copy(update={"rows": rows})


def _copy_card(row: Row, folder: Path) -> None:
    card = Path(row.run, "card.md") if row.run else None
    if card and card.exists():
        folder.mkdir(exist_ok=True)
        with atomic_file(folder / f"{slug(card.parent.name)}.md") as part:
            part.write_text(card.read_text(encoding="utf-8"), encoding="utf-8")


def markdown(table: Comparison) -> str:
    """The record as a Markdown table, in percent; published values stand in brackets."""
    heads = [
        column.label + (f" ({column.limit})" if column.limit else "") for column in table.columns
    ]
    timed = any(row.seconds_per_epoch for row in table.rows)
    ranked = any(row.rank is not None for row in table.rows)
    ends = [*(["s/epoch"] if timed else []), *(["average rank"] if ranked else [])]
    lines = [f"# {table.title}", "", f"| method | {' | '.join([*heads, *ends])} |"]
    lines.append("|---|" + "---|" * len([*heads, *ends]))
    for row in table.rows:
        texts = [_text(row.cell(column.label)) for column in table.columns]
        pace = f"{row.seconds_per_epoch:.1f}" if row.seconds_per_epoch else ""
        rank = "" if row.rank is None else f"{row.rank:.2f}"
        texts += [*([pace] if timed else []), *([rank] if ranked else [])]
        lines.append(f"| {row.label} | {' | '.join(texts)} |")
    threats: dict[str, dict[str, None]] = {}
    for cell in (c for row in table.rows for c in row.cells if c.threat_model.access != "none"):
        threats.setdefault(cell.threat, {})[cell.attack] = None
    lines += ["", *(f"- {', '.join(names)}: {threat}." for threat, names in threats.items())]
    lines += [f"- {note}" for note in table.notes]
    packages = ", ".join(f"{name} {number}" for name, number in table.versions.items())
    lines.append(f"- Data {table.data} ({table.data_fingerprint}), seed {table.seed}.")
    return "\n".join([*lines, f"- {packages}.", ""])


def _text(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    text = f"{100 * cell.accuracy:.1f} ± {50 * (cell.high - cell.low):.1f}"
    if cell.published:
        text += f" [{100 * cell.published.value:.2f}]"
    return text
