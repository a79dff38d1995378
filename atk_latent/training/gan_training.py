"""From a data set to a run folder with a trained class-conditional GAN in it."""

from __future__ import annotations

import time
from pathlib import Path

import keras
import numpy as np

from atk_latent.data.dataset import Dataset
from atk_latent.methods.figures import ImageSheet
from atk_latent.methods.song_gan import (
    GANSettings,
    SongGANTraining,
    draw_images,
    fit_gan,
    gan_settings,
    step_images,
    untrained_gan,
)
from atk_latent.models.endings import require_logits
from atk_latent.models.loading import load_classifier
from atk_latent.models.scoring import clean_accuracy
from atk_latent.models.song_gan import GAN
from atk_latent.progress import Progress
from atk_latent.results.card import Card
from atk_latent.training.card import base_card
from atk_latent.training.request import GANRequest
from atk_latent.training.run_folder import RunFolder

MEASURED_IMAGES, SHEET_IMAGES = 1000, 10


def train_gan(
    request: GANRequest,
    dataset: Dataset,
    folder: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> Card:
    """Trains a GAN and leaves a run folder behind.

    The folder holds `helpers/generator.keras` and `helpers/discriminator.keras`,
    `history.csv`, `images.png` (ten images of each class), `card.md` and, written last,
    `card.json`. Stopped at any moment, the same request with `resume` goes on from the last
    state.

    Args:
        request: what to do. dataset: its data, already loaded and limited.
        folder: the run folder. resume: go on with what is there.
        progress: told (stage, done, in all, logs).

    Returns:
        The card of the run, as in `card.json`.

    Raises:
        InputError: if anything asked for is wrong; nothing is written then.
    """
    started, options = time.monotonic(), request.options
    settings = gan_settings(dataset.name, options.preset, dict(options.overrides))
    run = RunFolder(folder, request, resume=resume, data_fingerprint=dataset.fingerprint())
    if run.finished:
        return run.finished_card()
    step_images(settings, len(dataset.x_train))
    judge = _judge(request.judge, dataset)
    keras.utils.set_random_seed(options.seed)
    gan, scale = untrained_gan(
        settings, dataset.name, dataset.image_shape, dataset.num_classes, options.seed
    )
    training = SongGANTraining(gan, settings, scale=scale, seed=options.seed)
    with run.locked():
        run.open()
        logs = fit_gan(
            training,
            dataset.x_train,
            dataset.y_train,
            seed=options.seed,
            checkpoint=run.checkpoint / "gan",
            progress=progress,
        )
        for name, model in gan._asdict().items():
            run.save_model(model, f"helpers/{name}.keras")
        run.save_history(_by_steps(logs, settings))
        metrics = _measure(gan, settings, judge, dataset, run)
        return run.finish(base_card(run, dataset, settings, metrics, started))


def _judge(path: str | None, dataset: Dataset) -> keras.Model | None:
    if path is None:
        return None
    model = load_classifier(path, dataset.image_shape, dataset.num_classes)
    require_logits(model, dataset.x_test[:64])
    return model


def _by_steps(logs: list[dict[str, float]], settings: GANSettings) -> list[dict[str, float]]:
    stage = settings.steps // len(logs)
    return [{"generator_steps": stage * (i + 1), **row} for i, row in enumerate(logs)]


def _measure(
    gan: GAN, settings: GANSettings, judge: keras.Model | None, dataset: Dataset, run: RunFolder
) -> dict[str, object]:
    """How often drawn images show their class, by the GAN's own head and by the judge.

    Some of them are left in the run folder as a figure.
    """
    classes, seed = dataset.num_classes, run.request.options.seed
    y = np.arange(max(MEASURED_IMAGES // classes, SHEET_IMAGES) * classes) % classes
    images, predicted = draw_images(gan, y, seed=seed, batch_size=settings.batch_size)
    some = images[: SHEET_IMAGES * classes].reshape(SHEET_IMAGES, classes, *images.shape[1:])
    title = f"drawn after {settings.steps} steps, {dataset.name}"
    run.save_figure(ImageSheet(some.swapaxes(0, 1), dataset.class_names, title), "images")
    logits = gan.discriminator.predict(dataset.x_test, batch_size=500, verbose=0)[1]
    metrics: dict[str, object] = {
        "drawn_images": len(y),
        "auxiliary_accuracy": float(np.mean(predicted == y)),
        "auxiliary_accuracy_test_images": float(np.mean(logits.argmax(axis=1) == dataset.y_test)),
    }
    if judge is not None:
        metrics["judge"] = run.request.model
        metrics["judge_accuracy"] = clean_accuracy(judge, images, y).value
    return metrics
