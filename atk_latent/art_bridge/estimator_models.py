"""What an estimator asks of a Keras model: its shapes, a part of it, a fresh copy."""

from __future__ import annotations

from typing import cast

import keras
import numpy as np

from atk_latent.art_bridge.estimator_graphs import Graph
from atk_latent.errors import InputError, first_line
from atk_latent.models import latent
from atk_latent.models.endings import require_logits


def image_shape(model: keras.Model, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape of one image: `shape`, or the model's own where that is None.

    Raises:
        InputError: if the two differ, or neither is known.
    """
    try:
        declared = model.input_shape
    except (AttributeError, ValueError):
        declared = None
    declared = tuple(declared[1:]) if isinstance(declared, tuple) else None
    if shape is not None:
        fits = declared is None or (
            len(declared) == len(shape)
            and all(side in (None, ours) for side, ours in zip(declared, shape, strict=True))
        )
        if not fits:
            raise InputError(f"the model takes images of shape {declared}, not {tuple(shape)}")
        return tuple(int(side) for side in shape)
    if declared is None or None in declared:
        raise InputError("the model does not say the shape of its images: give input_shape")
    return tuple(declared)


def class_count(model: keras.Model, shape: tuple[int, ...], classes: int | None) -> int:
    """How many logits the model gives.

    Args:
        shape: (H, W, C) of its images. classes: how many there must be; None takes any number.

    Raises:
        InputError: if it does not end in logits, or not in as many.
    """
    require_logits(model)
    declared = _output_shape(model, shape)
    if len(declared) != 2 or (classes is not None and declared[1] != classes):
        expected = f"(batch, {classes or 'classes'})"
        raise InputError(f"the model must give logits of shape {expected}. Received: {declared}")
    return int(cast(int, declared[1]))


def with_softmax(model: keras.Model, shape: tuple[int, ...]) -> keras.Model:
    """The model with a softmax behind its logits; the weights are shared."""
    return keras.Sequential([keras.Input(shape), model, keras.layers.Softmax(dtype="float32")])


def _output_shape(model: keras.Model, shape: tuple[int, ...]) -> tuple[int | None, ...]:
    try:
        declared = model.output_shape
    except (AttributeError, ValueError):
        declared = model(np.zeros((1, *shape), np.float32), training=False).shape
    return tuple(declared)


def up_to(model: keras.Model, layer: int | str, shape: tuple[int, ...]) -> Graph:
    """The part of `model` that ends with `layer`.

    Raises:
        InputError: if there is no such layer, or the model cannot be read.
    """
    for deep in (False, True):
        trace = latent.trace_model(model, shape, deep=deep)
        if isinstance(layer, str):
            path, known = latent._named(trace, layer), latent._listed(trace)
        else:
            layers = model.layers
            known = f"0 to {len(layers) - 1}, or from the end -1 to {-len(layers)}"
            part = layers[layer] if -len(layers) <= layer < len(layers) else None
            if isinstance(part, keras.layers.InputLayer):
                return lambda x, training: x
            path = next((p for p in [*trace.walk()][::-1] if p[-1].operation is part), None)
        if path is not None:
            ending: Graph = _ending(trace, path)
            return ending
    raise InputError(f"model '{model.name}' has no layer {layer!r}. Known: {known}")


def _ending(trace: latent.Trace, path: latent.Path) -> keras.Model:
    call = path[0]
    if len(path) == 1:
        return keras.Model(trace.image, call.output)
    inside = cast(latent.Trace, call.inside)
    return keras.Model(trace.image, _ending(inside, path[1:])(call.inputs[0]))


def fresh_copy(model: keras.Model, image_shape: tuple[int, ...]) -> keras.Model:
    """A new model of the same configuration, its weights drawn anew by its initialisers.

    What a `Normalization` layer was adapted to stays, for it is not learned. An initialiser
    with a seed of its own draws the same weights again.

    Raises:
        InputError: if the model cannot be made from its configuration.
    """
    try:
        if isinstance(model, keras.Sequential) or getattr(model, "inputs", None):
            copy = keras.models.clone_model(model)
        else:
            copy = type(model).from_config(model.get_config())
        if not copy.built:
            copy(np.zeros((1, *image_shape), np.float32), training=False)
    except Exception as error:  # whatever a user's own layer raises
        raise InputError(
            f"model '{model.name}' ({type(model).__name__}) cannot be made anew: "
            f"{first_line(error)}. "
            "Give it a get_config() that says the arguments of its constructor"
        ) from error
    for old, new in zip(_flat(model), _flat(copy), strict=True):
        if isinstance(old, keras.layers.Normalization) and old.weights:
            new.set_weights(old.get_weights())
            new.finalize_state()
    return copy


def draw_weights_anew(model: keras.Model) -> None:
    """Draws every weight anew by its layer's initialiser, in place.

    For models that cannot be made from their configuration; what a `Normalization` layer was
    adapted to stays.

    Raises:
        InputError: for a weight whose layer says no initialiser, and then nothing is changed.
    """
    drawn, unknown = [], []
    for layer in model._flatten_layers(include_self=True, recursive=True):
        if isinstance(layer, keras.layers.Normalization):
            continue
        for weight in (*layer._trainable_variables, *layer._non_trainable_variables):
            initializer = getattr(layer, f"{weight.name}_initializer", None)
            if initializer is None:
                unknown.append(weight.path)
            else:
                drawn.append((weight, initializer.clone()))
    if unknown:
        raise InputError(
            f"model '{model.name}' cannot be drawn anew: no initialiser is known for "
            f"{', '.join(unknown)}. Give the model a get_config() that says the arguments of its "
            "constructor"
        )
    for weight, initializer in drawn:
        weight.assign(initializer(weight.shape, weight.dtype))


def _flat(model: keras.Model) -> list[keras.layers.Layer]:
    nested = [_flat(part) if isinstance(part, keras.Model) else [part] for part in model.layers]
    return [layer for part in nested for layer in part]
