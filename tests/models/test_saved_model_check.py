"""A SavedModel that would touch files is refused before any of it runs."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from atk_latent.errors import InputError
from atk_latent.models.loading import load_classifier
from atk_latent.models.saved_model_check import check_saved_model

IMAGES = [tf.TensorSpec((None, 4, 4, 1), tf.float32)]


def logits(x):
    return tf.reshape(x, (-1, 16))[:, :3]


class Writes(tf.Module):
    """Writes a file when it is called, out of a function in a branch."""

    def __init__(self, place):
        super().__init__()
        self.place = place

    @tf.function(input_signature=IMAGES)
    def serve(self, x):
        @tf.function
        def write():
            tf.io.write_file(self.place, "here")
            return True

        tf.cond(tf.shape(x)[0] > 0, write, lambda: False)
        return logits(x)


class Prints(tf.Module):
    def __init__(self, place):
        super().__init__()
        self.place = place

    @tf.function(input_signature=IMAGES)
    def serve(self, x):
        tf.print("here", output_stream=self.place)
        return logits(x)


class Python(tf.Module):
    @tf.function(input_signature=IMAGES)
    def serve(self, x):
        return tf.ensure_shape(tf.py_function(logits, [x], tf.float32), (None, 3))


class Saves(tf.Module):
    """Calls what otherwise only TensorFlow's saver calls."""

    def __init__(self, place):
        super().__init__()
        self.place = place

    @tf.function(input_signature=IMAGES)
    def serve(self, x):
        tf.raw_ops.SaveV2(prefix=self.place, tensor_names=["x"], shape_and_slices=[""], tensors=[x])
        return logits(x)


class Reads(tf.Module):
    """A table that is filled from a file when the model is loaded."""

    def __init__(self, place):
        super().__init__()
        kinds = {"key_dtype": tf.string, "value_dtype": tf.int64}
        read = tf.lookup.TextFileInitializer(
            place, key_index=0, value_index=1, delimiter=" ",
            **kinds,
        )  # fmt: skip
        self.table = tf.lookup.StaticHashTable(read, 0)

    @tf.function(input_signature=IMAGES)
    def serve(self, x):
        return logits(x) + tf.cast(self.table.lookup(tf.constant("a")), tf.float32)


def saved(module, folder):
    tf.saved_model.save(module, str(folder), signatures={"serve": module.serve})
    return folder


def table(tmp_path):
    (tmp_path / "table.txt").write_text("a 1\n")
    return Reads(str(tmp_path / "table.txt"))


CASES = {
    "WriteFile": lambda tmp_path: Writes(str(tmp_path / "written")),
    "PrintV2": lambda tmp_path: Prints(f"file://{tmp_path / 'written'}"),
    "EagerPyFunc": lambda tmp_path: Python(),
    "SaveV2": lambda tmp_path: Saves(str(tmp_path / "written")),
    "InitializeTableFromTextFileV2": table,
}


@pytest.mark.parametrize("operation", CASES)
def test_an_operation_that_touches_files_is_refused_before_it_runs(tmp_path, operation):
    folder = saved(CASES[operation](tmp_path), tmp_path / "saved")
    with pytest.raises(InputError, match=rf"does more than compute: {operation} .*--trust"):
        load_classifier(folder, (4, 4, 1), 3)
    assert not list(tmp_path.glob("written*"))


def test_trust_loads_it_all_the_same(tmp_path):
    folder = saved(CASES["WriteFile"](tmp_path), tmp_path / "saved")
    model = load_classifier(folder, (4, 4, 1), 3, trust=True)
    model(np.zeros((1, 4, 4, 1), "float32"))
    assert (tmp_path / "written").read_text() == "here"


def test_what_keras_and_tensorflow_export_is_loaded(tmp_path):
    layers = [keras.layers.Flatten(), keras.layers.Dropout(0.5), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((4, 4, 1)), *layers])
    model.export(tmp_path / "keras", verbose=False)
    tf.saved_model.save(model, str(tmp_path / "tensorflow"))
    saved(Prints("file:///nowhere"), tmp_path / "printing")
    for name in ("keras", "tensorflow"):
        check_saved_model(tmp_path / name)
    with pytest.raises(InputError):
        check_saved_model(tmp_path / "printing")


def test_a_graph_in_parts_or_damaged_is_one_line(tmp_path):
    folder = saved(Prints(sys.stdout), tmp_path / "saved")
    check_saved_model(folder)
    (folder / "saved_model.cpb").write_bytes(b"")
    with pytest.raises(InputError, match="comes in parts"):
        check_saved_model(folder)
    (folder / "saved_model.cpb").unlink()
    (folder / "saved_model.pb").write_bytes(b"\xff" * 50)
    with pytest.raises(InputError, match="cannot be read"):
        check_saved_model(folder)
