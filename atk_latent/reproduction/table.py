"""A measured comparison as files: ranks, JSON, Markdown, the cards of its runs."""

from __future__ import annotations

import math
from pathlib import Path

from atk_latent.atomic import atomic_file
from atk_latent.evaluation.ranking import average_ranks
from atk_latent.reporting.tables import slug
from atk_latent.results.comparison import Cell, Comparison, Row
from atk_latent.results.files import write_result


def with_ranks(table: Comparison) -> Comparison:
    """The table whose rows have their average rank over the columns, None for an empty row."""
    cells = {row.label: [row.cell(column.label) for column in table.columns] for row in table.rows}
    ranks = average_ranks(
        {row: [c.accuracy if c else None for c in of_row] for row, of_row in cells.items()}
    )
    known = {row: None if math.isnan(rank) else rank for row, rank in ranks.items()}
    rows = tuple(row.model_copy(update={"rank": known[row.label]}) for row in table.rows)
    return table.model_copy(update={"rows": rows})


def write_table(folder: Path, table: Comparison, name: str = "result") -> None:
    """Leaves `NAME.json` and `NAME.md` (`table.md` for "result"), and its runs' cards in `cards/`.

    Args:
        folder: where. table: the record. name: of the two files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for row in table.rows:
        _copy_card(row, folder / "cards")
    write_result(folder / f"{name}.json", table)
    with atomic_file(folder / f"{'table' if name == 'result' else name}.md") as part:
        part.write_text(markdown(table), encoding="utf-8")


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
