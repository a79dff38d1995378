"""Tiny classifiers that attacks have something to do with, and their images."""

import numpy as np
import pytest

SIDE = 8


def images(classes, n, seed=0):
    """Noisy stripes, one place for each class: learned in a second, not without error."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = rng.uniform(0.0, 0.5, (n, SIDE, SIDE, 1)).astype(np.float32)
    for row, label in enumerate(y):
        x[row, 2 * label : 2 * label + 2] += 0.35
    return x, y.astype(np.int64)


def trained(classes):
    import keras

    keras.utils.set_random_seed(classes)
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            keras.layers.Conv2D(6, 3, strides=2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(classes),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss)
    model.fit(*images(classes, 240, 1), epochs=12, batch_size=40, verbose=0)
    return model


@pytest.fixture(scope="session")
def three():
    """(model, x, y) of three classes, 8x8x1."""
    return (trained(3), *images(3, 12))


@pytest.fixture(scope="session")
def two():
    """(model, x, y) of two classes, 8x8x1."""
    return (trained(2), *images(2, 12))


@pytest.fixture(scope="session")
def four():
    """(model, x, y) of four classes, 8x8x1."""
    return (trained(4), *images(4, 12))
