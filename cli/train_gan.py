"""`atkl train-gan`: from data to a run folder with the GAN that the attack `song` needs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from atk_latent.config import assignments

from . import _common as common

PRESETS = ("paper", "quick")


def _show(card: dict[str, Any]) -> None:
    metrics = card["metrics"]
    click.echo(
        f"GAN on {card['data']} ({card['preset']}), {card['settings']['steps']} steps, "
        f"{card['seconds']:.0f} s. Of {metrics['drawn_images']} drawn images its own auxiliary "
        f"classifier sees the class of {100 * metrics['auxiliary_accuracy']:.1f}%"
    )
    if "judge" in metrics:
        click.echo(f"{metrics['judge']}: {100 * metrics['judge_accuracy']:.1f}%")
    click.echo(f"Images: {Path(card['run']) / 'images.png'}. Run: {card['run']}")


@click.command("train-gan")
@click.option("--data", required=True, metavar="D", help="Registered name, .npz or folder.")
@click.option("--preset", type=click.Choice(PRESETS), default="paper", show_default=True)
@click.option("--judge", metavar="MODEL", help="Trained classifier that also judges the images.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Training images at most.")
@click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Any other setting.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder to write.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@common.seed_option
@common.device_option
@common.json_option
@common.run_command
def train_gan(
    data: str,
    preset: str,
    judge: str | None,
    limit: int | None,
    pairs: tuple[str, ...],
    out: Path | None,
    resume: bool,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Train the GAN of Song et al. and leave a run folder that the attack `song` reads.

    \b
    atkl train-gan --data mnist --preset quick --out runs/song-mnist
    atkl evaluate runs/ladder --data mnist --attack song:gan=runs/song-mnist,steps=200
    """  # noqa: D301
    overrides = assignments(pairs)
    folder = out or Path("runs") / f"song-{Path(data).stem}"
    with common.stdout_kept_clean():
        try:
            card = _run(data, preset, judge, overrides, limit, seed, folder, resume, device)
        except KeyboardInterrupt:
            click.echo(f"Stopped. The same command with --resume goes on in {folder}.", err=True)
            sys.exit(common.INTERRUPTED)
    if as_json:
        common.print_json(card)
    else:
        _show(card)


def _run(
    data: str,
    preset: str,
    judge: str | None,
    overrides: dict[str, str],
    limit: int | None,
    seed: int,
    folder: Path,
    resume: bool,
    device: str,
) -> dict[str, Any]:
    common.setup_tensorflow(device)
    from atk_latent.data.loading import load_dataset
    from atk_latent.experiments import gan_training, hardening

    dataset = load_dataset(data, limit_train=limit, seed=seed)
    request = hardening.Request(gan_training.METHOD, data, preset, judge, overrides, limit, seed)
    with common.progress_bars() as show:
        return gan_training.train_gan(request, dataset, folder, resume=resume, progress=show)
