"""What the card of a run says, whatever was trained."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping

from atk_latent import config
from atk_latent.atomic import json_safe
from atk_latent.data.dataset import Dataset
from atk_latent.results.card import Card
from atk_latent.results.provenance import today, versions
from atk_latent.training.run_folder import RunFolder


def base_card(
    run: RunFolder,
    dataset: Dataset,
    settings: object,
    metrics: Mapping[str, object],
    started: float,
) -> Card:
    """The card with what every run has to say.

    Args:
        run: the run, all but finished. dataset: what it was trained and measured on.
        settings: a frozen dataclass, all that the training was told.
        metrics: numbers of the method's own.
        started: when the run began, by `time.monotonic`.
    """
    method, options = run.request.method, run.request.options
    return Card(
        date=today(),
        run=str(run.folder),
        method=method,
        data=options.data,
        preset=options.preset,
        overrides=json_safe(options.overrides),
        metrics=json_safe(metrics),
        train_images=len(dataset.x_train),
        test_images=len(dataset.x_test),
        data_fingerprint=run.data_fingerprint or dataset.fingerprint(),
        class_names=tuple(dataset.class_names),
        seed=options.seed,
        settings=json_safe(config.flat(settings)),
        versions=versions(),
        seconds=round(time.monotonic() - started, 1),
        peak_memory_mb=round(peak_memory_mb(), 1),
        resumed=run.resumed,
    )


def peak_memory_mb() -> float:
    """Most memory this process has held so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
