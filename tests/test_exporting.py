import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from atk_latent.errors import InputError
from atk_latent.exporting import export as exporting
from atk_latent.models import wrap


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Rescaling(2.0, -1.0),
            keras.layers.Conv2D(2, 3),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3),
        ]
    )


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((5, 4, 4, 1)).astype(np.float32)


def test_round_trip_in_a_fresh_process(model, images, tmp_path):
    (tmp_path / "card.json").write_text('{"method": "natural"}')
    export = exporting.export_classifier(
        model, tmp_path / "out", images, card=tmp_path / "card.json"
    )
    assert export.checked == 5 and export.num_classes == 3 and export.card
    assert export.image_shape == (4, 4, 1)
    assert export.max_difference == export.signatures["serving_default"] <= 1e-5
    assert json.loads((tmp_path / "out" / "card.json").read_text()) == {"method": "natural"}
    served = tf.saved_model.load(str(tmp_path / "out")).signatures["serving_default"]
    (logits,) = served(images=tf.constant(images)).values()
    np.testing.assert_allclose(logits, model(images, training=False), atol=1e-5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["card.json", "out"]


@pytest.mark.parametrize("wrong", ["other", "shape", "nan"])
def test_a_model_that_says_something_else_is_not_put_in_place(
    model, images, tmp_path, monkeypatch, wrong
):
    def fresh(form, place, x, signature, *_):
        logits = exporting._outputs(model, x)
        return {"other": logits + 1e-3, "shape": logits[:2], "nan": logits * np.nan}[wrong]

    monkeypatch.setattr(exporting, "_fresh_outputs", fresh)
    with pytest.raises(RuntimeError, match="differs from the Keras model"):
        exporting.export_classifier(model, tmp_path / "out", images)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_cannot_be_loaded_again_is_not_put_in_place(
    model, images, tmp_path, monkeypatch
):
    broken = dataclasses.replace(
        exporting.format_named("savedmodel"), reload="raise SystemExit('cannot load')"
    )
    monkeypatch.setattr(exporting, "format_named", lambda _: broken)
    with pytest.raises(RuntimeError, match="cannot load"):
        exporting.export_classifier(model, tmp_path / "out", images)
    assert list(tmp_path.iterdir()) == []


def test_a_taken_place_and_no_images_are_refused(model, images, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="exists already"):
        exporting.export_classifier(model, tmp_path / "file", images)
    with pytest.raises(InputError, match="not empty"):
        exporting.export_classifier(model, tmp_path, images)
    with pytest.raises(InputError, match="n >= 1"):
        exporting.export_classifier(model, tmp_path / "out", images[:0])
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("form", "modules"), [("onnx", ("tf2onnx", "onnxruntime")), ("tflite", ())]
)
def test_other_formats_say_the_same_in_a_fresh_process(tmp_path, form, modules):
    for module in modules:
        pytest.importorskip(module)
    layers = [keras.layers.Rescaling(1 / 128), keras.layers.Conv2D(2, 3), keras.layers.Flatten()]
    end = keras.layers.Dense(3, activation="softmax")
    inside = keras.Sequential([keras.Input((4, 4, 3)), *layers, end])
    probabilities = wrap(inside, preprocess="resnet50")  # turns the colours round
    images = np.random.default_rng(0).random((5, 4, 4, 3)).astype(np.float32)
    (tmp_path / "card.json").write_text('{"method": "natural"}')
    out = tmp_path / f"model.{form}"
    export = exporting.export_classifier(
        probabilities, out, images, format=form, card=tmp_path / "card.json"
    )
    assert (export.format, export.checked, export.card) == (form, 5, True)
    assert export.max_difference <= 1e-5
    (scratch := tmp_path / "scratch").mkdir()
    again = exporting._fresh_outputs(exporting.format_named(form), out, images[:2], "", scratch)
    shutil.rmtree(scratch)
    np.testing.assert_allclose(again, probabilities(images[:2]), atol=1e-5)
    assert json.loads((tmp_path / "model.card.json").read_text()) == {"method": "natural"}
    assert {p.name for p in tmp_path.iterdir()} == {"card.json", f"model.{form}", "model.card.json"}
    with pytest.raises(InputError, match="exists already"):
        exporting.export_classifier(probabilities, out, images, format=form)


def test_what_a_format_cannot_do_is_one_line(model, images, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="unknown format 'onx'. Did you mean 'onnx'"):
        exporting.export_classifier(model, tmp_path / "m", images, format="onx")
    with pytest.raises(InputError, match="must end in .tflite"):
        exporting.export_classifier(model, tmp_path / "m", images, format="tflite")
    with pytest.raises(InputError, match="one signature"):
        exporting.export_classifier(
            *(model, tmp_path / "m.tflite", images), format="tflite", endpoints={"imt": model}
        )
    broken = dataclasses.replace(
        exporting.format_named("tflite"), needs=("not_there",), name="onnx"
    )
    monkeypatch.setattr(exporting, "format_named", lambda _: broken)
    with pytest.raises(InputError, match=r"needs not_there: pip install 'atk-latent\[onnx\]'"):
        exporting.export_classifier(model, tmp_path / "m.tflite", images)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_no_converter_knows_is_one_line(images, tmp_path):
    class Python(keras.layers.Layer):
        def call(self, x):
            return tf.ensure_shape(tf.numpy_function(lambda v: v, [x], tf.float32), x.shape)

    layers = [keras.Input((4, 4, 1)), Python(), keras.layers.Flatten(), keras.layers.Dense(2)]
    with pytest.raises(InputError, match="cannot be converted to TFLite: .*--format savedmodel"):
        exporting.export_classifier(
            keras.Sequential(layers), tmp_path / "m.tflite", images, format="tflite"
        )
    assert list(tmp_path.iterdir()) == []
