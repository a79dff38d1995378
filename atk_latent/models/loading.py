"""Classifiers from disk."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from atk_latent.errors import InputError, first_line
from atk_latent.files import GIB, FileKind, check_file
from atk_latent.models.endings import as_logits
from atk_latent.models.h5_config import check_h5
from atk_latent.models.saved_model_check import check_saved_model
from atk_latent.models.wrapping import wrapped
from atk_latent.pixels import UNIT, PixelFormat

RUN_MODEL = "model.keras"
MODEL_FILE = FileKind("Keras model file", 64 * GIB, "Save or copy it again, or give another one")
_SIGNATURES = ("serve", "serving_default")


def load_classifier(
    path: str | Path,
    data_shape: Sequence[int] | None = None,
    num_classes: int | None = None,
    pixels: PixelFormat = UNIT,
    *,
    trust: bool = False,
) -> keras.Model:
    """Loads a trained classifier, without compiling it and without running code it carries.

    One that ends in softmax or sigmoid comes back as the logits before it; see
    `endings.as_logits`.

    Args:
        path: a `.keras` (or `.h5`) file, a run folder holding `model.keras`, or a SavedModel
            folder. A SavedModel becomes one closed layer: gradients with respect to the images
            work, its layers cannot be named.
        data_shape: (height, width, channels) of the data; checked against the model.
        num_classes: of the data; checked against the model's last dimension.
        pixels: what the model was trained on, where that is not [0, 1].
        trust: load a SavedModel even if its graph touches files or runs Python.

    Returns:
        An uncompiled model of images in [0, 1].

    Raises:
        InputError: one line, if there is nothing at `path`, it is no model or a damaged one, it
            needs custom layers or Python code, is a SavedModel that touches files, holds NaN,
            has several inputs or outputs, ends in an activation that cannot be undone, or does
            not fit the data.
    """
    place = Path(path).expanduser()
    model = load_network(place, trust=trust)
    if data_shape is not None:
        _check_ends(model, place)
        _check_input(model, place, tuple(int(n) for n in data_shape))
    if num_classes is not None:
        _check_output(model, place, num_classes, data_shape)
    return as_logits(wrapped(model, pixels))


def load_network(path: str | Path, *, trust: bool = False) -> keras.Model:
    """Loads a network of any kind as it is, without compiling it.

    Args:
        path, trust: as of `load_classifier`.

    Raises:
        InputError: as `load_classifier`, where that does not concern the data or the logits.
    """
    place = Path(path).expanduser()
    if not place.exists():
        raise InputError(f"there is no model at '{place}'. Give a .keras file or a run folder")
    if place.is_dir() and not (place / RUN_MODEL).is_file():
        if not (place / "saved_model.pb").is_file():
            raise InputError(
                f"folder '{place}' is neither a run (it has no {RUN_MODEL}) nor a SavedModel "
                "(it has no saved_model.pb)"
            )
        if not trust:
            check_saved_model(place)
        model = _saved_model(place)
    else:
        model = _keras_file(place / RUN_MODEL if place.is_dir() else place)
    _check_weights(model, place)
    return model


def _keras_file(file: Path) -> keras.Model:
    if file.suffix not in (".keras", ".h5", ".hdf5"):
        raise InputError(
            f"'{file}' is not a model file: .keras or .h5 is expected. Save it with "
            "model.save('name.keras')"
        )
    check_file(file, MODEL_FILE)
    if file.suffix != ".keras":
        check_h5(file)
    elif not zipfile.is_zipfile(file):
        raise InputError(
            f"'{file}' is not a Keras model: it is damaged, cut short or another kind of file. "
            "Save or copy it again"
        )
    try:
        model = keras.saving.load_model(file, compile=False)
    except Exception as error:
        raise _explained(file, error) from error
    if not isinstance(model, keras.Model):
        raise InputError(f"'{file}' holds a {type(model).__name__}, not a model")
    return model


def _explained(file: Path, error: Exception) -> InputError:
    """The one line a failed load deserves."""
    text = str(error)
    missing = re.search(r"Could not locate (?:class|function) '([^']+)'", text) or re.search(
        r"Unknown (?:layer|object|class)[^']*'([^']+)'", text
    )
    if missing:
        return InputError(
            f"'{file}' needs custom code: '{missing[1]}'. Import the module that registers it "
            "(keras.saving.register_keras_serializable), or save the model from Keras' own layers"
        )
    if "lambda" in text.lower() and "deserializ" in text.lower():
        return InputError(
            f"'{file}' holds a Lambda layer: Python code, which is never run from a file. "
            "Replace it by a Keras layer and save the model again"
        )
    return InputError(f"'{file}' cannot be read as a Keras model: {first_line(error)}")


def _saved_model(folder: Path) -> keras.Model:
    """A SavedModel as one layer between an image and logits."""
    try:
        signatures = tf.saved_model.load(str(folder)).signatures
        known = [name for name in _SIGNATURES if name in signatures]
        if not known:
            raise InputError(
                f"SavedModel '{folder}' has no signature named {' or '.join(_SIGNATURES)}. "
                f"Known: {', '.join(signatures) or 'none'}"
            )
        signature = signatures[known[0]]
        specs = list(signature.structured_input_signature[1].values())
        outputs = list(signature.structured_outputs)
        if len(specs) != 1 or len(outputs) != 1:
            raise InputError(
                f"SavedModel '{folder}' must have one input and one output. Received: "
                f"{len(specs)} inputs and {len(outputs)} outputs"
            )
        image = keras.Input(tuple(specs[0].shape[1:]), dtype=specs[0].dtype.name, name="image")
        logits = keras.layers.TFSMLayer(str(folder), call_endpoint=known[0])(image)
        if isinstance(logits, dict):
            logits = next(iter(logits.values()))
        return keras.Model(image, logits, name="saved_model")
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"SavedModel '{folder}' cannot be read: {first_line(error)}") from error


def _check_ends(model: keras.Model, place: Path) -> None:
    for what in ("inputs", "outputs"):
        count = len(getattr(model, what, None) or [0])
        if count != 1:
            raise InputError(
                f"model '{place}' must take images and give logits: one input, one output. "
                f"Received: {count} {what}"
            )


def _check_weights(model: keras.Model, place: Path) -> None:
    for weight in model.weights:
        values = np.asarray(weight)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise InputError(
                f"model '{place}' has weights that are NaN or infinite ({weight.path}): its "
                "training diverged. Train it again, with a lower learning rate"
            )


def _check_input(model: keras.Model, place: Path, shape: tuple[int, ...]) -> None:
    inputs = getattr(model, "inputs", None)
    if not inputs:
        return
    wanted = tuple(inputs[0].shape[1:])
    fits = len(wanted) == len(shape) and all(
        a is None or a == b for a, b in zip(wanted, shape, strict=True)
    )
    if not fits:
        raise InputError(
            f"model '{place}' takes images of shape {wanted}, but the data has {shape}. "
            "Choose a model or data that fit"
        )


def _check_output(
    model: keras.Model, place: Path, num_classes: int, data_shape: Sequence[int] | None
) -> None:
    outputs = getattr(model, "outputs", None)
    if outputs:
        shape = tuple(outputs[0].shape)
    elif data_shape is not None:
        shape = _tried(model, place, data_shape)
    else:
        return
    fits = {None, num_classes} | ({1} if num_classes == 2 else set())
    if len(shape) != 2 or shape[-1] not in fits:
        raise InputError(
            f"model '{place}' gives outputs of shape {shape[1:]}, but the data has {num_classes} "
            f"classes: {num_classes} logits per image are needed"
        )


def _tried(model: keras.Model, place: Path, data_shape: Sequence[int]) -> tuple[int, ...]:
    """The output shape of a model that does not say it, from one black image."""
    try:
        return tuple(model(np.zeros((1, *data_shape), "float32"), training=False).shape)
    except Exception as error:  # whatever a user's own layers raise
        raise InputError(
            f"model '{place}' cannot take images of shape {tuple(data_shape)}: {first_line(error)}"
        ) from error
