"""Models that want other pixels, behind layers that make them of [0, 1]."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.errors import InputError
from atk_latent.models import load_classifier, wrap
from atk_latent.models.differentiable import has_gradients
from atk_latent.models.endings import as_logits, original
from atk_latent.models.latent import latent_layer_name, split
from atk_latent.pixels import PixelFormat

SHAPE = (6, 6, 3)
X = np.random.default_rng(0).random((4, *SHAPE)).astype("float32")


def network(end=None, channels=3):
    keras.utils.set_random_seed(1)
    parts = [layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(5, name="hidden")]
    return keras.Sequential(
        [keras.Input((*SHAPE[:2], channels)), *parts, layers.Dense(3, activation=end)]
    )


# Keras' own functions, one of each of its ways: tf, caffe, torch, and the pixels as they are.
NAMES = ["mobilenet_v2", "keras.applications.resnet50", "densenet", "efficientnet"]


@pytest.mark.parametrize("name", NAMES)
def test_preprocessing_by_name_is_that_of_keras(name, tmp_path):
    model = network()
    function = getattr(keras.applications, name.rpartition(".")[2]).preprocess_input
    expected = np.asarray(model(function(255 * X)))
    wrapped = wrap(model, preprocess=name)
    np.testing.assert_allclose(wrapped(X), expected, atol=1e-4)
    wrapped.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
    np.testing.assert_allclose(again(X), expected, atol=1e-4)
    features, head = split(again)
    assert latent_layer_name(again) == f"{model.name}/hidden"
    np.testing.assert_allclose(head(features(X)), expected, atol=1e-3)


@pytest.mark.parametrize(("text", "pair"), [("0,255", (0, 255)), ("-1,1", (-1.0, 1.0))])
def test_a_range_is_stretched(text, pair):
    model = network()
    expected = np.asarray(model(X * (pair[1] - pair[0]) + pair[0]))
    for value in (text, pair):
        np.testing.assert_allclose(wrap(model, input_range=value)(X), expected, atol=1e-5)
    assert wrap(model) is model


def test_a_subclassed_model_is_wrapped_once_its_shape_is_known():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.flat, self.end = layers.Flatten(), layers.Dense(3)

        def call(self, x):
            return self.end(self.flat(x))

    own = Own()
    with pytest.raises(InputError, match="input shape .* is not known"):
        wrap(own, input_range=(0, 255))
    expected = own(255 * X)
    np.testing.assert_allclose(wrap(own, input_range=(0, 255))(X), expected, atol=1e-4)


def test_whole_numbers_are_rounded_and_have_no_gradient(tmp_path):
    class Served(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], tf.uint8)])
        def serve(self, x):
            return tf.reduce_sum(tf.cast(x, tf.float32), axis=(1, 2))

    served = Served()
    tf.saved_model.save(served, str(tmp_path / "m"), signatures={"serving_default": served.serve})
    with pytest.raises(InputError, match=r"whole numbers \(uint8\).*--input-range 0,255"):
        load_classifier(tmp_path / "m")
    model = load_classifier(tmp_path / "m", pixels=PixelFormat("0,255"))
    pixels = np.random.default_rng(0).integers(0, 256, (2, *SHAPE))
    expected = pixels.sum(axis=(1, 2))
    np.testing.assert_array_equal(model(pixels.astype("float32") / 255), expected)
    assert not has_gradients(model, SHAPE)


def test_a_saved_model_of_keras_has_gradients(tmp_path):
    network().export(tmp_path / "m", verbose=False)
    assert has_gradients(load_classifier(tmp_path / "m"), SHAPE)
    assert has_gradients(network(), SHAPE)


def test_the_ending_is_undone_inside_the_wrapping():
    model = network("softmax")
    wrapped = wrap(model, input_range="0,255")
    logits = as_logits(wrapped)
    np.testing.assert_allclose(tf.nn.softmax(logits(X)), model(255 * X), atol=1e-5)
    assert original(logits) is wrapped


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_range": "255"}, "two numbers, such as 0,255"),
        ({"input_range": (1, 0)}, "two rising numbers"),
        ({"preprocess": "resnet51"}, "Did you mean 'resnet50'"),
        ({"preprocess": "resnet50", "input_range": "0,255"}, "Give one of them"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        wrap(network(), **options)


def test_preprocessing_is_for_three_colours():
    with pytest.raises(InputError, match="3 colours"):
        wrap(network(channels=1), preprocess="vgg16")
