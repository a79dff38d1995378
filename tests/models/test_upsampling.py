"""One convolution for a transposed one and those after it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.errors import InputError
from atk_latent.models.generators import mnist_generator
from atk_latent.models.upsampling import CollapsedUpsampling

CASES = [
    (2, 4, [(3, 3)]),
    (2, 3, [(3, 4), (1, 5)]),
    (2, 2, []),
    (2, 5, []),
    (3, 2, [(4, 2)]),
    (4, 2, [(2, 1), (3, 3)]),
    (3, 1, [(2, 2)]),
    (1, 1, []),
]


def separate(k, s, convolutions, channels=3, filters=4):
    """The Keras layers that CollapsedUpsampling stands for."""
    x = inputs = keras.Input((4, 5, channels))
    x = layers.Conv2DTranspose(filters, k, strides=s)(x)
    if s > k:
        x = layers.Cropping2D(((0, s - k), (0, s - k)))(x)
    for f, size in convolutions:
        x = layers.Conv2D(f, size)(x)
    return keras.Model(inputs, x)


def collapsed(k, s, convolutions, channels=3, filters=4):
    inputs = keras.Input((4, 5, channels))
    return keras.Model(inputs, CollapsedUpsampling(filters, k, s, convolutions, seed=7)(inputs))


def outputs_and_gradients(model, x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = model(x)
        loss = tf.reduce_sum(y * tf.cos(y))
    watched = [*(w.value for w in model.trainable_weights), x]
    return y.numpy(), [g.numpy() for g in tape.gradient(loss, watched)]


@pytest.mark.parametrize(("k", "s", "convolutions"), CASES)
def test_function_and_gradients_are_those_of_the_separate_layers(k, s, convolutions):
    ours, theirs = collapsed(k, s, convolutions), separate(k, s, convolutions)
    theirs.set_weights(ours.get_weights())
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype("float32")
    y, gradients = outputs_and_gradients(ours, x)
    expected, expected_gradients = outputs_and_gradients(theirs, x)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    assert len(gradients) == len(expected_gradients) == 2 * (1 + len(convolutions)) + 1
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, wanted, atol=1e-4 * max(1, np.abs(wanted).max()))
    assert ours.output_shape == theirs.output_shape


# Why the cropping above: with stride > kernel Keras pads to n * s, PyTorch gives (n - 1) * s + k.
@pytest.mark.parametrize(("n", "k", "s", "keras_size"), [(4, 2, 4, 16), (12, 2, 3, 36)])
def test_keras_pads_a_transposed_convolution_of_stride_over_kernel(n, k, s, keras_size):
    layer = layers.Conv2DTranspose(1, k, strides=s, kernel_initializer="ones")
    y = layer(np.ones((1, n, n, 1), "float32"))
    assert y.shape[1:3] == (keras_size, keras_size)
    extra = keras_size - ((n - 1) * s + k)
    assert extra == s - k
    assert not np.any(y[:, -extra:])
    assert not np.any(y[:, :, -extra:])


def test_weights_have_the_shapes_and_names_of_the_layers():
    layer = collapsed(2, 3, [(3, 4), (1, 5)]).layers[1]
    assert {w.name: tuple(w.shape) for w in layer.weights} == {
        "kernel": (2, 2, 4, 3),
        "bias": (4,),
        "kernel_1": (4, 4, 4, 3),
        "bias_1": (3,),
        "kernel_2": (5, 5, 3, 1),
        "bias_2": (1,),
    }
    limits = {"kernel": 2 * 2 * 4, "bias": 16, "kernel_1": 64, "bias_2": 75}
    for weight in layer.weights:
        if weight.name in limits:
            assert np.abs(weight.numpy()).max() <= 1 / np.sqrt(limits[weight.name])


def test_unknown_sizes_and_batch_work():
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, CollapsedUpsampling(4, 2, 3, [(2, 3)], seed=7)(inputs))
    assert model.output_shape == (None, None, None, 2)
    reference = separate(2, 3, [(2, 3)])
    reference.set_weights(model.get_weights())
    x = np.random.default_rng(0).normal(size=(3, 4, 5, 3)).astype("float32")
    np.testing.assert_allclose(model.predict(x, verbose=0), reference(x), atol=1e-5)


def test_compiled_by_xla_gives_the_same():
    model = collapsed(2, 4, [(3, 3)])
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype("float32")
    np.testing.assert_allclose(tf.function(model, jit_compile=True)(x), model(x), atol=1e-5)


def test_mixed_precision_computes_half_and_keeps_float32_weights():
    layer = CollapsedUpsampling(4, 2, 4, [(3, 3)], dtype="mixed_float16")
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype("float32")
    y = layer(x)
    assert y.dtype == "float16"
    assert {w.dtype for w in layer.weights} == {"float32"}
    full = CollapsedUpsampling(4, 2, 4, [(3, 3)])
    np.testing.assert_allclose(y, full(x), atol=1e-2)


def test_training_in_a_fit_loop_moves_every_weight():
    model = mnist_generator(20, seed=1)
    before = model.get_weights()
    model.compile("sgd", "mse")
    rng = np.random.default_rng(0)
    model.fit(rng.normal(size=(8, 20)), rng.random((8, 28, 28, 1)), batch_size=4, verbose=0)
    assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


def test_saved_generator_comes_back_equal(tmp_path):
    model = mnist_generator(20, seed=1)
    model.save(tmp_path / "g.keras")
    again = keras.saving.load_model(tmp_path / "g.keras")
    z = np.random.default_rng(0).normal(size=(2, 20)).astype("float32")
    np.testing.assert_array_equal(again(z), model(z))


@pytest.mark.parametrize("settings", [(0, 2, 4), (1, 2, 0), (1, 2.5, 1), (1, 2, 2, [(0, 3)])])
def test_settings_that_make_no_layer_are_refused(settings):
    with pytest.raises(InputError, match="whole number >= 1"):
        CollapsedUpsampling(*settings)


def test_vectors_are_refused():
    with pytest.raises(InputError, match=r"maps .* Received: \(2, 5\)"):
        CollapsedUpsampling(1, 2, 4)(np.zeros((2, 5), "float32"))
