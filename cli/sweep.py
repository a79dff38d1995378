"""`atkl sweep`: a grid of methods, settings and seeds."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atk_latent.errors import InputError
from atk_latent.registry import ATTACKS, DATA, METHODS, MODELS

from . import _common as common
from ._cluster import Cluster, ray_options
from ._names import Names
from .harden import PRESETS

if TYPE_CHECKING:
    from atk_latent.reproduction.sweep import Sweep
    from atk_latent.results.comparison import Comparison


@click.command("sweep", short_help="A grid of methods, settings and seeds.")
@click.option(
    "--method",
    "-m",
    "methods",
    multiple=True,
    required=True,
    type=Names(METHODS),
    metavar="M",
    help="See `atkl list methods`; may be repeated.",
)
@click.option(
    "--data", required=True, type=Names(DATA), metavar="D", help="Registered name, .npz or folder."
)
@click.option(
    "--set",
    "axes",
    multiple=True,
    metavar="KEY=A,B,C",
    help="A setting and its values; may be repeated, and every combination is run. METHOD:KEY=A,B "
    "is for that method alone. A value that is a list itself stands in brackets: "
    "eps=[0.1,0.2],0.3 are two values.",
)
@click.option(
    "--seeds",
    default="0",
    show_default=True,
    metavar="A,B,C",
    help="Of the trainings, a classifier each. Images are chosen, and attacked, with seed 0.",
)
@click.option(
    "--attack",
    "-a",
    "attacks",
    multiple=True,
    default=("pgd",),
    show_default=True,
    type=Names(ATTACKS),
    metavar="SPEC",
    help="As for `atkl evaluate`; may be repeated.",
)
@click.option("--preset", type=click.Choice(PRESETS), default="paper", show_default=True)
@click.option(
    "--model",
    type=Names(MODELS),
    metavar="NAME|PATH",
    help="Registered model, or a trained one to harden.",
)
@click.option("--limit-train", type=click.IntRange(1), metavar="N", help="Training images at most.")
@click.option("--limit-test", type=click.IntRange(1), metavar="N", help="Test images at most.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder of runs and tables."
)
@common.device_option
@ray_options
@common.json_option
@common.run_command
def sweep_command(out: Path, as_json: bool, **options: Any) -> None:
    """Train and attack every cell of a grid; mean and spread over seeds in one table, one figure.

    \b
    atkl sweep --method trades --data digits --set beta=1,3,6 --seeds 0,1,2 \\
        --attack pgd:eps=0.1 --out runs/sweep
    atkl sweep --method pgd --method trades --set trades:beta=1,6 --data digits --out runs/two
    atkl sweep --method pgd --data digits --set eps=0.1,0.2 --out runs/ray --ray local --workers 2

    Each cell is a run folder in OUT/runs; result.json, table.md, table.csv and figure.png are
    written after each row. The same command goes on where a stopped one was, and a larger grid
    trains only what is new. With --ray the cells are trained side by side.
    """  # noqa: D301
    chosen = _Options(**options)
    common.check_folder(out)
    common.check_attack_names(chosen.attacks)
    with common.stdout_kept_clean():
        try:
            table = _table(chosen, out)
        except KeyboardInterrupt:
            common.say(f"Stopped. The same command goes on in {out}.", err=True)
            sys.exit(common.INTERRUPTED)
    if as_json:
        common.print_json(table.to_json())
        return
    common.say((out / "table.md").read_text(encoding="utf-8"))
    common.say(f"Written: {out}")


@dataclass(frozen=True)
class _Options:
    """The command's options by name."""

    methods: tuple[str, ...]
    data: str
    axes: tuple[str, ...]
    seeds: str
    attacks: tuple[str, ...]
    preset: str
    model: str | None
    limit_train: int | None
    limit_test: int | None
    device: str
    cluster: Cluster


def _table(options: _Options, out: Path) -> Comparison:
    for method in options.methods:
        METHODS.entry(method)
    with common.progress_bars() as show, options.cluster.executor(show) as executor:
        common.setup_tensorflow(options.device)
        from atk_latent.reproduction.run import Runner
        from atk_latent.reproduction.sweep import run_sweep

        runner = Runner(options.preset, out, progress=show, executor=executor)
        with common.limit_by_its_option(r"--limit-\1"):
            return run_sweep(_sweep(options), runner)


def _sweep(options: _Options) -> Sweep:
    from atk_latent.reproduction.sweep import Axis, Sweep

    return Sweep(
        options.data,
        options.methods,
        tuple(Axis.parse(text) for text in options.axes),
        seeds=_seeds(options.seeds),
        attacks=options.attacks,
        preset=options.preset,
        model=options.model,
        limit_train=options.limit_train,
        limit_test=options.limit_test,
    )


def _seeds(text: str) -> tuple[int, ...]:
    """Reads ``0,1,2``.

    Raises:
        InputError: if it holds anything but numbers that a seed can be.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(p.isascii() and p.isdigit() and int(p) <= common.MOST_SEED for p in parts):
        raise InputError(
            f"--seeds must be whole numbers from 0 to {common.MOST_SEED}, such as 0,1,2. "
            f"Received: {text!r}"
        )
    return tuple(map(int, parts))
