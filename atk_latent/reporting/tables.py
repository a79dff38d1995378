"""A table: its cells, and how it looks in Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from atk_latent.errors import visible
from atk_latent.results.accuracy import Accuracy
from atk_latent.results.attack_result import Published

_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # at the start of a row it would be the argument of the line break before
    **{letter: "\\" + letter for letter in "&%$#_{}"},
}


@dataclass(frozen=True)
class Difference:
    """Ours minus published.

    Args:
        value: of two fractions.
    """

    value: float


class SourceInNote(Published):
    """A published number whose source stands below the table."""


TableCell = str | float | Accuracy | Published | Difference | None


@dataclass(frozen=True)
class Table:
    """Cells under headings.

    Args:
        name: of its files, and its anchor in the page.
        caption: what it shows, a sentence.
        headings: one a column; the first column names the row.
        rows: cells; all rows as long as `headings`.
        notes: sentences below it.
        shares: of each cell, from 0 to 1, for the page to shade it by; empty: no shades.
    """

    name: str
    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    notes: tuple[str, ...] = ()
    shares: tuple[tuple[float | None, ...], ...] = ()

    def numeric(self, column: int) -> bool:
        """Whether a column holds numbers, which are set flush right."""
        cells = [row[column] for row in self.rows if row[column] is not None]
        return bool(cells) and not any(isinstance(cell, str) for cell in cells)


def percent(value: float, n: int = 0) -> str:
    """A fraction in percent: one digit after the point, two from 10,000 images on."""
    return f"{100 * value:.{2 if n >= 10_000 else 1}f}"


def interval(accuracy: Accuracy) -> str:
    """The 95% interval in percent: "[0.3, 1.3]"."""
    low, high = (percent(value, accuracy.n) for value in (accuracy.low, accuracy.high))
    return f"[{low}, {high}]"


def text(cell: TableCell) -> str:
    """A cell in words, as Markdown, LaTeX and the page show it."""
    if cell is None:
        return ""
    if isinstance(cell, Accuracy):
        return f"{percent(cell.value, cell.n)} {interval(cell)}"
    if isinstance(cell, Published):
        in_note = isinstance(cell, SourceInNote)
        where = f" ({cell.source})" if cell.source and not in_note else ""
        return percent(cell.value) + where
    if isinstance(cell, Difference):
        return f"{100 * cell.value:+.1f}".replace("-0.0", "+0.0")
    if isinstance(cell, str):
        return cell
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:.4g}"


def slug(name: str) -> str:
    """A name fit for files and anchors: lower case letters, digits and dashes, 48 at most."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:48].strip("-") or "untitled"


def markdown_text(words: str, *, strip: bool = True) -> str:
    """Words that Markdown and the HTML in it leave as they are, on one line.

    Args:
        words: any text. strip: drop white space at both ends.
    """
    line = re.sub(r"\s+", " ", visible(words.strip() if strip else words))
    line = line.replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*\[|>~$]|(?<!\w)_|_(?!\w))", r"\\\1", line)


def markdown(table: Table) -> str:
    """The table in Markdown, its caption before and its notes behind."""
    return markdown_rows(table, f"**{markdown_text(table.caption)}**")


def markdown_rows(table: Table, caption: str | None = None) -> str:
    """The table in Markdown under a caption that is Markdown already, or none."""
    rule = ("---:" if table.numeric(i) else "---" for i in range(len(table.headings)))
    lines = [] if caption is None else [caption, ""]
    lines += [_markdown_row(table.headings), f"|{'|'.join(rule)}|"]
    lines += [_markdown_row([text(cell) for cell in row]) for row in table.rows]
    if table.notes:
        lines += ["", *(f"- {markdown_text(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(markdown_text(cell) for cell in cells)} |"


def csv_text(table: Table) -> str:
    """The table as CSV: accuracies are fractions, their interval and images in own columns.

    Words that a spreadsheet would take for a formula are given a leading apostrophe.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    wide = [_csv_kind([row[i] for row in table.rows]) for i in range(len(table.headings))]
    titles: list[str] = []
    endings: dict[type, tuple[str, ...]] = {
        Accuracy: (" low", " high", " n"),
        Published: (" source",),
    }
    for heading, kind in zip(table.headings, wide, strict=True):
        plain = heading.removesuffix(", %")
        more = endings.get(kind, ())
        titles += [_csv_cell(plain + ending) for ending in ("", *more)]
    writer.writerow(titles)
    for row in table.rows:
        line: list[str | float] = []
        for cell, kind in zip(row, wide, strict=True):
            line += _csv_cells(cell, kind)
        writer.writerow(line)
    return file.getvalue()


def _csv_kind(cells: Sequence[TableCell]) -> type:
    kinds = (Accuracy, Published)
    return next((kind for cell in cells for kind in kinds if isinstance(cell, kind)), str)


def _csv_cells(cell: TableCell, kind: type) -> list[str | float]:
    if isinstance(cell, Accuracy):
        return [cell.value, cell.low, cell.high, cell.n]
    if isinstance(cell, Published):
        return [cell.value, _csv_cell(cell.source)]
    if isinstance(cell, Difference):
        return [round(cell.value, 6)]
    if cell is None:
        return [""] * (4 if kind is Accuracy else 2 if kind is Published else 1)
    return [_csv_cell(cell) if isinstance(cell, str) else cell]


def _csv_cell(words: str) -> str:
    words = visible(words)
    return "'" + words if words.startswith(("=", "+", "-", "@", "\t", "\r")) else words


def latex_text(words: str) -> str:
    """Words as LaTeX sets them literally."""
    return "".join(_TEX.get(letter, letter) for letter in " ".join(visible(words).split()))


def latex(table: Table) -> str:
    """The table in LaTeX; needs the package booktabs."""
    form = "".join("r" if table.numeric(i) else "l" for i in range(len(table.headings)))
    rows = [[text(cell) for cell in row] for row in table.rows]
    body = [" & ".join(latex_text(cell) for cell in row) + r" \\" for row in rows]
    notes = [rf"\par\footnotesize {latex_text(' '.join(table.notes))}"] if table.notes else []
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex_text(table.caption)}}}",
            rf"\label{{tab:{table.name}}}",
            rf"\begin{{tabular}}{{{form}}}",
            r"\toprule",
            " & ".join(latex_text(heading) for heading in table.headings) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            *notes,
            r"\end{table}",
            "",
        ]
    )
