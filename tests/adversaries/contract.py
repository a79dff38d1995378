"""What every adversary promises, checked in one place; see test_contract.py for the cases."""

import functools
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers

SHAPE, EPS = (4, 4, 1), {"linf": 0.1, "l2": 0.5}
SEED = 3


class Case(NamedTuple):
    """One adversary as it is put to the test.

    Args:
        settings: what the adversary gets beside the seed.
        norm: of the ball, "linf", "l2", "l1" or "l0".
        eps: the radius promised; None promises none.
        classes: of the network.
        targeted: the labels handed in are classes wanted.
        climbs: no image's cross-entropy ends lower unless it became a success.
    """

    settings: dict
    norm: str = "linf"
    eps: float | None = EPS["linf"]
    classes: int = 3
    targeted: bool = False
    climbs: bool = True


@functools.cache
def network(classes):
    """A small random network with some curvature and images of its own classes."""
    keras.utils.set_random_seed(classes)
    model = keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.Flatten(),
            layers.Dense(16, activation="tanh", kernel_initializer="glorot_normal"),
            layers.BatchNormalization(),
            layers.Dense(classes, kernel_initializer=keras.initializers.RandomNormal(0, 1.5)),
        ]
    )
    x = np.random.default_rng(classes).uniform(0, 1, (20, *SHAPE)).astype(np.float32)
    y = model.predict(x, verbose=0).argmax(axis=1)
    y[:3] = (y[:3] + 1) % classes  # some are wrong from the start
    return model, tf.constant(x), y


def entropy(model, x, y):
    return keras.losses.sparse_categorical_crossentropy(y, model(x), from_logits=True).numpy()


def right(model, x, y):
    return model(x).numpy().argmax(axis=1) == y


def size(change, norm):
    flat = np.reshape(change, (len(change), -1)).astype(np.float64)
    order = {"linf": np.inf, "l2": 2, "l1": 1, "l0": 0}[norm]
    return np.linalg.norm(flat, ord=order, axis=1)


def check_place(found, x, case):
    """Shape, dtype, finite, in bounds and in the ball."""
    found, x = np.asarray(found), np.asarray(x)
    assert found.shape == x.shape and found.dtype == x.dtype
    assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1
    if case.eps is not None:
        assert size(found - x, case.norm).max(initial=0) <= case.eps + 1e-6


def check_contract(make, case):
    """In ball and bounds, moved, climbed, no success lost, and the same for the same seed."""
    model, x, y = network(case.classes)
    wanted = (y + 1) % case.classes if case.targeted else y
    before = [w.copy() for w in model.get_weights()]
    adversary = make()
    found = adversary(model, x, wanted)
    check_place(found, x, case)
    assert size(found - x, "linf").max() > 1e-4, "no image moved"
    won = [right(model, images, wanted) == case.targeted for images in (x, found)]
    assert won[1].sum() > won[0].sum()
    losses = [entropy(model, images, wanted) for images in (x, found)]
    rise = losses[0] - losses[1] if case.targeted else losses[1] - losses[0]
    assert rise.mean() > 0
    if case.climbs:
        assert not (won[0] & ~won[1]).any(), "a success was lost"
        assert (rise >= -1e-5)[won[0] == won[1]].all()
    adversary.seeds = keras.random.SeedGenerator(SEED)
    np.testing.assert_array_equal(adversary(model, x, wanted), found)
    for batch in (8, 1):  # a last partial batch; a batch of one
        rows = slice(0, 20 if batch == 8 else 1)
        again = adversary.craft_all(model, x.numpy()[rows], wanted[rows], batch_size=batch)
        check_place(again, x[rows], case)
    half = adversary(model, tf.cast(x[:2], tf.float16), wanted[:2])
    assert half.dtype == tf.float16
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
