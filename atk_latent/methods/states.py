"""States of a training on disk: the newest two, whole, with checksums."""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from atk_latent.arrays import ArraySpec, read_arrays
from atk_latent.atomic import writing
from atk_latent.checksums import note_files
from atk_latent.errors import InputError
from atk_latent.files import GIB, MIB, FileKind, noted_checksum, read_json

VARIABLES, LOGS, METRICS = "variables.npz", "logs.json", "metrics.json"
_NAME = re.compile(r"epoch-\d{6,}(-step-\d{9,})?")
STATES_KEPT = 2
_ARRAYS = FileKind("training state", 256 * GIB, remedy="")
_LOGS = FileKind("list of epochs' logs", 256 * MIB, remedy="")
Logs = list[dict[str, float]]
Metrics = tuple[float, ...]


class DamagedStateWarning(UserWarning):
    """A state of a stopped training cannot be used; the one before it is."""


class Position(NamedTuple):
    """How far a training has come: whole epochs, and steps of the one after them."""

    epoch: int = 0
    step: int = 0

    def legs(self, epochs: int) -> list[tuple[int, int, int]]:
        """What is left of `epochs`, as (first epoch, epoch to end before, steps to leave out)."""
        rest = self.epoch + bool(self.step)
        legs = [(self.epoch, rest, self.step), (rest, epochs, 0)]
        return [leg for leg in legs if leg[0] < min(leg[1], epochs)]


BEGINNING = Position()


class State(NamedTuple):
    """Where a training stands.

    Args:
        variables: arrays by name. logs: what was logged, one an epoch.
        step: how many steps of the epoch after these are in it.
        metrics: values of the metrics' variables so far, where there are such steps.
    """

    variables: dict[str, np.ndarray]
    logs: Logs
    step: int = 0
    metrics: Metrics = ()

    @property
    def position(self) -> Position:
        """How far it is."""
        return Position(len(self.logs), self.step)


class States:
    """The states of one training: a folder each, ``epoch-000007/`` after seven epochs and
    ``epoch-000007-step-000000120/`` inside the eighth.

    Each is moved into place in one step once complete, and only then is the last but one
    removed: a kill at any moment leaves a good state, and where one is damaged later there is
    the one before. Checksums lie beside the files; a state without them, as earlier versions
    wrote it, is read as it is.

    Args:
        folder: where the states live; created when needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(
        self,
        variables: Mapping[str, np.ndarray],
        logs: Sequence[dict[str, float]],
        step: int = 0,
        metrics: Metrics = (),
    ) -> None:
        """Writes a state; see `State`.

        Raises:
            InputError: if there is no room or no permission.
        """
        name = f"epoch-{len(logs):06d}" + (f"-step-{step:09d}" if step else "")
        new, part = self.folder / name, self.folder / "part"
        files = {LOGS: json.dumps(list(logs))}
        if step:
            files[METRICS] = json.dumps(metrics)
        before = self._folders()[-1:]
        with writing(new):
            self.folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            np.savez(part / VARIABLES, **variables)  # type: ignore[arg-type]  # no options
            for file, content in files.items():
                (part / file).write_text(content)
            note_files(part, (VARIABLES, *files))
            if new.exists():  # damaged: it was not gone on from
                shutil.rmtree(new)
            os.replace(part, new)
        for old in self._folders():
            if old not in (new, *before):
                shutil.rmtree(old)

    def exist(self) -> bool:
        """Whether there is a state, whole or not."""
        return bool(self._folders())

    def restore(self, expected: Mapping[str, ArraySpec]) -> State | None:
        """The newest state that is whole, None where there is none.

        Warns (`DamagedStateWarning`) where that is not the newest of all.

        Args:
            expected: what each variable must be, by name; there may be no others.

        Raises:
            InputError: if there are states and none of them can be used.
        """
        problems = []
        for folder in reversed(self._folders()):
            try:
                state = _read(folder, expected)
            except InputError as error:
                problems.append(error)
                continue
            if problems:
                text = f"{problems[0]}; going on from the state before it, {folder.name}"
                warnings.warn(text, DamagedStateWarning, stacklevel=2)
            return state
        if problems:
            others = f" (and {len(problems) - 1} more like it)" if problems[1:] else ""
            raise InputError(
                f"{problems[0]}{others}. There is no state to go on from: remove {self.folder} to "
                "repeat this part of the training"
            )
        return None

    def _folders(self) -> list[Path]:
        """All states, the newest last."""
        folders = self.folder.glob("epoch-*")
        return sorted(path for path in folders if _NAME.fullmatch(path.name))


def _read(folder: Path, expected: Mapping[str, ArraySpec]) -> State:
    file = folder / LOGS
    # Numbers that are not finite are only believed where a checksum says that we wrote them.
    logs = read_json(file, _LOGS, finite=noted_checksum(file) is None)
    if not isinstance(logs, list):
        raise _LOGS.wrong(file, f"must hold a list of epochs, not {type(logs).__name__}")
    epoch, step = map(int, re.findall(r"\d+", f"{folder.name}-0")[:2])
    if len(logs) != epoch:
        raise _LOGS.wrong(file, f"holds {len(logs)} epochs, its folder is called {folder.name}")
    rows = [_numbers(row, file) for row in logs]
    variables = read_arrays(folder / VARIABLES, _ARRAYS, expected, others=False)
    return State(variables, rows, step, _metrics(folder / METRICS) if step else ())


def _metrics(file: Path) -> Metrics:
    values = read_json(file, _LOGS, finite=noted_checksum(file) is None)
    numbers = [v for v in values if type(v) in (int, float)] if isinstance(values, list) else None
    if numbers is None or numbers != values:
        raise _LOGS.wrong(file, "must hold a list of numbers")
    return tuple(map(float, numbers))  # type: ignore[arg-type]  # told apart just above


def _numbers(row: object, file: Path) -> dict[str, float]:
    if not isinstance(row, dict) or not all(type(value) in (int, float) for value in row.values()):
        raise _LOGS.wrong(file, f"must hold numbers by name for each epoch, not {row!r:.60}")
    return {str(name): float(value) for name, value in row.items()}
