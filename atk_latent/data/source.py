"""What every registered data set is: a name, its classes and a way to read it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Iterator
from typing import NamedTuple

from atk_latent.data.dataset import Dataset
from atk_latent.errors import InputError

DATA_DIR = "ATKL_DATA_DIR"
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
DIGITS = tuple(str(digit) for digit in range(10))
# No array may take more of the machine than this: TensorFlow needs the rest.
MEMORY_SHARE = 0.8


class Limits(NamedTuple):
    """How much of a data set is wanted.

    Args:
        train: int >= number of classes, or None for all training images.
        test: the same for the test images.
        seed: int >= 0 for the choice.
    """

    train: int | None = None
    test: int | None = None
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Source:
    """A registered data set; calling it reads it.

    Args:
        name: the registered name.
        class_names: one name a class, in label order.
    """

    name: str
    class_names: tuple[str, ...]

    def read(self, limits: Limits) -> Dataset:
        """Reads the data; may leave out what `limits` will drop anyway."""
        raise NotImplementedError

    def __call__(
        self, *, limit_train: int | None = None, limit_test: int | None = None, seed: int = 0
    ) -> Dataset:
        """Reads the data and keeps what the limits ask for.

        Args:
            limit_train: int >= number of classes, or None for all training images.
            limit_test: the same for the test images.
            seed: int >= 0 for the choice.

        Raises:
            InputError: if the data cannot be had, or a limit is too small.
        """
        limits = Limits(limit_train, limit_test, seed)
        return self.read(limits).subset(*limits)

    def remedy(self) -> str:
        """What to do when the data cannot be downloaded, for the end of a message."""
        return (
            f"put {self.name}.npz with {', '.join(ARRAYS)} into a folder and set {DATA_DIR} to it"
        )


def data_dir() -> str | None:
    """The folder that `ATKL_DATA_DIR` names, or None if it is not set.

    Raises:
        InputError: if it names no folder.
    """
    folder = os.environ.get(DATA_DIR)
    if not folder:
        return None
    folder = os.path.expanduser(folder)
    if not os.path.isdir(folder):
        raise InputError(f"{DATA_DIR} must name a folder. Received: {folder!r}, which is none")
    return folder


@contextlib.contextmanager
def quiet_stdout() -> Iterator[None]:
    """Sends to stderr what others print, because stdout belongs to `--json`."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def one_line(error: BaseException) -> str:
    """The first line of an error, with its type, for the inside of a message."""
    lines = str(error).strip().splitlines()
    text = lines[0].strip() if lines else ""
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__


def check_memory(images: int, shape: tuple[int, ...], source: str, remedy: str) -> None:
    """Refuses images whose float32 arrays would not fit the machine.

    Args:
        images: how many.
        shape: `(height, width, channels)` of one.
        source: what the message calls the data.
        remedy: what to do, for the end of the message.

    Raises:
        InputError: if they need more than 80% of the physical memory (where known).
    """
    needed = 4 * images
    for side in shape:
        needed *= side
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return
    if needed > MEMORY_SHARE * memory:
        raise InputError(
            f"{source}: {images} images need {needed / 1e9:.1f} GB as float32, "
            f"this machine has {memory / 1e9:.1f} GB. {remedy}"
        )
