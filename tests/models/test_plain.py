"""Networks from a line of text."""

import keras
import numpy as np
import pytest
from keras import layers

from atk_latent.errors import InputError
from atk_latent.models.plain import plain_network


def kinds(model):
    return [type(layer).__name__ for layer in model.layers[1:]]


def test_a_line_becomes_the_layers_it_names():
    model = plain_network("16x4s2p1,32x4s2p1,100", (28, 28, 1))
    assert model.count_params() == 166_406  # of Wong et al.'s small network
    block = ["ZeroPadding2D", "Conv2D", "ReLU"]
    assert kinds(model) == [*block, *block, "Flatten", "Dense", "ReLU", "Dense"]
    assert model.get_layer("conv2").output.shape == (None, 7, 7, 32)
    assert model.output_shape == (None, 10)


def test_norms_and_pools_stand_where_they_are_written():
    model = plain_network("4x3bn, max2, 5x3p1, avg3, gap", (20, 20, 3), 2, seed=1)
    expected = ["Conv2D", "BatchNormalization", "ReLU", "MaxPooling2D", "ZeroPadding2D", "Conv2D"]
    assert kinds(model) == [
        *expected,
        "ReLU",
        "AveragePooling2D",
        "GlobalAveragePooling2D",
        "Dense",
    ]
    assert model.get_layer("pool4").output.shape == (None, 3, 3, 5)
    x = np.random.default_rng(0).random((2, 20, 20, 3)).astype("float32")
    again = plain_network("4x3bn,max2,5x3p1,avg3,gap", (20, 20, 3), 2, seed=1)
    np.testing.assert_array_equal(again(x), model(x))


def test_dense_layers_alone_are_a_network():
    model = plain_network("8", (4, 4, 1), 3)
    assert kinds(model) == ["Flatten", "Dense", "ReLU", "Dense"]
    assert isinstance(model, keras.Model)
    assert isinstance(model.get_layer("flat"), layers.Flatten)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("16", None),
        ("", "Received: ''"),
        ("16x4,", "Received: ''"),
        ("conv16", r"convolutions \(16x4s2p1, .* Received: 'conv16'"),
        ("100,16x3", "only dense layers can follow. Received: '16x3'"),
        ("gap,max2", "only dense layers can follow. Received: 'max2'"),
        ("16x40", "'16x40' does not fit a map of 32x32"),
        ("max20,max2", "'max2' does not fit a map of 1x1"),
        ("0x3", "sizes of 1 to 65536. Received: '0x3'"),
        ("16x0", "Received: '16x0'"),
        ("99999999", "Received: '99999999'"),
    ],
)
def test_lines_that_cannot_be_built_are_refused(spec, message):
    if message is None:
        plain_network(spec)
        return
    with pytest.raises(InputError, match=message):
        plain_network(spec)
