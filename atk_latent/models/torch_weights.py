"""The weights of a PyTorch network into a Keras model of the same architecture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import keras
import numpy as np

from atk_latent.errors import InputError
from atk_latent.models.input_scale import Statistics
from atk_latent.models.layer_order import WeightedLayer, weighted_layers
from atk_latent.models.torch_checkpoint import StateDict

_SHOWN = 4
# What Keras calls a weight, what PyTorch calls it, and what it is where PyTorch has none.
_TENSORS = {
    "kernel": ("weight", None),
    "bias": ("bias", 0.0),
    "gamma": ("weight", 1.0),
    "beta": ("bias", 0.0),
    "moving_mean": ("running_mean", None),
    "moving_variance": ("running_var", None),
}
_MEANS, _STDS = ("mean", "mu"), ("std", "sigma")

_Maps = tuple[int, int, int] | None
# A PyTorch tensor, the shape of the Keras weight and the flattened maps to the Keras weight.
_Arrange = Callable[[np.ndarray, tuple[int, ...], _Maps], np.ndarray]


@dataclass(frozen=True, eq=False)
class TorchModule:
    """The tensors of one PyTorch module.

    Args:
        name: of the module ("layer1.0.conv1"). kind: "convolution", "dense", "batch norm" or
            "other", as far as the tensors tell.
        tensors: by their own names ("weight", "bias", "running_mean", "running_var").
    """

    name: str
    kind: str
    tensors: StateDict = field(repr=False)


class LoadedWeights(NamedTuple):
    """What went into a model.

    Args:
        pairs: (name of the Keras layer, name of the PyTorch module), in the order of the layers.
        parameters: numbers that were set.
    """

    pairs: list[tuple[str, str]]
    parameters: int


def load_state_dict(
    model: keras.Model, state: StateDict, skip: Sequence[str] = ()
) -> LoadedWeights:
    """Sets every weight of `model` from PyTorch's.

    Layers and modules are matched by order among those of a kind (convolution, dense, batch
    norm): each layer gets the first module left that fits its shapes. Kernels are turned from
    PyTorch's layout to Keras', those behind a flattened map from channel first to channel last.
    A bias that PyTorch has not is 0. Counters such as `num_batches_tracked` are left out.

    Args:
        model: a built classifier of Conv2D, DepthwiseConv2D, Dense and BatchNormalization
            layers, and any without weights.
        state: arrays by PyTorch's names, in PyTorch's order; see `torch_checkpoint`.
        skip: beginnings of names of modules that the model does not have.

    Raises:
        InputError: if a layer is of another kind or gets no weights, a module belongs to no
            layer, or a number is not finite. The model is then as it was.
    """
    modules = torch_modules({k: v for k, v in state.items() if not k.startswith(tuple(skip))})
    matches: list[_Match] = []
    alone: list[WeightedLayer] = []
    for placed, rule in _checked_layers(model):
        match = _first_that_fits(placed, rule, modules)
        if match is None:
            alone.append(placed)
            continue
        modules.remove(match.module)
        matches.append(match)
    if alone or modules:
        raise _misfit(model, alone, modules)
    for match in matches:
        for weight, values in zip(match.layer.weights, match.values, strict=True):
            weight.assign(values)
    return LoadedWeights(
        [(match.layer.name, match.module.name) for match in matches],
        sum(int(values.size) for match in matches for values in match.values),
    )


def torch_modules(state: StateDict) -> list[TorchModule]:
    """The modules that hold the numbers of `state`, in its order; counters are left out.

    Raises:
        InputError: if a number is NaN or infinite.
    """
    grouped: dict[str, StateDict] = {}
    for name, values in state.items():
        if values.dtype.kind != "f" or not values.shape:
            continue
        if not np.isfinite(values).all():
            raise InputError(f"the tensor '{name}' of the checkpoint holds NaN or infinity")
        module, _, tensor = name.rpartition(".")
        grouped.setdefault(module, {})[tensor] = values
    return [TorchModule(name, _kind(tensors), tensors) for name, tensors in grouped.items()]


def split_statistics(state: StateDict) -> tuple[Statistics | None, StateDict]:
    """Takes the mean and deviation of images, which some networks hold as tensors, out of `state`.

    Returns:
        The statistics, None where there are none, and the other tensors.
    """

    def named(names: tuple[str, ...]) -> list[str]:
        return [key for key in state if key.rpartition(".")[2] in names and state[key].size <= 4]

    means, stds = named(_MEANS), named(_STDS)
    if len(means) != 1 or len(stds) != 1 or state[means[0]].size != state[stds[0]].size:
        return None, state
    mean, std = (tuple(float(v) for v in state[key].ravel()) for key in (*means, *stds))
    rest = {key: values for key, values in state.items() if key not in (*means, *stds)}
    return Statistics(mean, std), rest


class _Match(NamedTuple):
    layer: keras.layers.Layer
    module: TorchModule
    values: list[np.ndarray]


def _kind(tensors: StateDict) -> str:
    dimensions = tensors["weight"].ndim if "weight" in tensors else 0
    if "running_var" in tensors and dimensions <= 1:
        return "batch norm"
    return {2: "dense", 4: "convolution"}.get(dimensions, "other")


def _unchanged(values: np.ndarray, _: tuple[int, ...], __: _Maps) -> np.ndarray:
    return values


def _convolution(values: np.ndarray, _: tuple[int, ...], __: _Maps) -> np.ndarray:
    """(out, in, height, width) to (height, width, in, out)."""
    return values.transpose(2, 3, 1, 0)


def _depthwise(values: np.ndarray, shape: tuple[int, ...], _: _Maps) -> np.ndarray:
    """(channels * multiplier, 1, height, width) to (height, width, channels, multiplier)."""
    if values.shape[:2] != (shape[2] * shape[3], 1):
        return values
    return values.reshape(*shape[2:], *values.shape[2:]).transpose(2, 3, 0, 1)


def _dense(values: np.ndarray, shape: tuple[int, ...], maps: _Maps) -> np.ndarray:
    """(out, in) to (in, out)."""
    return _channels_last(values, shape, maps).T


def _channels_last(values: np.ndarray, _: tuple[int, ...], maps: _Maps) -> np.ndarray:
    """The last axis, a map that was flattened channel by channel, as flattened pixel by pixel."""
    if maps is None or values.shape[-1] != np.prod(maps):
        return values
    height, width, channels = maps
    apart = values.reshape(*values.shape[:-1], channels, height, width)
    return np.moveaxis(apart, -3, -1).reshape(values.shape)


class _Rule(NamedTuple):
    """Which module fills a layer, and how its kernel and its vectors are turned."""

    kind: str
    kernel: _Arrange
    vector: _Arrange = _unchanged


_RULES: dict[type[keras.layers.Layer], _Rule] = {
    keras.layers.Conv2D: _Rule("convolution", _convolution),
    keras.layers.DepthwiseConv2D: _Rule("convolution", _depthwise),
    keras.layers.Dense: _Rule("dense", _dense),
    keras.layers.BatchNormalization: _Rule("batch norm", _unchanged, _channels_last),
}


def _checked_layers(model: keras.Model) -> list[tuple[WeightedLayer, _Rule]]:
    """The layers to be filled, each with its rule; statistics that Keras took from data stay."""
    layers = [
        placed
        for placed in weighted_layers(model)
        if not isinstance(placed.layer, keras.layers.Normalization)
    ]
    ruled = []
    for placed in layers:
        rule = next((_RULES[base] for base in type(placed.layer).__mro__ if base in _RULES), None)
        if rule is None:
            known = ", ".join(layer.__name__ for layer in _RULES)
            raise InputError(
                f"layer '{placed.layer.name}' ({type(placed.layer).__name__}) has weights that "
                f"cannot be read from PyTorch. Known: {known}"
            )
        ruled.append((placed, rule))
    return ruled


def _first_that_fits(
    placed: WeightedLayer, rule: _Rule, modules: list[TorchModule]
) -> _Match | None:
    for module in modules:
        values = _values(placed, rule, module) if module.kind == rule.kind else None
        if values is not None:
            return _Match(placed.layer, module, values)
    return None


def _values(placed: WeightedLayer, rule: _Rule, module: TorchModule) -> list[np.ndarray] | None:
    """The weights of a layer, in its order, from a module; None if they do not fit."""
    tensors = dict(module.tensors)
    result = []
    for weight in placed.layer.weights:
        shape = tuple(weight.shape)
        name, absent = _TENSORS[weight.name]
        values = tensors.pop(name, None)
        if values is not None:
            arrange = rule.kernel if values.ndim > 1 else rule.vector
            values = arrange(values, shape, placed.maps)
        elif absent is not None:
            values = np.full(shape, absent, np.float32)
        if values is None or values.shape != shape:
            return None
        result.append(values)
    return None if tensors else result


def _misfit(
    model: keras.Model, alone: list[WeightedLayer], modules: list[TorchModule]
) -> InputError:
    parts = []
    if alone:
        layers = [f"'{p.layer.name}' {tuple(p.layer.weights[0].shape)}" for p in alone]
        parts.append(f"{len(layers)} of its layers get no weights: {_listed(layers)}")
    if modules:
        names = [f"'{m.name}' {next(iter(m.tensors.values())).shape}" for m in modules]
        parts.append(f"{len(names)} PyTorch modules belong to no layer: {_listed(names)}")
    return InputError(
        f"the checkpoint does not fit model '{model.name}'. {'; '.join(parts)}. Choose another "
        "--model or --input-shape, or leave modules out with --skip"
    )


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
