"""New networks by name: registered ones, and small ones that are written out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import keras

from atk_latent.errors import InputError
from atk_latent.models.plain import plain_network
from atk_latent.registry import MODELS

PLAIN = "plain:"


def is_architecture(name: str) -> bool:
    """Whether a name is that of a new network, not of a trained model."""
    return name in MODELS or name.startswith(PLAIN)


def architecture(name: str) -> Callable[..., keras.Model]:
    """The function (image_shape, num_classes, *, seed) that builds a network.

    Args:
        name: of `registry.MODELS`; or "plain:" and a line of `plain_network`, or the path of a
            `.txt` file that holds it, on one or several lines.

    Raises:
        InputError: on an unknown name (with the nearest one), or a file that cannot be read.

    Example:
        >>> architecture("plain:8x3,max2,20")((28, 28, 1), 10, seed=0).output_shape
        (None, 10)
    """
    if not name.startswith(PLAIN):
        build: Callable[..., keras.Model] = MODELS[name]
        return build
    spec = name.removeprefix(PLAIN)
    if spec.endswith(".txt"):
        try:
            lines = Path(spec).expanduser().read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as problem:
            raise InputError(f"'{spec}' is no text file that can be read: {problem}") from None
        spec = ",".join(line.strip().strip(",") for line in lines if line.strip())
    return functools.partial(plain_network, spec)
