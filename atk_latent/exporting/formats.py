"""The formats a classifier is exported to: how each is written, and read by a fresh process."""

from __future__ import annotations

import contextlib
import importlib.util
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import keras
import tensorflow as tf

from atk_latent.atomic import check_new_file, check_new_folder
from atk_latent.errors import InputError, did_you_mean, first_line

SERVED = "serving_default"
Models: TypeAlias = Mapping[str, keras.Model]  # by signature


@dataclass(frozen=True)
class Format:
    """One format.

    Args:
        name: as a user writes it.
        suffix: of its file; "" where it is a folder.
        write: writes models of images of a shape to a place.
        reload: program of a fresh process. Its arguments are the place, a `.npy` file of images,
            the `.npy` file to write outputs to, and the signature.
        needs: modules beside TensorFlow; the extra of the package that brings them is called
            as the format.
    """

    name: str
    suffix: str
    write: Callable[[Models, Path, tuple[int, ...]], None]
    reload: str
    needs: tuple[str, ...] = ()

    def checked_place(self, out: str | Path, signatures: int) -> Path:
        """`out` as a path, if the format can go there.

        Raises:
            InputError: if it is taken or has another suffix, there are more signatures than the
                format can hold, or modules are missing.
        """
        out = check_new_file(out) if self.suffix else check_new_folder(out)
        if self.suffix and out.suffix != self.suffix:
            raise InputError(
                f"--out must end in {self.suffix} for --format {self.name}. Received: {out}"
            )
        if self.suffix and signatures > 1:
            raise InputError(f"--format {self.name} holds one signature; --imt needs savedmodel")
        missing = [name for name in self.needs if importlib.util.find_spec(name) is None]
        if missing:
            raise InputError(
                f"--format {self.name} needs {' and '.join(missing)}: "
                f"pip install 'atk-latent[{self.name}]'"
            )
        return out


def served(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """What is exported of a model: float32 outputs of float32 images, in inference mode."""
    return lambda images: tf.cast(model(images, training=False), tf.float32)


def _write_saved_model(models: Models, folder: Path, image_shape: tuple[int, ...]) -> None:
    archive = keras.export.ExportArchive()
    for name, model in models.items():
        archive.track(model)
        archive.add_endpoint(
            "serve" if name == SERVED else name,
            served(model),
            input_signature=[tf.TensorSpec([None, *image_shape], tf.float32, name="images")],
        )
    archive.write_out(str(folder), verbose=False)


def _write_onnx(models: Models, file: Path, image_shape: tuple[int, ...]) -> None:
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    images = tf.TensorSpec([None, *image_shape], tf.float32, name="images")
    function = tf.function(served(models[SERVED]), input_signature=[images])
    # tf2onnx takes constants of Keras layers for inputs unless they are frozen first.
    frozen = convert_variables_to_constants_v2(function.get_concrete_function())
    with _conversion("ONNX"):
        tf2onnx.convert.from_graph_def(
            frozen.graph.as_graph_def(),
            input_names=[tensor.name for tensor in frozen.inputs],
            output_names=[tensor.name for tensor in frozen.outputs],
            output_path=str(file),
        )


def _write_tflite(models: Models, file: Path, image_shape: tuple[int, ...]) -> None:
    with tempfile.TemporaryDirectory(prefix="atkl-export-") as folder, _conversion("TFLite"):
        _write_saved_model(models, Path(folder), image_shape)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serve"])
        file.write_bytes(converter.convert())


@contextlib.contextmanager
def _conversion(name: str) -> Iterator[None]:
    """Says in one line that a format has no word for something in the model."""
    try:
        yield
    except Exception as error:  # whatever a converter raises
        raise InputError(
            f"the model cannot be converted to {name}: {first_line(error)}. Use --format savedmodel"
        ) from error


_START = """
import sys
import numpy as np
place, images, out, signature = sys.argv[1:]
images = np.load(images)
batches = [images[i : i + 256] for i in range(0, len(images), 256)]
"""
_END = "np.save(out, np.concatenate([run(batch) for batch in batches]))\n"
_SAVED_MODEL = """
import tensorflow as tf
model = tf.saved_model.load(place)
served = model.signatures[signature]
(name,) = served.structured_input_signature[1]
run = lambda batch: list(served(**{name: tf.constant(batch)}).values())[0].numpy()
"""
_ONNX = """
import onnxruntime
session = onnxruntime.InferenceSession(place, providers=["CPUExecutionProvider"])
run = lambda batch: session.run(None, {session.get_inputs()[0].name: batch})[0]
"""
_TFLITE = """
try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    import tensorflow
    Interpreter = tensorflow.lite.Interpreter
lite = Interpreter(model_path=place)
(images_in,), (values_out,) = lite.get_input_details(), lite.get_output_details()
def run(batch):
    lite.resize_tensor_input(images_in["index"], batch.shape)
    lite.allocate_tensors()
    lite.set_tensor(images_in["index"], batch)
    lite.invoke()
    return lite.get_tensor(values_out["index"])
"""

_FORMATS = (
    Format("savedmodel", "", _write_saved_model, _START + _SAVED_MODEL + _END),
    Format("onnx", ".onnx", _write_onnx, _START + _ONNX + _END, ("tf2onnx", "onnxruntime")),
    Format("tflite", ".tflite", _write_tflite, _START + _TFLITE + _END),
)


def format_named(name: str) -> Format:
    """The format of a name.

    Raises:
        InputError: on another name, with the nearest one.
    """
    formats = {form.name: form for form in _FORMATS}
    if name not in formats:
        hint = did_you_mean(name.lower(), formats)
        raise InputError(f"unknown format '{name}'. {hint}Known: {', '.join(formats)}")
    return formats[name]
