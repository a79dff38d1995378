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
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atk_latent.atomic import atomic_file, write_json
from atk_latent.errors import InputError
from atk_latent.results.attack_result import Example
from atk_latent.results.diagnostics import Diagnostics
from atk_latent.results.provenance import versions


@dataclass(frozen=True)
class Chunk:
    """Some attacked images and what the target made of them.

    Args:
        start: index of the first.
        x_adv: float32 (m, height, width, channels) in [0, 1]; None where the chunk comes
            from a store, which keeps no images.
        predictions: int64 (m,), the target's classes of `x_adv`.
        robust: bool (m,), classified correctly before and after the attack.
        linf: float64 (m,), largest change of a value.
        l2: float64 (m,), Euclidean size of the change.
        seconds: crafting and scoring.
        diagnostics: what the attack itself says of the chunk, or None.
        examples: some of its images, see `samples.examples`; none where a store of an earlier
            version kept none.
    """

    start: int
    x_adv: np.ndarray | None
    predictions: np.ndarray
    robust: np.ndarray
    linf: np.ndarray
    l2: np.ndarray
    seconds: float
    diagnostics: Diagnostics | None = None
    examples: tuple[Example, ...] = ()


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

    def __init__(self, root: Path | None, depends_on: Mapping[str, object]) -> None:
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
            diagnostics = str(stored["diagnostics"])
            # chunks of earlier versions have no examples
            examples = json.loads(str(stored["examples"])) if "examples" in stored else []
            return Chunk(
                start=start,
                x_adv=None,
                predictions=stored["predictions"],
                robust=stored["robust"],
                linf=stored["linf"],
                l2=stored["l2"],
                seconds=float(stored["seconds"]),
                diagnostics=Diagnostics.model_validate_json(diagnostics) if diagnostics else None,
                examples=tuple(Example.from_json(example, str(path)) for example in examples),
            )

    def save(self, chunk: Chunk) -> None:
        """Keeps what is known of `chunk`, and of its images only the examples."""
        path = self._path(chunk.start)
        if path is None:
            return
        diagnostics = chunk.diagnostics
        with atomic_file(path) as part, part.open("wb") as file:
            np.savez_compressed(
                file,
                seconds=chunk.seconds,
                predictions=chunk.predictions,
                robust=chunk.robust,
                linf=chunk.linf,
                l2=chunk.l2,
                diagnostics=diagnostics.model_dump_json() if diagnostics else "",
                examples=json.dumps([example.to_json() for example in chunk.examples]),
            )

    def _path(self, start: int) -> Path | None:
        return None if self.folder is None else self.folder / f"{start:08d}.npz"
