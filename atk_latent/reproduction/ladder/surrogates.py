"""Classifiers that LADDER's transfer attacks may have been made on; the paper names none.

Its tables give the vanilla classifier far more accuracy than a white-box attack leaves
(MNIST: 46.6% under FGSM, where its own Table 7 has 1.8%), so the images were made on another
classifier, or on the same one with its pixels scaled otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
from keras import layers

from atk_latent.atomic import atomic_file
from atk_latent.data.dataset import Dataset
from atk_latent.methods.natural import Natural, natural_settings
from atk_latent.models.loading import load_classifier
from atk_latent.progress import Progress
from atk_latent.registry import MODELS
from atk_latent.reporting.tables import slug

OTHER_SEED = 101
ITSELF = "the vanilla classifier itself"
RAW = "the vanilla classifier, pixels not standardised"
OTHER = "the same network, other seed"
OTHER_RAW = "the same network, other seed, pixels not standardised"
TUTORIAL = "CleverHans' tutorial CNN"


def names(vanilla: keras.Model) -> tuple[str, ...]:
    """The candidates for a classifier; without a scaling of its own there is none to leave out."""
    if unscaled(vanilla) is vanilla:
        return OTHER, TUTORIAL, ITSELF
    return OTHER, OTHER_RAW, TUTORIAL, RAW, ITSELF


def surrogate(
    name: str,
    vanilla: keras.Model,
    model: str,
    dataset: Dataset,
    folder: Path,
    progress: Progress | None = None,
) -> keras.Model:
    """A candidate, trained plainly where it is not the vanilla classifier itself.

    Args:
        name: of `names`. vanilla: the classifier of the first row.
        model: its registered name. dataset: what a candidate is trained on.
        folder: trained candidates are kept here and found again.
        progress: told (stage, done, in all, logs).
    """
    if name == ITSELF:
        return vanilla
    if name == RAW:
        return unscaled(vanilla)
    path = folder / f"{slug(name)}.keras"
    if not path.exists():
        network = _builders(model)[name](dataset.image_shape, dataset.num_classes)
        settings = natural_settings(model, dataset.name, "quick")
        training = Natural(network, settings, seed=OTHER_SEED)
        training.harden(
            dataset.x_train, dataset.y_train, folder=folder / "checkpoint" / name, progress=progress
        )
        with atomic_file(path) as part:
            network.save(part)
    return load_classifier(path, dataset.image_shape, dataset.num_classes)


def _builders(model: str) -> dict[str, Callable[[tuple[int, int, int], int], keras.Model]]:
    return {
        OTHER: lambda shape, classes: MODELS[model](shape, classes, seed=OTHER_SEED),
        OTHER_RAW: lambda shape, classes: unscaled(MODELS[model](shape, classes, seed=OTHER_SEED)),
        TUTORIAL: tutorial_cnn,
    }


def unscaled(model: keras.Model) -> keras.Model:
    """The same weights behind pixels in [0, 1], its first `Rescaling` undone.

    A model without one is returned as it is.
    """
    scales = [layer for layer in model.layers if isinstance(layer, layers.Rescaling)]
    if not scales:
        return model
    scale, offset = scales[0].scale, scales[0].offset
    inputs = keras.Input(model.input_shape[1:])
    return keras.Model(inputs, model(layers.Rescaling(1 / scale, -offset / scale)(inputs)))


def tutorial_cnn(shape: tuple[int, int, int], classes: int, seed: int = OTHER_SEED) -> keras.Model:
    """Three strided convolutions and logits: what CleverHans' MNIST tutorial attacks.

    Reference: Papernot et al., CleverHans v2.1.0 technical report, 2016, the basic CNN.
    """
    starts = [keras.initializers.HeUniform(seed=seed + i) for i in range(4)]
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(64, 8, 2, "same", activation="relu", kernel_initializer=starts[0]),
            layers.Conv2D(128, 6, 2, "valid", activation="relu", kernel_initializer=starts[1]),
            layers.Conv2D(128, 5, 1, "valid", activation="relu", kernel_initializer=starts[2]),
            layers.Flatten(),
            layers.Dense(classes, kernel_initializer=starts[3]),
        ]
    )
