"""What an `.h5` model says it is made of, looked at before Keras builds anything from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import keras

from atk_latent.errors import InputError, first_line
from atk_latent.files import JsonValue

CODE = ("Lambda", "__lambda__")  # what stands for Python code in a configuration
KERAS = ("keras", "tf_keras", "tensorflow.keras", "tensorflow.python.keras")


def check_h5(file: Path) -> None:
    """Refuses an `.h5` model that would run code of its own when Keras loads it.

    Keras before 3.12 runs the Python code of a Lambda layer in such a file even in safe mode, and
    imports any module that the file names.

    Raises:
        InputError: if the file is no HDF5 model, or its configuration holds a Lambda layer or a
            class of a module that is neither Keras' nor registered.
    """
    import h5py

    try:
        with h5py.File(file, "r") as stored:
            text = stored.attrs.get("model_config")
            config: JsonValue = json.loads("null" if text is None else text)
    except Exception as error:  # whatever HDF5 raises on damaged bytes
        raise InputError(f"'{file}' cannot be read as a Keras model: {first_line(error)}") from None
    if not isinstance(config, dict):
        raise InputError(
            f"'{file}' holds weights but no model. Save it with model.save('name.keras')"
        )
    for part in _objects(config):
        _check_object(part, file)


def _objects(config: JsonValue) -> Iterator[dict[str, JsonValue]]:
    """Every object in a configuration; without recursion, which a file can exhaust."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _check_object(part: dict[str, JsonValue], file: Path) -> None:
    name, module, registered = (part.get(k) for k in ("class_name", "module", "registered_name"))
    if isinstance(name, str) and name.rpartition(">")[2] in CODE:
        raise InputError(
            f"'{file}' holds a {name} layer: Python code, which is never run from a file. "
            "Replace it by a Keras layer and save the model again"
        )
    known = module is None or (
        isinstance(module, str) and any(module == k or module.startswith(f"{k}.") for k in KERAS)
    )
    if name is None or known or (module, name) == ("builtins", "function"):  # Keras' own by name
        return
    if not isinstance(registered, str) or keras.saving.get_registered_object(registered) is None:
        raise InputError(
            f"'{file}' needs custom code: '{name}' of {module}. Import the module that registers "
            "it (keras.saving.register_keras_serializable), or save the model from Keras' layers"
        )
