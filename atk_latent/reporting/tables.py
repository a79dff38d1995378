"""Tables of results, and how they look in Markdown, CSV and LaTeX.

A table holds one kind of threat model, never two: whoever sees gradients and whoever does
not are not to be compared by reading down a column.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from atk_latent.evaluation.ranking import average_ranks
from atk_latent.reporting.outcomes import worst_cases
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
    published_of,
)
from atk_latent.results.accuracy import Accuracy

CLEAN = "none (clean images)"
INTERVAL = "In brackets: 95% Wilson interval."
DIFFERENCE = "Difference: ours minus published, in percentage points."
WORST_CASE = (
    "Worst case: an image counts only if it survives every one of the attacks named, all of "
    "this kind of threat, this norm and this radius."
)
RANKS = "1 is best; equal accuracies share the better one. Intervals that overlap rank nothing."
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
class Difference:
    """Ours minus published.

    Args:
        value: of two fractions.
    """

    value: float


Cell = str | float | Accuracy | Published | Difference | None


def difference(ours: Accuracy | None, published: Published | None) -> Difference | None:
    """How far ours is from what was published; None where either is missing."""
    return Difference(ours.value - published.value) if ours and published else None


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
    rows: tuple[tuple[Cell, ...], ...]
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


def text(cell: Cell) -> str:
    """A cell in words, as Markdown, LaTeX and the page show it."""
    if cell is None:
        return ""
    if isinstance(cell, Accuracy):
        return f"{percent(cell.value, cell.n)} {interval(cell)}"
    if isinstance(cell, Published):
        where = f" ({cell.source})" if cell.source and not cell.said_once else ""
        return percent(cell.value) + where
    if isinstance(cell, Difference):
        return f"{100 * cell.value:+.1f}".replace("-0.0", "+0.0")
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
        parts = list(enumerate(kinds(result.measurements), 1))
        return (
            *(_comparison(result, kind, found, f"{number}-{i}") for i, (kind, found) in parts),
            *(
                _ranks(result, kind, found, f"{number}-{i}-ranks")
                for i, (kind, found) in parts
                if len(result.record["rows"]) > 1
            ),
        )
    if isinstance(result, Audit):
        return (_audit(result, number),)
    if isinstance(result, Run):
        return measured(result.record, f"{number}-run-{slug(result.title)}")
    return ()


def _evaluation(result: Evaluation, kind: Kind, found: list[Measurement], prefix: str) -> Table:
    published = published_of(result.record.get("clean_published"))
    clean = (result.clean, published, difference(result.clean, published), result.clean.n)
    rows: list[tuple[Cell, ...]] = [(CLEAN, None, *clean, "", "", None, None)]
    together = [m for m in worst_cases(result) if m.kind == kind]
    for m in (*found, *together):
        size = [None if value is None else float(value) for value in (m.linf, m.l2)]
        compared = (m.accuracy, m.published, difference(m.accuracy, m.published), m.accuracy.n)
        rows.append((m.attack, m.eps, *compared, m.threat, m.settings, *size))
    headings = (
        *("attack", "eps", "accuracy, %", "published, %", "difference", "images"),
        *("threat model", "settings", "mean Linf", "mean L2"),
    )
    notes = [INTERVAL, kind.meaning, "An image that is wrong without attack counts as wrong."]
    notes += [DIFFERENCE] if any(row[4] is not None for row in rows) else []
    notes += [WORST_CASE] if together else []
    notes += [f"{m.label}: {doubt}" for m in found for doubt in m.warnings]
    return _without_empty_columns(
        Table(
            f"{prefix}-{slug(kind.name)}-{slug(result.title)}",
            f"{kind.name}: accuracy of {result.title}",
            headings,
            tuple(rows),
            tuple(notes),
        )
    )


def _comparison(result: Comparison, kind: Kind, found: list[Measurement], prefix: str) -> Table:
    attacks = tuple(dict.fromkeys(m.attack for m in found))
    cells = {(m.target, m.attack): m for m in found}
    ranked = len(list(kinds(result.measurements))) == 1  # a rank over two kinds says nothing
    headings = ["method"]
    for column in ("clean", *attacks):
        headings += [f"{column}, %", f"{column}, published, %", f"{column}, difference"]
    rows: list[tuple[Cell, ...]] = []
    for row in result.record["rows"]:
        pairs = [(result.clean(row), result.clean_published(row))]
        hits = [cells.get((row["label"], attack)) for attack in attacks]
        pairs += [(hit.accuracy, hit.published) if hit else (None, None) for hit in hits]
        line: list[Cell] = [row["label"]]
        for ours, published in pairs:
            line += [ours, published, difference(ours, published)]
        training, epochs = row.get("training"), row.get("epochs")
        speed = training / epochs if training and epochs else None
        rows.append((*line, row.get("rank") if ranked else None, speed))
    said = {f"{m.attack}: {m.threat}, on {m.accuracy.n:,} images.": None for m in found}
    compared = any(isinstance(cell, Difference) for row in rows for cell in row)
    rows, source = _source_once(rows)
    comparing = (source, DIFFERENCE) if compared else ()
    return _without_empty_columns(
        Table(
            f"{prefix}-{slug(kind.name)}-{slug(result.title)}",
            f"{kind.name}: {result.title}",
            (*headings, "average rank", "s/epoch"),
            tuple(rows),
            (INTERVAL, kind.meaning, *said, *comparing, *result.record["notes"]),
        )
    )


def _source_once(rows: list[tuple[Cell, ...]]) -> tuple[list[tuple[Cell, ...]], str]:
    """The rows, and a note of the source where all published values share one."""
    sources = {cell.source for row in rows for cell in row if isinstance(cell, Published)}
    if len(sources) != 1:
        return rows, ""
    short = [
        tuple(replace(c, said_once=True) if isinstance(c, Published) else c for c in row)
        for row in rows
    ]
    (source,) = sources
    return short, f"Published: {source}." if source else ""


def _ranks(result: Comparison, kind: Kind, found: list[Measurement], prefix: str) -> Table:
    attacks = tuple(dict.fromkeys(m.attack for m in found))
    known = {(m.target, m.attack): m.accuracy.value for m in found}
    accuracies: dict[str, list[float | None]] = {}
    for row in result.record["rows"]:
        clean = result.clean(row)
        hits = [known.get((row["label"], attack)) for attack in attacks]
        accuracies[row["label"]] = [clean.value if clean else None, *hits]
    columns = [
        average_ranks({name: [values[i]] for name, values in accuracies.items()})
        for i in range(1 + len(attacks))
    ]
    means = average_ranks(accuracies)
    order = sorted(accuracies, key=lambda name: (math.isnan(means[name]), means[name]))
    rows = [
        (name, *(_rank(ranks[name]) for ranks in columns), _rank(means[name])) for name in order
    ]
    return _without_empty_columns(
        Table(
            f"{prefix}-{slug(kind.name)}-{slug(result.title)}",
            f"{kind.name}: ranks, {result.title}",
            ("method", "clean", *attacks, "average rank"),
            tuple(rows),
            (RANKS,),
        )
    )


def _rank(rank: float) -> float | None:
    return None if math.isnan(rank) else round(rank, 2)


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
        tuple(dict.fromkeys(note for note in table.notes if note)),
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
    if isinstance(cell, Difference):
        return [round(cell.value, 6)]
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
