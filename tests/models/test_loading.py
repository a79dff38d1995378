"""Classifiers from disk."""

import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.errors import InputError
from atk_latent.models.latent import frozen_copy, split
from atk_latent.models.lenet import lenet
from atk_latent.models.loading import load_classifier

X = np.random.default_rng(0).random((2, 28, 28, 1)).astype("float32")


@pytest.fixture(scope="module")
def model():
    return lenet(seed=1)


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    model.save(folder / "m.keras")
    model.save(folder / "m.h5")
    (folder / "run").mkdir()
    model.save(folder / "run" / "model.keras")
    model.export(folder / "exported", verbose=False)
    tf.saved_model.save(model, str(folder / "plain"))
    return folder


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "run", "exported", "plain"])
def test_model_comes_back_uncompiled_and_equal(saved, model, name):
    loaded = load_classifier(saved / name, data_shape=(28, 28, 1), num_classes=10)
    np.testing.assert_allclose(loaded(X), model(X), atol=1e-5)
    assert not loaded.compiled


@pytest.mark.parametrize("name", ["exported", "plain"])
def test_saved_model_has_input_gradients_and_any_batch(saved, model, name):
    loaded = load_classifier(saved / name)

    @tf.function
    def gradient(classifier, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(classifier(x) ** 2)
        return tape.gradient(loss, x)

    for n in (1, 2):
        x = tf.constant(X[:n])
        np.testing.assert_allclose(gradient(loaded, x), gradient(model, x), atol=1e-4)


def test_saved_model_can_be_copied_and_not_split(saved):
    loaded = load_classifier(saved / "exported")
    before = loaded(X).numpy()
    copy = frozen_copy(loaded)
    assert loaded.trainable_weights
    for weight in loaded.weights:
        weight.assign(weight * 0)
    np.testing.assert_allclose(copy(X), before, atol=1e-5)
    with pytest.raises(InputError, match="Name the latent layer: tfsm_layer"):
        split(loaded)


def one_line(path, *arguments):
    with pytest.raises(InputError) as caught:
        load_classifier(path, *arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def test_nothing_there_is_refused(tmp_path):
    assert "there is no model at" in one_line(tmp_path / "m.keras")


@pytest.mark.parametrize("suffix", ["keras", "h5", "txt"])
def test_text_file_is_refused(tmp_path, suffix):
    file = tmp_path / f"m.{suffix}"
    file.write_text("hello")
    assert "m." in one_line(file)


def test_truncated_file_is_refused(saved, tmp_path):
    content = (saved / "m.keras").read_bytes()
    (tmp_path / "m.keras").write_bytes(content[: len(content) // 2])
    assert "damaged, cut short" in one_line(tmp_path / "m.keras")


def test_other_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("a", "b")
    assert "cannot be read as a Keras model" in one_line(tmp_path / "m.keras")


def test_folder_without_a_model_is_refused(tmp_path):
    assert "neither a run" in one_line(tmp_path)
    (tmp_path / "saved_model.pb").write_text("hello")
    assert "cannot be read" in one_line(tmp_path)


def test_model_that_does_not_fit_the_data_is_refused(saved):
    message = one_line(saved / "m.keras", (32, 32, 3))
    assert "takes images of shape (28, 28, 1), but the data has (32, 32, 3)" in message
    message = one_line(saved / "run", (28, 28, 1), 26)
    assert "outputs of shape (10,), but the data has 26 classes" in message


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_lambda_is_refused_and_never_run(tmp_path, suffix):
    inputs = keras.Input((28, 28, 1))
    x = layers.Flatten()(layers.Lambda(lambda v: 2 * v)(inputs))
    keras.Model(inputs, layers.Dense(3)(x)).save(tmp_path / f"m.{suffix}")
    assert "Lambda layer: Python code" in one_line(tmp_path / f"m.{suffix}")


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_custom_layer_is_named(tmp_path, suffix):
    class Own(layers.Dense):
        pass

    keras.Sequential([keras.Input((4,)), Own(3)]).save(tmp_path / f"m.{suffix}")
    assert "needs custom code: 'Own'" in one_line(tmp_path / f"m.{suffix}")


def test_subclassed_model_of_another_shape_is_refused(tmp_path):
    @keras.saving.register_keras_serializable(package="tests_loading")
    class Small(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.flat, self.dense = layers.Flatten(), layers.Dense(3)

        def call(self, x):
            return self.dense(self.flat(x))

    small = Small()
    small(X)
    small.save(tmp_path / "m.keras")
    load_classifier(tmp_path / "m.keras", (28, 28, 1), 3)
    assert "cannot take images of shape (8, 8, 1)" in one_line(tmp_path / "m.keras", (8, 8, 1), 3)
