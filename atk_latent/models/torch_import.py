"""A PyTorch checkpoint to a Keras classifier that takes images in [0, 1]."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import keras
import numpy as np

from atk_latent.errors import InputError
from atk_latent.models import initialising as init
from atk_latent.models.architectures import PLAIN, architecture, is_architecture
from atk_latent.models.input_scale import Statistics, own_statistics, with_statistics
from atk_latent.models.layer_order import weighted_layers
from atk_latent.models.loading import load_classifier
from atk_latent.models.torch_check import largest_difference
from atk_latent.models.torch_checkpoint import StateDict, read_checkpoint
from atk_latent.models.torch_weights import load_state_dict, split_statistics
from atk_latent.registry import MODELS
from atk_latent.results.record import Record

_GREY = (28, 28, 1)
_FILES = (".keras", ".h5", ".hdf5")
_IMAGES = 8  # for the forward pass


class ImportRecord(Record):
    """How a checkpoint became a model.

    Args:
        checkpoint, model: what was asked for. key: where in the file the weights were.
        layers, parameters: how many were filled.
        scaled_by: who says how images are scaled: the arguments, the checkpoint or the model.
        mean, std: of the scaling in [0, 1] pixels, one number or one for each channel.
        notes: what may differ between the networks although the weights fit.
        max_difference: largest difference of logits from PyTorch's, where they were compared.
    """

    checkpoint: str
    model: str
    key: str
    layers: int
    parameters: int
    scaled_by: Literal["arguments", "checkpoint", "model"]
    mean: list[float]
    std: list[float]
    notes: list[str]
    max_difference: float | None


class ImportedModel(NamedTuple):
    """The model and how it came to be."""

    model: keras.Model
    record: ImportRecord


@dataclass(frozen=True)
class TorchImport:
    """What is to be imported.

    Args:
        checkpoint: a file that `torch.save` wrote.
        model: a name that `architecture` builds, or a `.keras` file of the
            architecture, whose own weights do not matter.
        key: where in the file the weights are; see `Checkpoint.state_dict`.
        input_shape: (height, width, channels) of the images; None for what the model is made
            for, with the channels of the first convolution.
        statistics: mean and deviation that scale the images in place of the model's own.
        skip: beginnings of names of PyTorch modules that the model does not have.
        check: "module:callable" that makes the PyTorch module to compare logits with.

    Example:
        >>> TorchImport("resnet20.th", "resnet20").key is None
        True
    """

    checkpoint: str | Path
    model: str
    key: str | None = None
    input_shape: tuple[int, int, int] | None = None
    statistics: Statistics | None = None
    skip: tuple[str, ...] = ()
    check: str | None = None

    def __post_init__(self) -> None:
        """Refuses a name that is no model, before anything is read."""
        if not self._is_file() and not is_architecture(self.model):
            MODELS.entry(self.model)

    def run(self) -> ImportedModel:
        """Reads, matches and tries the model on random images.

        Returns:
            The uncompiled model, float32 images (batch, height, width, channels) in [0, 1] to
            logits, and the record.

        Raises:
            InputError: if the file cannot be read, the weights do not fit, the logits are not
                finite or, where they are compared, not PyTorch's.
        """
        content = read_checkpoint(self.checkpoint)
        key, state = content.state_dict(self.key)
        stored, state = split_statistics(state)
        model = self._architecture(state)
        loaded = load_state_dict(model, state, self.skip)
        statistics = self.statistics or stored
        if statistics is not None:
            model = with_statistics(model, statistics)
        statistics = own_statistics(model)
        images = _images(model, self.input_shape)
        logits = _finite_logits(model, images)
        difference = None
        if self.check is not None:
            scaled = images if stored else (images - statistics.mean) / statistics.std
            difference = largest_difference(self.check, content.path, key, scaled, logits)
        record = ImportRecord(
            checkpoint=str(self.checkpoint),
            model=self.model,
            key=key,
            layers=len(loaded.pairs),
            parameters=loaded.parameters,
            scaled_by="arguments" if self.statistics else "checkpoint" if stored else "model",
            mean=list(statistics.mean),
            std=list(statistics.std),
            notes=_notes(model) if self._is_file() else [],
            max_difference=difference,
        )
        return ImportedModel(model, record)

    def _is_file(self) -> bool:
        """Whether the model is one on disk, not a name."""
        place = Path(self.model).expanduser()
        return place.suffix in _FILES or (not is_architecture(self.model) and place.exists())

    def _architecture(self, state: StateDict) -> keras.Model:
        """The Keras model that is to be filled."""
        if self._is_file():
            return load_classifier(self.model, data_shape=self.input_shape)
        channels, classes = _ends(state)
        build = architecture(self.model)
        default = inspect.signature(build).parameters["input_shape"].default
        if self.model.startswith(PLAIN) and channels == 1:
            default = _GREY
        height, width, _ = self.input_shape or default
        if self.input_shape is not None and self.input_shape[2] != channels:
            raise InputError(
                f"--input-shape has {self.input_shape[2]} channels, but the first convolution of "
                f"the checkpoint takes {channels}"
            )
        return build((height, width, channels), classes)


def _ends(state: StateDict) -> tuple[int, int]:
    """Channels that the first convolution takes and classes that the last dense layer gives."""
    channels = [values.shape[1] for values in state.values() if values.ndim == 4]
    classes = [values.shape[0] for values in state.values() if values.ndim == 2]
    return channels[0] if channels else 1, max(classes[-1], 2) if classes else 10


def _images(model: keras.Model, input_shape: tuple[int, int, int] | None) -> np.ndarray:
    """Random images for the model, float32 in [0, 1]."""
    shape = input_shape or tuple(n or 32 for n in model.inputs[0].shape[1:])
    return np.random.default_rng(0).random((_IMAGES, *shape), np.float32)


def _finite_logits(model: keras.Model, images: np.ndarray) -> np.ndarray:
    logits = np.asarray(model(images, training=False))
    if not np.isfinite(logits).all():
        raise InputError(
            f"model '{model.name}' with these weights gives logits that are NaN or infinite on "
            "random images. Are the scaling (--mean, --std) and the weights those of one network?"
        )
    return logits


def _notes(model: keras.Model) -> list[str]:
    """Where layers of the user's own model are not as PyTorch's usually are."""
    layers = [placed.layer for placed in weighted_layers(model)]
    eps = {getattr(layer, "epsilon", init.BATCH_NORM_EPSILON) for layer in layers}
    notes = [
        f"batch norm here has epsilon {value:g}, PyTorch's default is {init.BATCH_NORM_EPSILON:g}"
        for value in sorted(eps - {init.BATCH_NORM_EPSILON})
    ]
    same = [
        layer.name
        for layer in layers
        if getattr(layer, "padding", "") == "same" and max(layer.strides) > 1
    ]
    if same:
        notes.append(
            f"'{same[0]}' pads an even size at the bottom and right only (padding='same' with "
            "strides), PyTorch pads on every side"
        )
    return notes
