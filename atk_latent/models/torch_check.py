"""The logits of the PyTorch network itself, where PyTorch is installed."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

from atk_latent.errors import InputError, first_line

TOLERANCE = 1e-3  # of the largest logit, or of 1 where that is larger


def largest_difference(
    factory: str, checkpoint: str | Path, key: str, images: np.ndarray, logits: np.ndarray
) -> float:
    """Compares logits with those of the PyTorch network, which PyTorch loads by itself.

    Args:
        factory: "module:callable", such as "resnet:resnet20" for a `resnet.py` in the working
            folder. It is imported and called: the user's own code.
        checkpoint: the file. key: where in it the weights are.
        images: float (batch, height, width, channels), as the PyTorch network takes them.
        logits: (batch, classes), ours.

    Returns:
        The largest difference.

    Raises:
        InputError: if PyTorch is not installed, the network cannot be made or does not take the
            weights, or the logits differ.
    """
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        raise InputError(
            "--check needs PyTorch, which is not installed: pip install torch"
        ) from None
    network = _network(factory)
    try:
        state = _at(torch.load(checkpoint, map_location="cpu", weights_only=True), key)
        network.load_state_dict({name.removeprefix("module."): v for name, v in state.items()})
        network.eval()
        with torch.no_grad():
            inputs = torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32).copy())
            expected = network(inputs).numpy()
    except Exception as problem:  # whatever PyTorch and the user's own network raise
        raise InputError(
            f"--check {factory}: the PyTorch network failed: {first_line(problem)}"
        ) from problem
    return _compared(expected, logits)


def _compared(expected: np.ndarray, logits: np.ndarray) -> float:
    if expected.shape != logits.shape:
        raise InputError(
            f"PyTorch gives outputs of shape {expected.shape}, the model {logits.shape}"
        )
    difference = float(np.abs(expected - logits).max())
    if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise InputError(
            f"the logits differ from PyTorch's by up to {difference:.2g}: the weights fit, but the "
            "networks are not the same. Compare padding, the epsilon of batch norm, pooling and "
            "the scaling of images (--mean, --std)"
        )
    return difference


def _network(factory: str) -> Any:
    module, colon, name = factory.partition(":")
    if not colon or not name:
        raise InputError(f"--check must be module:callable. Received: {factory!r}")
    sys.path.insert(0, str(Path.cwd()))
    try:
        return getattr(importlib.import_module(module), name)()
    except Exception as problem:  # whatever the user's own code raises
        raise InputError(f"--check {factory} cannot be made: {first_line(problem)}") from problem
    finally:
        sys.path.remove(str(Path.cwd()))


def _at(value: Any, key: str) -> Any:
    """What lies at the place `key`, whose parts may hold dots themselves."""
    if not key:
        return value
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, item in items:
        if key == str(name) or key.startswith(f"{name}."):
            return _at(item, key[len(str(name)) + 1 :])
    raise InputError(f"PyTorch finds nothing under '{key}'")
