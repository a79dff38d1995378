"""What is evaluated: a trained classifier, bare or behind a defence at prediction time."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import keras
import numpy as np

from atk_latent.art_bridge.context import AttackContext
from atk_latent.data.dataset import Dataset
from atk_latent.errors import InputError
from atk_latent.evaluation.runner import Deployed, Options, Surrogate
from atk_latent.inference.imt import IMTClassifier
from atk_latent.inference.loading import imt_for
from atk_latent.models.endings import as_logits, require_logits
from atk_latent.models.loading import load_classifier
from atk_latent.models.wrapping import wrapped
from atk_latent.pixels import UNIT, PixelFormat
from atk_latent.results.files import CARD, read_card

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Target:
    """A classifier, where it comes from, and what stands before it at prediction time.

    Args:
        name: how results call it.
        model: images (B, H, W, C) in [0, 1] to logits (B, K).
        run: its run folder, for the helpers in it; None where there is none.
        inference: "none", "imt" or "imt+", with settings as the user wrote them.
        imt: the classifier behind IMT, None for "none".
    """

    name: str
    model: keras.Model
    run: Path | None = None
    inference: str = "none"
    imt: IMTClassifier | None = None

    @classmethod
    def load(
        cls,
        source: str | Path | keras.Model,
        dataset: Dataset,
        inference: str = "none",
        pixels: PixelFormat = UNIT,
        *,
        trust: bool = False,
    ) -> Target:
        """The classifier that `source` names, checked against the data it is for.

        Args:
            source: a run folder, a `.keras` file, a SavedModel, or a Keras model.
            dataset: whose images it must take and whose classes it must know.
            inference: see `Target`; all but "none" need the run folder of an ATLD run.
            pixels: what the model was trained on, where that is not [0, 1].
            trust: see `load_classifier`.

        Raises:
            InputError: if it is not there, is no classifier, does not fit the data, or has no
                discriminator where IMT needs one.
        """
        if isinstance(source, keras.Model):
            name, model, run = source.name, as_logits(wrapped(source, pixels)), None
        else:
            name, run = str(source), run_folder(source)
            shape, classes = dataset.image_shape, dataset.num_classes
            model = load_classifier(source, shape, classes, pixels, trust=trust)
            _check_order(Path(source), dataset)
        require_logits(model, dataset.x_test[:64])
        return cls(name, model, run, inference, imt_for(inference, run, model))

    @property
    def surrogate(self) -> Surrogate:
        """The classifier as a model that images for another one are made on."""
        return Surrogate(self.name, self.model)

    def options(self, options: Options, dataset: Dataset) -> Options:
        """How attacks on this target are run: `options` with what the target and data add."""
        context = AttackContext(run=self.run, data=dataset, imt=self.imt, progress=options.progress)
        deployed = None if self.imt is None else Deployed(self.inference, self.imt)
        return dataclasses.replace(
            options, deployed=deployed, context=context, target=self.name, data=dataset.name
        )


def with_classes_of(source: str | Path | keras.Model, dataset: Dataset) -> Dataset:
    """The data with classes numbered as a run has them, matched by name.

    A run remembers the names of its classes. Data in which a class folder was added or renamed
    count their classes otherwise, and every accuracy would be wrong without a word.

    Args:
        source: whose classes; a model that is no run has no names, so nothing changes.
        dataset: any; one whose classes have no names but numbers stays as it is.

    Raises:
        InputError: if the names are not the same ones.
    """
    names = () if isinstance(source, keras.Model) else _class_names(Path(source))
    order = _order(names, dataset.class_names)
    if order is None:
        raise InputError(
            f"{source} knows the classes {_listed(names)}, data '{dataset.name}' have "
            f"{_listed(dataset.class_names)}. Name them alike, or give the data it was made for"
        )
    if list(order) == list(range(len(order))):
        return dataset
    place = np.argsort(np.asarray(order))
    return dataclasses.replace(
        dataset,
        y_train=place[dataset.y_train],
        y_test=place[dataset.y_test],
        class_names=tuple(dataset.class_names[k] for k in order),
    )


def _check_order(source: Path, dataset: Dataset) -> None:
    """Refuses a run whose classes have other names, or other places, than those of the data.

    Raises:
        InputError: naming both.
    """
    names = _class_names(source)
    if _order(names, dataset.class_names) != tuple(range(dataset.num_classes)):
        raise InputError(
            f"{source} knows the classes {_listed(names)} in this order, the data have "
            f"{_listed(dataset.class_names)}. Give models of the same classes"
        )


def _order(names: tuple[str, ...], ours: tuple[str, ...]) -> tuple[int, ...] | None:
    """For each class of a run the same one of the data; None where there is none.

    Numbers are no names: where either side has no others, classes keep their places.
    """
    if any(kind == tuple(map(str, range(len(kind)))) for kind in (names, ours)):
        return tuple(range(len(ours)))
    if sorted(names) != sorted(ours):
        return None
    return tuple(ours.index(name) for name in names)


def _class_names(source: Path) -> tuple[str, ...]:
    """The classes that the card of a run or an exported model names; none without a card."""
    if not (source / CARD).is_file():
        return ()
    try:
        return read_card(source).class_names
    except InputError as problem:
        _log.warning("%s: the names of its classes are not compared with the data's", problem)
        return ()


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")


def run_folder(source: str | Path) -> Path | None:
    """The run folder that `source` names, None if it is a file, a SavedModel or nothing."""
    path = Path(source)
    return path if (path / "model.keras").is_file() else None
