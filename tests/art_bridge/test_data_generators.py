"""Every image of an ART data generator is shown once an epoch, in every epoch."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from art.data_generators import (
    DataGenerator,
    KerasDataGenerator,
    NumpyDataGenerator,
    TensorFlowV2DataGenerator,
)

from atk_latent.art_bridge.data_generators import drained, generated
from atk_latent.errors import InputError

X = np.arange(22, dtype=np.float32).reshape(22, 1)
Y = np.arange(22) % 3
BATCHES = [(X[i : i + 5], Y[i : i + 5]) for i in range(0, 22, 5)]


class Indexed(keras.utils.PyDataset):
    def __len__(self):
        return len(BATCHES)

    def __getitem__(self, i):
        return BATCHES[i]


class Own(DataGenerator):
    def __init__(self):
        super().__init__(size=22, batch_size=5)
        self.given = 0

    def get_batch(self):
        self.given += 1
        return BATCHES[(self.given - 1) % len(BATCHES)]


def endless():
    while True:
        yield from BATCHES


def weighted():
    return ((x, y, np.ones(len(x))) for x, y in BATCHES * 2)


MAKERS = {
    "numpy": lambda: NumpyDataGenerator(X, Y, batch_size=5),
    "numpy, shuffled": lambda: NumpyDataGenerator(X, Y, batch_size=5, shuffle=True),
    "indexed": lambda: KerasDataGenerator(Indexed(), 22, 5),
    "endless": lambda: KerasDataGenerator(endless(), 22, 5),
    "generator function": lambda: KerasDataGenerator(endless, 22, 5),
    "with weights": lambda: KerasDataGenerator(weighted(), 22, 5),
    "tensorflow": lambda: TensorFlowV2DataGenerator(
        tf.data.Dataset.from_tensor_slices((X, Y)).batch(5), 22, 5
    ),
    "tensorflow, endless": lambda: TensorFlowV2DataGenerator(
        tf.data.Dataset.from_tensor_slices((X, Y)).batch(5).repeat(), 22, 5
    ),
    "own": Own,
}


@pytest.mark.parametrize("name", MAKERS)
def test_both_epochs_show_every_image_once(name):
    batches = generated(MAKERS[name]())
    for _ in range(2):
        x, y = (np.concatenate(column) for column in zip(*batches(), strict=True))
        assert sorted(x[:, 0]) == list(range(22))
        np.testing.assert_array_equal(y, x[:, 0].astype(int) % 3)


def test_a_generator_is_drained_to_its_size():
    x, y = drained(KerasDataGenerator(endless(), 13, 5))
    np.testing.assert_array_equal(x, X[:13])
    np.testing.assert_array_equal(y, Y[:13])


def test_what_ends_too_early_or_is_no_generator_is_refused():
    with pytest.raises(InputError, match="40 images of its size. Received: 22"):
        drained(KerasDataGenerator(Indexed(), 40, 5))
    with pytest.raises(InputError, match="know its size"):
        drained(KerasDataGenerator(endless(), None, 5))
    with pytest.raises(InputError, match="Received: list"):
        drained([])
