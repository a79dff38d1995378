"""Arrays out of `.npz` files: headers first, then only what is wanted, never a pickle."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO

import numpy as np

from atk_latent.errors import InputError, first_line
from atk_latent.files import FileKind, open_file

MEMORY_SHARE = 0.8  # of the machine's memory, at most, for the arrays of one file


@dataclasses.dataclass(frozen=True)
class Header:
    """What an array in a file says of itself before it is read.

    Args:
        shape: of the array. dtype: of its numbers.
    """

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        """Memory that the array takes."""
        return int(np.prod([int(side) for side in self.shape], dtype=object)) * self.dtype.itemsize


@dataclasses.dataclass(frozen=True)
class ArraySpec:
    """What an array in a file must be.

    Args:
        kinds: NumPy's letters of the dtypes that will do: "f" floats, "iu" integers, "U" text.
        shape: of the array, None for a side of any length; None for any shape.
        dtype: exactly this one; None for any of `kinds`.
        finite: whether NaN and infinity are refused.

    Example:
        >>> import numpy as np
        >>> ArraySpec("f", (None, 3)).problem(Header((2, 4), np.dtype("float32")))
        'has shape (2, 4), not (any, 3)'
    """

    kinds: str = "f"
    shape: tuple[int | None, ...] | None = None
    dtype: np.dtype | None = None
    finite: bool = True

    def problem(self, header: Header) -> str | None:
        """What is wrong with an array of this header; None where nothing is."""
        if header.dtype.kind not in self.kinds or self.dtype not in (None, header.dtype):
            names = {"f": "floats", "i": "integers", "u": "integers", "U": "text", "b": "booleans"}
            wanted = self.dtype or " or ".join(
                dict.fromkeys(names.get(kind, kind) for kind in self.kinds)
            )
            return f"is {header.dtype}, not {wanted}"
        if self.shape is None:
            return None
        fits = len(self.shape) == len(header.shape) and all(
            side in (None, length) for side, length in zip(self.shape, header.shape, strict=True)
        )
        wanted = ", ".join("any" if side is None else str(side) for side in self.shape)
        return None if fits else f"has shape {header.shape}, not ({wanted})"


class ArrayFile:
    """An open `.npz` file: names, headers, and arrays one by one.

    Args:
        stream: the open file. path: for messages. kind: see `FileKind`.

    Raises:
        InputError: if it is no `.npz` file or is damaged.
    """

    def __init__(self, stream: IO[bytes], path: Path, kind: FileKind) -> None:
        self.path, self.kind = path, kind
        with self._reading():
            if stream.read(6) == b"\x93NUMPY":
                raise ValueError("one array, not an archive of arrays")
            self._archive = zipfile.ZipFile(stream)
            members = self._archive.infolist()
        self._members = {info.filename.removesuffix(".npy"): info for info in members}
        if len(self._members) < len(members):
            raise kind.wrong(path, "is damaged: it holds two arrays of one name")

    @property
    def names(self) -> tuple[str, ...]:
        """The arrays in the file, in its order."""
        return tuple(self._members)

    def header(self, name: str) -> Header:
        """Shape and dtype of an array; nothing else of it is read.

        Raises:
            InputError: if there is no such array, it holds Python objects, or its header does
                not go with its length.
        """
        if name not in self._members:
            raise self.kind.wrong(self.path, f"lacks the array '{name}'")
        with self._reading(), self._archive.open(self._members[name]) as file:
            header = _read_header(file)
            start = file.tell()
        if header.dtype.hasobject:
            raise InputError(
                f"{self.path}: {name} holds Python objects, which are never unpickled. Save it as "
                "an array of numbers"
            )
        if start + header.nbytes != self._members[name].file_size:
            raise self.kind.wrong(self.path, f"is damaged: '{name}' is not as long as it says")
        return header

    def read(self, name: str, spec: ArraySpec | None = None) -> np.ndarray:
        """An array, once its header is what is expected and it fits the memory.

        Raises:
            InputError: as `header`, or if the array is not what `spec` says.
        """
        header = self.header(name)
        problem = spec.problem(header) if spec else None
        if problem:
            raise self.kind.wrong(self.path, f"will not do: '{name}' {problem}")
        if header.nbytes > MEMORY_SHARE * physical_memory():
            raise self.kind.wrong(
                self.path,
                f"does not fit the memory: '{name}' takes {header.nbytes / 1e9:.1f} GB of "
                f"{physical_memory() / 1e9:.1f} GB",
            )
        with self._reading(), self._archive.open(self._members[name]) as file:
            array = np.asarray(np.lib.format.read_array(file, allow_pickle=False))
        if spec and spec.finite and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise self.kind.wrong(self.path, f"will not do: '{name}' holds NaN or infinity")
        return array

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except Exception as error:  # whatever zipfile, zlib and NumPy raise on damaged bytes
            problem = f"cannot be read as .npz ({type(error).__name__}: {first_line(error)})"
            raise self.kind.wrong(self.path, problem) from None


def _read_header(file: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"array format {version}")
    shape, _, dtype = readers[version](file)
    if any(side < 0 for side in shape):
        raise ValueError(f"shape {shape}")
    return Header(tuple(shape), dtype)


@contextlib.contextmanager
def open_arrays(path: str | Path, kind: FileKind) -> Iterator[ArrayFile]:
    """Opens an `.npz` file; see `ArrayFile`.

    Raises:
        InputError: as `files.open_file`, or if it is no `.npz` file.
    """
    with open_file(path, kind) as stream:
        yield ArrayFile(stream, Path(path), kind)


def read_arrays(
    path: str | Path,
    kind: FileKind,
    expected: Mapping[str, ArraySpec],
    *,
    optional: Collection[str] = (),
    others: bool = True,
) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file, each as expected; all headers are looked at first.

    Args:
        path: of the file. kind: see `FileKind`. expected: what each array must be, by name.
        optional: of those, the ones that may be missing.
        others: whether the file may hold further arrays, which are not read.

    Raises:
        InputError: on the first thing that is wrong.
    """
    with open_arrays(path, kind) as file:
        further = sorted(set(file.names) - set(expected))
        if further and not others:
            raise kind.wrong(Path(path), f"belongs to something else: it has '{further[0]}'")
        wanted = [name for name in expected if name in file.names or name not in optional]
        for name in wanted:
            problem = expected[name].problem(file.header(name))
            if problem:
                raise kind.wrong(Path(path), f"will not do: '{name}' {problem}")
        return {name: file.read(name, expected[name]) for name in wanted}


def physical_memory() -> float:
    """Bytes of memory that this machine has; infinite where it does not say."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return float("inf")
