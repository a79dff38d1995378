"""`atkl reproduce`: a table or a figure of the papers, or ours beside theirs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atk_latent.errors import InputError
from atk_latent.registry import EXPERIMENTS
from atk_latent.training.request import Execution

from . import _common as common
from ._cluster import Cluster, ray_options
from ._execution import execution_options, start_together
from ._names import Names

if TYPE_CHECKING:
    from atk_latent.results.record import Json


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
@ray_options
@common.json_option
@common.run_command
@execution_options
def reproduce(name: str, out: Path | None, as_json: bool, **options: Any) -> None:
    """Run an experiment of `atkl list experiments` and leave its tables and figures.

    The same command goes on where a stopped one was: finished runs and attacked images are
    found again. With --ray the rows of a table are trained side by side.
    """
    EXPERIMENTS.entry(name)
    chosen = _Options(**options)
    if chosen.execution.strategy == "multiworker":
        raise InputError(
            "--strategy multiworker is for harden and train-gan: reproduce also attacks, in one "
            "process. Take auto or mirrored, or --ray"
        )
    default = name if chosen.preset == "quick" else f"{name}-{chosen.preset}"
    folder = out or Path("reproduced") / default
    common.check_folder(folder)
    with common.stdout_kept_clean():
        try:
            record = _record(name, folder, chosen)
        except KeyboardInterrupt:
            common.say(f"Stopped. The same command goes on in {folder}.", err=True)
            sys.exit(common.INTERRUPTED)
    if as_json:
        common.print_json(record)
        return
    for table in sorted(folder.glob("*.md")):
        common.say(table.read_text(encoding="utf-8"))
    common.say(f"Written: {folder}")


@dataclass(frozen=True)
class _Options:
    """The command's options by name."""

    preset: str
    rows: tuple[str, ...]
    seed: int
    device: str
    cluster: Cluster
    execution: Execution


def _record(name: str, folder: Path, options: _Options) -> Json:
    common.setup_tensorflow(options.device)
    start_together(options.execution)
    from atk_latent.reproduction.experiment import check_rows
    from atk_latent.reproduction.run import Runner

    preset, rows = options.preset, options.rows
    check_rows(name, EXPERIMENTS[name], rows, preset)
    with common.progress_bars() as show, options.cluster.executor(show) as executor:
        runner = Runner(
            preset,
            folder,
            seed=options.seed,
            rows=rows,
            progress=show,
            execution=options.execution,
            executor=executor,
        )
        record: Json = EXPERIMENTS[name](runner)
    return record
