"""What `atkl harden` and `atkl train-gan` share."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from atk_latent.training.request import RunOptions

from . import _common as common

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


@contextlib.contextmanager
def session(options: RunOptions, folder: Path, device: str) -> Iterator[tuple[Dataset, Progress]]:
    """TensorFlow set up, progress on stderr; Ctrl-C says how to go on.

    Args:
        options: name the data set. folder: the run folder.
        device: as `setup_tensorflow` reads it.

    Yields:
        The data set, and who hears of the progress.
    """
    with common.stdout_kept_clean():
        try:
            common.setup_tensorflow(device)
            from atk_latent.data.loading import load_dataset

            dataset = load_dataset(options.data, limit_train=options.limit, seed=options.seed)
            with common.progress_bars() as show:
                yield dataset, show
        except KeyboardInterrupt:
            click.echo(f"Stopped. The same command with --resume goes on in {folder}.", err=True)
            sys.exit(common.INTERRUPTED)
