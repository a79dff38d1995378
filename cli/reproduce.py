"""`atkl reproduce`: a table or a figure of the papers, or ours beside theirs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from atk_latent import atomic
from atk_latent.registry import EXPERIMENTS

from . import _common as common
from ._names import Names


@click.command("reproduce")
@click.argument("name", type=Names(EXPERIMENTS))
@click.option(
    "--preset",
    type=click.Choice(("quick", "paper")),
    default="quick",
    show_default=True,
    help="Minutes on two cores, or the papers' own budgets.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder; default reproduced/NAME.")
@common.seed_option
@common.device_option
@common.json_option
@common.run_command
def reproduce(
    name: str, preset: str, out: Path | None, seed: int, device: str, as_json: bool
) -> None:
    """Run an experiment of `atkl list experiments` and leave its tables and figures.

    The same command goes on where a stopped one was: finished runs and attacked images are
    found again.
    """
    EXPERIMENTS.entry(name)
    folder = out or Path("reproduced") / (name if preset == "quick" else f"{name}-{preset}")
    _check_folder(folder)
    with common.stdout_kept_clean():
        common.setup_tensorflow(device)
        try:
            from atk_latent.reproduction.run import Runner

            with common.progress_bars() as show:
                runner = Runner(preset, folder, seed=seed, progress=show)
                record = EXPERIMENTS[name](runner)
        except KeyboardInterrupt:
            click.echo(f"Stopped. The same command goes on in {folder}.", err=True)
            sys.exit(common.INTERRUPTED)
    if as_json:
        common.print_json(record)
        return
    for table in sorted(folder.glob("*.md")):
        click.echo(table.read_text(encoding="utf-8"))
    click.echo(f"Written: {folder}")


def _check_folder(folder: Path) -> None:
    atomic.check_parent(_nearest(folder) / "x", "--out")


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder
