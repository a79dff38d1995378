"""Where a classifier is cut: latents on one side, logits on the other."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import keras

from atk_latent.errors import InputError, did_you_mean, first_line

DEFAULT_LAYER = "latent"
_NAMES_SHOWN = 20

Symbol: TypeAlias = keras.KerasTensor | tuple[keras.KerasTensor, ...]  # what goes in or out


class Call(NamedTuple):
    """One layer or operation at work: what went in, what came out, what is inside."""

    operation: keras.Operation
    inputs: tuple[keras.KerasTensor, ...]
    output: Symbol
    inside: Trace | None


class Trace(NamedTuple):
    """A model run once on a symbolic image. Models inside it have a trace of their own."""

    image: keras.KerasTensor
    logits: keras.KerasTensor
    calls: list[Call]

    def producer(self, tensor: Symbol) -> Call | None:
        """The call whose output `tensor` is; None for the image."""
        return next((call for call in self.calls if call.output is tensor), None)

    def walk(self) -> Iterator[Path]:
        """Every call, in order, with the nested models around it; a model after its calls."""
        for call in self.calls:
            if call.inside is not None:
                for path in call.inside.walk():
                    yield (call, *path)
            yield (call,)


Path = tuple[Call, ...]


def split(
    model: keras.Model,
    layer: str | None = None,
    *,
    input_shape: tuple[int | None, ...] | None = None,
) -> tuple[keras.Model, keras.Model]:
    """Cuts a classifier at its latent layer.

    Args:
        model: a sequential, functional or subclassed classifier with one input and one output,
            which may hold other models. A subclassed `call` must use Keras layers and
            `keras.ops` only; it is read with `training=None`, so what it does behind
            `if training:` is left out, while its layers still follow `training`.
        layer: the layer whose output is the latent: a name, or "model/name" inside a nested
            model. None for the layer named "latent" if there is one, else whatever feeds the
            last Dense layer.
        input_shape: shape of one image. Only for a subclassed model that was never called.

    Returns:
        `(features, head)`, two models sharing the weights of `model`:
        `head(features(x)) == model(x)`. Images (batch, ...) to latents (batch, d), or
        (batch, h, w, c) where the layer gives maps; latents to logits (batch, classes). Layers
        such as dropout follow `training` as they do in `model`.

    Raises:
        InputError: if there is no such layer, several have the name, the output depends on
            more than that layer's output, or the model cannot be read.
    """
    trace, path = _located(model, layer, input_shape)
    features, head = _cut(trace, path, _listed(trace))
    features.name, head.name = f"{model.name}_features", f"{model.name}_head"
    return features, head


def latent_layer_name(
    model: keras.Model,
    layer: str | None = None,
    *,
    input_shape: tuple[int | None, ...] | None = None,
) -> str:
    """The name of the layer where `split` with the same arguments cuts.

    Returns:
        The name, with the names of nested models before it ("vgg/fc1").

    Raises:
        InputError: if `split` could not find the layer.
    """
    return path_text(_located(model, layer, input_shape)[1])


def frozen_copy(model: keras.Model) -> keras.Model:
    """An independent, untrainable model with the weights `model` has now.

    Args:
        model: a built model.

    Returns:
        An uncompiled model with the same layer names; training one never moves the other.

    Raises:
        InputError: if the model cannot be rebuilt from its configuration.
    """
    copy = _rebuilt(checked_model(model))
    for layer in leaves(copy):
        if isinstance(layer, keras.layers.Normalization) and layer.built:
            layer.finalize_state()
    copy.trainable = False
    return copy


def _rebuilt(model: keras.Model) -> keras.Model:
    """A second model with the weights of `model`, by its graph, else its configuration."""
    problem = ""
    for make in (_from_graph, _from_opened_graph, _from_configuration):
        try:
            copy = make(model)
            if copy is not None and len(copy.weights) == len(model.weights):
                return copy
        except Exception as error:  # whatever a user's own layer raises: the next way may do
            problem = problem or first_line(error)
    raise InputError(
        f"model '{model.name}' ({type(model).__name__}) cannot be copied: "
        f"{problem or 'it holds weights of its own outside layers'}. "
        "Give it a get_config(), or use a functional model"
    )


def _from_graph(model: keras.Model) -> keras.Model | None:
    if not _is_graph(model):
        return None
    bare = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    copy = keras.models.clone_model(bare, clone_function=_cloned, recursive=True)
    copy.set_weights(bare.get_weights())
    return copy


def _from_opened_graph(model: keras.Model) -> keras.Model | None:
    """As `_from_graph`, with subclassed models opened: their configuration is not needed."""
    trace = trace_model(model, None, deep=True)
    return _from_graph(keras.Model(trace.image, trace.logits, name=model.name))


def _from_configuration(model: keras.Model) -> keras.Model:
    copy = type(model).from_config(model.get_config())
    if not copy.built:
        copy(keras.ops.zeros((1, *image_shape(model, None))))
    copy.set_weights(model.get_weights())
    return copy


def _cloned(layer: keras.Layer) -> keras.Layer:
    """A new layer of the same configuration; a Lambda, which has no weights, is shared."""
    if isinstance(layer, keras.layers.Lambda):
        return layer
    if isinstance(layer, keras.layers.TFSMLayer):
        return keras.layers.TFSMLayer(
            layer.filepath,
            call_endpoint=layer.call_endpoint,
            call_training_endpoint=layer.call_training_endpoint,
            name=layer.name,
        )
    return type(layer).from_config(layer.get_config())


def leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers of a model, those of nested models in their place."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        else:
            yield layer


def checked_model(model: object) -> keras.Model:
    """`model`, if it is one.

    Raises:
        InputError: if it is something else.
    """
    if not isinstance(model, keras.Model):
        raise InputError(f"a Keras 3 model is needed. Received: {type(model).__name__}")
    return model


def _is_graph(model: object) -> bool:
    """Whether `model` is one that only runs its graph of layers, from one input to one output."""
    inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
    if not isinstance(model, keras.Model) or not inputs or not outputs:
        return False
    if len(inputs) != 1 or len(outputs) != 1:
        return False
    functional = type(keras.Model(inputs[0], outputs[0]))
    return type(model).call in (keras.Sequential.call, functional.call)


def image_shape(model: keras.Model, shape: tuple[int | None, ...] | None) -> tuple[int | None, ...]:
    """The shape of one image: `shape`, or where that is None what the model was built with.

    Raises:
        InputError: if it is not known.
    """
    if shape is not None:
        return tuple(shape)
    config = model.get_build_config() or {}
    shape = config.get("input_shape")
    if not isinstance(shape, list | tuple) or not shape or isinstance(shape[0], list | tuple):
        raise InputError(
            f"the input shape of model '{model.name}' ({type(model).__name__}) is not known. "
            "Call it once on a batch of images first, or start it with keras.Input(shape)"
        )
    return tuple(shape[1:])


def trace_model(model: keras.Model, shape: tuple[int | None, ...] | None, *, deep: bool) -> Trace:
    """Reads a model of any kind; see `_read`.

    Raises:
        InputError: if its layers cannot be seen.
    """
    checked_model(model)
    if _is_graph(model):
        return _read(model, deep)
    ends = [len(getattr(model, side, None) or [0]) for side in ("inputs", "outputs")]
    if ends != [1, 1]:
        raise InputError(
            f"a model with one input and one output is needed. Received: '{model.name}' with "
            f"{ends[0]} inputs and {ends[1]} outputs"
        )
    image = keras.Input(image_shape(model, shape))
    try:
        return _read(_opened(model, image), deep)
    except Exception as error:  # whatever a user's own call raises on a symbolic image
        raise InputError(
            f"cannot see the layers of model '{model.name}' ({type(model).__name__}): "
            f"{first_line(error)}. Write its call() with Keras layers and keras.ops only, "
            "or give a functional or sequential model"
        ) from error


def _opened(model: keras.Model, image: keras.KerasTensor) -> keras.Model:
    """A subclassed model as a graph: its own `call`, run on a symbolic image, shows its layers."""
    takes_training = "training" in inspect.signature(model.call).parameters
    outputs = model.call(image, training=None) if takes_training else model.call(image)
    return keras.Model(image, outputs, name=model.name)


def _read(graph: keras.Model, deep: bool) -> Trace:
    """Runs `graph` on a symbolic image and notes every call.

    Args:
        graph: a model for which `_is_graph` holds.
        deep: whether subclassed models inside are opened, too, and replaced by their graphs.
    """
    calls: list[Call] = []

    def call(operation: keras.Operation, *inputs: Symbol, **settings: object) -> Symbol:
        inside = _inside(operation, inputs, deep)
        if inside is not None and deep:
            operation = keras.Model(inside.image, inside.logits, name=operation.name)
        output = operation(*inputs, **settings)
        calls.append(Call(operation, inputs, output, inside))
        return output

    image, logits = rerun(graph, call)
    return Trace(image, logits, calls)


def rerun(graph: keras.Model, call: Callable[..., Symbol]) -> tuple[Symbol, Symbol]:
    """Runs `graph` on a new symbolic image with the same layers, each through `call`."""
    first = graph.inputs[0]
    image = keras.Input(batch_shape=first.shape, dtype=first.dtype, name=first.name)
    again = keras.models.clone_model(
        keras.Model(first, graph.outputs[0]),
        input_tensors=image,
        clone_function=lambda layer: layer,
        call_function=call,
    )
    return image, again.outputs[0]


def _inside(
    operation: keras.Operation, inputs: tuple[keras.KerasTensor, ...], deep: bool
) -> Trace | None:
    """The trace of a nested model; None for a layer, and for a model that stays closed."""
    if not isinstance(operation, keras.Model) or len(inputs) != 1:
        return None
    if _is_graph(operation):
        return _read(operation, deep)
    if not deep:
        return None
    try:
        image = keras.Input(batch_shape=inputs[0].shape, dtype=inputs[0].dtype)
        return _read(_opened(operation, image), deep)
    except Exception:  # whatever a user's own call raises: it is then used as it is
        return None


def _cut(trace: Trace, path: Path, known: str) -> tuple[keras.Model, keras.Model]:
    """The models before and after the last call of `path`.

    Nested models on the way are cut themselves and stay nested: layers of one name may sit in
    several of them, but not in one model.
    """
    call = path[0]
    if len(path) == 1:
        return _halves(trace.image, call.output, trace.logits, call, known)
    first, second = _cut(call.inside, path[1:], known)  # type: ignore[arg-type]
    latents = []

    def through(
        operation: keras.Operation, *inputs: keras.KerasTensor, **settings: object
    ) -> Symbol:
        if operation is not call.operation:
            return operation(*inputs, **settings)
        latents.append(first(*inputs, **settings))
        return second(latents[-1], **settings)

    image, logits = rerun(keras.Model(trace.image, trace.logits), through)
    return _halves(image, latents[-1], logits, path[-1], known)


def _halves(
    image: Symbol, latent: Symbol, logits: Symbol, call: Call, known: str
) -> tuple[keras.Model, keras.Model]:
    name = call.operation.name
    if not isinstance(latent, keras.KerasTensor):
        raise InputError(f"layer '{name}' has several outputs. Name one that has one: {known}")
    try:
        return (
            keras.Model(image, latent, name=f"{name}_features"),
            keras.Model(latent, logits, name=f"{name}_head"),
        )
    except (ValueError, KeyError):
        raise InputError(
            f"the output of the model does not depend on layer '{name}' alone, so it cannot be "
            f"computed from that latent. Name a layer every path goes through: {known}"
        ) from None


def _located(
    model: keras.Model, layer: str | None, input_shape: tuple[int | None, ...] | None
) -> tuple[Trace, Path]:
    """The model as read, and the way to its latent layer."""
    for deep in (False, True):
        trace = trace_model(model, input_shape, deep=deep)
        path = _default(trace) if layer is None else _named(trace, layer)
        if path is not None:
            break
    else:
        raise _not_found(model, layer, trace)
    while len(path) > 1 and path[-1].output is path[-2].inside.logits:  # type: ignore[union-attr]
        path = path[:-1]  # the end of a nested model is the nested model
    if len(path) == 1 and path[0].output is trace.logits:
        raise InputError(
            f"layer '{layer or path_text(path)}' is the output of the model, which leaves nothing "
            f"to split. Name a layer before it: {_listed(trace)}"
        )
    return trace, path


def _not_found(model: keras.Model, layer: str | None, trace: Trace) -> InputError:
    if layer is None:
        return InputError(
            f"model '{model.name}' has no layer named '{DEFAULT_LAYER}' and no Dense layer after "
            f"another layer. Name the latent layer: {_listed(trace)}"
        )
    paths = [path_text(path) for path in trace.walk()]
    hint = did_you_mean(layer, [*paths, *(p.split("/")[-1] for p in paths)])
    return InputError(f"model '{model.name}' has no layer '{layer}'. {hint}Known: {_listed(trace)}")


def path_text(path: Path) -> str:
    """The names along the way: "vgg/fc1"."""
    return "/".join(call.operation.name for call in path)


def _listed(trace: Trace) -> str:
    """The layers of the model, the last ones where there are many."""
    names = list(dict.fromkeys(path_text(path) for path in trace.walk()))
    start = "..., " if len(names) > _NAMES_SHOWN else ""
    return start + ", ".join(names[-_NAMES_SHOWN:])


def _named(trace: Trace, layer: str) -> Path | None:
    """The way to `layer`: by its full path, else by its own name where that is the only one."""
    paths = list(trace.walk())
    matches = [p for p in paths if path_text(p) == layer] or [
        p for p in paths if p[-1].operation.name == layer
    ]
    texts = list(dict.fromkeys(path_text(path) for path in matches))
    if len(texts) > 1:
        raise InputError(f"several layers are named '{layer}'. Say which: {', '.join(texts)}")
    return matches[-1] if matches else None


def _default(trace: Trace) -> Path | None:
    """The way to the layer named "latent", else to what feeds the last Dense layer."""
    path = _named(trace, DEFAULT_LAYER)
    if path is not None:
        return path
    dense = [p for p in trace.walk() if isinstance(p[-1].operation, keras.layers.Dense)]
    return call_before(trace, dense[-1]) if dense else None


def call_before(trace: Trace, path: Path) -> Path | None:
    """The way to the call that feeds the last one of `path`, in its model or one around it."""
    for depth in range(len(path) - 1, -1, -1):
        around = path[depth - 1].inside if depth else trace
        source = around.producer(path[depth].inputs[0]) if around is not None else None
        if source is not None:
            return (*path[:depth], source)
    return None


def latent_width(features: keras.Model) -> int:
    """N, the numbers of one latent.

    Raises:
        InputError: if the model does not say it.
    """
    shape = features.outputs[0].shape[1:] if features.outputs else ()
    width = math.prod(shape) if shape and None not in shape else 0
    if not width:
        raise InputError(
            f"the size of the latents of '{features.name}' is not known; give the model a fixed "
            "image size, keras.Input((height, width, channels))"
        )
    return width
