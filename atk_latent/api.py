"""The main jobs as functions: load data, harden, evaluate, audit, export.

They are what the commands of the same names do; `atk_latent` hands them on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import keras

from atk_latent.art_bridge.bound_attack import default_eps
from atk_latent.data.dataset import Dataset
from atk_latent.data.loading import load_dataset
from atk_latent.errors import InputError
from atk_latent.evaluation import audit as auditing, runner
from atk_latent.evaluation.runner import Case, Options
from atk_latent.evaluation.target import Target, with_classes_of
from atk_latent.exporting.export import CARD, Export, export_classifier
from atk_latent.inference.loading import imt_for
from atk_latent.models.endings import original
from atk_latent.models.loading import load_classifier
from atk_latent.pixels import UNIT, PixelFormat
from atk_latent.progress import Progress
from atk_latent.results.audit import Audit
from atk_latent.results.card import Card
from atk_latent.results.evaluation import Evaluation
from atk_latent.training import pipeline
from atk_latent.training.request import HardenRequest, RunOptions

__all__ = ["Hardened", "audit", "evaluate", "export", "harden", "load_dataset"]
Source: TypeAlias = str | Path | keras.Model
DEFAULT_ATTACKS = ("fgsm", "pgd")


@dataclasses.dataclass(frozen=True)
class Hardened:
    """What `harden` leaves.

    Args:
        model: the hardened classifier, a plain Keras model that ends in logits; the one in the
            run folder ends as the model ended that was hardened.
        card: what was trained, on what, how, and what was measured.
        folder: the run folder.

    Example:
        >>> [field.name for field in dataclasses.fields(Hardened)]
        ['model', 'card', 'folder']
    """

    model: keras.Model
    card: Card
    folder: Path


def harden(
    method: str,
    data: str | Path | Dataset,
    out: str | Path,
    *,
    model: str | Path | None = None,
    pixels: PixelFormat = UNIT,
    options: RunOptions | None = None,
    progress: Progress | None = None,
    **settings: object,
) -> Hardened:
    """Hardens a classifier and leaves a run folder behind, as `atkl harden` does.

    The same call goes on where a stopped one was, and hands back a finished run as it is.

    Args:
        method: of `atkl list methods`: "pgd", "ladder", ...
        data: registered name, path of an `.npz` or a folder, or a `Dataset`.
        out: the run folder.
        model: registered name, or path of a trained model; None takes the data set's own.
        pixels: what the trained model wants, where that is not [0, 1].
        options: preset, seed and training images at most; its `data` and `overrides` are
            those given here.
        progress: told (stage, done, in all, logs).
        **settings: of the method, on top of the preset: ``eps=8/255, epochs=30``.

    Raises:
        InputError: if anything asked for is wrong; nothing is written then.

    Example:
        >>> import tempfile
        >>> run = harden("natural", load_dataset("digits", limit_train=100, limit_test=50),
        ...              out=tempfile.mkdtemp() + "/run", epochs=1)
        >>> run.card.method, run.model.output_shape
        ('natural', (None, 10))
    """
    options = options or RunOptions("")
    dataset = _dataset(data, options)
    name = dataset.name if isinstance(data, Dataset) else str(data)
    options = dataclasses.replace(options, data=name, overrides={**options.overrides, **settings})
    request = HardenRequest(method, options, None if model is None else str(model), pixels)
    folder = Path(out)
    card = pipeline.harden(request, dataset, folder, resume=True, progress=progress)
    hardened = load_classifier(folder, dataset.image_shape, dataset.num_classes)
    return Hardened(hardened, card, folder)


def evaluate(
    target: Source,
    data: str | Path | Dataset,
    attacks: Sequence[str | Case] = (),
    *,
    inference: str = "none",
    surrogate: Source | None = None,
    pixels: PixelFormat = UNIT,
    options: Options | None = None,
) -> Evaluation:
    """Attacks a classifier and says what accuracy is left, as `atkl evaluate` does.

    Args:
        target: run folder, `.keras` file, SavedModel or Keras model that ends in logits.
        data: registered name, path or `Dataset`, whose test images are attacked.
        attacks: ``"pgd:eps=8/255,steps=20"``; none takes `fgsm` and `pgd` at the customary
            radius of the images.
        inference: "imt" or "imt+" scores an ATLD run behind IMT.
        surrogate: the attacks are made on this model and only scored on `target`.
        pixels: what `target` wants, where that is not [0, 1].
        options: seed, batch size, progress and store.

    Returns:
        The record; ``.attacks`` holds one result an attack.

    Raises:
        InputError: on a target, data or an attack that will not do.

    Example:
        >>> from atk_latent.registry import MODELS
        >>> digits = load_dataset("digits", limit_train=20, limit_test=20)
        >>> model = MODELS["lenet"](digits.image_shape, digits.num_classes, seed=0)
        >>> result = evaluate(model, digits, ["fgsm:eps=0.1"]).attacks[0]
        >>> result.threat, result.n
        ('white-box, Linf', 20)
    """
    options = options or Options()
    dataset, trust = with_classes_of(target, _dataset(data)), options.trust
    attacked = Target.load(target, dataset, inference, pixels, trust=trust)
    crafted_on = (
        None if surrogate is None else Target.load(surrogate, dataset, trust=trust).surrogate
    )
    cases = [
        case if isinstance(case, Case) else Case(case, crafted_on)
        for case in attacks or DEFAULT_ATTACKS
    ]
    evaluation = runner.evaluate(
        attacked.model, dataset.x_test, dataset.y_test, cases, attacked.options(options, dataset)
    )
    return evaluation.model_copy(update={"class_names": dataset.class_names, **vars(pixels)})


def audit(
    target: Source,
    data: str | Path | Dataset,
    eps: float | None = None,
    *,
    inference: str = "none",
    surrogate: Source | None = None,
    pixels: PixelFormat = UNIT,
    options: Options | None = None,
) -> Audit:
    """Looks for gradient masking in a classifier, as `atkl audit` does.

    Args:
        target, data, inference, surrogate, pixels, options: as of `evaluate`; about 200 test
            images.
        eps: Linf radius that the figures in question are for, in [0, 1] pixels; None is the
            customary one of the images.

    Returns:
        The record; ``.passed`` says whether no check failed.

    Raises:
        InputError: on a target, data or a radius that will not do.
    """
    options = options or Options()
    dataset, trust = with_classes_of(target, _dataset(data)), options.trust
    audited = Target.load(target, dataset, inference, pixels, trust=trust)
    record = auditing.audit(
        audited.model,
        dataset.x_test,
        dataset.y_test,
        default_eps(dataset.image_shape) if eps is None else eps,
        options=audited.options(options or Options(), dataset),
        surrogate=(
            None if surrogate is None else Target.load(surrogate, dataset, trust=trust).surrogate
        ),
    )
    return record.model_copy(update=vars(pixels))


def export(
    target: Source,
    data: str | Path | Dataset,
    out: str | Path,
    *,
    format: str = "savedmodel",
    imt: bool = False,
    images: int = 256,
    pixels: PixelFormat = UNIT,
) -> Export:
    """Writes a classifier in another format and proves that it still says the same.

    Args:
        target: run folder, `.keras` file or Keras model; it keeps the ending it came with.
        data: registered name, path or `Dataset`, whose test images it is checked on.
        out: the folder to be, absent or empty; the file to be for ONNX and TFLite.
        format: "savedmodel", "onnx" or "tflite".
        imt: also the signatures `imt` and `imt_plus`; `target` is an ATLD run then.
        images: int >= 1, test images of the check.
        pixels: what `target` wants, where that is not [0, 1]; what is exported takes [0, 1].

    Raises:
        InputError: if `out` is taken, or the target will not do.
        RuntimeError: if the exported model says something else; nothing is left behind.
    """
    if images < 1:
        raise InputError(f"images must be at least 1. Received: {images}")
    dataset = with_classes_of(target, _dataset(data))
    exported = Target.load(target, dataset, pixels=pixels)
    variants = {"imt": "imt", "imt_plus": "imt+"} if imt else {}
    endpoints = {
        name: imt_for(variant, exported.run, exported.model) for name, variant in variants.items()
    }
    return export_classifier(
        original(exported.model),
        out,
        dataset.x_test[:images],
        format=format,
        card=exported.run / CARD if exported.run else None,
        endpoints=endpoints,
    )


def _dataset(data: str | Path | Dataset, options: RunOptions | None = None) -> Dataset:
    if isinstance(data, Dataset):
        return data
    limit, seed = (options.limit, options.seed) if options else (None, 0)
    return load_dataset(str(data), limit_train=limit, seed=seed)
