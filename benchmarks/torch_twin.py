"""A Keras classifier as a PyTorch module with the same weights, for peers that want PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import torch
from keras import layers
from torch.nn import functional


class TorchTwin(torch.nn.Module):
    """The graph of a Keras model, its layers run by PyTorch on (batch, channels, height, width).

    Args:
        model: functional or sequential, of the layers in `_BUILDERS`.

    Raises:
        TypeError: naming a layer that has no twin yet.
    """

    def __init__(self, model: keras.Model) -> None:
        super().__init__()
        self.graph = model if hasattr(model, "_run_through_graph") else model._functional
        self.parts = torch.nn.ModuleDict()
        self.calls: dict[str, Callable[..., Any]] = {}
        for layer in self.graph.layers:
            if isinstance(layer, layers.InputLayer):
                continue
            build = next((b for kind, b in _BUILDERS.items() if type(layer) is kind), None)
            if build is None:
                raise TypeError(f"no PyTorch twin for a layer of type {type(layer).__name__}")
            part = build(layer)
            self.calls[layer.name] = part
            if isinstance(part, torch.nn.Module):
                self.parts[layer.name] = part
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (batch, classes) of images in [0, 1]."""
        found = self.graph._run_through_graph(x, self._call)
        return found[0] if isinstance(found, list | tuple) else found

    def _call(self, layer: keras.Layer) -> Callable[..., Any]:
        part = self.calls[layer.name]
        return lambda x, **options: part(x)  # Keras' own options, such as a mask, are not meant


def as_torch(x: np.ndarray) -> torch.Tensor:
    """Images (n, height, width, channels) as (n, channels, height, width)."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def as_numpy(x: torch.Tensor) -> np.ndarray:
    """The way back from `as_torch`."""
    return np.moveaxis(x.detach().cpu().numpy(), 1, -1)


def _weights(layer: keras.Layer) -> list[torch.Tensor]:
    return [torch.from_numpy(np.array(w)) for w in layer.get_weights()]


def _activated(layer: Any, part: Callable[[Any], Any]) -> Callable[[Any], Any]:
    name = layer.activation.__name__
    if name == "linear":
        return part
    after = {"relu": functional.relu, "silu": functional.silu, "tanh": torch.tanh}[name]
    return torch.nn.Sequential(part, _Function(after))


class _Function(torch.nn.Module):
    def __init__(self, call: Callable[[Any], Any]) -> None:
        super().__init__()
        self.call = call

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.call(x)


def _conv(layer: Any) -> Callable[[Any], Any]:
    kernel, *bias = _weights(layer)
    if layer.padding == "same" and layer.strides != (1, 1):
        raise TypeError(f"'{layer.name}': strided 'same' padding differs between the two")
    part = torch.nn.Conv2d(
        kernel.shape[2],
        kernel.shape[3],
        tuple(layer.kernel_size),
        tuple(layer.strides),
        padding="same" if layer.padding == "same" else 0,
        bias=bool(bias),
    )
    with torch.no_grad():
        part.weight.copy_(kernel.permute(3, 2, 0, 1))
        if bias:
            part.bias.copy_(bias[0])
    return _activated(layer, part)


def _dense(layer: Any) -> Callable[[Any], Any]:
    kernel, *bias = _weights(layer)
    part = torch.nn.Linear(kernel.shape[0], kernel.shape[1], bias=bool(bias))
    with torch.no_grad():
        part.weight.copy_(kernel.T)
        if bias:
            part.bias.copy_(bias[0])
    return _activated(layer, part)


def _batch_norm(layer: Any) -> Callable[[Any], Any]:
    gamma, beta, mean, variance = _weights(layer)
    part = torch.nn.BatchNorm2d(len(gamma), eps=layer.epsilon)
    with torch.no_grad():
        for slot, value in ((part.weight, gamma), (part.bias, beta)):
            slot.copy_(value)
        part.running_mean.copy_(mean)
        part.running_var.copy_(variance)
    return part


def _pad(layer: Any) -> Callable[[Any], Any]:
    (top, bottom), (left, right) = layer.padding
    return lambda x: functional.pad(x, (left, right, top, bottom))


def _normalization(layer: Any) -> Callable[[Any], Any]:
    mean, deviation = (
        torch.from_numpy(np.array(v, np.float32)).reshape(1, -1, 1, 1)
        for v in (layer.mean, np.sqrt(np.asarray(layer.variance)))
    )
    return lambda x: (x - mean) / deviation


_BUILDERS: dict[type, Callable[[Any], Callable[..., Any]]] = {
    layers.Rescaling: lambda layer: lambda x: x * layer.scale + layer.offset,
    layers.Normalization: _normalization,
    layers.Conv2D: _conv,
    layers.Dense: _dense,
    layers.BatchNormalization: _batch_norm,
    layers.ZeroPadding2D: _pad,
    layers.ReLU: lambda layer: functional.relu,
    layers.Activation: lambda layer: _activated(layer, torch.nn.Identity()),
    layers.MaxPooling2D: lambda layer: torch.nn.MaxPool2d(layer.pool_size, layer.strides),
    layers.AveragePooling2D: lambda layer: torch.nn.AvgPool2d(layer.pool_size, layer.strides),
    layers.GlobalAveragePooling2D: lambda layer: lambda x: x.mean((2, 3)),
    layers.Flatten: lambda layer: lambda x: x.permute(0, 2, 3, 1).flatten(1),
    layers.Add: lambda layer: lambda parts: sum(parts),
}
