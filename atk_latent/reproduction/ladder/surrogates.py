"""Classifiers that LADDER's transfer attacks may have been made on; the paper names none.

Its tables give the vanilla classifier far more accuracy than a white-box attack leaves
(MNIST: 46.6% under FGSM, where its own Table 7 has 1.8%), so the images were made on another
classifier, or on the same one with its pixels scaled otherwise.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np
from keras import layers

from atk_latent.art_bridge.context import AttackContext
from atk_latent.atomic import atomic_file
from atk_latent.methods.natural import Natural, natural_settings
from atk_latent.models.loading import load_classifier
from atk_latent.registry import MODELS
from atk_latent.reporting.tables import slug
from atk_latent.reproduction.experiment import ColumnSpec, Experiment, FixedSet
from atk_latent.reproduction.ladder.experiments import ATTACKS, VANILLA, on_fixed_set
from atk_latent.reproduction.run import Runner
from atk_latent.results.comparison import Row
from atk_latent.training.adversarial_sets import adversarial_set

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


def surrogate(name: str, experiment: Experiment, runner: Runner) -> keras.Model:
    """A candidate; it is trained plainly where it is not the vanilla classifier itself.

    Trained candidates lie in `surrogates/` of the runner's folder and are loaded from there
    the next time.

    Args:
        name: of `names`. experiment: says network and data set. runner: of the experiment.
    """
    if name == ITSELF:
        return runner.target(experiment, VANILLA).model
    if name == RAW:
        return unscaled(runner.target(experiment, VANILLA).model)
    dataset, model = runner.dataset(experiment), runner.budget(experiment).model
    folder = runner.folder / "surrogates"
    path = folder / f"{slug(name)}.keras"
    if not path.exists():
        network = _builders(model)[name](dataset.image_shape, dataset.num_classes)
        settings = natural_settings(model, dataset.name, "quick")
        training = Natural(network, settings, seed=OTHER_SEED)
        training.harden(
            dataset.x_train,
            dataset.y_train,
            folder=folder / "checkpoint" / name,
            progress=runner.progress,
        )
        with atomic_file(path) as part:
            network.save(part)
    return load_classifier(path, dataset.image_shape, dataset.num_classes)


def transfer_set(name: str, experiment: Experiment, runner: Runner) -> FixedSet:
    """Images of the experiment's attacks, crafted once on a candidate, below `sets/`.

    Args:
        name: of `names`. experiment: `ladder.experiments.experiment`. runner: of it.
    """

    @functools.cache
    def model() -> keras.Model:
        return surrogate(name, experiment, runner)

    def images(column: ColumnSpec) -> tuple[np.ndarray, np.ndarray]:
        x, y = runner.images(experiment, column)
        path = runner.folder / "sets" / slug(name) / f"{slug(column.label)}.npz"
        spec = runner.text(experiment, ATTACKS[column.label])
        context = AttackContext(data=runner.dataset(experiment))
        return adversarial_set(path, spec, model(), x, y, context, runner.progress), y

    if name == ITSELF:
        return FixedSet("the vanilla classifier", images, row=VANILLA)
    return FixedSet(name, images)


def nearest_surrogate(experiment: Experiment, runner: Runner) -> tuple[str, dict[str, float]]:
    """The candidate that gives the vanilla classifier the accuracies that the paper prints.

    The candidates are compared on FGSM, JSMA and PGD; the one with the smallest mean
    difference is what the transfer sets are made on. Leaves the table `surrogates`.

    Returns:
        Its name, and the mean difference of each candidate, a fraction.
    """
    vanilla_row = dataclasses.replace(
        experiment,
        name="surrogates",
        title="What the vanilla classifier keeps, by what the images were made on ({data})",
        columns=tuple(experiment.column(label) for label in ("FGSM", "JSMA", "PGD")),
        is_ranked=False,
        over_seeds=False,
    )
    rows = []
    for name in names(runner.target(experiment, VANILLA).model):
        table = on_fixed_set(vanilla_row, transfer_set(name, experiment, runner))
        cells = tuple(runner.cell(table, column, VANILLA) for column in table.columns)
        gaps = [abs(c.accuracy - c.published.value) for c in cells if c.published]
        rows.append(Row(label=name, cells=cells, difference=sum(gaps) / len(gaps)))
    differences = {row.label: row.difference or 0.0 for row in rows}
    nearest = min(differences, key=lambda name: differences[name])
    columns = tuple(dataclasses.replace(column, attack=None) for column in vanilla_row.columns)
    notes = (
        "In brackets: the paper's vanilla row. It does not say what its images were made on.",
        *(f"{name}: mean difference {100 * d:.1f} points." for name, d in differences.items()),
        f"Nearest, and used for the transfer tables: {nearest}.",
    )
    runner.write(dataclasses.replace(vanilla_row, columns=columns, notes=notes), rows)
    return nearest, differences


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
