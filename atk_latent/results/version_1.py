"""Result files of version 1, which say threat models as sentences, as those of version 2."""

from __future__ import annotations

import re

from pydantic import JsonValue

from atk_latent import config
from atk_latent.errors import InputError
from atk_latent.results.record import Json
from atk_latent.results.threat import BACKWARD_WORDS, NORM_WORDS

_ACCESS = "white-box|score-based|decision-based"
_NORMS = {words: norm for norm, words in NORM_WORDS.items()} | {"LADDER examples": "latent"}
_NORM = "|".join(re.escape(words) for words in _NORMS)
_WAYS = {words: way for way, words in BACKWARD_WORDS.items()}
_WAY = "|".join(re.escape(words) for words in _WAYS)
_REACH = (
    rf"(?:(?P<access>{_ACCESS})(?: through IMT \((?P<way>{_WAY})\)| on its own latents)?"
    r"|(?P<discriminator>sees classifier and discriminator but not the IMT step))"
)
_OWN = re.compile(rf"{_REACH}(?:, (?P<norm>{_NORM}))?")
_TRANSFER = re.compile(
    rf"transfer from (?P<crafted_on>.+?)(?: \({_REACH} there(?:, (?P<norm>{_NORM}))?\)"
    rf"|, (?P<bare_norm>{_NORM}))?"
)
_STATIC = re.compile(r"static: (?P<attack>.*), unaware of (?P<defence>\S+)")


def threat_model(sentence: str, eps: JsonValue = None, defence: JsonValue = "") -> Json:
    """The fields of the `ThreatModel` that a sentence of version 1 stands for.

    Args:
        sentence: "white-box, Linf", "transfer from RUN (white-box there, Linf)", ...
        eps: radius, which the sentence does not say.
        defence: what is deployed at prediction time, which an adaptive one does not say.
    """
    if sentence == "none":
        return {"access": "none"}
    static = _STATIC.fullmatch(sentence)
    text = static["attack"] if static else sentence.removeprefix("adaptive: ")
    match = _TRANSFER.fullmatch(text) or _OWN.fullmatch(text)
    if match is None:
        return {"access": "unknown", "eps": eps, "words": sentence}
    parts = match.groupdict()
    white_box = "white-box" if parts["discriminator"] else None
    fields: Json = {
        "access": parts["access"] or white_box or "unknown",
        "norm": _NORMS.get(parts["norm"] or parts.get("bare_norm") or ""),
        "eps": eps,
        "crafted_on": parts.get("crafted_on"),
    }
    if static:
        fields |= {"knows_defence": "unaware", "defence": static["defence"].lower()}
    elif parts["discriminator"] or parts["way"]:
        way = _WAYS[parts["way"]] if parts["way"] else "discriminator"
        fields |= {"knows_defence": way, "defence": "" if defence == "none" else defence}
    return fields


def upgrade_evaluation(content: Json, where: str) -> Json:
    """An evaluation of version 1 as one of version 2."""
    attacks = content.get("attacks")
    if isinstance(attacks, list):
        upgraded: list[JsonValue] = [
            _with_threat_model(a, f"{where}: attacks[{i}]") for i, a in enumerate(attacks)
        ]
        content = {**content, "attacks": upgraded}
    return {**content, "schema": "atk_latent/evaluation/2"}


def upgrade_comparison(content: Json, where: str) -> Json:
    """A comparison of version 1 as one of version 2."""
    columns, rows = content.get("columns"), content.get("rows")
    radii: Json = {}
    for column in columns if isinstance(columns, list) else []:
        if isinstance(column, dict):
            radii[str(column.get("label"))] = _radius(column.get("spec"))
    if isinstance(rows, list):
        source = content.get("published_source", "")
        upgraded: list[JsonValue] = [
            _row(row, radii, source, f"{where}: rows[{i}]") for i, row in enumerate(rows)
        ]
        content = {**content, "rows": upgraded}
    return {**content, "schema": "atk_latent/comparison/2"}


def _row(row: JsonValue, radii: Json, source: JsonValue, where: str) -> JsonValue:
    """A row whose cells have their threat models, and their published values a source."""
    if not isinstance(row, dict) or not isinstance(row.get("cells"), list):
        return row  # refused later, with its place
    cells: list[JsonValue] = []
    for i, cell in enumerate(row["cells"] if isinstance(row["cells"], list) else []):
        if isinstance(cell, dict):
            known: Json = {"eps": radii.get(str(cell.get("attack")))}
            cell = {**known, "inference": row.get("inference", ""), **cell}
            if isinstance(cell.get("published"), int | float):
                cell["published"] = {"value": cell["published"], "source": source}
        cells.append(_with_threat_model(cell, f"{where}: cells[{i}]"))
    return {**row, "cells": cells}


def _with_threat_model(entry: JsonValue, where: str) -> JsonValue:
    if not isinstance(entry, dict):
        return entry
    if "threat" not in entry:
        raise InputError(f"{where} lacks the field 'threat'")
    sentence = entry["threat"]
    if not isinstance(sentence, str):
        raise InputError(f"{where}: threat must be of type string, not {sentence!r}")
    threat = threat_model(sentence, entry.get("eps"), entry.get("inference", ""))
    return {**entry, "threat_model": threat}


def _radius(spec: JsonValue) -> float | None:
    """The radius that an attack's text names; None where it names none."""
    try:
        return config.number(config.spec(str(spec or ""))[1]["eps"])
    except (InputError, KeyError):
        return None
