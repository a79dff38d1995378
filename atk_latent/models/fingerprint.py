"""A name for exactly these weights in exactly this architecture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import keras
import numpy as np

_NAMES = {"name", "build_config", "shared_object_id"}
_DESCRIBED = ("keras.src.layers.", "keras.src.models.")  # modules whose layers a config describes
_CLOSED = ("TFSMLayer", "Lambda", "JaxLayer", "FlaxLayer", "TorchModuleWrapper")  # but for these


def fingerprint(model: keras.Model, image_shape: Sequence[int] | None = None) -> str:
    """16 hex digits that change with any weight, any layer's settings and how layers are wired.

    Names do not count, so a model that was saved and loaded keeps its fingerprint. Of layers
    that are not Keras' own the configuration says little: such a model is named by its outputs
    on fixed images, too. Those can differ on a machine that rounds otherwise; two fingerprints
    of one model are the worst that comes of it.

    Args:
        model: keras.Model, built.
        image_shape: (height, width, channels) it is called with; None takes the model's own.
    """
    architecture = _architecture(model)
    digest = hashlib.sha256(architecture.encode())
    for weight in model.get_weights():
        digest.update(f"{weight.dtype}{weight.shape}".encode())
        digest.update(np.ascontiguousarray(weight).data)
    described = all(_is_described(layer) for layer in model._flatten_layers())
    if not described or '"class_name": "function"' in architecture:
        digest.update(_answers(model, image_shape))
    return digest.hexdigest()[:16]


def _is_described(layer: keras.layers.Layer) -> bool:
    """Whether class and configuration say all that a layer does, but for its weights."""
    kind = type(layer)
    return kind.__module__.startswith(_DESCRIBED) and kind.__name__ not in _CLOSED


def _answers(model: keras.Model, image_shape: Sequence[int] | None) -> bytes:
    """The outputs on the probe images; nothing where they are not the same twice."""
    if image_shape is None:
        image_shape = tuple(getattr(model, "input_shape", None) or ())[1:]
    if not image_shape or not all(isinstance(side, int) for side in image_shape):
        return b""
    images = probe_images(image_shape)
    weights = {id(variable) for variable in model.weights}
    states = [(v, np.array(v)) for v in model.variables if id(v) not in weights]  # random seeds
    first, second = (_outputs(model, images) for _ in range(2))
    for variable, value in states:
        variable.assign(value)
    return first if first == second else b""


def _outputs(model: keras.Model, images: np.ndarray) -> bytes:
    """The outputs as bytes, rounded to three digits so that the last bits do not count."""
    outputs = keras.tree.flatten(model(images, training=False))
    with np.errstate(over="ignore"):
        return b"".join(keras.ops.convert_to_numpy(one).astype("float16") for one in outputs)


def probe_images(image_shape: Sequence[int]) -> np.ndarray:
    """Images that are the same everywhere: black, grey, white, a ramp, four of noise.

    Args:
        image_shape: (height, width, channels).

    Returns:
        float32 (8, height, width, channels) in [0, 1].
    """
    shape = tuple(image_shape)
    ramp = np.linspace(0, 1, int(np.prod(shape))).reshape(shape)
    plain = [np.full(shape, value) for value in (0.0, 0.5, 1.0)]
    noise = np.random.default_rng(0).random((4, *shape))
    return np.concatenate([[*plain, ramp], noise]).astype("float32")


def _architecture(model: keras.Model) -> str:
    try:
        config = model.get_config()
    except NotImplementedError:
        return type(model).__name__
    return json.dumps(_without_names(config, {}), sort_keys=True, default=repr)


def _without_names(config: object, places: Mapping[str, int]) -> object:
    """The settings and the wiring: no names, no initial values.

    Args:
        config: of a model, a layer or a part of one.
        places: where each layer of the graph around stands in its list, which is its name here.
    """
    if isinstance(config, Mapping):
        if "keras_history" in config:  # a tensor: layer, which call of it, which output
            layer, *call = config["keras_history"]
            return ["tensor", places.get(layer, layer), *call]
        if isinstance(config.get("layers"), list | tuple):
            names = [layer.get("name") for layer in config["layers"] if isinstance(layer, Mapping)]
            places = {str(name): place for place, name in enumerate(names)}
        ends = {
            key: _ends(config[key], places)
            for key in ("input_layers", "output_layers")
            if key in config
        }
        rest = {
            str(key): _without_names(value, places)
            for key, value in config.items()
            if key not in _NAMES and key not in ends and not str(key).endswith("_initializer")
        }
        return {**rest, **ends}
    if isinstance(config, list | tuple):
        return [_without_names(value, places) for value in config]
    return config


def _ends(ends: object, places: Mapping[str, int]) -> object:
    """The inputs or outputs of a graph, however nested: layers by their places."""
    if isinstance(ends, Mapping):
        return {str(key): _ends(value, places) for key, value in ends.items()}
    if isinstance(ends, list | tuple):
        if len(ends) == 3 and isinstance(ends[0], str):
            return [places.get(ends[0], ends[0]), *ends[1:]]
        return [_ends(value, places) for value in ends]
    return ends
