"""The one door through which files are read: regular, of a sensible size, whole, well-formed.

Whatever is wrong with a file is an `InputError` of one line that names the file, what is wrong
with it and what to do. Files that a run wrote are compared with the checksums it noted in the
`checksums.json` of their folder or of the folder above; a folder without that file, as earlier
versions wrote it, is read as it is.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import stat
from pathlib import Path
from typing import IO, TypeAlias

from atk_latent.errors import InputError, first_line

CHECKSUMS, CHECKSUMS_SCHEMA = "checksums.json", "atk_latent/checksums/1"
KIB, MIB, GIB = 2**10, 2**20, 2**30
JsonValue: TypeAlias = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]


@dataclasses.dataclass(frozen=True)
class FileKind:
    """A kind of file that is read.

    Args:
        name: what messages call it: "run card".
        limit: bytes at most.
        remedy: what to do about a wrong one, a sentence without its full stop; "" where whoever
            reads it says that.

    Example:
        >>> FileKind("run card", 16 * 2**20, "Run the command again").name
        'run card'
    """

    name: str
    limit: int
    remedy: str = "Give another file"

    def wrong(self, path: Path, problem: str) -> InputError:
        """The error that names the file, the problem and the remedy."""
        return InputError(f"{path} {problem}" + (f". {self.remedy}" if self.remedy else ""))


CHECKSUM_FILE = FileKind(
    "list of checksums", 16 * MIB, "Remove it to use the folder without its checks"
)


def open_file(path: str | Path, kind: FileKind) -> IO[bytes]:
    """The file, open for reading, its checksum compared where one was noted.

    Args:
        path: of the file; symbolic links are followed. kind: see `FileKind`.

    Raises:
        InputError: if it is missing, unreadable, no regular file (a folder, a pipe, a device),
            larger than the limit, or no longer what was written.
    """
    file = _opened(Path(path), kind)
    try:
        expected = noted_checksum(Path(path))
        if expected is not None and checksum(file) != expected:
            raise kind.wrong(
                Path(path), f"is damaged or was changed: {CHECKSUMS} beside it has another checksum"
            )
        file.seek(0)
    except OSError as error:
        file.close()
        raise kind.wrong(Path(path), f"cannot be read ({error.strerror or error})") from None
    except BaseException:
        file.close()
        raise
    return file


def check_file(path: str | Path, kind: FileKind) -> Path:
    """The path, once all that `open_file` looks at is right; for readers that want a path."""
    open_file(path, kind).close()
    return Path(path)


def read_text(path: str | Path, kind: FileKind) -> str:
    """The content of a UTF-8 file.

    Raises:
        InputError: as `open_file`, or if it is no UTF-8.
    """
    with open_file(path, kind) as file:
        try:
            return file.read().decode("utf-8")
        except (UnicodeDecodeError, OSError) as error:
            raise kind.wrong(Path(path), f"is no {kind.name} ({first_line(error)})") from None


def read_json(path: str | Path, kind: FileKind, *, finite: bool = True) -> JsonValue:
    """The content of a JSON file.

    Args:
        path: of the file. kind: see `FileKind`.
        finite: whether ``NaN`` and ``1e999`` are refused.

    Raises:
        InputError: as `open_file`, or if it is no JSON.
    """
    text = read_text(path, kind)
    try:
        number = _finite if finite else float
        content: JsonValue = json.loads(text, parse_constant=number, parse_float=number)
    except (ValueError, RecursionError) as error:
        raise kind.wrong(Path(path), f"is no JSON ({first_line(error)})") from None
    return content


def read_json_object(path: str | Path, kind: FileKind) -> dict[str, JsonValue]:
    """As `read_json`, for a file that must hold one object."""
    content = read_json(path, kind)
    if not isinstance(content, dict):
        raise kind.wrong(Path(path), f"must hold one JSON object, not {type(content).__name__}")
    return content


def checksum(file: IO[bytes]) -> str:
    """SHA-256 of an open file from its start on, 64 hex digits."""
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(MIB):
        digest.update(block)
    return digest.hexdigest()


def noted_checksum(path: Path) -> str | None:
    """What the `checksums.json` of the folder, or of the one above, says of a file.

    Returns:
        64 hex digits; None where nobody noted any.
    """
    path = path.absolute()
    for folder in (path.parent, path.parent.parent):
        if path.name != CHECKSUMS:
            noted = read_checksums(folder).get(path.relative_to(folder).as_posix())
            if noted is not None:
                return noted
    return None


def read_checksums(folder: Path) -> dict[str, str]:
    """Checksums by relative path, as `checksums.json` of a folder has them; {} without one.

    Raises:
        InputError: if that file is damaged.
    """
    path = folder / CHECKSUMS
    if not os.path.lexists(path):
        return {}
    content = read_json_object(path, CHECKSUM_FILE)
    sums = content.get("sha256")
    if content.get("schema") != CHECKSUMS_SCHEMA or not isinstance(sums, dict):
        raise CHECKSUM_FILE.wrong(path, "is no list of checksums")
    return {str(name): str(value) for name, value in sums.items()}


def _opened(path: Path, kind: FileKind) -> IO[bytes]:
    try:
        # Without O_NONBLOCK a pipe that nobody writes to would be waited for.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError):
        raise kind.wrong(path, "does not exist") from None
    except PermissionError:
        raise InputError(
            f"{path} may not be read: permission denied. Change its permissions (chmod) or owner"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        raise kind.wrong(path, f"cannot be opened ({first_line(error)})") from None
    try:
        _check_form(os.fstat(descriptor), path, kind)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check_form(status: os.stat_result, path: Path, kind: FileKind) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise kind.wrong(path, f"is a folder, not a {kind.name}")
    if not stat.S_ISREG(status.st_mode):
        raise kind.wrong(path, f"is a pipe, a device or a socket, not a {kind.name}")
    if status.st_size > kind.limit:
        raise kind.wrong(
            path, f"has {status.st_size:,} bytes; a {kind.name} has {kind.limit:,} at most"
        )


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no finite number")
    return value
