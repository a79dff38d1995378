"""A model that wants other pixels than those in [0, 1], as one that takes them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

import keras
import numpy as np

from atk_latent.errors import InputError, did_you_mean
from atk_latent.models.latent import image_shape
from atk_latent.pixels import PixelFormat, PixelRange

_PACKAGE = "keras.applications"
_COLOURS = 3


def wrap(
    model: keras.Model,
    *,
    input_range: tuple[float, float] | str | None = None,
    preprocess: str | None = None,
) -> keras.Model:
    """`model` behind layers that turn pixels in [0, 1] into what it was trained on.

    Args:
        model: images (batch, height, width, channels) in its own pixels to anything.
        input_range: lowest and highest of its pixels: (0, 255) or "0,255".
        preprocess: in its place, the module of `keras.applications` whose `preprocess_input`
            stood before the model: "keras.applications.resnet50", or "resnet50".

    Returns:
        A functional model of float32 images in [0, 1] that holds `model`; it is saved and loaded
        without custom objects. `model` itself where there is nothing to change.

    Raises:
        InputError: on another range or name, both, or a model whose image shape is not known.

    Example:
        >>> inner = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten()])
        >>> white = np.ones((1, 4, 4, 3), "float32")
        >>> float(keras.ops.max(wrap(inner, input_range=(0, 255))(white)))
        255.0
    """
    if isinstance(input_range, tuple):
        input_range = ",".join(str(value) for value in input_range)
    return wrapped(model, PixelFormat(input_range, preprocess))


def wrapped(model: keras.Model, pixels: PixelFormat) -> keras.Model:
    """`wrap` with the options as a value.

    Raises:
        InputError: as `wrap`.
    """
    inputs = getattr(model, "inputs", None) or []
    whole_numbers = bool(inputs) and np.issubdtype(np.dtype(inputs[0].dtype), np.integer)
    if pixels.is_unit:
        if whole_numbers:
            raise InputError(
                f"model '{model.name}' takes whole numbers ({inputs[0].dtype}), which pixels in "
                "[0, 1] are not. Say their range: --input-range 0,255"
            )
        return model
    shape = inputs[0].shape[1:] if inputs else image_shape(model, None)
    image = keras.Input(shape, name="image")
    x = image
    for layer in _layers(pixels, int(image.shape[-1])):
        x = layer(x)
    if whole_numbers:
        x = keras.ops.cast(keras.ops.round(x), inputs[0].dtype)
    return keras.Model(image, model(x), name=model.name)


def _layers(pixels: PixelFormat, channels: int) -> list[Callable[..., keras.KerasTensor]]:
    """What turns pixels in [0, 1] into those of a format."""
    if pixels.preprocess is None:
        return [*PixelRange.read(pixels.input_range or "0,1").layers()]
    if channels != _COLOURS:
        raise InputError(
            f"--preprocess is for images of 3 colours. Received: a model of {channels} channels"
        )
    function = _preprocess_input(pixels.preprocess)
    # It is a straight line for each channel, maybe in another order: what black and what each
    # pure colour become says all of it.
    probes = np.concatenate([np.zeros((1, 3)), 255 * np.eye(3)]).astype("float32")
    black, *colours = np.asarray(function(probes.reshape(4, 1, 1, 3))).reshape(4, 3)
    slopes = np.stack([colour - black for colour in colours])  # [from, to]
    order = np.abs(slopes).argmax(axis=0).tolist()
    scale = slopes[order, range(3)]
    if order not in ([0, 1, 2], [2, 1, 0]) or np.count_nonzero(slopes) != _COLOURS:
        raise InputError(f"'{pixels.preprocess}' mixes colours, which cannot be done in layers")
    scaling = keras.layers.Rescaling(scale.tolist(), offset=black.tolist())
    return [_reversed_colours, scaling] if order[0] else [scaling]


def _reversed_colours(x: keras.KerasTensor) -> keras.KerasTensor:
    return keras.ops.flip(x, axis=-1)


def _preprocess_input(name: str) -> Callable[[np.ndarray], np.ndarray]:
    """The function of a module of `keras.applications`."""
    applications = importlib.import_module(_PACKAGE)
    known = [
        module.name
        for module in pkgutil.iter_modules(applications.__path__)
        if hasattr(getattr(applications, module.name, None), "preprocess_input")
    ]
    short = name.removeprefix(f"{_PACKAGE}.").removesuffix(".preprocess_input")
    if short not in known:
        raise InputError(
            f"--preprocess takes a module of {_PACKAGE}. {did_you_mean(short, known)}"
            f"Known: {', '.join(known)}. Received: {name!r}"
        )
    function: Callable[[np.ndarray], np.ndarray] = getattr(applications, short).preprocess_input
    return function
