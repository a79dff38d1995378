"""The layers of a Keras model in the order in which PyTorch lists those of the same network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import keras

from atk_latent.models.latent import Trace, trace_model

_FLATTENING = ("Flatten", "Reshape")  # layers, and the operations of keras.ops


class WeightedLayer(NamedTuple):
    """A layer with weights.

    Args:
        layer: it.
        maps: (height, width, channels) of the maps that were flattened before it; None where
            its input is no flattened map. PyTorch flattens maps channel by channel, Keras pixel
            by pixel.
    """

    layer: keras.layers.Layer
    maps: tuple[int, int, int] | None


class _Step(NamedTuple):
    """One layer or operation at work."""

    operation: keras.Operation
    inputs: list[keras.KerasTensor]
    outputs: list[keras.KerasTensor]


def weighted_layers(model: keras.Model) -> list[WeightedLayer]:
    """The layers of `model` that have weights, each once, nested models opened.

    From the image to the logits; where branches are added, the longest comes first, because
    PyTorch networks define a shortcut after the block it goes around; where they are
    concatenated, in the order of the parts.

    Args:
        model: a model that `latent.split` could read: sequential, functional or subclassed, one
            input and one output.

    Raises:
        InputError: if its layers cannot be seen.
    """
    trace = trace_model(model, None, deep=True)
    return _Graph(trace).weighted()


class _Graph:
    """The steps of a model with its nested models opened."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace  # tensors are told apart by identity, so they must live
        self.same: dict[int, keras.KerasTensor] = {}
        self.steps = list(self._opened(trace))
        self.maker = {id(out): i for i, step in enumerate(self.steps) for out in step.outputs}
        self.depths: list[int] = []
        for step in self.steps:
            before = [self.depths[i] for i in self._sources(step)]
            self.depths.append(max(before, default=0) + bool(_weights(step.operation)))

    def weighted(self) -> list[WeightedLayer]:
        """See `weighted_layers`."""
        layers: dict[int, WeightedLayer] = {}
        for index in self._from_image_to_logits():
            step = self.steps[index]
            if _weights(step.operation):
                layers.setdefault(
                    id(step.operation), WeightedLayer(step.operation, self._maps(step))
                )
        return list(layers.values())

    def _opened(self, trace: Trace) -> Iterator[_Step]:
        for call in trace.calls:
            values = keras.tree.flatten(call.inputs)
            tensors = [value for value in values if isinstance(value, keras.KerasTensor)]
            if call.inside is None:
                yield _Step(call.operation, tensors, keras.tree.flatten(call.output))
                continue
            self.same[id(call.inside.image)] = tensors[0]
            yield from self._opened(call.inside)
            self.same[id(call.output)] = call.inside.logits

    def _source(self, tensor: keras.KerasTensor) -> int | None:
        """The step that made `tensor`; None for the image."""
        while id(tensor) in self.same:
            tensor = self.same[id(tensor)]
        return self.maker.get(id(tensor))

    def _sources(self, step: _Step) -> list[int]:
        indices = (self._source(tensor) for tensor in step.inputs)
        return [index for index in indices if index is not None]

    def _from_image_to_logits(self) -> Iterator[int]:
        """The steps that the logits depend on, each after those it depends on."""
        last = self._source(self.trace.logits)
        waiting = [] if last is None else [last]
        done: set[int] = set()
        while waiting:
            index = waiting[-1]
            step = self.steps[index]
            sources = self._sources(step)
            if type(step.operation).__name__ not in ("Concatenate", "Concat"):
                sources.sort(key=lambda i: -self.depths[i])
            missing = next((i for i in sources if i not in done), None)
            if missing is not None:
                waiting.append(missing)
                continue
            waiting.pop()
            done.add(index)
            yield index

    def _maps(self, step: _Step) -> tuple[int, int, int] | None:
        """The maps that were flattened before `step`, with no layer that mixes values between."""
        while len(step.inputs) == 1 and len(step.inputs[0].shape) == 2:
            index = self._source(step.inputs[0])
            if index is None or isinstance(self.steps[index].operation, keras.layers.Dense):
                return None
            step = self.steps[index]
        return self._flattened(step) if len(step.outputs[0].shape) == 2 else None

    def _flattened(self, step: _Step) -> tuple[int, int, int] | None:
        shape = tuple(step.inputs[0].shape[1:])
        if type(step.operation).__name__ not in _FLATTENING or len(shape) != 3 or None in shape:
            return None
        before = self._source(step.inputs[0])
        if before is not None and type(self.steps[before].operation).__name__ == "Permute":
            return None  # the model flattens as PyTorch does
        height, width, channels = shape
        return height, width, channels


def _weights(operation: keras.Operation) -> list[keras.Variable]:
    return list(getattr(operation, "weights", ()))
