"""Presets: the settings of every method, preset and data set, as rows of `presets/*.yaml`.

A file maps registered names of methods to lists of rows. A row says where it holds (`preset`,
`data`, `model`, `when`, see `Row`) and what it sets (`settings`, by flat name). Lists may hold
lists, so that methods share rows through YAML's anchors; top-level keys that begin with a dot
are only there to be shared.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

import yaml

from atk_latent.config import Flat, build, flat, number, updated
from atk_latent.data.aliases import widening
from atk_latent.errors import InputError
from atk_latent.registry import METHODS

DEFAULTS = "defaults"  # the preset of a run that no row was written for
PRESETS = ("paper", "official", "quick")  # of every method; rows may have more


@dataclasses.dataclass(frozen=True)
class Row:
    """Some settings, and where they hold.

    Args:
        settings: values by flat name.
        preset: "paper" rows hold in every preset, below those of the preset itself. "" holds
            in all of them without being part of any: facts about a model.
        data: names of data sets, or "any". Rows of the data set that another is like (see
            `data.aliases`) hold below its own, and "any" below both.
        model: registered name of a classifier; "" is all of them.
        when: overrides that must be there for the row to hold.
        adapted: whether the values are ours because the source has no such data.
    """

    settings: Flat
    preset: str = ""
    data: tuple[str, ...] = ("any",)
    model: str = ""
    when: Mapping[str, str] = dataclasses.field(default_factory=dict)
    adapted: bool = False


class Resolved(NamedTuple):
    """The settings of a run.

    Args:
        settings: of the method's `settings_type`.
        preset: the preset they come from; "defaults" where none of its rows is about the data,
            "paper, adapted to mnist" where the source has no such data and we filled in.
    """

    settings: Any
    preset: str


@functools.cache
def _tables() -> dict[str, tuple[Row, ...]]:
    """The rows of every method, in the order in which they are written."""
    tables = dict[str, tuple[Row, ...]]()
    for file in resources.files(__package__).joinpath("presets").iterdir():
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        methods = (name for name in content if not name.startswith("."))
        tables |= {name: tuple(map(_row, _flattened(content[name]))) for name in methods}
    return tables


def rows(method: str) -> tuple[Row, ...]:
    """The rows of a method; none of a name that has none."""
    return _tables().get(method, ())


def _flattened(entries: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        yield from _flattened(entry) if isinstance(entry, list) else [entry]


def _row(entry: dict[str, Any]) -> Row:
    data = entry.get("data", "any")
    return Row(**{**entry, "data": tuple([data] if isinstance(data, str) else data)})


def preset_values(
    method: str, data: str, preset: str, model: str = "", overrides: Flat | None = None
) -> tuple[dict[str, object], str]:
    """What the rows of a preset set, without the overrides.

    Args:
        method, data, preset, model, overrides: as for `resolve`.

    Returns:
        Values by flat name, and the preset they come from, see `Resolved`.

    Raises:
        InputError: on a preset that the method does not have.
    """
    _check(method, preset)
    overrides, values, applied, adapted = overrides or {}, dict[str, object](), False, ""
    for layer in dict.fromkeys(("", "paper", preset)):
        for name in widening(data):
            for row in rows(method):
                if row.preset != layer or name not in row.data or row.model not in ("", model):
                    continue
                if all(str(overrides.get(key)) == value for key, value in row.when.items()):
                    values |= row.settings
                    applied |= bool(layer)
                    adapted = name if row.adapted else adapted
    if adapted and preset in ("paper", "official"):
        return values, f"{preset}, adapted to {adapted}"
    return values, preset if applied else DEFAULTS


def _check(method: str, preset: str) -> None:
    if preset == "stable" and all(row.preset != preset for row in rows(method)):
        raise InputError("preset 'stable' is for atld alone; paper, official and quick are for all")
    if preset not in (*PRESETS, "stable"):
        raise InputError(
            f"preset must be one of {', '.join(PRESETS)}, or stable for atld. Received: {preset!r}"
        )


def resolve(
    method: str, data: str, preset: str, model: str = "", overrides: Flat | None = None
) -> Resolved:
    """The settings of a method for a preset and a data set, with overrides on top.

    Where a preset names a step and `eps` is overridden without one, the step changes in
    proportion.

    Args:
        method: registered name. data: name of a data set, or the path of one.
        preset: "paper", "official" (the paper's own where the published code says nothing
            else), "quick", or "stable" where a method has it.
        model: registered name or path of the classifier, "" where none is known.
        overrides: by flat name, typed or text as on the command line; whole parts by the name
            of their field.

    Raises:
        InputError: on an unknown method, preset or setting, or a value that cannot be.

    Example:
        >>> from atk_latent.methods import resolve
        >>> resolve("pgd", "mnist", "paper", overrides={"eps": "0.15"}).settings.step_size
        0.005
        >>> resolve("pgd", "my.npz", "paper").preset
        'defaults'
    """
    kind, overrides = METHODS[method].settings_type, overrides or {}
    values, preset = preset_values(method, data, preset, model, overrides)
    if "eps" in overrides and values.get("step_size"):
        usual = number(str(values.get("eps", flat(kind())["eps"])))
        eps = number(str(overrides["eps"]), "setting 'eps'")
        values["step_size"] = number(str(values["step_size"])) * (eps / usual)
    return Resolved(updated(build(kind, values), overrides), preset)
