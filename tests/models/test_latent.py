"""Cutting a classifier, copying it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.errors import InputError
from atk_latent.models.latent import frozen_copy, latent_layer_name, split
from atk_latent.models.lenet import lenet

SHAPE = (12, 12, 1)
X = np.random.default_rng(0).random((3, *SHAPE)).astype("float32")


class Subclassed(keras.Model):
    def __init__(self, raw=False):
        super().__init__()
        self.conv, self.flat = layers.Conv2D(4, 3), layers.Flatten()
        self.hidden, self.out = layers.Dense(7, name="hidden"), layers.Dense(3, name="out")
        self.drop, self.raw = layers.Dropout(0.5, name="drop"), raw

    def call(self, x, training=False):
        x = self.hidden(self.flat(self.conv(x)))
        x = tf.nn.relu(x) if self.raw else keras.ops.relu(x)
        return self.out(self.drop(x, training=training))


def sequential():
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Flatten(),
            layers.Dense(7, activation="relu", name="hidden"),
            layers.Dropout(0.5, name="drop"),
            layers.Dense(3, name="out"),
        ],
        name="seq",
    )


def functional():
    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    x = layers.BatchNormalization()(layers.Add()([x, layers.Conv2D(4, 3)(inputs)]))
    x = layers.Dense(7, activation="relu", name="hidden")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(3, name="out")(layers.Dropout(0.5, name="drop")(x)))


def nested():
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, layers.Rescaling(2.0)(sequential()(layers.Rescaling(0.5)(inputs))))


def twice_nested():
    return keras.Sequential([keras.Input(SHAPE), layers.Rescaling(0.5), nested()])


def subclassed():
    model = Subclassed()
    model(X)
    return model


def holding_subclassed():
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, Subclassed()(inputs))


MODELS = [sequential, functional, nested, twice_nested, subclassed, holding_subclassed]


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("layer", [None, "hidden"])
def test_head_of_features_is_the_model(make, layer):
    model = make()
    features, head = split(model, layer)
    assert features.output_shape == head.input_shape == (None, 7)
    np.testing.assert_allclose(head(features(X)), model(X), atol=1e-6)
    name = latent_layer_name(model, layer).split("/")[-1]
    assert name == ("hidden" if layer else "drop")


@pytest.mark.parametrize("make", MODELS)
def test_dropout_of_the_parts_follows_training(make):
    keras.utils.set_random_seed(0)
    model = make()
    features, head = split(model, "hidden")
    z = features(X)
    np.testing.assert_array_equal(head(z), head(z))
    assert not np.allclose(head(z, training=True), head(z, training=True))


@pytest.mark.parametrize("make", MODELS)
def test_parts_share_the_weights(make):
    model = make()
    features, head = split(model, "hidden")
    for weight in model.weights:
        weight.assign(weight + 0.1)
    np.testing.assert_allclose(head(features(X)), model(X), atol=1e-6)
    owned = {id(w) for w in [*features.weights, *head.weights]}
    assert owned == {id(w) for w in model.weights}


def test_splitting_leaves_the_model_as_it_was():
    model = functional()
    names, tensor = [layer.name for layer in model.layers], model.get_layer("hidden").output
    split(model)
    split(model, "hidden")
    assert [layer.name for layer in model.layers] == names
    assert model.get_layer("hidden").output is tensor


def test_layer_named_latent_comes_first():
    model = lenet()
    assert latent_layer_name(model) == "latent"
    features, _ = split(model)
    assert features(np.zeros((1, 28, 28, 1))).numpy().min() >= 0
    before_relu, _ = split(model, "fc1")
    assert before_relu(np.zeros((1, 28, 28, 1))).numpy().min() < 0


def test_named_map_stays_a_map():
    model = lenet()
    features, head = split(model, "pool2")
    assert features.output_shape == head.input_shape == (None, 4, 4, 50)
    x = np.random.default_rng(0).random((2, 28, 28, 1)).astype("float32")
    np.testing.assert_allclose(head(features(x)), model(x), atol=1e-6)


def test_path_chooses_between_layers_of_one_name():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="a")], name="inner")
    inputs = keras.Input(SHAPE)
    x = layers.Dense(4, name="a")(layers.Flatten()(inputs))
    model = keras.Model(inputs, layers.Dense(3)(inner(x)))
    assert latent_layer_name(model) == latent_layer_name(model, "inner/a") == "inner"
    assert latent_layer_name(model, "a") == "a"
    for name in ("a", "inner/a", "inner"):
        features, head = split(model, name)
        np.testing.assert_allclose(head(features(X)), model(X), atol=1e-6)
    twins = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="a")], name="twin")
    model = keras.Sequential([keras.Input((4,)), inner, twins, layers.Dense(2)])
    with pytest.raises(InputError, match="several layers are named 'a'.*inner/a, twin/a"):
        split(model, "a")


@pytest.mark.parametrize("name", ["end", "image", "input_layer", "identity", "features", "head"])
def test_no_layer_name_of_a_user_clashes_with_ours(name):
    inner = keras.Sequential(
        [keras.Input((144,), name=name), layers.Dense(4, name="a"), layers.Dense(4, name="b")],
        name="inner",
    )
    inputs = keras.Input(SHAPE, name=name)
    model = keras.Model(inputs, layers.Dense(3, name="b")(inner(layers.Flatten(name="a")(inputs))))
    features, head = split(model, "inner/a")
    np.testing.assert_allclose(head(features(X)), model(X), atol=1e-6)
    plain = keras.Sequential([keras.Input(SHAPE), layers.Flatten(name=name), layers.Dense(3)])
    features, head = split(plain)
    np.testing.assert_allclose(head(features(X)), plain(X), atol=1e-6)
    np.testing.assert_allclose(frozen_copy(model)(X), model(X), atol=1e-6)


def test_unknown_layer_is_refused_with_the_nearest_and_all():
    with pytest.raises(InputError, match=r"no layer 'hiden'. Did you mean 'hidden'\? Known: .*out"):
        split(sequential(), "hiden")


def test_layer_that_is_bypassed_is_refused():
    inputs = keras.Input(SHAPE)
    x = layers.Flatten()(inputs)
    both = layers.Add(name="both")([layers.Dense(4, name="one")(x), layers.Dense(4)(x)])
    model = keras.Model(inputs, layers.Dense(3)(both))
    with pytest.raises(InputError, match="does not depend on layer 'one' alone"):
        split(model, "one")
    assert latent_layer_name(model) == "both"


def test_output_layer_is_refused():
    with pytest.raises(InputError, match="layer 'out' is the output"):
        split(sequential(), "out")


def test_model_without_dense_asks_for_a_name():
    model = keras.Sequential(
        [keras.Input(SHAPE), layers.Conv2D(3, 3, name="c"), layers.GlobalAveragePooling2D()]
    )
    with pytest.raises(InputError, match=r"no layer named 'latent' .* Known|Name the latent layer"):
        split(model)
    assert split(model, "c")[0].output_shape == (None, 10, 10, 3)


def test_model_that_cannot_be_read_is_refused_with_a_way_out():
    model = Subclassed(raw=True)
    model(X)
    with pytest.raises(InputError, match=r"cannot see the layers .* functional or sequential"):
        split(model)


def test_unbuilt_subclassed_model_needs_a_shape():
    with pytest.raises(InputError, match="Call it once"):
        split(Subclassed())
    model = Subclassed()
    features, head = split(model, input_shape=SHAPE)
    np.testing.assert_allclose(head(features(X)), model(X), atol=1e-6)


def test_other_things_are_refused():
    with pytest.raises(InputError, match="Keras 3 model is needed. Received: str"):
        split("model.keras")
    a, b = keras.Input((2,)), keras.Input((2,))
    with pytest.raises(InputError, match="2 inputs and 1 outputs"):
        split(keras.Model([a, b], layers.Add()([a, b])))


def test_nested_fixed_training_mode_is_kept():
    inputs = keras.Input((50,))
    inner = keras.Sequential([keras.Input((50,)), layers.Dropout(0.5), layers.Dense(4, name="a")])
    model = keras.Model(inputs, layers.Dense(3)(inner(inputs, training=True)))
    features, _ = split(model, "a")
    ones = np.ones((1, 50), "float32")
    assert not np.allclose(model(ones), model(ones))
    assert not np.allclose(features(ones), features(ones))


@pytest.mark.parametrize("make", MODELS)
def test_frozen_copy_is_equal_and_independent(make):
    model = make()
    before = model(X).numpy()
    copy = frozen_copy(model)
    np.testing.assert_allclose(copy(X), before, atol=1e-6)
    assert copy.trainable_weights == []
    assert model.trainable_weights
    for weight in model.weights:
        weight.assign(weight + 1.0)
    np.testing.assert_allclose(copy(X), before, atol=1e-6)
    assert latent_layer_name(copy, "hidden").split("/")[-1] == "hidden"


def test_frozen_copy_keeps_names_and_drops_the_compilation():
    model = lenet()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    copy = frozen_copy(model)
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    assert copy.name == "lenet"
    assert not copy.compiled
    assert latent_layer_name(copy) == "latent"


def test_frozen_copy_keeps_an_adapted_normalisation_and_a_lambda():
    norm = layers.Normalization()
    norm.adapt(X * 3)
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            norm,
            layers.Lambda(lambda x: 2 * x),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    np.testing.assert_allclose(frozen_copy(model)(X), model(X), atol=1e-6)


def test_frozen_copy_refuses_what_it_cannot_rebuild():
    model = Subclassed(raw=True)
    model(X)
    model.get_config = lambda: {"unknown": 1}
    with pytest.raises(InputError, match="cannot be copied"):
        frozen_copy(model)
