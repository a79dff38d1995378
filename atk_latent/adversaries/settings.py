"""How the settings of adversaries are read and checked."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Collection
from typing import TYPE_CHECKING

from atk_latent.config import check_range, convert
from atk_latent.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def read_settings(
    settings: DataclassInstance, positive: Collection[str] = (), /, **ranges: tuple[float, ...]
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
        if value is not None and field.name in positive:
            check_positive(field.name, value)


def check_positive(name: str, value: float | None) -> None:
    """Refuses a number that is not above 0; None passes.

    Raises:
        InputError: naming the setting and the value.
    """
    if value is not None and not value > 0:
        raise InputError(f"setting '{name}' must be greater than 0. Received: {value!r}")


def check_radius(eps: float | None, norm: str) -> None:
    """Refuses a radius that is not above 0 or, in Linf, more than all of [0, 1]; None passes.

    Raises:
        InputError: naming the range and the value.
    """
    check_positive("eps", eps)
    if eps is not None and norm == "linf":
        check_range("eps", eps, 0, 1)
