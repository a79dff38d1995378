"""The tables of results.

A table holds one group of threat models, never two: whoever sees gradients and whoever does
not are not to be compared by reading down a column.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from atk_latent.evaluation.ranking import average_ranks
from atk_latent.reporting.outcomes import Outcome, groups, outcomes_of, worst_cases
from atk_latent.reporting.tables import Difference, SourceInNote, Table, TableCell, slug
from atk_latent.results.accuracy import Accuracy
from atk_latent.results.attack_result import Published
from atk_latent.results.audit import Audit
from atk_latent.results.card import Card
from atk_latent.results.comparison import Comparison
from atk_latent.results.evaluation import Evaluation
from atk_latent.results.files import Result
from atk_latent.results.threat import ThreatGroup, ThreatModel

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
    "boundary."
}


def difference(ours: Accuracy | None, published: Published | None) -> Difference | None:
    """How far ours is from what was published; None where either is missing."""
    return Difference(ours.value - published.value) if ours and published else None


@functools.singledispatch
def tables_of(result: Result, number: int) -> tuple[Table, ...]:
    """The tables of a result.

    Args:
        result: a record. number: of it in the report; begins the names of its tables.
    """
    raise NotImplementedError(f"no tables of {type(result).__name__}")


@tables_of.register
def _evaluation_tables(result: Evaluation, number: int) -> tuple[Table, ...]:
    return tuple(
        _evaluation(result, group, outcomes, f"{number}-{i}")
        for i, (group, outcomes) in enumerate(groups(outcomes_of(result)), 1)
    )


@tables_of.register
def _comparison_tables(result: Comparison, number: int) -> tuple[Table, ...]:
    parts = list(enumerate(groups(outcomes_of(result)), 1))
    ranked = parts if len(result.rows) > 1 else []
    return (
        *(_comparison(result, group, of_it, f"{number}-{i}") for i, (group, of_it) in parts),
        *(_ranks(result, group, of_it, f"{number}-{i}-ranks") for i, (group, of_it) in ranked),
    )


@tables_of.register
def _audit_tables(result: Audit, number: int) -> tuple[Table, ...]:
    rows = tuple(
        (check.name, "passed" if check.passed else "FAILED", check.verdict, check.why)
        for check in result.checks
    )
    return (
        Table(
            f"{number}-audit-{slug(result.title)}",
            f"Audit: signs of gradient masking in {result.title}, Linf eps {result.eps:.4g}, "
            f"{result.n:,} images",
            ("check", "verdict", "found", "why it matters"),
            rows,
            ("An audit that passes found no sign of masked gradients: no proof of robustness.",),
        ),
    )


@tables_of.register
def _card_tables(result: Card, number: int) -> tuple[Table, ...]:
    return measured(result, f"{number}-run-{slug(result.title)}")


def _evaluation(
    result: Evaluation, group: ThreatGroup, outcomes: list[Outcome], prefix: str
) -> Table:
    published = result.clean_published
    clean = (result.clean, published, difference(result.clean, published), result.n)
    rows: list[tuple[TableCell, ...]] = [(CLEAN, None, *clean, "", "", None, None)]
    together = [outcome for outcome in worst_cases(result) if outcome.group == group]
    for outcome in (*outcomes, *together):
        attack, accuracy = outcome.result, outcome.accuracy
        compared = (attack.published, difference(accuracy, attack.published), accuracy.n)
        threat = (outcome.threat, outcome.settings)
        row = (attack.attack, attack.eps, accuracy, *compared, *threat, attack.linf, attack.l2)
        rows.append(row)
    headings = (
        *("attack", "eps", "accuracy, %", "published, %", "difference", "images"),
        *("threat model", "settings", "mean Linf", "mean L2"),
    )
    notes = [INTERVAL, group.meaning, "An image that is wrong without attack counts as wrong."]
    notes += [DIFFERENCE] if any(row[4] is not None for row in rows) else []
    notes += [WORST_CASE] if together else []
    notes += [f"{o.label}: {warning}" for o in outcomes for warning in o.result.warnings]
    return _without_empty_columns(
        Table(
            f"{prefix}-{slug(group.name)}-{slug(result.title)}",
            f"{group.name}: accuracy of {result.title}",
            headings,
            tuple(rows),
            tuple(notes),
        )
    )


@dataclass(frozen=True)
class _Columns:
    """The attacks of a comparison: one column an attack and attacker, never two attackers.

    Args:
        headings: of the columns. cells: outcomes by row and column.
    """

    headings: tuple[str, ...]
    cells: Mapping[tuple[str, int], Outcome]

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> _Columns:
        """The columns of outcomes, in order of appearance."""
        columns: dict[tuple[str, ThreatModel], int] = {}
        cells = {}
        for outcome in outcomes:
            cells[outcome.target, columns.setdefault(outcome.column, len(columns))] = outcome
        names = [attack for attack, _ in columns]
        headings = (
            attack if names.count(attack) == 1 else f"{attack} ({attacker})"
            for attack, attacker in columns
        )
        return cls(tuple(headings), cells)

    def of_row(self, label: str) -> list[Outcome | None]:
        """The outcomes of a row, None where a cell is missing."""
        return [self.cells.get((label, i)) for i in range(len(self.headings))]


def _comparison(
    result: Comparison, group: ThreatGroup, outcomes: list[Outcome], prefix: str
) -> Table:
    columns = _Columns.of(outcomes)
    # a rank over two groups says nothing
    ranked = len(list(groups(outcomes_of(result)))) == 1
    headings = ["method"]
    for column in ("clean", *columns.headings):
        headings += [f"{column}, %", f"{column}, published, %", f"{column}, difference"]
    rows: list[tuple[TableCell, ...]] = []
    for row in result.rows:
        clean = row.clean
        pairs = [(clean.measured, clean.published) if clean else (None, None)]
        pairs += [
            (outcome.accuracy, outcome.result.published) if outcome else (None, None)
            for outcome in columns.of_row(row.label)
        ]
        line: list[TableCell] = [row.label]
        for ours, published in pairs:
            line += [ours, published, difference(ours, published)]
        rows.append((*line, row.rank if ranked else None, row.seconds_per_epoch))
    threats = dict.fromkeys(
        f"{o.result.attack}: {o.threat}, on {o.accuracy.n:,} images." for o in outcomes
    )
    compared = any(isinstance(cell, Difference) for row in rows for cell in row)
    rows, source = _source_once(rows)
    comparing = (source, DIFFERENCE) if compared else ()
    return _without_empty_columns(
        Table(
            f"{prefix}-{slug(group.name)}-{slug(result.title)}",
            f"{group.name}: {result.title}",
            (*headings, "average rank", "s/epoch"),
            tuple(rows),
            (INTERVAL, group.meaning, *threats, *comparing, *result.notes),
        )
    )


def _source_once(rows: list[tuple[TableCell, ...]]) -> tuple[list[tuple[TableCell, ...]], str]:
    """The rows, and a note of the source where all published values share one."""
    sources = {cell.source for row in rows for cell in row if isinstance(cell, Published)}
    if len(sources) != 1:
        return rows, ""
    (source,) = sources
    short: list[tuple[TableCell, ...]] = [
        tuple(
            SourceInNote(value=cell.value, source=source) if isinstance(cell, Published) else cell
            for cell in row
        )
        for row in rows
    ]
    return short, f"Published: {source}." if source else ""


def _ranks(result: Comparison, group: ThreatGroup, outcomes: list[Outcome], prefix: str) -> Table:
    columns = _Columns.of(outcomes)
    accuracies: dict[str, list[float | None]] = {}
    for row in result.rows:
        values = [o.accuracy.value if o else None for o in columns.of_row(row.label)]
        accuracies[row.label] = [row.clean.accuracy if row.clean else None, *values]
    ranks_by_column = [
        average_ranks({name: [values[i]] for name, values in accuracies.items()})
        for i in range(1 + len(columns.headings))
    ]
    means = average_ranks(accuracies)
    order = sorted(accuracies, key=lambda name: (math.isnan(means[name]), means[name]))
    rows = [
        (name, *(_rank(ranks[name]) for ranks in ranks_by_column), _rank(means[name]))
        for name in order
    ]
    return _without_empty_columns(
        Table(
            f"{prefix}-{slug(group.name)}-{slug(result.title)}",
            f"{group.name}: ranks, {result.title}",
            ("method", "clean", *columns.headings, "average rank"),
            tuple(rows),
            (RANKS,),
        )
    )


def _rank(rank: float) -> float | None:
    return None if math.isnan(rank) else round(rank, 2)


def measured(card: Card, name: str) -> tuple[Table, ...]:
    """What a run measured: its numbers, and a table for each list of rows among them.

    Args:
        card: of the run. name: begins the tables' names.
    """
    numbers: dict[str, TableCell] = {
        "clean_accuracy": card.clean_accuracy,
        "vanilla_clean_accuracy": card.vanilla_clean_accuracy,
        **_flat(card.metrics),
    }
    rows = tuple((k, v, MEANINGS.get(k, "")) for k, v in numbers.items() if v is not None)
    headings = ("measure", "value", "what it is")
    table = Table(name, f"Measured after training: {card.title}", headings, rows)
    tables = [_without_empty_columns(table)]
    places = {key: i for i, key in enumerate(card.metrics, 1)}
    for key, lines in card.metric_rows.items():
        columns = tuple(dict.fromkeys(column for line in lines for column in line))
        cells = tuple(tuple(_plain(line.get(column)) for column in columns) for line in lines)
        notes = (_ROW_MEANINGS[key],) if key in _ROW_MEANINGS else ()
        place = f"{name}-{places[key]}-{slug(key)}"
        tables.append(Table(place, f"{key}: {card.title}", columns, cells, notes))
    return tuple(tables)


def _flat(values: Mapping[str, JsonValue], before: str = "") -> dict[str, TableCell]:
    """Numbers and words by dotted names; lists are left out."""
    flat: dict[str, TableCell] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{key}.")
        elif not isinstance(value, list):
            flat[before + key] = _plain(value)
    return flat


def _plain(value: JsonValue) -> TableCell:
    """A JSON value as a cell."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return str(value)


def _without_empty_columns(table: Table) -> Table:
    filled = [
        i
        for i in range(len(table.headings))
        if i == 0 or any(row[i] not in (None, "") for row in table.rows)
    ]
    return Table(
        table.name,
        table.caption,
        tuple(table.headings[i] for i in filled),
        tuple(tuple(row[i] for i in filled) for row in table.rows),
        tuple(dict.fromkeys(note for note in table.notes if note)),
    )
