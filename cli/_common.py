"""What every command shares: options, exit codes, progress, TensorFlow's set-up."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from atk_latent.atomic import check_parent, json_text, write_problem
from atk_latent.config import spec
from atk_latent.errors import InputError, visible
from atk_latent.pixels import PixelFormat
from atk_latent.registry import ATTACKS, DATA

from ._names import Names

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


F = TypeVar("F", bound=Callable[..., Any])
MOST_SEED = 2**32 - 1  # NumPy's generators take no more
INPUT_WRONG, GATE_NOT_MET, INTERRUPTED = 2, 3, 130

target_argument = click.argument("target")
data_option = click.option(
    "--data",
    "-d",
    required=True,
    type=Names(DATA),
    help="A registered name (atkl list data) or a path.",
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(0, MOST_SEED),
    default=0,
    show_default=True,
    help="Of all randomness.",
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
    "--device", default="auto", show_default=True, help="auto, cpu, gpu:N, or several: gpu:0,2."
)
trust_option = click.option(
    "--trust", is_flag=True, help="Run a SavedModel even if its graph touches files or runs Python."
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else there."
)


def pixel_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds --input-range and --preprocess, and hands the command one `PixelFormat` for them."""

    @functools.wraps(command)
    def wrapped(
        *arguments: Any, input_range: str | None, preprocess: str | None, **options: Any
    ) -> None:
        command(*arguments, pixels=PixelFormat(input_range, preprocess), **options)

    by_range = click.option(
        "--input-range",
        metavar="LOW,HIGH",
        help="Pixels that the model was trained on, such as 0,255 or -1,1. eps stays in [0, 1].",
    )
    by_name = click.option(
        "--preprocess",
        metavar="MODULE",
        help="In its place: the model was trained behind preprocess_input of this module, such as "
        "keras.applications.resnet50.",
    )
    return by_range(by_name(wrapped))


def run_command(function: F) -> F:
    """Ends a command with 2 and one line for a user's mistake, with 130 for Ctrl-C.

    Anything else that is raised is a bug and keeps its traceback and exit code 1.
    """

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            with notes_on_stderr(), reader_may_leave():
                return function(*args, **kwargs)
        except InputError as error:
            fail(str(error))
        except OSError as error:
            problem = write_problem(
                Path(os.fsdecode(error.filename or "a file")), error, "read or write"
            )
            if problem is None:
                raise
            fail(str(problem))
        except KeyboardInterrupt:
            say("Interrupted; nothing half-written is left.", err=True)
            sys.exit(INTERRUPTED)

    return wrapped  # type: ignore[return-value]


def say(text: str, *, err: bool = False) -> None:
    """A line on stdout, or on stderr, in which names of the user's do nothing to a terminal."""
    click.echo(visible(text), err=err)


def fail(message: str) -> NoReturn:
    """Ends the process with 2 and the message as one line."""
    say(f"Error: {' '.join(message.split())}", err=True)
    sys.exit(INPUT_WRONG)


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """Lets the reader of stdout go, as `head` does after a line: the rest is for nobody."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        with contextlib.suppress(OSError, ValueError):  # a test's stdout has no number
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Notes(logging.Handler):
    """Says what a module warns of as one line, once a command."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """One line on stderr."""
        line = " ".join(record.getMessage().split())
        if line not in self.said:
            say(f"Note: {line}", err=True)
        self.said.add(line)


@contextlib.contextmanager
def notes_on_stderr() -> Iterator[None]:
    """Shows on stderr what the package warns of meanwhile."""
    logger, handler = logging.getLogger("atk_latent"), _Notes()
    propagates = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates


@contextlib.contextmanager
def limit_by_its_option(name: str = "--limit") -> Iterator[None]:
    r"""Calls a limit that will not do what the user called it.

    Args:
        name: the option; ``--limit-\1`` is `--limit-train` or `--limit-test`.
    """
    try:
        yield
    except InputError as error:
        raise InputError(re.sub(r"\blimit_(test|train)\b", name, str(error))) from None


@contextlib.contextmanager
def stdout_kept_clean() -> Iterator[None]:
    """Sends to stderr whatever libraries print while a command computes."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def choose_device(device: str = "auto") -> tuple[str, tuple[int, ...]]:
    """Sets what TensorFlow reads from the environment; it is not imported yet.

    Args:
        device: "auto" (all GPUs there are), "cpu", "gpu", "gpu:N" or several, "gpu:0,2".

    Returns:
        The kind of device and the numbers of those to use.

    Raises:
        InputError: on another word.
    """
    one = "[0-9]{1,4}"
    match = re.fullmatch(rf"auto|cpu|gpu(?::({one}(?:,(?:gpu:)?{one})*))?", device.lower())
    numbers = tuple(map(int, re.findall("[0-9]+", (match and match[1]) or "0")))
    if not match or len({*numbers}) < len(numbers):
        raise InputError(
            f"--device must be auto, cpu or gpu:N, or several: gpu:0,2. Received: {device!r}"
        )
    kind = match[0].partition(":")[0]
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if kind == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    return kind, numbers


def setup_tensorflow(device: str = "auto") -> None:
    """Imports TensorFlow, quietly, with the devices asked for and memory that grows.

    Args:
        device: as for `choose_device`.

    Raises:
        InputError: on another word, or a GPU that is not there.
    """
    kind, numbers = choose_device(device)
    warnings.filterwarnings("ignore", message="PyTorch not found")
    warnings.formatwarning = _one_line  # type: ignore[assignment]  # fewer parameters
    with _start_messages_held_back():
        import keras  # noqa: F401
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
    logging.getLogger("absl").setLevel(logging.ERROR)
    tf.get_logger().setLevel("ERROR")
    if kind == "gpu" and max(numbers) >= len(gpus):
        raise InputError(f"--device {device}: TensorFlow sees {len(gpus)} GPUs here. Use cpu")
    seen = [] if kind == "cpu" else gpus if kind == "auto" else [gpus[i] for i in numbers]
    with contextlib.suppress(RuntimeError):  # too late in a process that has computed already
        if len(seen) != len(gpus):
            tf.config.set_visible_devices(seen, "GPU")
        for gpu in seen:
            tf.config.experimental.set_memory_growth(gpu, True)


def _one_line(message: Warning | str, *_: object, **__: object) -> str:
    return f"Warning: {' '.join(str(message).split())}\n"


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
        progress.TextColumn("{task.description}", markup=False),
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
    return visible(" ".join(part for part in (title, what, numbers) if part))


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
    """A rich console on stdout, wide enough for the tables where it is no terminal.

    What it prints is text: no markup, no emoji, no character that a terminal obeys.
    """
    from rich.console import Console

    class PlainConsole(Console):
        def render_str(self, text: str, **options: Any) -> Text:  # type: ignore[override]
            return super().render_str(visible(text), **options)

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    width = None if sys.stdout.isatty() else 140
    return PlainConsole(file=sys.stdout, width=width, markup=False, emoji=False, highlight=False)


def check_folder(folder: Path) -> None:
    """Refuses a folder that is none, or cannot be made.

    Raises:
        InputError: naming what is wrong with it or with the nearest folder above it.
    """
    nearest = folder.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    check_parent(nearest / "x", "--out")


def check_attack_names(specs: Iterable[str]) -> None:
    """Refuses an attack that is not registered, before TensorFlow is imported.

    Raises:
        InputError: with the nearest name and all names.
    """
    for text in specs:
        ATTACKS.entry(spec(text)[0].removeprefix("art:"))
