"""`atkl train-gan`: from data to a run folder with the GAN that the attack `song` needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from atk_latent.registry import DATA
from atk_latent.training.request import GANRequest

from . import _common as common, _training as training
from ._execution import execution_options
from ._names import Names

if TYPE_CHECKING:
    from atk_latent.results.card import Card

PRESETS = ("paper", "quick")


def _show(card: Card) -> None:
    common.say(
        f"GAN on {card.data} ({card.preset}), {card.settings['steps']} steps, "
        f"{card.seconds:.0f} s. Of {card.metrics['drawn_images']} drawn images its own auxiliary "
        f"classifier sees the class of {_percent(card, 'auxiliary_accuracy')}"
    )
    if "judge" in card.metrics:
        common.say(f"{card.metrics['judge']}: {_percent(card, 'judge_accuracy')}")
    common.say(f"Images: {Path(card.run or '') / 'images.png'}. Run: {card.run}")


def _percent(card: Card, metric: str) -> str:
    return f"{100 * (card.number(metric) or 0.0):.1f}%"


@click.command("train-gan")
@click.option(
    "--data", required=True, type=Names(DATA), metavar="D", help="Registered name, .npz or folder."
)
@click.option("--preset", type=click.Choice(PRESETS), default="paper", show_default=True)
@click.option("--judge", metavar="MODEL", help="Trained classifier that also judges the images.")
@training.limit_option
@training.set_option
@training.out_option
@training.resume_option
@common.seed_option
@common.device_option
@common.json_option
@common.run_command
@execution_options
@training.gather_job
def train_gan(job: training.Job, judge: str | None, as_json: bool) -> None:
    """Train the GAN of Song et al. and leave a run folder that the attack `song` reads.

    \b
    atkl train-gan --data mnist --preset quick --out runs/song-mnist
    atkl evaluate runs/ladder --data mnist --attack song:gan=runs/song-mnist,steps=200
    """  # noqa: D301
    request = GANRequest(job.options, judge)
    folder = job.out or Path("runs") / f"song-{Path(job.options.data).stem}"
    with training.session(job, folder) as (dataset, show):
        from atk_latent.training import gan_training

        card = gan_training.train_gan(request, dataset, folder, resume=job.resume, progress=show)
    if as_json:
        common.print_json(card.to_json())
    else:
        _show(card)
