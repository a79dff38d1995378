"""What every record shares: frozen, typed, to JSON and back, errors in one line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import pydantic
from typing_extensions import Self

from atk_latent.atomic import json_safe
from atk_latent.errors import InputError

Json = dict[str, pydantic.JsonValue]
# A field of names and values that differ from attack to attack or method to method: settings,
# metrics. NumPy numbers, paths and tuples become what JSON has.
JsonField = Annotated[Json, pydantic.BeforeValidator(json_safe)]
Fraction = Annotated[float, pydantic.Field(ge=0, le=1)]
Count = Annotated[int, pydantic.Field(ge=0)]
Length = Annotated[float, pydantic.Field(ge=0)]  # a size, a radius, seconds
_SURROGATES = re.compile("[\ud800-\udfff]")  # of names that are no UTF-8; JSON has no room for them
_TYPES = {
    "int": "integer",
    "float": "number",
    "string": "string",
    "bool": "boolean",
    "model": "object",
    "dict": "object",
    "tuple": "array",
    "bytes": "string",
}


def is_absent(value: object) -> bool:
    """Whether an optional field has nothing to say, so that files leave it out."""
    return value is None or value == () or value == ""


def optional(default: object = None) -> Any:
    """A field that files leave out where it is None, empty or ""."""
    return pydantic.Field(default, exclude_if=is_absent)


class Record(pydantic.BaseModel):
    """A value of named, typed fields that does not change.

    Unknown fields of a file are left out, wrong types are refused: text is no number, a truth
    value no count.
    """

    model_config = pydantic.ConfigDict(
        frozen=True, extra="ignore", strict=True, allow_inf_nan=False
    )

    def to_json(self) -> Json:
        """The record as a JSON object: the fields by the names that files have."""
        return self.model_dump(mode="json", by_alias=True)

    @classmethod
    def from_json(cls, content: pydantic.JsonValue, where: str) -> Self:
        """The record that a JSON object holds.

        Args:
            content: the object. where: begins error messages: the file it came from.

        Raises:
            InputError: naming the first wrong field, what it must be and what came.
        """
        try:
            text = json.dumps(content, ensure_ascii=False)
            return cls.model_validate_json(_SURROGATES.sub(_escaped, text))
        except pydantic.ValidationError as error:
            raise InputError(_line(where, error)) from None


def _escaped(surrogate: re.Match[str]) -> str:
    """Four digits that can be read, after a backslash."""
    return f"\\\\u{ord(surrogate[0]):04x}"


def _line(where: str, error: pydantic.ValidationError) -> str:
    """The first of pydantic's findings, as one line."""
    problem = error.errors()[0]
    kind, value = problem["type"], problem["input"]
    *outer, last = problem["loc"] or ("",)
    if kind == "missing":
        return f"{_place(where, outer)} lacks the field '{last}'"
    place, context = _place(where, problem["loc"]), problem.get("ctx", {})
    if kind == "value_error":  # a rule of the record itself, which names what it is about
        colon = "" if problem["loc"] else ":"
        return f"{place}{colon} {context['error']}"
    return f"{place} must be {_expected(kind, context)}, not {short(value)}"


def _expected(kind: str, context: Mapping[str, Any]) -> str:
    limits = {"greater_than_equal": ("at least", "ge"), "less_than_equal": ("at most", "le")}
    limits |= {"greater_than": ("greater than", "gt"), "less_than": ("below", "lt")}
    if kind in limits:
        words, name = limits[kind]
        return f"{words} {context[name]:,g}"
    if kind == "literal_error":
        return str(context["expected"])
    if kind == "finite_number":
        return "a finite number"
    name = kind.partition("_")[0]
    return f"of type {_TYPES.get(name, name)}"


def _place(where: str, steps: Iterable[int | str]) -> str:
    """A field in words: "file.json: attacks[1]: low"."""
    for step in steps:
        where += f"[{step}]" if isinstance(step, int) else f": {step}"
    return where


def short(value: object) -> str:
    """The value as Python writes it, cut to 60 letters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
