"""What is evaluated: a trained classifier, bare or behind a defence at prediction time."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import keras

from atk_latent.art_bridge.context import AttackContext
from atk_latent.data.dataset import Dataset
from atk_latent.evaluation.runner import Deployed, Options, Surrogate
from atk_latent.inference.imt import IMTClassifier
from atk_latent.inference.loading import imt_for
from atk_latent.models.endings import as_logits, require_logits
from atk_latent.models.loading import load_classifier
from atk_latent.models.wrapping import wrapped
from atk_latent.pixels import UNIT, PixelFormat


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
    ) -> Target:
        """The classifier that `source` names, checked against the data it is for.

        Args:
            source: a run folder, a `.keras` file, a SavedModel, or a Keras model.
            dataset: whose images it must take and whose classes it must know.
            inference: see `Target`; all but "none" need the run folder of an ATLD run.
            pixels: what the model was trained on, where that is not [0, 1].

        Raises:
            InputError: if it is not there, is no classifier, does not fit the data, or has no
                discriminator where IMT needs one.
        """
        if isinstance(source, keras.Model):
            name, model, run = source.name, as_logits(wrapped(source, pixels)), None
        else:
            name, run = str(source), run_folder(source)
            model = load_classifier(source, dataset.image_shape, dataset.num_classes, pixels)
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


def run_folder(source: str | Path) -> Path | None:
    """The run folder that `source` names, None if it is a file, a SavedModel or nothing."""
    path = Path(source)
    return path if (path / "model.keras").is_file() else None
