"""Old-style .h5 models: what would run code is refused before Keras sees the file."""

import json

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from atk_latent.errors import InputError
from atk_latent.models import loading
from atk_latent.models.loading import load_classifier


@keras.saving.register_keras_serializable(package="tests_h5")
class Known(layers.Layer):
    def call(self, x):
        return x + 1.0


def model(*more):
    return keras.Sequential([keras.Input((4, 4, 1)), *more, layers.Flatten(), layers.Dense(3)])


def with_config(path, change):
    """An .h5 model whose configuration was written by hand."""
    model().save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config["config"]["layers"])
        file.attrs["model_config"] = json.dumps(config)
    return path


def refused(path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("Keras has seen the file")

    monkeypatch.setattr(loading.keras.saving, "load_model", never)
    with pytest.raises(InputError) as caught:
        load_classifier(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
@pytest.mark.parametrize("more", [(), (Known(),), (layers.BatchNormalization(), layers.ReLU())])
def test_models_of_keras_and_of_registered_layers_load(tmp_path, more):
    ours = model(*more)
    ours.save(tmp_path / "a.h5")
    x = np.random.default_rng(0).random((2, 4, 4, 1))
    np.testing.assert_allclose(load_classifier(tmp_path / "a.h5")(x), ours(x), rtol=1e-5)


LAMBDA = {"class_name": "Lambda", "config": {"name": "l", "function": ["4wEAAA==", None, None]}}


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
@pytest.mark.parametrize(
    ("layer", "word"),
    [
        (LAMBDA, "Lambda"),
        ({**LAMBDA, "module": "keras.layers"}, "Lambda"),
        ({"class_name": "keras>Lambda", "config": {}}, "Lambda"),
        ({"class_name": "TimeDistributed", "config": {"layer": LAMBDA}}, "Lambda"),
        ({"class_name": "Dense", "config": {"activation": {"class_name": "__lambda__"}}}, "__lamb"),
        ({"class_name": "Popen", "module": "subprocess", "config": {"args": "true"}}, "subprocess"),
        ({"class_name": "function", "module": "os", "config": "system"}, "of os"),
        ({"class_name": "exec", "module": "builtins", "config": "1"}, "of builtins"),
        ({"class_name": "X", "module": "kerasevil", "registered_name": "a>X"}, "kerasevil"),
    ],
)
def test_code_in_a_hand_made_file_is_refused_before_keras_sees_it(
    tmp_path, monkeypatch, layer, word
):
    path = with_config(tmp_path / "a.h5", lambda found: found.insert(1, layer))
    text = refused(path, monkeypatch)
    assert word in text and "a.h5" in text


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_a_lambda_layer_that_keras_itself_saved_is_refused(tmp_path, monkeypatch):
    model(layers.Lambda(lambda x: x)).save(tmp_path / "a.h5")
    assert "Lambda" in refused(tmp_path / "a.h5", monkeypatch)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"text"])
def test_what_is_no_hdf5_is_one_line(tmp_path, monkeypatch, content):
    (tmp_path / "a.h5").write_bytes(content)
    assert "a.h5" in refused(tmp_path / "a.h5", monkeypatch)


@pytest.mark.parametrize("config", [None, "[]", "{", "[" * 50_000])
def test_weights_without_a_model_are_one_line(tmp_path, monkeypatch, config):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        if config is not None:
            file.attrs["model_config"] = config
    assert "a.h5" in refused(tmp_path / "a.h5", monkeypatch)
