"""Models side by side: a board for each data set, kind of threat, norm and radius."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from atk_latent.reporting.outcomes import Outcome
from atk_latent.reporting.tables import Table, TableCell, slug
from atk_latent.reporting.trials import ImageSet, Model, Trial, models_of, trials_of
from atk_latent.results.accuracy import Accuracy
from atk_latent.results.audit import Audit
from atk_latent.results.card import Card
from atk_latent.results.files import Result, ResultFile
from atk_latent.results.threat import ThreatGroup

HEADINGS = (
    *("model", "worst case, %", "clean, %", "images"),
    *("strongest attack", "attacks", "audit and warnings"),
)
_OVERLAP = "In brackets: 95% Wilson interval. Intervals that overlap rank nothing."
_NOT_ROBUST = "No robust accuracy: nothing here attacked the model as it is deployed."
_WORST_CASE = "Worst case: the share of images that survive every attack tried."
_NOT_JOINED = (
    "of {row.joined} of its {row.attacks} attacks; the others were on other images, or no file "
    "holds what became of each image"
)
_MOST_MATCHED = 12  # models set against each other in one table


@dataclass(frozen=True)
class Threat:
    """What all rows of a board share; two threats never share a column.

    Args:
        data: the data set's name. group: of threat models. norm: of the change.
        eps: radius, [0, 1] pixel units.
    """

    data: str
    group: ThreatGroup
    norm: str
    eps: float

    @property
    def title(self) -> str:
        """In words: "mnist: White-box, Linf, eps 0.3"."""
        return f"{self.data}: {self.group.name}, {self.norm}, eps {self.eps:.4g}"


@dataclass(frozen=True)
class Row:
    """One model of a board.

    Args:
        model: which one. anchor: of the row, the same in every report of these results.
        worst: accuracy over all attacks together. clean: without attack.
        strongest: the attack that alone leaves least. attacks: how many were tried.
        joined: how many of them the worst case is of.
        result_anchor: section of its result. card_anchor: of its run's card, "" without one.
        marks: what audits of it came to, and warnings of attacks.
        audit_failed: whether an audit of it failed.
        images, survivors: of the worst case, image by image; None where no file holds it.
    """

    model: Model
    anchor: str
    worst: Accuracy
    clean: Accuracy | None
    strongest: str
    attacks: int
    joined: int
    result_anchor: str
    card_anchor: str
    marks: str
    audit_failed: bool
    images: ImageSet | None
    survivors: np.ndarray | None

    @property
    def page_anchor(self) -> str:
        """Where its name leads: to the model's card, else to its result."""
        return self.card_anchor or self.result_anchor

    @property
    def cells(self) -> tuple[TableCell, ...]:
        """Under `HEADINGS`."""
        accuracies = (self.worst, self.clean, self.worst.n)
        return (self.model.name, *accuracies, self.strongest, self.attacks, self.marks)


@dataclass(frozen=True)
class Board:
    """Models under one threat, the one that keeps most first.

    Args:
        name: anchor and file name. threat: of all rows. rows: one a model.
    """

    name: str
    threat: Threat
    rows: tuple[Row, ...]

    @functools.cached_property
    def table(self) -> Table:
        """The rows as they are read without a page."""
        group = self.threat.group
        notes = [_WORST_CASE, _OVERLAP, group.meaning, "" if group.is_direct else _NOT_ROBUST]
        notes += [
            f"{row.model.name}: worst case {_NOT_JOINED.format(row=row)}."
            for row in self.rows
            if row.joined < row.attacks
        ]
        rows = tuple(row.cells for row in self.rows)
        caption = f"Leaderboard, {self.threat.title}"
        return Table(self.name, caption, HEADINGS, rows, tuple(filter(None, notes)))

    @property
    def matched(self) -> tuple[Row, ...]:
        """The rows whose single images are known and are the same; empty if fewer than two."""
        by_images: dict[ImageSet, list[Row]] = {}
        for row in self.rows:
            if row.images is not None:
                by_images.setdefault(row.images, []).append(row)
        most = max(by_images.values(), key=len, default=[])
        return tuple(most) if len(most) > 1 else ()

    @functools.cached_property
    def duels(self) -> Table | None:
        """Each model against each other, in images; None where no two were asked the same."""
        rows = self.matched[:_MOST_MATCHED]
        if not rows:
            return None
        alive = [row.survivors for row in rows if row.survivors is not None]
        counts = [[int((a & ~b).sum()) for b in alive] for a in alive]
        numbers = [str(self.rows.index(row) + 1) for row in rows]
        names = [f"{i}  {row.model.name}" for i, row in zip(numbers, rows, strict=True)]
        n, left_out = len(alive[0]), len(self.matched) - len(rows)
        notes = (f"{left_out} more are left out, those that keep least.",) if left_out else ()
        return Table(
            f"{self.name}-duels",
            f"Model against model, {self.threat.title}: of {n:,} images, those that the model "
            "down survives and the model across does not",
            ("model", *numbers),
            tuple((name, *line) for name, line in zip(names, counts, strict=True)),
            notes,
            tuple((None, *(count / n for count in line)) for line in counts),
        )


@dataclass(frozen=True)
class Leaderboard:
    """All boards of a report.

    Args:
        boards: the one of most models first, attacks on what is deployed before others.
        unranked: models that met no attack with a radius.
    """

    boards: tuple[Board, ...]
    unranked: tuple[str, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        """Of all boards."""
        both = ((board.table, board.duels) for board in self.boards)
        return tuple(table for pair in both for table in pair if table is not None)

    def rows_at(self, anchor: str) -> tuple[tuple[Board, Row], ...]:
        """The rows that a section of the page is about, for the way back."""
        return tuple(
            (board, row)
            for board in self.boards
            for row in board.rows
            if anchor in (row.result_anchor, row.card_anchor)
        )


def leaderboard_of(files: Sequence[ResultFile], anchors: Sequence[str]) -> Leaderboard | None:
    """The leaderboard of results; None where they are about fewer than two models.

    Args:
        files: as `read_results` returns them. anchors: of their sections, in the same order.
    """
    placed = list(zip(files, anchors, strict=True))
    by_threat: dict[Threat, dict[Model, list[Trial]]] = {}
    for file, anchor in placed:
        for trial in trials_of(file.result, anchor):
            models = by_threat.setdefault(_threat(trial.outcome), {})
            models.setdefault(trial.model, []).append(trial)
    ranked = dict.fromkeys(model for models in by_threat.values() for model in models)
    if len(ranked) < 2:
        return None
    cards = _cards(placed)
    audits = _audits([file.result for file in files])
    ordered = sorted(by_threat.items(), key=lambda item: _place(*item))
    boards = tuple(
        _board(i, threat, models, cards, audits) for i, (threat, models) in enumerate(ordered, 1)
    )
    every = dict.fromkeys(model for file in files for model in models_of(file.result))
    return Leaderboard(boards, tuple(model.name for model in every if model not in ranked))


def _threat(outcome: Outcome) -> Threat:
    return Threat(outcome.data, outcome.group, outcome.norm, round(outcome.eps or 0.0, 9))


def _place(threat: Threat, models: Mapping[Model, Sequence[Trial]]) -> tuple[bool, int, str, float]:
    return not threat.group.is_direct, -len(models), threat.data, -threat.eps


def _board(
    number: int,
    threat: Threat,
    models: Mapping[Model, Sequence[Trial]],
    cards: Mapping[str, str],
    audits: Mapping[Model, Sequence[str]],
) -> Board:
    rows = [
        _row(threat, model, trials, cards.get(model.target, ""), audits.get(model))
        for model, trials in models.items()
    ]
    rows.sort(key=lambda row: (-row.worst.value, row.model.name))
    return Board(f"leaderboard-{number}-{slug(threat.title)}", threat, tuple(rows))


def _row(
    threat: Threat, model: Model, trials: Sequence[Trial], card: str, failed: Sequence[str] | None
) -> Row:
    worst, known = min(_worst_cases(trials), key=lambda case: case[0].value)
    strongest = min(known, key=lambda trial: trial.outcome.accuracy.value)
    warnings = sum(len(trial.outcome.result.warnings) for trial in trials)
    marks = [] if failed is None else ["audit passed"]
    marks = [f"audit FAILED: {', '.join(failed)}"] if failed else marks
    marks += [f"{warnings} warning{'s' * (warnings > 1)} of attacks"] if warnings else []
    alive = _together(known)
    return Row(
        model=model,
        anchor=_row_anchor(model, threat),
        worst=worst,
        clean=strongest.outcome.clean,
        strongest=strongest.outcome.family,
        attacks=_distinct(trials),
        joined=_distinct(known),
        result_anchor=strongest.result_anchor,
        card_anchor=card,
        marks="; ".join(marks),
        audit_failed=bool(failed),
        images=None if alive is None else strongest.images,
        survivors=alive,
    )


def _distinct(trials: Sequence[Trial]) -> int:
    """How many attacks; one that ran twice with the same settings counts once."""
    return len({trial.outcome.label for trial in trials})


def _row_anchor(model: Model, threat: Threat) -> str:
    """The row's link target; a digest tells apart names that are alike as links."""
    group = threat.group.name
    parts = (model.target, model.data, model.inference, group, threat.norm, f"{threat.eps:.9g}")
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:8]
    return f"model-{slug(model.name)}-{digest}"


def _worst_cases(trials: Sequence[Trial]) -> Iterator[tuple[Accuracy, list[Trial]]]:
    """The accuracy under all attacks on the same images, for each such set of attacks."""
    same: dict[object, list[Trial]] = {}
    for i, trial in enumerate(trials):
        known = (trial.images, trial.clean_predictions) if trial.images else i
        same.setdefault(known, []).append(trial)
    for attacks in same.values():
        alive = _together(attacks)
        accuracy = attacks[0].outcome.accuracy if alive is None else Accuracy.of(alive)
        yield accuracy, attacks


def _together(trials: Sequence[Trial]) -> np.ndarray | None:
    """Bool (n,): the images that survive all of these attacks; None where nobody noted them."""
    alive = [trial.survivors for trial in trials if trial.survivors is not None]
    return np.logical_and.reduce(alive) if alive else None


def _cards(placed: Sequence[tuple[ResultFile, str]]) -> dict[str, str]:
    """The section of each run's card, by the names of the run folder."""
    cards = {}
    for file, anchor in placed:
        if isinstance(file.result, Card):
            folder = file.path.parent
            for name in (file.result.run, str(folder), str(folder.resolve())):
                if name:
                    cards[str(PurePosixPath(name))] = anchor
    return cards


def _audits(results: Sequence[Result]) -> dict[Model, tuple[str, ...]]:
    """The checks that failed, by audited model."""
    failed: dict[Model, tuple[str, ...]] = {}
    for result in results:
        if isinstance(result, Audit):
            model = Model.of(result.target, result.data, result.inference)
            names = (check.name for check in result.checks if not check.passed)
            failed[model] = tuple(dict.fromkeys((*failed.get(model, ()), *names)))
    return failed
