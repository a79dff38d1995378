"""From a data set to a run folder with a hardened classifier in it."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import keras

from atk_latent import config
from atk_latent.art_bridge.context import AttackContext
from atk_latent.art_bridge.estimator import estimator_for
from atk_latent.art_bridge.factory import make_attack
from atk_latent.data.dataset import Dataset
from atk_latent.methods.base import Method
from atk_latent.methods.presets import resolve
from atk_latent.methods.settings import MethodSettings
from atk_latent.models.scoring import clean_accuracy
from atk_latent.progress import Progress
from atk_latent.registry import METHODS
from atk_latent.results.card import Card
from atk_latent.training.adversarial_sets import adversarial_set
from atk_latent.training.card import base_card
from atk_latent.training.request import HardenRequest
from atk_latent.training.run_folder import RunFolder
from atk_latent.training.starting_model import VANILLA, StartingModel, default_model


def harden(
    request: HardenRequest,
    dataset: Dataset,
    folder: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> Card:
    """Hardens a classifier and leaves a run folder behind.

    The folder holds `model.keras` (the bare classifier), `helpers/` (the vanilla model and
    what the method trained beside it), `history.csv`, figures, `card.md` and, last, `card.json`.
    Stopped at any moment, the same request with `resume` goes on from the last whole epoch.

    Args:
        request: what to do. dataset: its data, already loaded and limited.
        folder: the run folder. resume: go on with what is there.
        progress: told (stage, done, in all, logs).

    Returns:
        What `card.json` says.

    Raises:
        InputError: if anything asked for is wrong; nothing is written then.
    """
    started, options = time.monotonic(), request.options
    name = request.model or default_model(dataset)
    start = StartingModel(name, dataset, options.seed, request.pixels)
    settings, preset = resolve(
        request.method, dataset.name, options.preset, name, options.overrides
    )
    settings.check_files()
    settings.check_contents(dataset.image_shape, dataset.num_classes)
    run = RunFolder(folder, request, resume=resume, data_fingerprint=dataset.fingerprint())
    start = dataclasses.replace(start, pixels=run.pixels)
    if run.finished:
        return run.finished_card()
    with run.locked():
        keras.utils.set_random_seed(options.seed)
        method, vanilla = _ready_method(request, start, settings, run, progress)
        x, y = dataset.x_test, dataset.y_test
        before = None if vanilla is None else clean_accuracy(vanilla, x, y).value
        seconds = _train(method, dataset, run, progress)
        if progress:
            progress("measuring", 0, 1, {})
        metrics = _measure(method, dataset, run)
        after = clean_accuracy(method.classifier, x, y).value
        fields = {
            "preset": preset,
            "model": start.name,
            "clean_accuracy": after,
            "vanilla_clean_accuracy": after if method.is_vanilla else before,
            "training_seconds": seconds,
            **vars(run.pixels),
        }
        base = base_card(run, dataset, settings, metrics, started)
        card = run.finish(base.model_copy(update=fields))
    if progress:
        progress("measuring", 1, 1, {})
    return card


def _ready_method(
    request: HardenRequest,
    start: StartingModel,
    settings: MethodSettings,
    run: RunFolder,
    progress: Progress | None,
) -> tuple[Method, keras.Model | None]:
    """The method around the classifier it starts from, with all that it needs from outside.

    Makes the run folder, once the method has refused what it cannot do.

    Returns:
        The method, and the trained classifier before it, None where there is none.
    """
    kind, seed = METHODS[request.method], start.seed
    method = kind(start.load(), settings, seed=seed)
    _check_attack(method, start.dataset)
    run.open()
    if not start.is_trained and not method.needs_vanilla:
        return method, None
    vanilla = start.vanilla(run, progress)
    if start.is_trained or kind.starts_from == "vanilla":
        method = kind(vanilla, settings, seed=seed)
    else:  # the vanilla classifier only labels images
        settings = config.updated(settings, {"teacher": str(run.helpers / VANILLA)})
        method = kind(method.classifier, settings, seed=seed)
    _hand_over_fixed_set(method, vanilla, start.dataset, run, progress)
    return method, vanilla


def _check_attack(method: Method, dataset: Dataset) -> None:
    """Refuses an attack that cannot make the fixed set, before a vanilla classifier is trained."""
    request = method.fixed_set_request()
    if request is not None:
        estimator = estimator_for(method.classifier, image_shape=dataset.image_shape)
        make_attack(request.attack, estimator, AttackContext(data=dataset, seed=method.seed))


def _hand_over_fixed_set(
    method: Method,
    vanilla: keras.Model,
    dataset: Dataset,
    run: RunFolder,
    progress: Progress | None,
) -> None:
    """Makes the adversarial images that a method wants of `vanilla`, once for all resumed runs."""
    request = method.fixed_set_request()
    if request is None:
        return
    context = AttackContext(data=dataset, seed=method.seed)
    rows = request.images.rows(dataset.y_train, dataset.num_classes, context.seed)
    x, y, path = dataset.x_train[rows], dataset.y_train[rows], run.helpers / "examples.npz"
    method.use(x, adversarial_set(path, request.attack, vanilla, x, y, context, progress), y)


def _measure(method: Method, dataset: Dataset, run: RunFolder) -> dict[str, object]:
    """The method's own numbers on the test images; its figures are left in the run folder."""
    x, y = dataset.x_test, dataset.y_test
    metrics = method.measure(x, y)
    for name, figure in method.figures(x, y, metrics, dataset.class_names).items():
        run.save_figure(figure, name)
    return metrics


def _train(method: Method, dataset: Dataset, run: RunFolder, progress: Progress | None) -> float:
    """Trains and saves all models; the seconds of the classifier's epochs.

    Those of a stopped run count, too.
    """
    x, y = dataset.x_train, dataset.y_train
    method.prepare(x, y, folder=run.helpers, progress=progress)
    states = run.checkpoint / "classifier"
    logs = method.harden(x, y, folder=states, progress=progress)
    method.save_helpers(run.helpers)
    run.save_model(method.classifier, "model.keras")
    run.save_history(logs)
    return round(sum(epoch["seconds"] for epoch in logs), 1)
