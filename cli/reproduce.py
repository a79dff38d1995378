"""`atkl reproduce`: a table or a figure of the papers, or ours beside theirs."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from atk_latent import atomic
from atk_latent.errors import InputError
from atk_latent.registry import EXPERIMENTS
from atk_latent.training.request import Execution

from . import _common as common
from ._execution import execution_options, start_together
from ._names import Names


@dataclasses.dataclass(frozen=True)
class Scope:
    """How much of an experiment runs: its arguments as of `reproduction.run.Runner`."""

    preset: str
    rows: tuple[str, ...]
    seed: int


def gather_scope(command: Callable[..., None]) -> Callable[..., None]:
    """Hands a command one `Scope` in place of the options that make it."""

    @functools.wraps(command)
    def wrapped(**arguments: Any) -> None:
        scope = Scope(*map(arguments.pop, ("preset", "rows", "seed")))
        command(scope=scope, **arguments)

    return wrapped


@click.command("reproduce")
@click.argument("name", type=Names(EXPERIMENTS))
@click.option(
    "--preset",
    type=click.Choice(("quick", "paper")),
    default="quick",
    show_default=True,
    help="Minutes on two cores, or the papers' own budgets.",
)
@click.option(
    "--rows",
    multiple=True,
    metavar="PATTERN",
    help="Only rows whose label fits, as 'wrn*'; may be repeated. Tables hold those of earlier "
    "calls, too.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder; default reproduced/NAME.")
@common.seed_option
@common.device_option
@common.json_option
@common.run_command
@execution_options
@gather_scope
def reproduce(
    name: str,
    scope: Scope,
    out: Path | None,
    device: str,
    as_json: bool,
    execution: Execution,
) -> None:
    """Run an experiment of `atkl list experiments` and leave its tables and figures.

    The same command goes on where a stopped one was: finished runs and attacked images are
    found again.
    """
    EXPERIMENTS.entry(name)
    suffix = "" if scope.preset == "quick" else f"-{scope.preset}"
    folder = out or Path("reproduced") / f"{name}{suffix}"
    _check_folder(folder)
    if execution.strategy == "multiworker":
        raise InputError(
            "--strategy multiworker is for harden and train-gan: reproduce also attacks, in one "
            "process. Take auto or mirrored"
        )
    with common.stdout_kept_clean():
        common.setup_tensorflow(device)
        start_together(execution)
        try:
            from atk_latent.reproduction.experiment import check_rows
            from atk_latent.reproduction.run import Runner

            check_rows(name, EXPERIMENTS[name], scope.rows, scope.preset)
            with common.progress_bars() as show:
                runner = Runner(
                    scope.preset,
                    folder,
                    seed=scope.seed,
                    rows=scope.rows,
                    progress=show,
                    execution=execution,
                )
                record = EXPERIMENTS[name](runner)
        except KeyboardInterrupt:
            common.say(f"Stopped. The same command goes on in {folder}.", err=True)
            sys.exit(common.INTERRUPTED)
    if as_json:
        common.print_json(record)
        return
    for table in sorted(folder.glob("*.md")):
        common.say(table.read_text(encoding="utf-8"))
    common.say(f"Written: {folder}")


def _check_folder(folder: Path) -> None:
    atomic.check_parent(_nearest(folder) / "x", "--out")


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder
