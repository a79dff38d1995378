"""A name for exactly these weights in exactly this architecture."""

from __future__ import annotations

import hashlib
import json

import keras
import numpy as np


def fingerprint(model: keras.Model) -> str:
    """16 hex digits that change with any weight and with the layers' configuration.

    Names do not count, so a model that was saved and loaded keeps its fingerprint. A
    subclassed model, whose configuration Keras may not know, is named by its class and
    weights.

    Args:
        model: keras.Model, built.
    """
    digest = hashlib.sha256(_architecture(model).encode())
    for weight in model.get_weights():
        digest.update(f"{weight.dtype}{weight.shape}".encode())
        digest.update(np.ascontiguousarray(weight).data)
    return digest.hexdigest()[:16]


def _architecture(model: keras.Model) -> str:
    try:
        config = model.get_config()
    except NotImplementedError:
        return type(model).__name__
    return json.dumps(_without_names(config), sort_keys=True, default=repr)


def _without_names(config: object) -> object:
    """The settings alone: no names, no graph of them, no initial values."""
    left_out = {"name", "build_config", "inbound_nodes", "input_layers", "output_layers"}
    if isinstance(config, dict):
        return {
            key: _without_names(value)
            for key, value in config.items()
            if key not in left_out and not key.endswith("_initializer")
        }
    if isinstance(config, list | tuple):
        return [_without_names(value) for value in config]
    return config
