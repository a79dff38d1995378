"""`atkl harden`: from data to a run folder with a hardened classifier."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from atk_latent.config import convert, places
from atk_latent.errors import InputError
from atk_latent.files import MIB, FileKind, read_json_object
from atk_latent.pixels import PixelFormat
from atk_latent.registry import DATA, METHODS, MODELS
from atk_latent.training.request import HardenRequest

from . import _common as common, _training as training
from ._names import Names

if TYPE_CHECKING:
    from atk_latent.results.card import Card

_CONFIG = FileKind("--config file", MIB, 'It must be a JSON file of settings: {"epochs": 5}')
PRESETS = ("paper", "official", "quick", "stable")


def _with_shorthands(
    settings: Mapping[str, object], shorthands: Mapping[str, str | None]
) -> dict[str, object]:
    """The settings of --set and those that have an option of their own."""
    values = {name: value for name, value in shorthands.items() if value is not None}
    twice = next((name for name in values if name in settings), None)
    if twice is not None:
        option = "--" + twice.replace("_", "-")
        raise InputError(f"'{twice}' is given twice, by {option} and by --set; keep one")
    return {**settings, **values}


def _table(card: Card) -> None:
    from rich.table import Table

    console = common.console()
    title = f"{card.method} on {card.data} ({card.preset}), {card.test_images} test images"
    rows = [("clean images", card.vanilla_clean_accuracy, card.clean_accuracy)]
    eps, pgd = card.number("pgd_eps"), card.number("pgd_accuracy")
    if pgd is not None and eps is not None:
        ball = f"{card.metrics['pgd_norm']} eps {eps:.4g}, {card.metrics['pgd_images']} images"
        rows.append((f"PGD-20, {ball}", None, pgd))
    over_eps = card.metric_rows.get("accuracy_over_eps", ())
    for row in over_eps:
        name = f"LADDER examples, eps {row['eps']:g}"
        rows.append((name, float(str(row["vanilla"])), float(str(row["hardened"]))))
    vanilla = any(before is not None for _, before, _ in rows)
    table = Table("accuracy on", title=title)
    for column in (*(["vanilla"] if vanilla else []), "hardened"):
        table.add_column(column, justify="right")
    for name, before, after in rows:
        table.add_row(name, *([_percent(before)] if vanilla else []), _percent(after))
    console.print(table)
    if over_eps:
        console.print(
            "LADDER examples are made from test images against the vanilla model: white-box "
            "for it, a transfer attack on the hardened one."
        )
        console.print(f"generator test MSE {card.number('generator_test_mse'):.5f}")
    console.print(f"{card.seconds:.0f} s, {card.peak_memory_mb:.0f} MB. Run: {card.run}")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}%"


@click.command("harden")
@click.option(
    "--method", required=True, type=Names(METHODS), metavar="M", help="See `atkl list methods`."
)
@click.option(
    "--data", required=True, type=Names(DATA), metavar="D", help="Registered name, .npz or folder."
)
@click.option(
    "--model",
    type=Names(MODELS),
    metavar="NAME|plain:PARTS|PATH",
    help="Registered model, small network written out (see "
    "atkl import-torch --help), or a trained one to harden.",
)
@click.option("--latent-layer", metavar="NAME", help="Layer whose output is perturbed.")
@click.option("--preset", type=click.Choice(PRESETS), default="paper", show_default=True)
@click.option("--eps", metavar="E[,E...]", help="Size of the perturbation; a list is drawn from.")
@click.option("--epochs", metavar="N", help="Epochs of adversarial training.")
@click.option("--batch-size", metavar="N", help="Images of a training batch.")
@training.limit_option
@training.set_option
@click.option("--config", type=click.Path(path_type=Path), help="JSON file with settings.")
@training.out_option
@training.resume_option
@common.seed_option
@common.device_option
@common.json_option
@common.run_command
@common.pixel_options
@training.gather_job
def harden(
    job: training.Job,
    method: str,
    model: str | None,
    pixels: PixelFormat,
    config: Path | None,
    as_json: bool,
    **shorthands: str | None,
) -> None:
    """Train a defence and leave a run folder with the hardened classifier.

    \b
    atkl harden --method ladder --data digits
    atkl harden --method ladder --data mnist --set examples=fresh --epochs 12
    atkl harden --method ladder --data my.npz --model my.keras --latent-layer dense_1
    atkl harden --method ladder --data photos/ --model my.keras --input-range 0,255
    atkl harden --method pgd --data mnist --preset quick --eps 0.3
    atkl harden --method trades --data digits --set early_stopping=true --set awp_gamma=0.005
    atkl harden --method augment --data mnist --set attack=jsma
    """  # noqa: D301
    METHODS.entry(method)
    overrides = {**_from_file(config), **_with_shorthands(job.options.overrides, shorthands)}
    if "epochs" in overrides and convert("epochs", overrides["epochs"], int) == 0:
        raise InputError("setting 'epochs' must be at least 1: 0 epochs harden nothing")
    options = dataclasses.replace(job.options, overrides=overrides)
    folder = job.out or Path("saved_models") / f"{method}-{Path(options.data).stem}"
    with training.session(job, folder) as (dataset, show):
        from atk_latent.training import pipeline

        _check_shorthands(method, shorthands)
        request = HardenRequest(method, options, model, pixels)
        card = pipeline.harden(request, dataset, folder, resume=job.resume, progress=show)
    if as_json:
        common.print_json(card.to_json())
    else:
        _table(card)


def _check_shorthands(method: str, shorthands: Mapping[str, str | None]) -> None:
    """Refuses an option that is no setting of the method."""
    known = places(METHODS[method].settings_type)
    for name, value in shorthands.items():
        if value is not None and name not in known:
            option = "--" + name.replace("_", "-")
            raise InputError(f"{option} does nothing for --method {method}; leave it out")


def _from_file(path: Path | None) -> dict[str, object]:
    if path is None:
        return {}
    content = read_json_object(path, _CONFIG)
    if "\\u0000" in json.dumps(content):
        raise InputError(f"--config {path} holds a NUL byte (\\u0000), which no setting has")
    return dict(content)
