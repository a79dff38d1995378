"""The options that say on what a training runs, and how; they change no number but by rounding."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from atk_latent.training.request import WORDS, Execution

NAMES = ("strategy", "precision", "jit", "tensorboard", "checkpoint_minutes")
OPTIONS = (
    click.option(
        "--strategy",
        type=click.Choice(WORDS["strategy"]),
        default="auto",
        show_default=True,
        help="Devices that train together: all GPUs (auto), one, all of this machine, or of the "
        "processes in TF_CONFIG or Slurm's variables.",
    ),
    click.option(
        "--precision",
        type=click.Choice(WORDS["precision"]),
        default="float32",
        show_default=True,
        help="What layers compute in.",
    ),
    click.option(
        "--jit",
        type=click.Choice(WORDS["jit"]),
        default="auto",
        show_default=True,
        help="XLA for train steps; auto: on a single GPU.",
    ),
    click.option(
        "--tensorboard",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Write TensorBoard's logs there: losses, accuracies, example images.",
    ),
    click.option(
        "--checkpoint-minutes",
        type=float,
        metavar="N",
        help="Keep a state to resume from every N minutes, not only after each epoch.",
    ),
)


def execution_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options to a command and hands it one `execution` in their place.

    Raises:
        InputError: for values out of range.
    """

    @functools.wraps(command)
    def wrapped(**arguments: Any) -> None:
        values = {name: arguments.pop(name) for name in NAMES}
        command(execution=Execution(**values), **arguments)

    for option in reversed(OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def start_together(execution: Execution) -> None:
    """Joins the other processes of a training, which must be done before TensorFlow computes.

    Raises:
        InputError: if they are not named as they must be, or the devices are not there.
    """
    from atk_latent.training.team import strategy_for

    strategy_for(execution.strategy)
