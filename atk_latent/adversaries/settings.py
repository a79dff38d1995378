"""How the settings of adversaries are read and checked, and how a name gets its defaults."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Collection
from typing import Any

import keras

from atk_latent.adversaries.base import Adversary
from atk_latent.config import build, check_range, convert
from atk_latent.errors import InputError


def read_settings(
    settings: Any, positive: Collection[str] = (), /, **ranges: tuple[float, ...]
) -> None:
    """Reads every field by its type and checks its range; for the `__post_init__`.

    Args:
        settings: a frozen dataclass; text ("8/255") becomes what the field's type says.
        positive: fields that must be greater than 0; None passes.
        **ranges: fields and their (low,) or (low, high), both allowed; None is in any range.

    Raises:
        InputError: naming the setting, what it may be and its value.
    """
    hints = typing.get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        value = convert(field.name, getattr(settings, field.name), hints[field.name])
        object.__setattr__(settings, field.name, value)
        if value is not None and field.name in ranges:
            check_range(field.name, value, *ranges[field.name])
        if value is not None and field.name in positive and not value > 0:
            raise InputError(f"setting '{field.name}' must be greater than 0. Received: {value!r}")


def preset(adversary: Callable[..., Any], kind: type, **defaults: Any) -> Callable[..., Any]:
    """A factory of `adversary` with settings `kind` and other defaults.

    The factory takes ``seed`` and any settings, as values or as text.
    """

    def make(*, seed: int | keras.random.SeedGenerator = 0, **settings: Any) -> Adversary:
        return adversary(build(kind, {**defaults, **settings}), seed=seed)

    return make
