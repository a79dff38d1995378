"""Writing files and folders so that a kill at any moment leaves nothing half-written.

Everything is written beside its place under a temporary name and moved there with
``os.replace`` once it is complete. The temporary name keeps the suffix, because
``np.savez`` and Keras choose the format by it; it also says which process writes there, so
that the next run into the same place removes what a killed one left.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from atk_latent.errors import InputError

_STEM, _DAY = 100, 86400.0  # letters of a temporary name, seconds
_LEFTOVER = re.compile(
    r"\..*\.(?P<host>[0-9a-f]{6})-(?P<pid>\d+)-(?P<token>[0-9a-f]{8})\.tmp(?:\..*)?", re.DOTALL
)
_SWEPT = set[Path]()  # folders that this process has looked through
_OWN = set[str]()  # tokens of this process
_ROOM = "Make room there, or choose another place"
_RIGHTS = "Change its permissions (chmod) or owner, or choose another place"
_REMEDIES = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f), or choose another place",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: "Choose a place that is not mounted read-only",
    errno.ENAMETOOLONG: "Choose a shorter name",
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EIO, errno.EMFILE), "Choose another place"
    ),
}
_SURROGATES = re.compile("[\ud800-\udfff]")  # of names that are no UTF-8
_LONGEST = 240  # bytes of a name, so that there is room for the temporary one
_NUMBERS = re.compile(r"\[\n([-+.\deE,\s]+)\]")  # in JSON text: no string holds a line end


def check_parent(path: str | Path, name: str = "--out") -> Path:
    """The path as a Path, its parent folder checked to exist and to be writable.

    Args:
        path: where something is to be written.
        name: the option or argument, for the message.

    Raises:
        InputError: if the parent is missing, is no folder or cannot be written to.
    """
    path = Path(path)
    parent = path.absolute().parent
    if not parent.is_dir():
        raise InputError(f"{name} {path}: the folder {parent} does not exist. Create it first.")
    if not os.access(parent, os.W_OK):
        raise InputError(f"{name} {path}: the folder {parent} cannot be written to.")
    return path


def check_place(path: str | Path, name: str = "--out") -> Path:
    """The path as a Path, where folders above it may be missing but can be made.

    A file is made and removed in the nearest folder that is there: some, such as those below
    /proc, only look as if they could be written to.

    Args:
        path: where something is to be written.
        name: the option or argument, for the message.

    Raises:
        InputError: if a name is too long, or the folder is none or cannot be written to.
    """
    path = Path(path)
    try:
        longest = max((len(os.fsencode(part)) for part in path.absolute().parts), default=0)
    except UnicodeEncodeError:
        raise InputError(f"{name} {path} is no name that a file can have. Choose another") from None
    if longest > _LONGEST:
        raise InputError(
            f"{name} {str(path)[:60]}... has a name of {longest} bytes, {_LONGEST} are the most. "
            "Choose a shorter one"
        )
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return path
    except OSError as problem:
        raise InputError(
            f"{name} {path}: the folder {folder} cannot be written to ({problem.strerror})"
        ) from None


@contextlib.contextmanager
def new_parents(path: str | Path) -> Iterator[None]:
    """Makes the folders above `path` that are missing; an exception removes those again."""
    parents = [folder for folder in Path(path).absolute().parents if not folder.exists()]
    Path(path).absolute().parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # one that holds something by now stays
            for folder in parents:
                folder.rmdir()
        raise


def check_new_file(
    path: str | Path, *, replace: bool = False, name: str = "--out", parents: bool = False
) -> Path:
    """Checks, before any computing, that a file can be written at `path`.

    Args:
        path: the file to be.
        replace: an existing file may be replaced.
        name: the option or argument, for the message.
        parents: folders above it may be missing, see `new_parents`.

    Raises:
        InputError: if `path` is a folder, exists already (unless `replace`), or its parent
            is missing.
    """
    path = check_place(path, name) if parents else check_parent(path, name)
    if path.is_dir():
        raise InputError(f"{name} {path} is a folder; a file name is wanted.")
    if path.exists() and not replace:
        raise InputError(f"{name} {path} exists already. Choose another name or remove it.")
    return path


def check_new_folder(path: str | Path, *, name: str = "--out", parents: bool = False) -> Path:
    """Checks, before any computing, that a folder can be made at `path`.

    Args:
        path: the folder to be; it may exist if it is empty.
        name: the option or argument, for the message.
        parents: folders above it may be missing, see `new_parents`.

    Raises:
        InputError: if `path` is a file, a folder that holds something, or its parent is
            missing.
    """
    path = check_place(path, name) if parents else check_parent(path, name)
    if path.is_dir() and not path.is_symlink():
        if any(path.iterdir()):
            raise InputError(f"{name} {path} exists and is not empty. Choose another name.")
    elif path.exists() or path.is_symlink():
        raise InputError(f"{name} {path} exists already. Choose another name or remove it.")
    return path


def _sibling(path: Path) -> Path:
    """A temporary name beside `path`, once those that dead processes left there are gone."""
    path = path.absolute()
    if path.parent not in _SWEPT:
        _SWEPT.add(path.parent)
        remove_leftovers(path.parent)
    token = secrets.token_hex(4)
    _OWN.add(token)
    name = f".{path.stem[:_STEM]}.{_host()}-{os.getpid()}-{token}.tmp{path.suffix}"
    return path.parent / name


def remove_leftovers(folder: Path) -> None:
    """Removes temporary files and folders that killed processes left in a folder.

    Those of living processes stay, and for a day those of other machines.
    """
    for path in folder.glob(".*.tmp*"):
        parts = _LEFTOVER.fullmatch(path.name)
        with contextlib.suppress(OSError):
            if parts is None or not _is_left_over(path, parts):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def _is_left_over(path: Path, parts: re.Match[str]) -> bool:
    if parts["host"] != _host():
        return time.time() - path.lstat().st_mtime > _DAY
    process = int(parts["pid"])
    if process == os.getpid():  # in containers each process may have the same number
        return parts["token"] not in _OWN
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it lives, under another user
        return False
    return False


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


def write_problem(path: Path, error: BaseException, verb: str = "write") -> InputError | None:
    """The one line for a write that the system refused; None where `error` is something else.

    Libraries lose the number of an error on their way: HDF5 has it in its text, TensorFlow only
    the words.

    Args:
        path: what was to be written. error: what was raised. verb: "read or write" where it is
            not known which.
    """
    number = getattr(error, "errno", None)
    if number is None:
        text = str(error)
        in_text = re.search(r"errno = (\d+)", text)
        words = [code for code in _REMEDIES if os.strerror(code) in text]
        number = int(in_text[1]) if in_text else next(iter(words), None)
    if number not in _REMEDIES:
        return None
    return InputError(f"cannot {verb} {path}: {os.strerror(number)}. {_REMEDIES[number]}")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the system's refusal to write into one line that names `path`.

    Raises:
        InputError: if there is no room, no permission or the file would be too large.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        problem = write_problem(path, error)
        if problem is None:
            raise
        raise problem from error


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; what is written there becomes `path`.

    An existing `path` is replaced in one step. Whatever ends the block by an exception,
    Ctrl-C included, removes the temporary file and leaves `path` as it was.

    Args:
        path: the file to be; its parent must exist.

    Raises:
        InputError: if `path` is a folder, its parent is missing, or there is no room or no
            permission to write.
    """
    target = check_new_file(path, replace=True, name="the file")
    temporary = _sibling(target)
    try:
        with writing(target):
            yield temporary
            _flush(temporary)
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yields a new, empty temporary folder beside `path`; it becomes `path` at the end.

    Whatever ends the block by an exception, Ctrl-C included, removes the temporary folder
    and leaves `path` as it was.

    Args:
        path: the folder to be; it must be absent or empty, and its parent must exist.

    Raises:
        InputError: if `path` is a file or holds something, at the start or at the end.
    """
    target = check_new_folder(path, name="the folder")
    temporary = _sibling(target)
    try:
        with writing(target):
            temporary.mkdir()
            yield temporary
            check_new_folder(target, name="the folder")
            if target.is_dir():
                target.rmdir()
            temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def scratch_folder(path: str | Path) -> Iterator[Path]:
    """Yields a temporary folder beside `path`, removed at the end.

    What a killed process leaves is removed by the next run that writes to `path`, as nothing
    would remove it from the system's folder of temporary files.
    """
    temporary = _sibling(Path(path))
    try:
        with writing(temporary):
            temporary.mkdir()
            yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def json_safe(value: Any) -> Any:
    """`value` in types that JSON has: NumPy numbers and arrays, paths and tuples too.

    A number that is not finite becomes ``None``: ``NaN`` is not JSON.

    Raises:
        TypeError: on an object that has no JSON form.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_safe(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, without importing NumPy
        return json_safe(value.tolist())
    raise TypeError(f"{type(value).__name__} has no JSON form. Received: {value!r}")


def json_text(value: object, *, indent: int | None = 2) -> str:
    """`value` as JSON text, through `json_safe`, keys in the order given.

    A list of numbers stands on one line.
    """
    text = json.dumps(json_safe(value), indent=indent, allow_nan=False, ensure_ascii=False)
    text = _SURROGATES.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return _NUMBERS.sub(lambda found: "[" + " ".join(found[1].split()) + "]", text)


def write_json(path: str | Path, value: object) -> None:
    """Writes `value` as a JSON file, whole or not at all.

    Raises:
        InputError: if `path` is a folder or its parent is missing.
        TypeError: on an object that has no JSON form; nothing is written then.
    """
    text = json_text(value)
    with atomic_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
