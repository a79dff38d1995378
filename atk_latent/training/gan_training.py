"""From a data set to a run folder with a trained class-conditional GAN in it."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from atk_latent.atomic import atomic_file
from atk_latent.data.dataset import Dataset
from atk_latent.methods.song_gan import (
    GANSettings,
    SongGANTraining,
    draw_images,
    fit_gan,
    gan_settings,
    step_images,
    untrained_gan,
)
from atk_latent.models.latent import require_logits
from atk_latent.models.loading import load_classifier
from atk_latent.models.scoring import clean_accuracy
from atk_latent.models.song_gan import GAN
from atk_latent.progress import Progress
from atk_latent.reporting.figures import image_sheet
from atk_latent.training.pipeline import Request, Run, base_card, peak_memory_mb

METHOD = "song-gan"
MEASURED_IMAGES, SHEET_IMAGES = 1000, 10


def train_gan(
    request: Request,
    dataset: Dataset,
    folder: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Trains a GAN and leaves a run folder behind.

    The folder holds `helpers/generator.keras` and `helpers/discriminator.keras`,
    `history.csv`, `images.png` (ten images of each class), `card.md` and, written last,
    `card.json`. Stopped at any moment, the same request with `resume` goes on from the last
    state.

    Args:
        request: `data`, `preset`, `overrides`, `limit` and `seed` as for `harden`; `model`
            is a trained classifier that judges the images, or None.
        dataset: its data, already loaded and limited. folder: the run folder.
        resume: go on with what is there. progress: told (stage, done, in all, logs).

    Returns:
        The content of `card.json`.

    Raises:
        InputError: if anything asked for is wrong; nothing is written then.
    """
    started = time.monotonic()
    settings = gan_settings(dataset.name, request.preset, request.overrides)
    run = Run(folder, request, resume=resume)
    if run.finished:
        return json.loads((folder / "card.json").read_text())
    step_images(settings, len(dataset.x_train))
    judge = _judge(request.model, dataset)
    keras.utils.set_random_seed(request.seed)
    gan, scale = untrained_gan(
        settings, dataset.name, dataset.image_shape, dataset.num_classes, request.seed
    )
    training = SongGANTraining(gan, settings, scale=scale, seed=request.seed)
    run.open()
    images, labels, checkpoint = dataset.x_train, dataset.y_train, run.checkpoint / "gan"
    logs = fit_gan(
        training, images, labels, seed=request.seed, checkpoint=checkpoint, progress=progress
    )
    for name, model in gan._asdict().items():
        run.save_model(model, f"helpers/{name}.keras")
    run.save_history(_by_steps(logs, settings))
    metrics = _measure(gan, settings, dataset, request, judge, folder)
    card = {
        **base_card(request, dataset, run, settings, metrics),
        "seconds": round(time.monotonic() - started, 1),
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "resumed": run.resumed,
    }
    run.save_card(card)
    shutil.rmtree(run.checkpoint, ignore_errors=True)
    return json.loads((folder / "card.json").read_text())


def _judge(path: str | None, dataset: Dataset) -> keras.Model | None:
    if path is None:
        return None
    model = load_classifier(path, dataset.image_shape, dataset.num_classes)
    require_logits(model, dataset.x_test[:64])
    return model


def _by_steps(logs: list[dict[str, float]], settings: GANSettings) -> list[dict[str, float]]:
    each = settings.steps // len(logs)
    return [{"generator_steps": each * (i + 1), **row} for i, row in enumerate(logs)]


def _measure(
    gan: GAN,
    settings: GANSettings,
    dataset: Dataset,
    request: Request,
    judge: keras.Model | None,
    folder: Path,
) -> dict[str, Any]:
    """How often drawn images show their class, by the GAN's own head and by the judge."""
    classes = dataset.num_classes
    y = np.arange(max(MEASURED_IMAGES // classes, SHEET_IMAGES) * classes) % classes
    images, seen = draw_images(gan, y, seed=request.seed, batch_size=settings.batch_size)
    sheet = images[: SHEET_IMAGES * classes].reshape(SHEET_IMAGES, classes, *images.shape[1:])
    with atomic_file(folder / "images.png") as part:
        image_sheet(
            sheet.swapaxes(0, 1),
            dataset.class_names,
            part,
            title=f"drawn after {settings.steps} steps, {dataset.name}",
        )
    test = gan.discriminator.predict(dataset.x_test, batch_size=500, verbose=0)[1]
    metrics: dict[str, Any] = {
        "drawn_images": len(y),
        "auxiliary_accuracy": float(np.mean(seen == y)),
        "auxiliary_accuracy_test_images": float(np.mean(test.argmax(axis=1) == dataset.y_test)),
    }
    if judge is not None:
        metrics["judge"] = request.model
        metrics["judge_accuracy"] = clean_accuracy(judge, images, y).value
    return metrics
