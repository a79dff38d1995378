"""What `atkl harden` and `atkl train-gan` share."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atk_latent.config import assignments
from atk_latent.training.request import RunOptions

from . import _common as common
from ._execution import start_together

if TYPE_CHECKING:
    from atk_latent.data.dataset import Dataset
    from atk_latent.progress import Progress

limit_option = click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="Training images at most."
)
set_option = click.option(
    "--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Any other setting."
)
out_option = click.option("--out", type=click.Path(path_type=Path), help="Run folder to write.")
resume_option = click.option("--resume", is_flag=True, help="Go on with the run in --out.")


@dataclasses.dataclass(frozen=True)
class Job:
    """What both commands are told: what to train on, where, and with what.

    Args:
        options: of the request, with the settings of --set.
        out: the run folder, None where --out is left to the command.
        resume: whether to go on with a stopped run. device: as `setup_tensorflow` reads it.
    """

    options: RunOptions
    out: Path | None
    resume: bool
    device: str


def gather_job(command: Callable[..., None]) -> Callable[..., None]:
    """Hands a command one `Job` in place of the options that make it.

    Raises:
        InputError: on a --set that is no KEY=VALUE.
    """

    @functools.wraps(command)
    def wrapped(**arguments: Any) -> None:
        data, preset, limit, seed = map(arguments.pop, ("data", "preset", "limit", "seed"))
        out, resume, device = map(arguments.pop, ("out", "resume", "device"))
        overrides, execution = assignments(arguments.pop("pairs")), arguments.pop("execution")
        options = RunOptions(data, preset, overrides, limit, seed, execution)
        command(job=Job(options, out, resume, device), **arguments)

    return wrapped


@contextlib.contextmanager
def session(job: Job, folder: Path) -> Iterator[tuple[Dataset, Progress]]:
    """TensorFlow set up, progress on stderr; Ctrl-C says how to go on.

    Args:
        job: names the data set and the device. folder: the run folder.

    Yields:
        The data set, and who hears of the progress.
    """
    options = job.options
    with common.stdout_kept_clean():
        try:
            common.setup_tensorflow(job.device)
            start_together(options.execution)
            from atk_latent.data.loading import load_dataset

            with common.limit_by_its_option():
                dataset = load_dataset(options.data, limit_train=options.limit, seed=options.seed)
            with common.progress_bars() as show:
                yield dataset, show
        except KeyboardInterrupt:
            common.say(f"Stopped. The same command with --resume goes on in {folder}.", err=True)
            sys.exit(common.INTERRUPTED)
