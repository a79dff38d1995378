"""Attacked chunks on disk: a stopped evaluation goes on, and nothing is attacked twice.

Each chunk is one small file, moved into place in one step, under a folder named for
everything its numbers depend on: the weights of the target and of what the attack is made
on, the files of a run that the attack reads, the images and labels, the attack with all its
settings, the seed, the batch size and the versions. A kill at any moment costs the chunk that
was being attacked. Several evaluations may use one store at a time: they share the chunks.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atk_latent.atomic import atomic_file, write_json
from atk_latent.errors import InputError, first_line
from atk_latent.results.attack_result import MOST_CLASSES, Example
from atk_latent.results.diagnostics import Diagnostics
from atk_latent.results.provenance import versions

try:
    import fcntl
except ImportError:  # Windows: nothing is shared there, every writer attacks all chunks
    fcntl = None  # type: ignore[assignment]

SCHEME = 2  # of the key; chunks of another scheme are never used
_MOST_BYTES = 1 << 28  # of a chunk in memory
_ARRAYS = {"predictions": "i", "robust": "b", "linf": "f", "l2": "f"}  # their kinds of dtype
_TEXTS = ("diagnostics", "examples")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Chunk:
    """Some attacked images and what the target made of them.

    Args:
        start: index of the first.
        x_adv: float32 (m, height, width, channels) in [0, 1]; None where the chunk comes
            from a store, which keeps no images, or from another process, which sends none.
        predictions: int64 (m,), the target's classes of `x_adv`.
        robust: bool (m,), classified correctly before and after the attack.
        linf: float64 (m,), largest change of a value.
        l2: float64 (m,), Euclidean size of the change.
        seconds: crafting and scoring.
        diagnostics: what the attack itself says of the chunk, or None.
        examples: some of its images, see `samples.examples`.
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


def files_digest(folder: Path) -> str:
    """16 hex digits of all files below a folder: their places in it and their contents."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(
            f"{path.relative_to(folder)}\0{content}\0".encode("utf-8", "backslashreplace")
        )
    return digest.hexdigest()[:16]


class ChunkStore:
    """The chunks of one attack on one model.

    Args:
        root: folder of all stores. None keeps nothing.
        depends_on: everything the numbers depend on, ready for JSON; written beside the
            chunks as `key.json`, so that a person can see what a folder holds.

    Raises:
        InputError: if `root` is a file or cannot be made.

    Example:
        >>> store = ChunkStore(None, {})
        >>> store.load(0, 4) is None
        True
    """

    def __init__(self, root: Path | None, depends_on: Mapping[str, object]) -> None:
        self.folder: Path | None = None
        self._told: set[int] = set()
        if root is None:
            return
        known = {**depends_on, "scheme": SCHEME, "versions": versions()}
        text = json.dumps(known, sort_keys=True, default=str)
        self.folder = Path(root) / hashlib.sha256(text.encode()).hexdigest()[:24]
        is_new = not self.folder.exists()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise InputError(
                f"the store {root} must be a folder that can be made: {problem}"
            ) from None
        if is_new:
            _warn_of_older_schemes(Path(root))
        write_json(self.folder / "key.json", json.loads(text))

    def load(self, start: int, count: int) -> Chunk | None:
        """A chunk without its images; None where it has not been made, or is damaged.

        Args:
            start: index of its first image. count: how many it has.
        """
        path = self._path(start)
        if path is None or not path.exists():
            return None
        try:
            return self._read(path, start, count)
        except Exception as problem:  # whatever NumPy, zlib and JSON raise for damaged files
            if start not in self._told:
                reason = first_line(problem)
                _log.warning("%s is damaged (%s): its images are attacked again", path, reason)
            self._told.add(start)
            return None

    def save(self, chunk: Chunk) -> None:
        """Keeps what is known of `chunk`, and of its images only the examples."""
        path = self._path(chunk.start)
        if path is None:
            return
        diagnostics = chunk.diagnostics
        fields = {
            "seconds": np.asarray(chunk.seconds, np.float64),
            "predictions": np.asarray(chunk.predictions, np.int64),
            "robust": np.asarray(chunk.robust, np.bool_),
            "linf": np.asarray(chunk.linf, np.float64),
            "l2": np.asarray(chunk.l2, np.float64),
            "diagnostics": np.asarray(diagnostics.model_dump_json() if diagnostics else ""),
            "examples": np.asarray(json.dumps([one.to_json() for one in chunk.examples])),
        }
        checksum = np.asarray(self._checksum(chunk.start, fields))
        if path.is_dir():
            with contextlib.suppress(OSError):
                path.rmdir()
            if path.is_dir():
                _log.warning("%s is a folder: the chunk is not kept. Remove it", path)
                return
        with atomic_file(path) as part, part.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, checksum=checksum, **fields)

    @contextlib.contextmanager
    def claim(self, start: int, *, wait: bool = False) -> Iterator[bool]:
        """Keeps other evaluations from attacking a chunk meanwhile.

        The claim is a lock on a file, which ends with the process that holds it.

        Args:
            start: of the chunk. wait: until nobody else has it.

        Yields:
            Whether it is ours; not where another evaluation is at it.
        """
        path = self._path(start)
        if path is None or fcntl is None:
            yield True
            return
        lock = path.with_suffix(".lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            is_ours = _locked(descriptor, wait)
            if is_ours:
                for rest in path.parent.glob(f".{path.stem}.*.tmp.npz"):  # of a killed process
                    rest.unlink(missing_ok=True)
            yield is_ours
            if is_ours and path.is_file():  # whoever waits for the lock now has its chunk
                lock.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def _read(self, path: Path, start: int, count: int) -> Chunk:
        """The chunk in a file.

        Raises:
            ValueError: if it is not what `save` wrote for these images.
        """
        if not path.is_file():
            raise ValueError("it is no file")
        names = {"checksum", "seconds", *_ARRAYS, *_TEXTS}
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MOST_BYTES:
                raise ValueError("it is too large")
        with np.load(path, allow_pickle=False) as stored:
            if set(stored.files) != names:
                raise ValueError(f"it holds {', '.join(sorted(stored.files))}")
            fields = {name: np.asarray(stored[name]) for name in stored.files}
        checksum = str(fields.pop("checksum"))
        if checksum != self._checksum(start, fields):
            raise ValueError("its checksum is another")
        _check_arrays(fields, count)
        diagnostics = str(fields["diagnostics"])
        examples = json.loads(str(fields["examples"]))
        return Chunk(
            start=start,
            x_adv=None,
            predictions=fields["predictions"],
            robust=fields["robust"],
            linf=fields["linf"],
            l2=fields["l2"],
            seconds=float(fields["seconds"]),
            diagnostics=Diagnostics.model_validate_json(diagnostics) if diagnostics else None,
            examples=tuple(Example.from_json(example, "an example") for example in examples),
        )

    def _checksum(self, start: int, fields: Mapping[str, np.ndarray]) -> str:
        """Hex digits of what a chunk holds and of what it belongs to."""
        name = "" if self.folder is None else self.folder.name
        digest = hashlib.sha256(f"{name}\0{start}".encode())
        for key in sorted(fields):
            array = fields[key]
            digest.update(f"\0{key}\0{array.dtype}{array.shape}\0".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def _path(self, start: int) -> Path | None:
        return None if self.folder is None else self.folder / f"{start:08d}.npz"


def _locked(descriptor: int, wait: bool) -> bool:
    """Whether the lock is ours now; it is, too, where the file system knows no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _check_arrays(fields: Mapping[str, np.ndarray], count: int) -> None:
    """Refuses arrays that say nothing of `count` images.

    Raises:
        ValueError: naming the array.
    """
    seconds = fields["seconds"]
    for name, kind in _ARRAYS.items():
        array = fields[name]
        if array.shape != (count,) or array.dtype.kind != kind:
            raise ValueError(f"{name} is {array.dtype} {array.shape} for {count} images")
    if seconds.shape != () or seconds.dtype.kind != "f":
        raise ValueError(f"seconds is {seconds.dtype} {seconds.shape}")
    for name in ("seconds", "linf", "l2"):
        if not (np.isfinite(fields[name]).all() and (fields[name] >= 0).all()):
            raise ValueError(f"{name} must be finite and at least 0")
    predictions = fields["predictions"]
    if count and not (predictions.min() >= 0 and predictions.max() < MOST_CLASSES):
        raise ValueError(f"predictions must be classes from 0 to {MOST_CLASSES - 1}")


def _warn_of_older_schemes(root: Path) -> None:
    """Says once where a store has chunks that an earlier version keyed by less."""
    if any(_scheme(key) == SCHEME for key in root.glob("*/key.json")):
        return
    if any(root.glob("*/key.json")):
        _log.warning(
            "the chunks that %s holds were named by less than their numbers depend on, by an "
            "earlier version: they are not used",
            root,
        )


def _scheme(key: Path) -> object:
    try:
        content = json.loads(key.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content.get("scheme") if isinstance(content, dict) else None
