"""What every command shares: options, exit codes, progress, TensorFlow's set-up."""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from atk_latent.atomic import json_text
from atk_latent.config import spec
from atk_latent.errors import InputError
from atk_latent.registry import ATTACKS

if TYPE_CHECKING:
    from rich.console import Console


F = TypeVar("F", bound=Callable[..., Any])
# What is wrong with a place on disk, not with the program.
_PLACES = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
INPUT_WRONG, GATE_NOT_MET, INTERRUPTED = 2, 3, 130

target_argument = click.argument("target")
data_option = click.option(
    "--data", "-d", required=True, help="A registered name (atkl list data) or a path."
)
seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all randomness."
)
batch_size_option = click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Images at once.",
)
store_option = click.option(
    "--store",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep finished attacks there; the same command goes on where it was stopped.",
)
limit_option = click.option(
    "--limit", type=click.IntRange(min=1), help="Only so many images, classes in proportion."
)
inference_option = click.option(
    "--inference",
    default="none",
    show_default=True,
    metavar="none|imt|imt+",
    help="Score TARGET, an ATLD run, behind IMT; imt+:magnitude=0.25 changes its settings.",
)
device_option = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu or gpu:N."
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else there."
)


def run_command(function: F) -> F:
    """Ends a command with 2 and one line for a user's mistake, with 130 for Ctrl-C.

    Anything else that is raised is a bug and keeps its traceback and exit code 1.
    """

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except InputError as error:
            click.echo(f"Error: {' '.join(str(error).split())}", err=True)
            sys.exit(INPUT_WRONG)
        except OSError as error:
            if error.errno not in _PLACES or error.filename is None:
                raise
            place = f"cannot read or write {error.filename}: {error.strerror}"
            click.echo(f"Error: {place}. Make room or give another place", err=True)
            sys.exit(INPUT_WRONG)
        except KeyboardInterrupt:
            click.echo("Interrupted; nothing half-written is left.", err=True)
            sys.exit(INTERRUPTED)

    return wrapped  # type: ignore[return-value]


@contextlib.contextmanager
def stdout_kept_clean() -> Iterator[None]:
    """Sends to stderr whatever libraries print while a command computes."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def choose_device(device: str = "auto") -> tuple[str, int]:
    """Sets what TensorFlow reads from the environment; it is not imported yet.

    Args:
        device: "auto" (a GPU if there is one), "cpu", "gpu" or "gpu:N".

    Returns:
        The kind of device and its number.

    Raises:
        InputError: on another word.
    """
    kind, _, number = device.lower().partition(":")
    legal = (kind in ("auto", "cpu") and not number) or (
        kind == "gpu" and (number or "0").isdigit()
    )
    if not legal:
        raise InputError(f"--device must be auto, cpu or gpu:N. Received: {device!r}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if kind == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    return kind, int(number or 0)


def setup_tensorflow(device: str = "auto") -> None:
    """Imports TensorFlow, quietly, with the devices asked for and memory that grows.

    Args:
        device: "auto" (a GPU if there is one), "cpu", "gpu" or "gpu:N".

    Raises:
        InputError: on another word, or a GPU that is not there.
    """
    kind, number = choose_device(device)
    warnings.filterwarnings("ignore", message="PyTorch not found")
    with _start_messages_held_back():
        import keras  # noqa: F401
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
    logging.getLogger("absl").setLevel(logging.ERROR)
    tf.get_logger().setLevel("ERROR")
    if kind == "gpu" and number >= len(gpus):
        raise InputError(f"--device {device}: TensorFlow sees {len(gpus)} GPUs here. Use cpu")
    seen = [] if kind == "cpu" else gpus if kind == "auto" else [gpus[number]]
    with contextlib.suppress(RuntimeError):  # too late in a process that has computed already
        if len(seen) != len(gpus):
            tf.config.set_visible_devices(seen, "GPU")
        for gpu in seen:
            tf.config.experimental.set_memory_growth(gpu, True)


@contextlib.contextmanager
def _start_messages_held_back() -> Iterator[None]:
    """Holds back what TensorFlow's C++ writes to stderr while it starts, whatever its log level.

    Shown after all if the start fails.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def print_json(value: object) -> None:
    """The one JSON object of a ``--json`` run, on stdout."""
    click.echo(json_text(value))


Show = Callable[..., None]


@contextlib.contextmanager
def progress_bars(title: str = "") -> Iterator[Show]:
    """Yields ``show(what, done, total, logs=None)``: a bar on stderr for each `what`.

    Where stderr is no terminal, a line now and then: see `ProgressLines`.

    Args:
        title: written before each `what`.
    """
    if not sys.stderr.isatty():
        yield ProgressLines(title)
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left:"),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int, logs: Mapping[str, float] | None = None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            text = _described(title, what, logs)
            bars.update(tasks[what], completed=done, total=total, description=text)

        yield show


def _described(title: str, what: str, logs: Mapping[str, float] | None) -> str:
    numbers = " ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
    return " ".join(part for part in (title, what, numbers) if part)


class ProgressLines:
    """Progress for a log file: nothing in the first seconds, then a line every half minute.

    A line has the stage, what is done of it and the time that is left at the pace so far; of a
    stage inside another ("pgd: steps" in "pgd") also where the outer one stands.

    Args:
        title: written before each line. clock: seconds that only rise.
    """

    FIRST, EVERY = 10.0, 30.0

    def __init__(self, title: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self.title, self.clock = title, clock
        self.next = clock() + self.FIRST
        self.begun: dict[str, tuple[float, int]] = {}  # when each stage was first heard of, where
        self.reached: dict[str, str] = {}

    def __call__(
        self, what: str, done: int, total: int, logs: Mapping[str, float] | None = None
    ) -> None:
        """Writes where `what` stands, if it is time."""
        now = self.clock()
        since, first = self.begun.setdefault(what, (now, done))
        if done < first or done >= total:  # the stage begins again, or the next one does
            self.begun[what] = since, first = now, done
        self.reached[what] = f"{done}/{total}"
        if now < self.next:
            return
        self.next = now + self.EVERY
        text = f"{_described(self.title, what, logs)} {done}/{total}"
        outer = what.partition(": ")[0]
        if outer != what and outer in self.reached:
            text += f", {outer} {self.reached[outer]}"
        if done > first:
            left = round((now - since) * (total - done) / (done - first))
            text += f", left {left // 3600}:{left // 60 % 60:02}:{left % 60:02}"
        click.echo(f"{time.strftime('%H:%M:%S')} {text}", err=True)


def console() -> Console:
    """A rich console on stdout, wide enough for the tables where it is no terminal."""
    from rich.console import Console

    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else 140)


def check_attack_names(specs: Iterable[str]) -> None:
    """Refuses an attack that is not registered, before TensorFlow is imported.

    Raises:
        InputError: with the nearest name and all names.
    """
    for text in specs:
        ATTACKS.entry(spec(text)[0].removeprefix("art:"))
