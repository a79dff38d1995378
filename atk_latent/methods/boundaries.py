"""Training of the attention SVMs: all pairs of classes as one batched computation."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from atk_latent.arrays import ArraySpec, read_arrays
from atk_latent.checksums import noted_file
from atk_latent.config import check_range, known_as
from atk_latent.errors import InputError
from atk_latent.files import GIB, FileKind
from atk_latent.methods.states import States
from atk_latent.models.attention_svm import AttentionSVM, attend, class_pairs, initial_arrays

MEMORY_PER_GROUP = 256 * 2**20
SECONDS_BETWEEN_STATES = 10.0
_PART = FileKind("file of trained boundaries", 64 * GIB, "Remove it to train these again")


@dataclasses.dataclass(frozen=True)
class BoundarySettings:
    """How the boundaries are trained: a part of LADDER's settings.

    Args:
        attention: "softmax" (Eq 2) or "exp-softmax" (published code).
        attention_gain: "dimension" multiplies the weights by N, "one" leaves them.
        normal: "unit" or "raw" length of the normals.
        images: int >= 1, training images of each class of a pair.
        test_images: int >= 1, further images of each class to measure accuracy on.
        algorithm: "adam" or "sgd". learning_rate: float > 0.
        epochs: int >= 1. batch_size: int >= 0, images of a pair per step; 0 is all.
        hinge_weight: factor on the mean hinge loss; l2_weight: factor on mean(w^2).

    Raises:
        InputError: for values out of range.

    Example:
        >>> from atk_latent.methods import BoundarySettings, LADDERSettings
        >>> LADDERSettings(boundaries=BoundarySettings(epochs=10)).boundaries.attention
        'softmax'
    """

    attention: Literal["softmax", "exp-softmax"] = "softmax"
    attention_gain: Literal["dimension", "one"] = "dimension"
    normal: Literal["unit", "raw"] = "unit"
    images: int = known_as("svm_images", 200)
    test_images: int = known_as("svm_test_images", 66)
    algorithm: Literal["adam", "sgd"] = known_as("svm_optimizer", "adam")
    learning_rate: float = known_as("svm_learning_rate", 0.03)
    epochs: int = known_as("svm_epochs", 40)
    batch_size: int = known_as("svm_batch_size", 0)
    hinge_weight: float = 1.0
    l2_weight: float = 0.01

    def __post_init__(self) -> None:
        """Refuses what cannot be trained with."""
        check_range("svm_images", self.images, 1)
        check_range("svm_test_images", self.test_images, 1)
        check_range("svm_epochs", self.epochs, 1)
        check_range("svm_batch_size", self.batch_size, 0)
        check_range("svm_learning_rate", self.learning_rate, 1e-12)
        check_range("hinge_weight", self.hinge_weight, 0)
        check_range("l2_weight", self.l2_weight, 0)


def pick_images(
    labels: np.ndarray, num_classes: int, fit: int, test: int
) -> tuple[np.ndarray, np.ndarray]:
    """The first images of each class, for fitting and for testing.

    A class with fewer than `fit + test` images is split two to one and repeated until the
    numbers are reached, so every pair is balanced.

    Returns:
        int64 indices of shape (K, fit) and (K, test).

    Raises:
        InputError: if a class has no image.
    """
    fits, tests = [], []
    for label in range(num_classes):
        rows = np.flatnonzero(labels == label)[: fit + test]
        if len(rows) == 0:
            raise InputError(f"class {label} has no training image; LADDER needs one at least")
        cut = fit if len(rows) == fit + test else max(1, len(rows) * 2 // 3)
        fits.append(np.resize(rows[:cut], fit))
        tests.append(np.resize(rows[cut:] if cut < len(rows) else rows, test))
    return np.stack(fits), np.stack(tests)


def svm_scores(
    z: tf.Tensor, weights: dict[str, tf.Tensor], settings: BoundarySettings
) -> tf.Tensor:
    """Signed scores w . (beta * z) + b of every pair, float32 (P, n).

    Args:
        z: (P, n, N) latents.
        weights: kernel (P, N, N), bias (P, N), weight (P, N), intercept (P,).
    """
    gain = z.shape[-1] if settings.attention_gain == "dimension" else 1
    beta = attend(z, weights["kernel"], weights["bias"], settings.attention, gain)
    return tf.einsum("pnd,pd->pn", beta * z, weights["weight"]) + weights["intercept"][:, None]


def svm_loss(
    z: tf.Tensor, y: tf.Tensor, weights: dict[str, tf.Tensor], settings: BoundarySettings
) -> tf.Tensor:
    """Loss of every pair, hinge_weight * mean hinge + l2_weight * mean(w^2), float32 (P,).

    Args:
        z: (P, n, N) latents; y: (P, n) in {-1, +1}, +1 for the higher class.
        weights: as for `svm_scores`.
    """
    hinge = tf.reduce_mean(tf.nn.relu(1.0 - y * svm_scores(z, weights, settings)), axis=1)
    size = tf.reduce_mean(tf.square(weights["weight"]), axis=1)
    return settings.hinge_weight * hinge + settings.l2_weight * size


class _Group:
    """Some pairs, trained together."""

    def __init__(
        self, arrays: dict[str, np.ndarray], settings: BoundarySettings, seed: int
    ) -> None:
        self.settings = settings
        self.weights = {name: tf.Variable(value) for name, value in arrays.items()}
        kinds = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
        self.optimizer = kinds[settings.algorithm](settings.learning_rate)
        self.optimizer.build(list(self.weights.values()))
        self.rng = np.random.default_rng(seed)

    @tf.function(reduce_retracing=True)
    def _step(self, z: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        variables = list(self.weights.values())
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(svm_loss(z, y, self.weights, self.settings))
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    @property
    def variables(self) -> dict[str, tf.Variable | keras.Variable]:
        """Everything that a resumed training needs."""
        slots = {f"optimizer-{i}": slot for i, slot in enumerate(self.optimizer.variables)}
        return {**self.weights, **slots}

    def fit(
        self,
        z: np.ndarray,
        y: np.ndarray,
        on_epoch: Callable[[int], None],
        states: States | None = None,
    ) -> None:
        """Trains on latents (P, n, N) with labels (P, n); goes on from the states of a killed run.

        `on_epoch` is told the epochs that are done.
        """
        count, saved = z.shape[1], time.monotonic()
        size = self.settings.batch_size or count
        start = self._restore(states) if states else 0
        for epoch in range(self.settings.epochs):
            order = self.rng.permutation(count) if size < count else np.arange(count)
            if epoch < start:  # its order is drawn all the same: the next ones follow it
                continue
            for first in range(0, count, size):
                rows = order[first : first + size]
                self._step(tf.constant(z[:, rows]), tf.constant(y[:, rows]))
            on_epoch(epoch + 1)
            if states and time.monotonic() - saved >= SECONDS_BETWEEN_STATES:
                arrays = {name: variable.numpy() for name, variable in self.variables.items()}
                states.save(arrays, [{}] * (epoch + 1))
                saved = time.monotonic()

    def _restore(self, states: States) -> int:
        """Takes the newest state; the epochs that are behind it."""
        specs = {
            name: ArraySpec("fiu", tuple(value.shape), value.dtype)
            for name, variable in self.variables.items()
            for value in [variable.numpy()]
        }
        state = states.restore(specs)
        if state is None:
            return 0
        for name, variable in self.variables.items():
            variable.assign(state.variables[name])
        return len(state.logs)

    def accuracy(self, z: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Share of latents on their own side of the boundary, float32 (P,)."""
        right = y * svm_scores(tf.constant(z), self.weights, self.settings) > 0
        return np.asarray(np.mean(right, axis=1), np.float32)


class _Groups:
    """The pairs of classes, group by group; what is done lies in a folder until all are."""

    def __init__(self, settings: BoundarySettings, seed: int, folder: Path | None) -> None:
        self.settings, self.seed, self.folder = settings, seed, folder

    def trained(
        self,
        start: int,
        fit: tuple[np.ndarray, np.ndarray],
        test: tuple[np.ndarray, np.ndarray],
        on_epoch: Callable[[int], None],
    ) -> dict[str, np.ndarray]:
        """The arrays of the group that begins with pair `start`, and their accuracies.

        Args:
            start: number of its first pair. fit, test: latents (P, n, N) and labels (P, n).
            on_epoch: told the epochs that are done.
        """
        arrays = initial_arrays(len(fit[0]), fit[0].shape[-1], self.seed + start)
        name = f"pairs-{start:06d}.npz"
        if self.folder and (self.folder / name).exists():
            specs = {key: ArraySpec("f", value.shape) for key, value in arrays.items()}
            specs["accuracy"] = ArraySpec("f", (len(fit[0]),))
            on_epoch(self.settings.epochs)
            return read_arrays(self.folder / name, _PART, specs)
        states = States(self.folder / f"pairs-{start:06d}") if self.folder else None
        group = _Group(arrays, self.settings, self.seed)
        group.fit(*fit, on_epoch, states)
        values = {name: variable.numpy() for name, variable in group.weights.items()}
        values["accuracy"] = group.accuracy(*test)
        if self.folder and states:
            self.folder.mkdir(parents=True, exist_ok=True)
            with noted_file(self.folder, name) as part:
                np.savez(part, **values)
            shutil.rmtree(states.folder, ignore_errors=True)
        return values


def fit_boundaries(
    latents: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    settings: BoundarySettings,
    *,
    seed: int = 0,
    checkpoint: Path | None = None,
    on_epoch: Callable[[int, int], None] | None = None,
) -> AttentionSVM:
    """Trains one attention SVM for every pair of classes.

    Args:
        latents: float32 (n, N), in the order of the data set: the first images of each
            class are used, as the published code does.
        labels: int64 (n,), in 0..K-1.
        num_classes: K >= 2.
        settings: see `BoundarySettings`.
        seed: initial weights and order.
        checkpoint: folder of the resumable state; None keeps none.
        on_epoch: called with (epochs done, epochs in all).

    Returns:
        The boundaries with their held-out accuracies.

    Raises:
        InputError: if a class has no image.

    Reference: LADDER, section 3.1.1, Eq 2.
    """
    fit_rows, test_rows = pick_images(labels, num_classes, settings.images, settings.test_images)
    pairs, width = class_pairs(num_classes), latents.shape[1]
    group = max(1, MEMORY_PER_GROUP // (4 * width * width))
    starts = range(0, len(pairs), group)
    groups = _Groups(settings, seed, checkpoint)

    def stack(rows: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low, high = rows[chosen[:, 0]], rows[chosen[:, 1]]
        sign = np.repeat([-1.0, 1.0], [low.shape[1], high.shape[1]]).astype(np.float32)
        return latents[np.concatenate([low, high], axis=1)], np.tile(sign, (len(chosen), 1))

    parts = list[dict[str, np.ndarray]]()
    for start in starts:
        chosen, before = pairs[start : start + group], settings.epochs * len(parts)

        def tick(done: int, before: int = before) -> None:
            if on_epoch:
                on_epoch(before + done, settings.epochs * len(starts))

        parts.append(groups.trained(start, stack(fit_rows, chosen), stack(test_rows, chosen), tick))
    return AttentionSVM(
        {name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
        num_classes=num_classes,
        attention=settings.attention,
        gain=width if settings.attention_gain == "dimension" else 1.0,
        normal=settings.normal,
    )
