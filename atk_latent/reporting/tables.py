"""Tables of results, and how they look in Markdown, CSV and LaTeX.

A table holds one kind of threat model, never two: whoever sees gradients and whoever does
not are not to be compared by reading down a column.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from atk_latent.evaluation.result import Accuracy
from atk_latent.reporting.results import (
    Audit,
    Comparison,
    Evaluation,
    Kind,
    Measurement,
    Published,
    Result,
    Run,
    kinds,
)

Cell = str | float | Accuracy | Published | None
CLEAN = "none (clean images)"
INTERVAL = "In brackets: 95% Wilson interval."
MEANINGS = {  # numbers of a run's card, the threat model said where there is one
    "clean_accuracy": "hardened classifier, test images as they are, no attack",
    "vanilla_clean_accuracy": "classifier it started from, test images, no attack",
    "ladder_examples_accuracy": "hardened classifier on LADDER examples made on the vanilla one: "
    "transfer",
    "ladder_examples_vanilla_accuracy": "vanilla classifier on LADDER examples made on it: "
    "white-box, unbounded in pixels",
    "ladder_examples_eps": "length of the move of those examples, latent units",
    "generator_test_mse": "mean squared error of decoded test images",
    "reconstruction_vanilla_accuracy": "vanilla classifier on decoded test images, not moved",
    "boundary_accuracy_mean": "pair SVMs on held-out latents, mean over the pairs",
    "boundary_accuracy_min": "pair SVMs on held-out latents, worst pair",
    "discriminator_test_accuracy": "discriminator: clean or attacked test image",
    "discriminator_clean_recognised": "share of clean test images that it takes for clean",
    "discriminator_adversarial_recognised": "share of attacked ones that it takes for attacked",
}
_ROW_MEANINGS = {
    "accuracy_over_eps": "LADDER examples made on the vanilla classifier: white-box for "
    "'vanilla', transfer for 'hardened'. latent_crossed: share of moved latents past the "
    "boundary.",
}
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
class Table:
    """Cells under headings.

    Args:
        name: of its files, and its anchor in the page.
        caption: what it shows, a sentence.
        headings: one a column; the first column names the row.
        rows: cells; all rows as long as `headings`.
        notes: sentences below it.
    """

    name: str
    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

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


def text(cell: Cell) -> str:
    """A cell in words, as Markdown, LaTeX and the page show it."""
    if cell is None:
        return ""
    if isinstance(cell, Accuracy):
        return f"{percent(cell.value, cell.n)} {interval(cell)}"
    if isinstance(cell, Published):
        return f"{percent(cell.value)} ({cell.source})"
    if isinstance(cell, str):
        return cell
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:.4g}"


def tables_of(result: Result, number: int) -> tuple[Table, ...]:
    """The tables of a result file.

    Args:
        result: the file. number: of it in the report; begins the names of its tables.
    """
    if isinstance(result, Evaluation):
        return tuple(
            _evaluation(result, kind, found, f"{number}-{i}")
            for i, (kind, found) in enumerate(kinds(result.measurements), 1)
        )
    if isinstance(result, Comparison):
        return tuple(
            _comparison(result, kind, found, f"{number}-{i}")
            for i, (kind, found) in enumerate(kinds(result.measurements), 1)
        )
    if isinstance(result, Audit):
        return (_audit(result, number),)
    if isinstance(result, Run):
        return measured(result.record, f"{number}-run-{slug(result.title)}")
    return ()


def _evaluation(result: Evaluation, kind: Kind, found: list[Measurement], prefix: str) -> Table:
    clean = result.record.get("clean_published")
    published = Published(clean["value"], clean["source"]) if clean else None
    n = result.clean.n
    rows: list[tuple[Cell, ...]] = [(CLEAN, None, result.clean, published, n, "", "", None, None)]
    for m in found:
        size = [None if value is None else float(value) for value in (m.linf, m.l2)]
        counted = (m.accuracy, m.published, m.accuracy.n)
        rows.append((m.attack, m.eps, *counted, m.threat, m.settings, *size))
    headings = (
        *("attack", "eps", "accuracy, %", "published, %", "images", "threat model", "settings"),
        *("mean Linf", "mean L2"),
    )
    return _without_empty_columns(
        Table(
            f"{prefix}-{slug(kind.name)}-{slug(result.title)}",
            f"{kind.name}: accuracy of {result.title}",
            headings,
            tuple(rows),
            (INTERVAL, kind.meaning, "An image that is wrong without attack counts as wrong."),
        )
    )


def _comparison(result: Comparison, kind: Kind, found: list[Measurement], prefix: str) -> Table:
    attacks = dict.fromkeys(m.attack for m in found)
    cells = {(m.target, m.attack): m for m in found}
    ranked = len(list(kinds(result.measurements))) == 1  # a rank over two kinds says nothing
    headings = ["method", "clean, %"]
    for attack in attacks:
        headings += [f"{attack}, %", f"{attack}, published, %"]
    rows = []
    for row in result.record["rows"]:
        line: list[Cell] = [row["label"], result.clean(row)]
        for attack in attacks:
            hit = cells.get((row["label"], attack))
            line += [hit.accuracy, hit.published] if hit else [None, None]
        training, epochs = row.get("training"), row.get("epochs")
        speed = training / epochs if training and epochs else None
        rows.append((*line, row.get("rank") if ranked else None, speed))
    said = {f"{m.attack}: {m.threat}, on {m.accuracy.n:,} images.": None for m in found}
    return _without_empty_columns(
        Table(
            f"{prefix}-{slug(kind.name)}-{slug(result.title)}",
            f"{kind.name}: {result.title}",
            (*headings, "average rank", "s/epoch"),
            tuple(rows),
            (INTERVAL, kind.meaning, *said, *result.record["notes"]),
        )
    )


def _audit(result: Audit, number: int) -> Table:
    rows = tuple(
        (check["name"], "passed" if check["passed"] else "FAILED", check["verdict"], check["why"])
        for check in result.record["checks"]
    )
    return Table(
        f"{number}-audit-{slug(result.title)}",
        f"Audit: signs of gradient masking in {result.title}, Linf eps {result.record['eps']:.4g}, "
        f"{result.record['n']:,} images",
        ("check", "verdict", "found", "why it matters"),
        rows,
        ("An audit that passes found no sign of masked gradients: no proof of robustness.",),
    )


def measured(card: Mapping[str, Any], name: str) -> tuple[Table, ...]:
    """What a run measured: its numbers, and a table for each list of rows among them.

    Args:
        card: content of `card.json`. name: begins the tables' names.
    """
    metrics, where = card["metrics"], f"{card['method']} on {card['data']}"
    numbers = {key: card.get(key) for key in ("clean_accuracy", "vanilla_clean_accuracy")} | _flat(
        metrics
    )
    found = tuple((k, v, MEANINGS.get(k, "")) for k, v in numbers.items() if v is not None)
    headings = ("measure", "value", "what it is")
    table = Table(name, f"Measured after training: {where}", headings, found)
    made = [_without_empty_columns(table)]
    for i, (key, rows) in enumerate(metrics.items(), 1):
        if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
            columns = tuple(dict.fromkeys(column for row in rows for column in row))
            cells = tuple(tuple(_plain(row.get(column)) for column in columns) for row in rows)
            notes = (_ROW_MEANINGS[key],) if key in _ROW_MEANINGS else ()
            made.append(Table(f"{name}-{i}-{slug(key)}", f"{key}: {where}", columns, cells, notes))
    return tuple(made)


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Cell]:
    """Numbers and words by dotted names; lists are left out."""
    flat: dict[str, Cell] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{before}{key}.")
        elif not isinstance(value, list):
            flat[before + key] = _plain(value)
    return flat


def _plain(value: Any) -> Cell:
    """A JSON value as a cell."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return str(value)


def _without_empty_columns(table: Table) -> Table:
    kept = [
        i
        for i in range(len(table.headings))
        if i == 0 or any(row[i] not in (None, "") for row in table.rows)
    ]
    return Table(
        table.name,
        table.caption,
        tuple(table.headings[i] for i in kept),
        tuple(tuple(row[i] for i in kept) for row in table.rows),
        tuple(note for note in table.notes if note),
    )


def slug(name: str) -> str:
    """A name fit for files and anchors: lower case letters, digits and dashes, 48 at most."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:48].strip("-") or "untitled"


def markdown_text(words: str, *, strip: bool = True) -> str:
    """Words that Markdown and the HTML in it leave as they are, on one line.

    Args:
        words: any text. strip: drop white space at both ends.
    """
    line = re.sub(r"\s+", " ", words.strip() if strip else words)
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
    for heading, kind in zip(table.headings, wide, strict=True):
        plain = heading.removesuffix(", %")
        more = {Accuracy: (" low", " high", " n"), Published: (" source",)}.get(kind, ())
        titles += [_csv_cell(plain + ending) for ending in ("", *more)]
    writer.writerow(titles)
    for row in table.rows:
        line: list[Any] = []
        for cell, kind in zip(row, wide, strict=True):
            line += _csv_cells(cell, kind)
        writer.writerow(line)
    return file.getvalue()


def _csv_kind(cells: Sequence[Cell]) -> type:
    return next((type(c) for c in cells if isinstance(c, Accuracy | Published)), str)


def _csv_cells(cell: Cell, kind: type) -> list[Any]:
    if kind is Accuracy:
        known = isinstance(cell, Accuracy)
        return [cell.value, cell.low, cell.high, cell.n] if known else [""] * 4  # type: ignore
    if kind is Published:
        known = isinstance(cell, Published)
        return [cell.value, _csv_cell(cell.source)] if known else [""] * 2  # type: ignore
    return [_csv_cell(cell) if isinstance(cell, str) else "" if cell is None else cell]


def _csv_cell(words: str) -> str:
    return "'" + words if words.startswith(("=", "+", "-", "@", "\t", "\r")) else words


def latex_text(words: str) -> str:
    """Words as LaTeX sets them literally."""
    return "".join(_TEX.get(letter, letter) for letter in " ".join(words.split()))


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
