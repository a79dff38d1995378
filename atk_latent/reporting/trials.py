"""Which attacks were tried on which models, and what became of the images."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np

from atk_latent.reporting.outcomes import Outcome, outcomes_of, survives
from atk_latent.results.comparison import Comparison
from atk_latent.results.evaluation import Evaluation
from atk_latent.results.files import Result


@dataclass(frozen=True)
class ImageSet:
    """The images that an evaluation attacked, known by what it says of them.

    Args:
        data: name. seed: which images a limit chose. labels: true classes, in order.
        class_names: one name a class.
    """

    data: str
    seed: int
    labels: tuple[int, ...]
    class_names: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Model:
    """A classifier with what is deployed beside it.

    Args:
        target: run folder or file, or its name within a comparison.
        data: the data set's name. inference: the defence at prediction time, "none" of none.
    """

    target: str
    data: str
    inference: str

    @classmethod
    def of(cls, target: str, data: str, inference: str | None) -> Model:
        """The model at a path; a run folder and its `model.keras` are one."""
        folder = str(PurePosixPath(target)).removesuffix("/model.keras")
        return cls(folder, data, inference or "none")

    @property
    def name(self) -> str:
        """As the board shows it: "runs/atld, behind IMT"."""
        defence = self.inference.partition(":")[0]
        return self.target if defence == "none" else f"{self.target}, behind {defence.upper()}"


@dataclass(frozen=True)
class Trial:
    """One attack with a radius on one model.

    Args:
        model: the target. outcome: what the attack left. result_anchor: its section.
        images: of the attack; None where the file does not hold what became of each.
        clean_predictions: of them, in order. survivors: bool (n,), right before and after.
    """

    model: Model
    outcome: Outcome
    result_anchor: str
    images: ImageSet | None = None
    clean_predictions: tuple[int, ...] = ()
    survivors: np.ndarray | None = None


@functools.singledispatch
def trials_of(result: Result, anchor: str) -> Iterator[Trial]:
    """The attacks with a radius that a result tells of; `anchor` is of its section."""
    yield from ()


@trials_of.register
def _evaluation_trials(result: Evaluation, anchor: str) -> Iterator[Trial]:
    images = None
    if result.labels is not None:
        images = ImageSet(result.data, result.seed, result.labels, result.class_names)
    for outcome in outcomes_of(result):
        if outcome.eps is None:
            continue
        model = Model.of(result.target, result.data, outcome.result.inference)
        alive = survives(result, outcome.result)
        if alive is None:
            yield Trial(model, outcome, anchor)
        else:
            clean = result.clean_predictions or ()
            yield Trial(model, outcome, anchor, images, clean, alive)


@trials_of.register
def _comparison_trials(result: Comparison, anchor: str) -> Iterator[Trial]:
    models = {row.label: model for row, model in zip(result.rows, models_of(result), strict=True)}
    for outcome in outcomes_of(result):
        if outcome.eps is not None:
            yield Trial(models[outcome.target], outcome, anchor)


@functools.singledispatch
def models_of(result: Result) -> tuple[Model, ...]:
    """The models that a result attacks."""
    return ()


@models_of.register
def _evaluation_models(result: Evaluation) -> tuple[Model, ...]:
    attacked = [attack.inference for attack in result.attacks]
    defences = attacked or [result.inference or "none"]
    models = (Model.of(result.target, result.data, defence) for defence in defences)
    return tuple(dict.fromkeys(models))


@models_of.register
def _comparison_models(result: Comparison) -> tuple[Model, ...]:
    """Rows of one label in two comparisons are two models; one run is the same everywhere."""
    return tuple(
        Model.of(row.run, result.data, row.inference)
        if row.run
        else Model(f"{row.label}, {result.title}", result.data, row.inference or "none")
        for row in result.rows
    )
