"""Training of the attention SVMs: all pairs of classes as one batched computation."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from atk_latent.config import check_range, known_as
from atk_latent.errors import InputError
from atk_latent.models.attention_svm import AttentionSVM, attend, class_pairs, initial_arrays

MEMORY_PER_GROUP = 256 * 2**20


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

    def fit(self, z: np.ndarray, y: np.ndarray, on_epoch: Callable[[], None]) -> None:
        """Trains on latents (P, n, N) with labels (P, n)."""
        count = z.shape[1]
        size = self.settings.batch_size or count
        for _ in range(self.settings.epochs):
            order = self.rng.permutation(count) if size < count else np.arange(count)
            for start in range(0, count, size):
                rows = order[start : start + size]
                self._step(tf.constant(z[:, rows]), tf.constant(y[:, rows]))
            on_epoch()

    def accuracy(self, z: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Share of latents on their own side of the boundary, float32 (P,)."""
        right = y * svm_scores(tf.constant(z), self.weights, self.settings) > 0
        return np.asarray(np.mean(right, axis=1), np.float32)


def fit_boundaries(
    latents: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    settings: BoundarySettings,
    *,
    seed: int = 0,
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
    ticks = itertools.count(1)

    def tick() -> None:
        if on_epoch:
            on_epoch(next(ticks), settings.epochs * len(starts))

    def stack(rows: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low, high = rows[chosen[:, 0]], rows[chosen[:, 1]]
        sign = np.repeat([-1.0, 1.0], [low.shape[1], high.shape[1]]).astype(np.float32)
        return latents[np.concatenate([low, high], axis=1)], np.tile(sign, (len(chosen), 1))

    parts = []
    for start in starts:
        chosen = pairs[start : start + group]
        trained = _Group(initial_arrays(len(chosen), width, seed + start), settings, seed)
        trained.fit(*stack(fit_rows, chosen), tick)
        values = {name: variable.numpy() for name, variable in trained.weights.items()}
        parts.append({**values, "accuracy": trained.accuracy(*stack(test_rows, chosen))})
    return AttentionSVM(
        {name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
        num_classes=num_classes,
        attention=settings.attention,
        gain=width if settings.attention_gain == "dimension" else 1.0,
        normal=settings.normal,
    )
