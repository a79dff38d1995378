"""Attacked chunks on disk: a stopped evaluation goes on, and nothing is attacked twice.

Each chunk is one small file, moved into place in one step, under a folder named for
everything its numbers depend on: the weights of the target and of what the attack is made
on, the images and labels, the attack with all its settings, the seed, the batch size and
the versions. A kill at any moment costs the chunk that was being attacked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from atk_latent.atomic import atomic_file, write_json
from atk_latent.errors import InputError
from atk_latent.evaluation.chunks import Chunk
from atk_latent.evaluation.result import versions
from atk_latent.results.diagnostics import Diagnostics

_FIELDS = ("predictions", "robust", "linf", "l2")


def data_digest(x: np.ndarray, y: np.ndarray) -> str:
    """16 hex digits of images and labels."""
    digest = hashlib.sha256()
    for array in (x, y):
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


class ChunkStore:
    """The chunks of one attack on one model.

    Args:
        root: folder of all stores. None keeps nothing.
        depends_on: everything the numbers depend on, ready for JSON; written beside the
            chunks as `key.json`, so that a person can see what a folder holds.

    Raises:
        InputError: if `root` is a file or cannot be made.
    """

    def __init__(self, root: Path | None, depends_on: Mapping[str, Any]) -> None:
        self.folder: Path | None = None
        if root is None:
            return
        known = {**depends_on, "versions": versions()}
        text = json.dumps(known, sort_keys=True, default=str)
        self.folder = Path(root) / hashlib.sha256(text.encode()).hexdigest()[:24]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise InputError(
                f"the store {root} must be a folder that can be made: {problem}"
            ) from None
        write_json(self.folder / "key.json", json.loads(text))

    def load(self, start: int) -> Chunk | None:
        """The chunk at `start`, without its images; None where it has not been made."""
        path = self._path(start)
        if path is None or not path.exists():
            return None
        with np.load(path) as stored:
            fields: dict[str, Any] = {name: stored[name] for name in _FIELDS}
            said = str(stored["diagnostics"])
            fields["diagnostics"] = Diagnostics.model_validate_json(said) if said else None
            if "examples" in stored:  # chunks of earlier versions have none
                fields["examples"] = json.loads(str(stored["examples"]))
            return Chunk(start=start, x_adv=None, seconds=float(stored["seconds"]), **fields)

    def save(self, chunk: Chunk) -> None:
        """Keeps what `chunk` found, and of its images only the examples."""
        path = self._path(chunk.start)
        if path is None:
            return
        fields: dict[str, Any] = {name: getattr(chunk, name) for name in _FIELDS}
        said = chunk.diagnostics
        fields["diagnostics"] = said.model_dump_json() if said else ""
        fields["examples"] = json.dumps(list(chunk.examples))
        with atomic_file(path) as part, part.open("wb") as file:
            np.savez_compressed(file, seconds=chunk.seconds, **fields)

    def _path(self, start: int) -> Path | None:
        return None if self.folder is None else self.folder / f"{start:08d}.npz"
