"""What the card of a run says, whatever was trained."""

from __future__ import annotations

import resource
import sys
import time
from typing import TYPE_CHECKING, Any

from atk_latent import config
from atk_latent.data.dataset import Dataset
from atk_latent.results.provenance import today, versions

if TYPE_CHECKING:
    from atk_latent.training.run_folder import RunFolder

Card = dict[str, Any]


def base_card(
    run: RunFolder, dataset: Dataset, settings: Any, metrics: Card, started: float
) -> Card:
    """The fields that every card has.

    Args:
        run: the run, all but finished. dataset: what it was trained and measured on.
        settings: a frozen dataclass, all that the training was told.
        metrics: numbers of the method's own.
        started: when the run began, by `time.monotonic`.
    """
    request = run.request
    return {
        "schema": "atk_latent/card/1",
        "date": today(),
        "run": str(run.folder),
        "method": request.method,
        "data": request.options.data,
        "preset": request.options.preset,
        "overrides": dict(request.options.overrides),
        "metrics": metrics,
        "train_images": len(dataset.x_train),
        "test_images": len(dataset.x_test),
        "data_fingerprint": dataset.fingerprint(),
        "class_names": dataset.class_names,
        "seed": request.options.seed,
        "settings": config.flat(settings),
        "versions": versions(),
        "seconds": round(time.monotonic() - started, 1),
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "resumed": run.resumed,
    }


def peak_memory_mb() -> float:
    """Most memory this process has held so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
