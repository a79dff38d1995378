"""Settings: frozen dataclasses read from text, with errors a user can act on.

Settings may be composed of parts, fields that are frozen dataclasses themselves. On the
command line, in JSON and in cards they are flat: every value goes by one name, that of its
field unless the field declares another with `known_as`.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import typing
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, TypeVar

from atk_latent.errors import InputError, did_you_mean

S = TypeVar("S")
T = TypeVar("T")
Flat = Mapping[str, object]  # settings by flat name, as text or typed


def known_as(name: str, default: T) -> T:
    """A field of a part that goes by another name than its own in flat settings."""
    return dataclasses.field(default=default, metadata={"flat": name})


def in_pixels(default: T, name: str = "") -> T:
    """A field that is a length in [0, 1] pixels; `name` as of `known_as`.

    At ART's door it is read in the range of the estimator's clip values.
    """
    flat = {"flat": name} if name else {}
    return dataclasses.field(default=default, metadata={"pixels": True, **flat})


class Place(NamedTuple):
    """Where the value of a flat name lives in composed settings.

    Args:
        part: the field that holds the part, "" for the settings' own fields.
        field: name of the field, in the part where there is one.
        kind: its type. is_pixels: it is a length in [0, 1] pixels.
    """

    part: str
    field: str
    kind: object
    is_pixels: bool = False


@functools.cache
def places(kind: type) -> Mapping[str, Place]:
    """Every flat name of a class of settings, and where its value lives.

    Raises:
        TypeError: if two fields go by the same flat name.
    """
    hints, result = typing.get_type_hints(kind), dict[str, Place]()
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            inner = {
                name: place._replace(part=field.name)
                for name, place in places(typing.cast(type, hint)).items()
            }
        else:
            is_pixels = field.metadata.get("pixels", False)
            name = field.metadata.get("flat", field.name)
            inner = {name: Place("", field.name, hint, is_pixels)}
        twice = sorted(result.keys() & inner.keys())
        if twice:
            raise TypeError(f"{kind.__name__} has two settings called '{twice[0]}'")
        result |= inner if field.init else {}
    return result


def number(text: str | float | int, name: str = "value") -> float:
    """Reads a real number; ``"8/255"`` is a legal way to write one.

    Raises:
        InputError: if `text` is not a finite number.
    """
    try:
        value = _fraction(text) if isinstance(text, str) else float(text)
    except (ValueError, ZeroDivisionError, TypeError, OverflowError):
        raise InputError(
            f"{name} must be a number such as 0.3 or 8/255. Received: {text!r}"
        ) from None
    if value != value or value in (float("inf"), float("-inf")):
        raise InputError(f"{name} must be finite. Received: {text!r}")
    return value


def _fraction(text: str) -> float:
    """``"8/255"`` or ``"1e-3"``; no exponent is ever multiplied out."""
    numerator, slash, denominator = text.replace(" ", "").partition("/")
    if not slash:
        return float(numerator)
    return float(Fraction(int(numerator), int(denominator)))


def assignments(pairs: Sequence[str]) -> dict[str, str]:
    """``["a=1", "b=x"]`` to ``{"a": "1", "b": "x"}``.

    Raises:
        InputError: if a pair has no ``=`` or an empty key, or a key comes twice.
    """
    settings: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            raise InputError(f"a setting must read key=value. Received: {pair!r}")
        if key in settings:
            raise InputError(
                f"setting '{key}' is given twice: {settings[key]!r} and {value.strip()!r}"
            )
        settings[key] = value.strip()
    return settings


def spec(text: str) -> tuple[str, dict[str, str]]:
    """Splits ``"pgd:eps=8/255,steps=20"`` into ``("pgd", {"eps": "8/255", "steps": "20"})``.

    A value may hold commas (``ladder:eps=0.5,2,5,targets=balanced``): a new setting
    starts only where ``key=`` follows the comma. ``art:pgd:eps=0.3`` keeps the ``art:``
    prefix in the name.

    Raises:
        InputError: if a setting has no ``=``, comes twice or has no value.
    """
    head, prefix = text.strip(), ""
    if head.startswith("art:"):
        prefix, head = "art:", head[len("art:") :]
    name, _, rest = head.partition(":")
    pairs = re.split(r",(?=\s*[A-Za-z_][\w-]*\s*=)", rest) if rest.strip() else []
    settings = assignments(pairs)
    empty = next((key for key, value in settings.items() if not value), None)
    if empty is not None:
        raise InputError(
            f"setting '{empty}' of '{text}' has no value; write {empty}=VALUE or leave it out"
        )
    return prefix + name, settings


def _expected(kind: Any) -> str:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return "one of " + ", ".join(str(value) for value in arguments)
    if origin is tuple:
        return f"a comma-separated list, each {_expected(arguments[0])}"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return names.get(kind, str(kind))


def _optional(kind: object) -> tuple[object, bool]:
    arguments = typing.get_args(kind)
    if type(None) in arguments and typing.get_origin(kind) is not tuple:
        return next(a for a in arguments if a is not type(None)), True
    return kind, False


def convert(name: str, value: Any, kind: object) -> Any:
    """Turns `value` (text or already typed) into `kind`.

    Args:
        name: the setting, for the message.
        kind: int, float, bool, str, a Literal, tuple[X, ...] or X | None; "" and "none" are
            the empty tuple of any length, or None.

    Raises:
        InputError: if `value` cannot be read as `kind`.
    """
    kind, optional = _optional(kind)
    if optional and (value is None or str(value).lower() in ("none", "")):
        return None
    wrong = InputError(f"setting '{name}' must be {_expected(kind)}. Received: {value!r}")
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        for allowed in typing.get_args(kind):
            if str(value) == str(allowed):
                return allowed
        raise wrong
    if origin is tuple:
        any_length = typing.get_args(kind)[-1] is Ellipsis
        if any_length and isinstance(value, str) and value.strip().lower() in ("none", ""):
            return ()
        items = value.split(",") if isinstance(value, str) else value
        items = list(items) if isinstance(items, list | tuple) else [items]
        if not items and not any_length:
            raise wrong
        return tuple(convert(name, item, typing.get_args(kind)[0]) for item in items)
    if kind is bool:
        truth = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if str(value).lower() not in truth:
            raise wrong
        return truth[str(value).lower()]
    if kind is str:
        return str(value)
    if isinstance(value, bool):
        raise wrong
    try:
        real = number(value, f"setting '{name}'")
    except InputError:
        raise wrong from None
    if kind is int:
        if real != int(real):
            raise wrong
        return int(real)
    return real


def _typed(kind: type, values: Flat) -> tuple[dict[str, object], dict[str, dict[str, object]]]:
    """Values by field, converted by its type: the class's own, and those of each part."""
    known, own, parts = places(kind), dict[str, object](), dict[str, dict[str, object]]()
    hints = typing.get_type_hints(kind)
    for key, value in values.items():
        if dataclasses.is_dataclass(hints.get(key)) and isinstance(value, hints[key]):
            own[key] = value
            continue
        if key not in known:
            hint = did_you_mean(key, known)
            raise InputError(f"unknown setting '{key}'. {hint}Known: {', '.join(known)}")
        place = known[key]
        target = parts.setdefault(place.part, {}) if place.part else own
        target[place.field] = convert(key, value, place.kind)
    return own, parts


def build(kind: type[S], values: Flat) -> S:
    """Builds the frozen dataclass `kind` from flat `values`, converting text by field type.

    Args:
        kind: the class. values: by flat name; a whole part may be passed by its field's name.

    Raises:
        InputError: on an unknown key (with the nearest one), a value of the wrong type,
            or whatever the dataclass itself refuses in ``__post_init__``.

    Example:
        >>> from atk_latent.config import build, flat
        >>> from atk_latent.methods import PGDSettings
        >>> settings = build(PGDSettings, {"eps": "8/255", "learning_rate": "0.1"})
        >>> settings.optimizer.learning_rate, flat(settings)["learning_rate"]
        (0.1, 0.1)
    """
    own, parts = _typed(kind, values)
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for part, changes in parts.items():
        own[part] = dataclasses.replace(typing.cast(Any, own.get(part, defaults[part])), **changes)
    return kind(**own)


def updated(settings: S, values: Flat) -> S:
    """A copy of `settings` with some flat `values` changed; refuses what `build` refuses."""
    own, parts = _typed(type(settings), values)
    for part, changes in parts.items():
        before = own.get(part, getattr(settings, part))
        own[part] = dataclasses.replace(typing.cast(Any, before), **changes)
    return typing.cast(S, dataclasses.replace(typing.cast(Any, settings), **own))


def flat(settings: object) -> dict[str, object]:
    """Every value of composed settings by its flat name, as cards and JSON have them."""
    kind: type = type(settings)
    return {
        name: getattr(getattr(settings, place.part) if place.part else settings, place.field)
        for name, place in places(kind).items()
    }


def check_linf_eps(value: float) -> None:
    """Refuses a radius that no pixel in [0, 1] has room for, as 8 written for 8/255.

    Raises:
        InputError: saying how it is written.
    """
    if not 0 <= value <= 1:
        raise InputError(
            f"setting 'eps' must be between 0 and 1, the range of a pixel; 8 of 255 is written "
            f"8/255. Received: {value!r}"
        )


def check_range(name: str, value: float, low: float, high: float = float("inf")) -> None:
    """Refuses a number outside [low, high].

    Raises:
        InputError: naming the setting, the range and the value.
    """
    if not low <= value <= high:
        wanted = f"at least {low:g}" if high == float("inf") else f"between {low:g} and {high:g}"
        raise InputError(f"setting '{name}' must be {wanted}. Received: {value!r}")
