"""From a data set to a run folder with a hardened classifier in it."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from atk_latent.atomic import atomic_file, json_text, write_json
from atk_latent.data.dataset import Dataset
from atk_latent.errors import InputError
from atk_latent.methods.augment import AugmentSettings
from atk_latent.methods.base import Method
from atk_latent.methods.ladder import GENERATOR_STATES, rows_per_class
from atk_latent.methods.natural import Natural, natural_settings
from atk_latent.models.latent import require_logits
from atk_latent.models.loading import load_classifier
from atk_latent.models.scoring import clean_accuracy
from atk_latent.progress import Progress, renamed
from atk_latent.registry import METHODS, MODELS
from atk_latent.reporting import figures
from atk_latent.reporting.model_card import model_card
from atk_latent.results.card import Card
from atk_latent.results.provenance import today, versions
from atk_latent.training.adversarial_sets import crafted_set

DEFAULT_MODELS = {"svhn": "svhnnet", "celeba": "celebanet"}


@dataclasses.dataclass(frozen=True)
class Request:
    """What `harden` was asked for; a resumed run must ask for the same.

    Args:
        method, data, preset: registered names (`data` may be a path).
        model: registered name, path to a trained model, or None for the data set's own.
        overrides: settings on top of the preset, as text or typed.
        limit: training images at most, or None. seed: of everything drawn.
    """

    method: str
    data: str
    preset: str = "paper"
    model: str | None = None
    overrides: dict[str, Any] = dataclasses.field(default_factory=dict)
    limit: int | None = None
    seed: int = 0


def default_model(dataset: Dataset) -> str:
    """The registered classifier for a data set: its own in the paper, or one by image size."""
    if dataset.name in DEFAULT_MODELS:
        return DEFAULT_MODELS[dataset.name]
    height, width, channels = dataset.image_shape
    if channels == 1 and max(height, width) <= 32:
        return "lenet"
    return "cifarnet" if max(height, width) <= 64 else "celebanet"


def _is_path(model: str) -> bool:
    return model not in MODELS and (os.sep in model or "." in model or Path(model).exists())


class Run:
    """A run folder while it is being made; `resumed` says whether a stopped run left states in it.

    Args:
        folder: the folder. request: what is asked for.

    Raises:
        InputError: if `folder` holds a run already and `resume` is off, or a run of another
            request; if it is a file or cannot be made.
    """

    def __init__(self, folder: Path, request: Request, *, resume: bool) -> None:
        self.folder, self.request = folder, request
        self.helpers, self.checkpoint = folder / "helpers", folder / "checkpoint"
        self._check(resume)
        states = (self.checkpoint, self.helpers / GENERATOR_STATES)
        self.resumed = any(place.exists() for place in states)

    def _check(self, resume: bool) -> None:
        ancestor = self.folder.absolute()
        while not ancestor.exists():
            ancestor = ancestor.parent
        if not ancestor.is_dir() or not os.access(ancestor, os.W_OK):
            raise InputError(
                f"--out {self.folder}: {ancestor} must be a folder that can be written to"
            )
        if not self.folder.exists() or not any(self.folder.iterdir()):
            return
        asked = self.folder / "request.json"
        if not asked.exists():
            raise InputError(
                f"--out {self.folder} is a folder with other things in it; choose a new one"
            )
        if not resume:
            raise InputError(
                f"--out {self.folder} holds a run already; add --resume to go on with it, "
                "or choose another folder"
            )
        before, now = json.loads(asked.read_text()), self._as_json()
        differing = sorted(key for key in now if now[key] != before.get(key))
        if differing:
            key = differing[0]
            raise InputError(
                f"--resume: {self.folder} was started with {key}={before.get(key)!r}, "
                f"now it is {now[key]!r}; resume with the same arguments or choose another --out"
            )

    def _as_json(self) -> dict[str, Any]:
        return json.loads(json.dumps(dataclasses.asdict(self.request), default=str))

    @property
    def finished(self) -> bool:
        """Whether the folder holds a complete run."""
        return (self.folder / "card.json").exists()

    def open(self) -> None:
        """Makes the folder and notes the request."""
        self.helpers.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "request.json", self._as_json())

    def adopt(self, helpers: Path, names: Sequence[str]) -> None:
        """Opens the run and takes over files from another run's helpers, so none is trained."""
        self.open()
        for name in names:
            with atomic_file(self.helpers / name) as part:
                shutil.copyfile(helpers / name, part)

    def save_model(self, model: keras.Model, name: str) -> None:
        """Saves a bare model, whole or not at all."""
        with atomic_file(self.folder / name) as part:
            model.save(part)

    def save_history(self, logs: list[dict[str, float]]) -> None:
        """Writes `history.csv`, one line an epoch of the classifier's training."""
        text = io.StringIO()
        names = list(dict.fromkeys(name for row in logs for name in row))
        writer = csv.DictWriter(text, ["epoch", *names])
        writer.writeheader()
        writer.writerows({"epoch": i + 1, **row} for i, row in enumerate(logs))
        with atomic_file(self.folder / "history.csv") as part:
            part.write_text(text.getvalue(), encoding="utf-8")

    def save_card(self, card: dict[str, Any]) -> None:
        """Writes the card for people, `card.md`, and then `card.json`, which ends a run."""
        plain = json.loads(json_text(card))  # as a reader will find it: no tuples, no NumPy
        with atomic_file(self.folder / "card.md") as part:
            part.write_text(model_card(Card.from_json(plain, "card")), encoding="utf-8")
        write_json(self.folder / "card.json", card)


def peak_memory_mb() -> float:
    """Most memory this process has held so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def starting_classifier(request: Request, dataset: Dataset) -> tuple[keras.Model, bool]:
    """The classifier to start from, and whether it still has to be trained.

    Raises:
        InputError: if the model named is missing, does not fit the data or ends in softmax.
    """
    name = request.model or default_model(dataset)
    if not _is_path(name):
        return MODELS[name](dataset.image_shape, dataset.num_classes, seed=request.seed), True
    model = load_classifier(name, dataset.image_shape, dataset.num_classes)
    require_logits(model, dataset.x_test[:64])
    return model, False


def train_vanilla(
    model: keras.Model, request: Request, dataset: Dataset, run: Run, progress: Progress | None
) -> None:
    """Trains a registered classifier plainly, in place."""
    name = request.model or default_model(dataset)
    settings = natural_settings(name, dataset.name, request.preset)
    Natural(model, settings, seed=request.seed).harden(
        dataset.x_train,
        dataset.y_train,
        folder=run.checkpoint / "vanilla",
        progress=renamed(progress, "vanilla"),
    )


def check_request(request: Request, dataset: Dataset) -> Any:
    """Builds the settings, so that a wrong argument costs nothing.

    Returns:
        The method's settings.

    Raises:
        InputError: on anything in the request that cannot be done.
    """
    model = request.model or default_model(dataset)
    if not _is_path(model):
        MODELS.entry(model)
    elif not Path(model).exists():
        raise InputError(f"--model {model}: no such file or folder")
    method = METHODS[request.method]
    settings = method.settings_for(model, dataset.name, request.preset, request.overrides)
    settings.check_files()
    return settings


def harden(
    request: Request,
    dataset: Dataset,
    folder: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Hardens a classifier and leaves a run folder behind.

    The folder holds `model.keras` (the bare classifier), `helpers/` (the vanilla model and
    what the method trained beside it), `history.csv`, figures, `card.md` and, written last,
    `card.json`. Stopped at any moment, the same request with `resume` goes on from the last
    epoch that was finished.

    Args:
        request: what to do. dataset: its data, already loaded and limited.
        folder: the run folder.
        resume: go on with what is there.
        progress: told (stage, done, in all, logs).

    Returns:
        The content of `card.json`.

    Raises:
        InputError: if anything asked for is wrong; nothing is written then.
    """
    started = time.monotonic()
    settings = check_request(request, dataset)
    run = Run(folder, request, resume=resume)
    if run.finished:
        return json.loads((folder / "card.json").read_text())
    keras.utils.set_random_seed(request.seed)
    method, vanilla = _method(request, dataset, run, settings, progress)
    x, y = dataset.x_train, dataset.y_train
    before = vanilla and clean_accuracy(vanilla, dataset.x_test, dataset.y_test).value
    method.prepare(x, y, folder=run.helpers, progress=progress)
    trained = _train(method, dataset, run, progress)
    if progress:
        progress("measuring", 0, 1, {})
    metrics = method.measure(dataset.x_test, dataset.y_test)
    _figures(method, dataset, metrics, folder)
    after = clean_accuracy(method.classifier, dataset.x_test, dataset.y_test).value
    card = {
        **base_card(request, dataset, run, settings, metrics),
        "model": request.model or default_model(dataset),
        "clean_accuracy": after,
        "vanilla_clean_accuracy": after if isinstance(method, Natural) else before,
        "seconds": round(time.monotonic() - started, 1),
        "training_seconds": trained,
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "resumed": run.resumed,
    }
    run.save_card(card)
    shutil.rmtree(run.checkpoint, ignore_errors=True)
    shutil.rmtree(run.helpers / GENERATOR_STATES, ignore_errors=True)
    if progress:
        progress("measuring", 1, 1, {})
    return json.loads((folder / "card.json").read_text())


def _train(method: Method, dataset: Dataset, run: Run, progress: Progress | None) -> float:
    """Trains and saves the classifier; the seconds of its epochs, those of a stopped run too."""
    states = run.checkpoint / "classifier"
    logs = method.harden(dataset.x_train, dataset.y_train, folder=states, progress=progress)
    run.save_model(method.classifier, "model.keras")
    run.save_history(logs)
    return round(sum(epoch["seconds"] for epoch in logs), 1)


def base_card(
    request: Request, dataset: Dataset, run: Run, settings: Any, metrics: dict[str, Any]
) -> dict[str, Any]:
    """What every run's card says, whatever was trained."""
    return {
        "schema": "atk_latent/card/1",
        "date": today(),
        "run": str(run.folder),
        "method": request.method,
        "data": request.data,
        "preset": request.preset,
        "overrides": request.overrides,
        "metrics": metrics,
        "train_images": len(dataset.x_train),
        "test_images": len(dataset.x_test),
        "data_fingerprint": dataset.fingerprint(),
        "class_names": dataset.class_names,
        "seed": request.seed,
        "settings": dataclasses.asdict(settings),
        "versions": versions(),
    }


def _method(
    request: Request, dataset: Dataset, run: Run, settings: Any, progress: Progress | None
) -> tuple[Method, keras.Model | None]:
    """The method around the classifier it starts from; makes the run folder.

    Returns:
        The method, and the trained classifier before it, None where there is none.
    """
    kind = METHODS[request.method]
    start, untrained = starting_classifier(request, dataset)
    method = kind(start, settings, seed=request.seed)  # refuses before anything is written
    run.open()
    wants_teacher = settings.extra_data is not None and settings.teacher is None
    if untrained and kind.starts_from == "scratch" and not wants_teacher:
        return method, None
    vanilla = _vanilla(request, dataset, run, progress)
    if isinstance(settings, AugmentSettings) and settings.examples_from is None:
        settings = dataclasses.replace(
            settings,
            examples_from=str(_examples(settings, vanilla, request, dataset, run, progress)),
        )
    if untrained and kind.starts_from == "scratch":  # the vanilla model only labels extra images
        settings = dataclasses.replace(settings, teacher=str(run.helpers / "vanilla.keras"))
        return kind(start, settings, seed=request.seed), vanilla
    return kind(vanilla, settings, seed=request.seed), vanilla


def _vanilla(
    request: Request, dataset: Dataset, run: Run, progress: Progress | None
) -> keras.Model:
    """The trained classifier to start from, kept in `helpers/`."""
    stored = run.helpers / "vanilla.keras"
    if not stored.exists():
        model, untrained = starting_classifier(request, dataset)
        if untrained:
            train_vanilla(model, request, dataset, run, progress)
        run.save_model(model, "helpers/vanilla.keras")
    return load_classifier(stored, dataset.image_shape, dataset.num_classes)


def _examples(
    settings: AugmentSettings,
    vanilla: keras.Model,
    request: Request,
    dataset: Dataset,
    run: Run,
    progress: Progress | None,
) -> Path:
    """The file of the fixed set that `attack` makes on the vanilla classifier."""
    path = run.helpers / "examples.npz"
    x, y, count = dataset.x_train, dataset.y_train, settings.examples_per_class
    if count is not None:
        rows = rows_per_class(y, count, dataset.num_classes, request.seed)
        x, y = x[rows], y[rows]
    crafted_set(path, settings.attack, vanilla, x, y, dataset, seed=request.seed, progress=progress)
    return path


def _figures(method: Method, dataset: Dataset, metrics: dict[str, Any], folder: Path) -> None:
    """Draws what the method has to show."""
    shown = method.figures(dataset.x_test, dataset.y_test, metrics, dataset.class_names)
    for name, figure in shown.items():
        with atomic_file(folder / f"{name}.png") as part:
            getattr(figures, figure.kind)(**figure.content, path=part)
