"""The classifier that training starts from: a registered network, or a trained model."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import keras

from atk_latent.data.aliases import known
from atk_latent.data.dataset import Dataset
from atk_latent.errors import InputError
from atk_latent.methods.natural import Natural, natural_settings
from atk_latent.models.architectures import architecture, is_architecture
from atk_latent.models.endings import require_logits
from atk_latent.models.loading import load_classifier
from atk_latent.pixels import UNIT, PixelFormat
from atk_latent.progress import Progress, renamed
from atk_latent.registry import MODELS
from atk_latent.training.run_folder import RunFolder

VANILLA = "vanilla.keras"


def default_model(dataset: Dataset) -> str:
    """The registered classifier for a data set: its own in the paper, or one by image size."""
    if known(dataset.name).model:
        return known(dataset.name).model
    height, width, channels = dataset.image_shape
    if channels == 1 and max(height, width) <= 32:
        return "lenet"
    return "cifarnet" if max(height, width) <= 64 else "celebanet"


@dataclasses.dataclass(frozen=True)
class StartingModel:
    """Where a classifier comes from before a method trains it.

    Args:
        name: that `models.architectures` builds, or path to a trained model.
        dataset: what it classifies. seed: int >= 0, of new weights and their training.
        pixels: what a trained model wants, where that is not [0, 1].

    Raises:
        InputError: if the name is not registered, there is nothing at the path, or a network
            that takes [0, 1] is said to want other pixels.
    """

    name: str
    dataset: Dataset
    seed: int
    pixels: PixelFormat = UNIT

    def __post_init__(self) -> None:
        """Refuses a model that is not there."""
        if not self.is_trained:
            if not is_architecture(self.name):
                MODELS.entry(self.name)
            if not self.pixels.is_unit:
                raise InputError(
                    f"--input-range and --preprocess are for a trained model; '{self.name}' "
                    "takes pixels in [0, 1]. Leave them out"
                )
        elif not Path(self.name).exists():
            raise InputError(f"--model {self.name}: no such file or folder")

    @property
    def is_trained(self) -> bool:
        """Whether it is a trained model, not a registered network."""
        looks_like_path = os.sep in self.name or "." in self.name
        return not is_architecture(self.name) and (looks_like_path or Path(self.name).exists())

    def load(self) -> keras.Model:
        """The classifier: the trained model, or the network with new weights.

        Raises:
            InputError: if the model does not fit the data or gives probabilities.
        """
        shape, classes = self.dataset.image_shape, self.dataset.num_classes
        if not self.is_trained:
            return architecture(self.name)(shape, classes, seed=self.seed)
        model = load_classifier(self.name, shape, classes, self.pixels)
        require_logits(model, self.dataset.x_test[:64])
        return model

    def vanilla(self, run: RunFolder, progress: Progress | None) -> keras.Model:
        """The trained classifier, from `helpers/`; a network is trained plainly the first time.

        Args:
            run: an open run. progress: told (stage, done, in all, logs).
        """
        stored = run.helpers / VANILLA
        if not stored.exists():
            model = self.load()
            if not self.is_trained:
                self._train(model, run, progress)
            run.save_model(model, f"helpers/{VANILLA}")
        return load_classifier(stored, self.dataset.image_shape, self.dataset.num_classes)

    def _train(self, model: keras.Model, run: RunFolder, progress: Progress | None) -> None:
        settings = natural_settings(self.name, self.dataset.name, run.request.options.preset)
        Natural(model, settings, seed=self.seed).harden(
            self.dataset.x_train,
            self.dataset.y_train,
            folder=run.checkpoint / "vanilla",
            progress=renamed(progress, "vanilla"),
        )
