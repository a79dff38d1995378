"""One writer at a time in a folder: a lock that dies with the process that holds it."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from atk_latent.atomic import write_problem
from atk_latent.errors import InputError

LOCK = ".lock"


@contextlib.contextmanager
def locked(folder: str | Path, name: str = "--out") -> Iterator[None]:
    """Holds the lock of a folder; the system releases it when the process ends, however it ends.

    The lock is on the file `.lock` in the folder, which says who holds it and is removed at the
    end. A killed process leaves the file but not the lock.

    Args:
        folder: it exists. name: the option or argument, for the message.

    Raises:
        InputError: naming the process, the machine and the time, if another one holds it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, locked(folder):
        ...     (Path(folder) / LOCK).exists()
        True
    """
    path = Path(folder) / LOCK
    file = _held(path, name)
    try:
        yield
    finally:
        # Removed while it is held: who waits with the old file sees that it is no longer there.
        path.unlink(missing_ok=True)
        file.close()


def check_unlocked(folder: str | Path, name: str = "--out") -> None:
    """Refuses a folder that another process is writing to.

    Raises:
        InputError: as `locked`.
    """
    path = Path(folder) / LOCK
    if not path.is_file():
        return
    try:
        with path.open("rb") as file:
            if not _try_lock(file):
                raise _refusal(path, name)
    except OSError:  # gone meanwhile, or not ours to open: `locked` will say so
        return


def _held(path: Path, name: str) -> IO[bytes]:
    """The lock file, locked, with this process's name in it."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            problem = f"cannot lock {path.parent}: {error.strerror}. Choose another place"
            raise write_problem(path, error) or InputError(problem) from None
        file = os.fdopen(descriptor, "r+b")
        try:
            if not _try_lock(file):
                raise _refusal(path, name)
            if _is_still(file, path):
                since = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
                holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
                file.truncate()
                file.write(json.dumps(holder).encode())
                file.flush()
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _try_lock(file: IO[bytes]) -> bool:
    try:
        import fcntl
    except ImportError:  # not on Windows: there is no lock there
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _is_still(file: IO[bytes], path: Path) -> bool:
    """Whether the open file is the one at `path`: its last holder may have removed it."""
    try:
        here, there = os.fstat(file.fileno()), path.stat()
    except FileNotFoundError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _refusal(path: Path, name: str) -> InputError:
    try:
        holder = json.loads(path.read_bytes()[:4096])
        who = f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, LookupError, TypeError):  # it has not written its name yet
        who = "another process"
    return InputError(
        f"{name} {path.parent} is in use by {who}. Wait until it ends, or choose another place"
    )
