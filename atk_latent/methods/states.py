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

VARIABLES, LOGS = "variables.npz", "logs.json"
STATES_KEPT = 2
_ARRAYS = FileKind("training state", 256 * GIB, remedy="")
_LOGS = FileKind("list of epochs' logs", 256 * MIB, remedy="")
Logs = list[dict[str, float]]


class DamagedStateWarning(UserWarning):
    """A state of a stopped training cannot be used; the one before it is."""


class State(NamedTuple):
    """Where a training stands after some epochs.

    Args:
        variables: arrays by name. logs: what was logged, one an epoch.
    """

    variables: dict[str, np.ndarray]
    logs: Logs


class States:
    """The states of one training: a folder an epoch, ``epoch-000007/``.

    Each is moved into place in one step once complete, and only then is the last but one
    removed: a kill at any moment leaves a good state, and where one is damaged later there is
    the one before. Checksums lie beside the files; a state without them, as earlier versions
    wrote it, is read as it is.

    Args:
        folder: where the states live; created when needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, variables: Mapping[str, np.ndarray], logs: Sequence[dict[str, float]]) -> None:
        """Writes the state after as many epochs as there are logs.

        Raises:
            InputError: if there is no room or no permission.
        """
        new, part = self.folder / f"epoch-{len(logs):06d}", self.folder / "part"
        before = self._folders()[-1:]
        with writing(new):
            self.folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            np.savez(part / VARIABLES, **variables)  # type: ignore[arg-type]  # names, no options
            (part / LOGS).write_text(json.dumps(list(logs)))
            note_files(part, (VARIABLES, LOGS))
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
        return sorted(path for path in folders if re.fullmatch(r"epoch-\d{6,}", path.name))


def _read(folder: Path, expected: Mapping[str, ArraySpec]) -> State:
    file = folder / LOGS
    # Numbers that are not finite are only believed where a checksum says that we wrote them.
    logs = read_json(file, _LOGS, finite=noted_checksum(file) is None)
    if not isinstance(logs, list):
        raise _LOGS.wrong(file, f"must hold a list of epochs, not {type(logs).__name__}")
    if len(logs) != int(folder.name.removeprefix("epoch-")):
        raise _LOGS.wrong(file, f"holds {len(logs)} epochs, its folder is called {folder.name}")
    rows = [_numbers(row, file) for row in logs]
    return State(read_arrays(folder / VARIABLES, _ARRAYS, expected, others=False), rows)


def _numbers(row: object, file: Path) -> dict[str, float]:
    if not isinstance(row, dict) or not all(type(value) in (int, float) for value in row.values()):
        raise _LOGS.wrong(file, f"must hold numbers by name for each epoch, not {row!r:.60}")
    return {str(name): float(value) for name, value in row.items()}
