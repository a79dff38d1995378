"""Classifiers that end in probabilities, as classifiers that end in logits."""

from __future__ import annotations

import functools
import logging
import weakref
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from atk_latent.errors import InputError
from atk_latent.models.latent import (
    Call,
    Path,
    Symbol,
    Trace,
    call_before,
    checked_model,
    path_text,
    rerun,
    trace_model,
)

_LOG = logging.getLogger(__name__)
_ACTIVATIONS: dict[str, Callable[[np.ndarray], keras.KerasTensor]] = {
    "sigmoid": keras.ops.sigmoid,
    "softmax": keras.ops.softmax,
    "hard_sigmoid": keras.ops.hard_sigmoid,
}
_PASSING_LAYERS = (
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.Identity,
    keras.layers.Dropout,
    keras.layers.Permute,
)
_PASSING_OPERATIONS = {"Cast", "Squeeze", "Reshape", "ExpandDims", "ConvertToTensor", "GetItem"}
_TOLERANCE = 2e-3  # half precision
_SOURCES: weakref.WeakKeyDictionary[keras.Model, keras.Model] = weakref.WeakKeyDictionary()


class _End(NamedTuple):
    """The operation that turns logits into probabilities: the way to it, and what it computes."""

    trace: Trace
    path: Path
    kind: str

    @property
    def operation(self) -> keras.Operation:
        return self.path[-1].operation


def as_logits(model: keras.Model, x_sample: np.ndarray | None = None) -> keras.Model:
    """`model` as a classifier that ends in logits, with the same weights.

    A softmax or sigmoid at the end is left out: that of the last layer or a layer of its own,
    also inside a nested model and before layers that only reshape. One unit z for two classes
    becomes the logits [0, z], whose softmax is [1 - sigmoid(z), sigmoid(z)]. `model` itself
    stays as it is; training either trains both. A line is logged when something was left out.

    Args:
        model: images (batch, height, width, channels) to logits or probabilities.
        x_sample: a few images, float in [0, 1]. With it, a model whose layers cannot be seen is
            judged by its outputs: all in [0, 1], rows summing to 1.

    Returns:
        `model` itself where nothing is to be left out.

    Raises:
        InputError: if it ends in probabilities that cannot be undone, saying how to get logits.

    Example:
        >>> layers = [keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")]
        >>> model = keras.Sequential(layers)
        >>> as_logits(model).output_shape
        (None, 2)
    """
    end = _probability_end(model)
    if end is None:
        _check_outputs(model, x_sample)
        logits, line = _two_logits(model), "gives one number z: [0, z] are used as two logits"
        return _noted(logits, model, line)
    try:
        logits = _rebuilt(end.trace, end.path, model.name)
        undone = end.kind != "hard_sigmoid" and _agrees(model, logits, end.kind)
    except Exception:  # whatever a user's own layer raises when it is made again
        undone = False
    if not undone:
        raise _refusal(end)
    line = f"ends in {end.kind} (layer '{path_text(end.path)}'): its logits are used"
    return _noted(_two_logits(logits), model, f"{line}, with the same weights")


def _noted(logits: keras.Model, model: keras.Model, line: str) -> keras.Model:
    """`logits`, with a line in the log and a note of the model it shares its weights with."""
    if logits is not model:
        _SOURCES[logits] = model
        _log_once(f"model '{model.name}' {line}")
    return logits


def original(model: keras.Model) -> keras.Model:
    """The model that `as_logits` made `model` of, with the ending it came with; else `model`."""
    return _SOURCES.get(model, model)


def require_logits(model: keras.Model, x_sample: np.ndarray | None = None) -> None:
    """Refuses a classifier that ends in softmax or sigmoid.

    Losses, attacks and `latent.split` work on logits; probabilities would be squashed twice
    without an error.

    Args:
        model: the classifier.
        x_sample: as of `as_logits`.

    Raises:
        InputError: saying which layer ends in what, and how to get logits.
    """
    end = _probability_end(model)
    if end is not None:
        raise _refusal(end)
    _check_outputs(model, x_sample)


def _check_outputs(model: keras.Model, x_sample: np.ndarray | None) -> None:
    """Refuses a model whose outputs look like probabilities."""
    if x_sample is None or not len(x_sample):
        return
    outputs = np.asarray(model(np.asarray(x_sample), training=False), "float32")
    if outputs.ndim != 2 or outputs.shape[1] < 2 or outputs.min() < 0 or outputs.max() > 1:
        return
    if np.allclose(outputs.sum(axis=1), 1, atol=1e-3):
        raise InputError(
            "the model gives probabilities (its outputs lie in [0, 1] and sum to 1), but "
            "logits are needed. Save it again without the softmax at its end"
        )


def _probability_end(model: keras.Model) -> _End | None:
    """The softmax or sigmoid that `model` ends in, if it is seen."""
    checked_model(model)
    for deep in (False, True):
        try:
            trace = trace_model(model, None, deep=deep)
        except InputError:
            return None
        end = _last_activation(trace)
        if end is not None or not any(_is_closed(path[-1]) for path in trace.walk()):
            return end
    return None


def _is_closed(call: Call) -> bool:
    return isinstance(call.operation, keras.Model) and call.inside is None


def _last_activation(trace: Trace) -> _End | None:
    call = trace.producer(trace.logits)
    path: Path | None = (call,) if call is not None else None
    while path is not None:
        last = path[-1]
        if last.inside is not None:
            end = last.inside.producer(last.inside.logits)
            path = (*path, end) if end is not None else call_before(trace, path)
            continue
        kind = _activation_kind(last)
        if kind is not None:
            return _End(trace, path, kind)
        path = call_before(trace, path) if _passes_through(last.operation) else None
    return None


def _activation_kind(call: Call) -> str | None:
    """Which activation the call ends in, by what it computes: names may lie."""
    operation, output = call.operation, call.output
    function = getattr(operation, "activation", None)
    if function is None and not getattr(operation, "weights", ()):
        function = operation
    if not callable(function) or not isinstance(output, keras.KerasTensor) or len(call.inputs) > 1:
        return None
    shape = [2, *(n or 2 for n in output.shape[1:])]
    values = np.linspace(-5, 4, int(np.prod(shape)), dtype="float32").reshape(shape)
    try:
        result = np.asarray(function(values), "float32")
    except Exception:  # whatever a user's own layer raises: it is no activation
        return None
    for kind, activation in _ACTIVATIONS.items():
        if kind == "softmax" and shape[-1] == 1:
            continue
        expected = np.asarray(activation(values))
        if result.shape == expected.shape and np.allclose(result, expected, atol=_TOLERANCE):
            return kind
    return None


def _passes_through(operation: keras.Operation) -> bool:
    if isinstance(operation, keras.layers.Activation):
        return operation.activation is keras.activations.linear
    return isinstance(operation, _PASSING_LAYERS) or type(operation).__name__ in _PASSING_OPERATIONS


def _rebuilt(trace: Trace, path: Path, name: str) -> keras.Model:
    """The model of `trace` without the activation at the end of `path`."""
    call = path[0]
    uses = sum(one.operation is call.operation for one in trace.calls)
    calls: list[keras.Operation] = []

    def through(operation: keras.Operation, *inputs: Symbol, **settings: object) -> Symbol:
        calls.append(operation)
        if operation is not call.operation or calls.count(operation) < uses:
            return operation(*inputs, **settings)
        if call.inside is not None:
            return _rebuilt(call.inside, path[1:], operation.name)(*inputs, **settings)
        return _linear(operation, operation.name + "_linear" * (uses > 1))(*inputs)

    image, logits = rerun(keras.Model(trace.image, trace.logits), through)
    return keras.Model(image, logits, name=name)


def _linear(operation: keras.Operation, name: str) -> keras.Layer:
    """What `operation` computes before its activation, with its weights."""
    if not isinstance(operation, keras.layers.Layer):
        return keras.layers.Identity(name=name)
    if not operation.weights:
        return keras.layers.Activation("linear", name=name, dtype=operation.dtype_policy)
    config = {**operation.get_config(), "name": name, "activation": "linear"}
    layer = type(operation).from_config(config)
    for attribute, value in vars(operation).items():
        if isinstance(value, keras.Variable):
            setattr(layer, attribute, value)
    layer.built, layer.input_spec = True, operation.input_spec
    layer._build_shapes_dict = operation._build_shapes_dict
    return layer


def _agrees(model: keras.Model, logits: keras.Model, kind: str) -> bool:
    """Whether the activation of `logits` is what `model` gives, on two images of noise."""
    shape = [n or 32 for n in logits.inputs[0].shape[1:]]
    images = np.random.default_rng(0).random((2, *shape), np.float32)
    expected = np.asarray(model(images, training=False), "float32")
    values = np.asarray(logits(images, training=False), "float32")
    return np.allclose(_ACTIVATIONS[kind](values), expected, atol=_TOLERANCE)


def _two_logits(model: keras.Model) -> keras.Model:
    """The logits [0, z] of a model of one unit z; any other model as it is."""
    outputs = getattr(model, "outputs", None)
    if not outputs or len(outputs) != 1 or tuple(outputs[0].shape[1:]) != (1,):
        return model
    z = outputs[0]
    zero = keras.layers.Rescaling(0.0, dtype=z.dtype, name="zero")(z)
    logits = keras.layers.Concatenate(dtype=z.dtype, name="two_logits")([zero, z])
    return keras.Model(model.inputs[0], logits, name=model.name)


@functools.cache
def _log_once(line: str) -> None:
    _LOG.warning(line)


def _refusal(end: _End) -> InputError:
    path, operation = path_text(end.path), end.operation
    new = "End it with Dense(classes) without activation and train with from_logits=True"
    cure = f"{new}; for a trained model leave '{path}' out and save it again"
    if hasattr(operation, "activation"):
        where = "".join(f".get_layer('{name}')" for name in path.split("/"))
        cure = (
            f"{new}; for a trained model set model{where}.activation = "
            "keras.activations.linear and save it again"
        )
    return InputError(
        f"the model ends in {end.kind} (layer '{path}'), but logits are needed. {cure}"
    )
