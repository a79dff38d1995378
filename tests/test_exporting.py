import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from atk_latent import exporting
from atk_latent.errors import InputError


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
    export = exporting.export_saved_model(
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
    def fresh(folder, x, signature, *_):
        logits = exporting._logits(model, x)
        return {"other": logits + 1e-3, "shape": logits[:2], "nan": logits * np.nan}[wrong]

    monkeypatch.setattr(exporting, "_fresh_logits", fresh)
    with pytest.raises(RuntimeError, match="differs from the Keras model"):
        exporting.export_saved_model(model, tmp_path / "out", images)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_cannot_be_loaded_again_is_not_put_in_place(
    model, images, tmp_path, monkeypatch
):
    monkeypatch.setattr(exporting, "_RELOAD", "raise SystemExit('cannot load')")
    with pytest.raises(RuntimeError, match="cannot load"):
        exporting.export_saved_model(model, tmp_path / "out", images)
    assert list(tmp_path.iterdir()) == []


def test_a_taken_place_and_no_images_are_refused(model, images, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="exists already"):
        exporting.export_saved_model(model, tmp_path / "file", images)
    with pytest.raises(InputError, match="not empty"):
        exporting.export_saved_model(model, tmp_path, images)
    with pytest.raises(InputError, match="n >= 1"):
        exporting.export_saved_model(model, tmp_path / "out", images[:0])
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
