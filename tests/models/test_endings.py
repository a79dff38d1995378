"""Probabilities at the end of a model, turned into logits or refused."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.errors import InputError
from atk_latent.methods import ATLD, LADDER, LAT, Method
from atk_latent.models import endings
from atk_latent.models.endings import as_logits, original, require_logits
from tests.models.test_latent import MODELS, SHAPE, X


def ending_in(*end):
    return keras.Sequential([keras.Input(SHAPE), layers.Flatten(), *end])


def values(model):
    return np.asarray(model(X, training=False), "float32")


class OwnSoftmax(layers.Layer):
    def call(self, x):
        return tf.exp(x) / tf.reduce_sum(tf.exp(x), -1, keepdims=True)


SQUASHED = [
    ([layers.Dense(3, activation="softmax", name="end")], "softmax"),
    ([layers.Dense(3), layers.Softmax(name="end")], "softmax"),
    ([layers.Dense(3), layers.Activation("sigmoid", dtype="float32", name="end")], "sigmoid"),
    ([layers.Dense(3, activation="softmax", name="end"), layers.Activation("linear")], "softmax"),
    ([layers.Dense(3, activation="sigmoid", name="end"), layers.Reshape((3,))], "sigmoid"),
    ([layers.Dense(3, activation=tf.nn.softmax, name="end"), layers.Dropout(0.5)], "softmax"),
    ([layers.Dense(3, activation=layers.Softmax(), name="end")], "softmax"),
    ([layers.Dense(3), OwnSoftmax(name="end")], "softmax"),
]


@pytest.mark.parametrize("depth", [0, 1])
@pytest.mark.parametrize(("end", "name"), SQUASHED)
def test_probabilities_become_logits_of_the_same_weights(end, name, depth, caplog):
    endings._log_once.cache_clear()
    model = ending_in(*end)
    if depth:
        inputs = keras.Input(SHAPE)
        model = keras.Model(inputs, layers.Flatten()(model(layers.Rescaling(2.0)(inputs))))
    before = values(model)
    with caplog.at_level(logging.WARNING):
        logits, again = as_logits(model), as_logits(model)
    assert len(caplog.messages) == 1
    assert f"ends in {name} (layer '" in caplog.messages[0]
    squash = {"softmax": tf.nn.softmax, "sigmoid": tf.sigmoid}[name]
    np.testing.assert_allclose(squash(values(logits)), before, atol=1e-6)
    assert all(a is b for a, b in zip(logits.weights, model.weights, strict=True))
    np.testing.assert_array_equal(values(model), before)
    assert original(logits) is model
    assert original(again) is model
    assert as_logits(logits) is logits


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_one_unit_becomes_two_logits(activation):
    model = ending_in(layers.Dense(1, activation=activation))
    logits = as_logits(model)
    z = values(model) if activation is None else np.log(values(model) / (1 - values(model)))
    np.testing.assert_allclose(values(logits)[:, 0], 0)
    np.testing.assert_allclose(values(logits)[:, 1:], z, atol=1e-5)
    assert original(logits) is model


def test_a_layer_used_twice_is_left_out_at_the_end_alone():
    softmax = layers.Softmax()
    model = ending_in(layers.Dense(4), softmax, layers.Dense(3), softmax)
    np.testing.assert_allclose(tf.nn.softmax(values(as_logits(model))), values(model), atol=1e-6)


def test_a_convolution_at_the_end_and_a_subclassed_model():
    inputs = keras.Input(SHAPE)
    x = layers.GlobalAveragePooling2D(keepdims=True)(layers.Conv2D(5, 3)(inputs))
    x = layers.Flatten()(layers.Conv2D(3, 1, activation="softmax")(x))

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.flat, self.end = layers.Flatten(), layers.Dense(3, activation="softmax")

        def call(self, x):
            return self.end(self.flat(x))

    own = Own()
    own(X)
    for model in (keras.Model(inputs, x), own):
        logits = as_logits(model)
        np.testing.assert_allclose(tf.nn.softmax(values(logits)), values(model), atol=1e-6)


def test_half_precision_keeps_its_float32_end():
    model = ending_in(
        layers.Dense(3, dtype="mixed_float16"), layers.Activation("softmax", dtype="float32")
    )
    assert as_logits(model)(X).dtype == tf.float32


def test_an_operation_at_the_end():
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, keras.ops.softmax(layers.Dense(3)(layers.Flatten()(inputs))))
    with pytest.raises(InputError, match="ends in softmax"):
        require_logits(model)
    np.testing.assert_allclose(tf.nn.softmax(values(as_logits(model))), values(model), atol=1e-6)


def test_names_do_not_count():
    def softmax(x):
        return 2 * x

    named = ending_in(layers.Dense(3, activation=softmax))
    assert as_logits(named, X) is named
    inside = ending_in(layers.Dense(4, activation="softmax"), layers.Dense(3))
    assert as_logits(inside, X) is inside


@pytest.mark.parametrize("make", MODELS)
def test_logits_are_left_alone(make):
    model = make()
    assert as_logits(model, X) is model
    assert original(model) is model


def test_what_cannot_be_undone_is_refused():
    with pytest.raises(InputError, match="ends in hard_sigmoid .*logits are needed"):
        as_logits(ending_in(layers.Dense(3, activation="hard_sigmoid")))

    class Halved(layers.Dense):
        def call(self, x):
            return super().call(x / 2)

        def get_config(self):
            raise NotImplementedError

    with pytest.raises(InputError, match="ends in softmax .*logits are needed"):
        as_logits(ending_in(Halved(3, activation="softmax")))

    class Closed(keras.Model):
        def __init__(self):
            super().__init__()
            self.flat, self.dense = layers.Flatten(), layers.Dense(3)

        def call(self, x):
            return tf.nn.softmax(self.dense(self.flat(x)))

    model = Closed()
    model(X)
    assert as_logits(model) is model
    for check in (as_logits, require_logits):
        with pytest.raises(InputError, match="gives probabilities"):
            check(model, X)


@pytest.mark.parametrize("end", [SQUASHED[0][0], SQUASHED[2][0]])
def test_the_cure_in_the_message_works(end, tmp_path):
    model = ending_in(*end)
    with pytest.raises(InputError) as caught:
        require_logits(model)
    cure = str(caught.value).split("for a trained model set ")[1].split(" and save")[0]
    place, _, value = cure.partition(" = ")
    assert place == "model.get_layer('end').activation"
    assert value == "keras.activations.linear"
    layer = model.get_layer("end")
    before, layer.activation = layer.activation, keras.activations.linear
    try:
        require_logits(model, X)
        model.save(tmp_path / "m.keras")
    finally:
        layer.activation = before  # the layers of the table are shared
    again = keras.saving.load_model(tmp_path / "m.keras")
    require_logits(again, X)
    flat = X.reshape(3, -1) @ model.layers[1].kernel.numpy() + model.layers[1].bias.numpy()
    np.testing.assert_allclose(again(X), flat, atol=1e-5)


def test_training_by_logits_trains_the_model():
    model = ending_in(layers.Dense(3, activation="softmax", name="last"))
    before = values(model)
    method = Method(model)
    y = np.array([0, 1, 2])
    method.harden(X, y)
    assert not np.allclose(values(model), before)
    np.testing.assert_allclose(values(model).sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(tf.nn.softmax(values(method.classifier)), values(model), atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "settings"), [(LADDER, {}), (LAT, {}), (ATLD, {"label_smoothing": 0.1})]
)
def test_a_method_takes_one_unit_for_two_classes(kind, settings):
    end = layers.Dense(1, activation="sigmoid")
    model = ending_in(layers.Dense(5, activation="relu", name="latent"), end)
    method = kind(model, kind.settings_for("", "mnist", "paper", settings))
    assert method.classifier.output_shape == (None, 2)
    assert original(method.classifier) is model
    assert all(any(a is b for b in model.weights) for a in method.classifier.weights)
