"""Result files on disk: read, checked and named; every version."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from atk_latent.atomic import write_json
from atk_latent.errors import InputError
from atk_latent.files import MIB, FileKind, read_json
from atk_latent.results.audit import Audit
from atk_latent.results.card import Card
from atk_latent.results.comparison import Comparison
from atk_latent.results.evaluation import Evaluation
from atk_latent.results.record import Json, short
from atk_latent.results.version_1 import upgrade_comparison, upgrade_evaluation

Result = Evaluation | Audit | Comparison | Card
CARD = "card.json"  # of a run folder
RESULT = FileKind("JSON result", 128 * MIB, "Give a file that atkl wrote")
OURS = "evaluation by atkl evaluate, audit by atkl audit, comparison by atkl reproduce, run card"


@dataclass(frozen=True)
class Kind:
    """A kind of result file.

    Args:
        record: its type.
        marks: fields that only this kind has, for files that do not say what they are.
        upgrade: makes a file of version 1 one of today; None where nothing has changed.
    """

    record: type[Result]
    marks: tuple[str, ...]
    upgrade: Callable[[Json, str], Json] | None = None

    @property
    def schema(self) -> str:
        """What such a file says it is: "atk_latent/evaluation/2"."""
        return str(self.record.model_fields["schema_name"].default)


KINDS = {
    "evaluation": Kind(Evaluation, ("attacks", "clean_accuracy"), upgrade_evaluation),
    "audit": Kind(Audit, ("checks", "passed")),
    "comparison": Kind(Comparison, ("rows", "columns"), upgrade_comparison),
    "card": Kind(Card, ("method", "settings")),
}


@dataclass(frozen=True)
class ResultFile:
    """A result and where it was read.

    Args:
        path: of the file. result: its content.
    """

    path: Path
    result: Result


def read_results(paths: Sequence[Path]) -> tuple[ResultFile, ...]:
    """Reads result files and run folders, each once.

    Raises:
        InputError: on the first that is no result.
    """
    return tuple(read_result(path) for path in {path.resolve(): path for path in paths}.values())


def read_result(path: Path) -> ResultFile:
    """Reads a result file, a run folder (its `card.json`) or a comparison's folder.

    A file that does not say its day has that of its last change; a card that does not say what
    was asked for beside the preset has it from the `request.json` beside it.

    Raises:
        InputError: if it is missing, no regular file or too large, no JSON, no result, or a
            field is wrong or contradicts another.
    """
    file = _file(path)
    content = _load(file)
    name = _kind(content, file)
    kind = KINDS[name]
    written = datetime.date.fromtimestamp(file.stat().st_mtime).isoformat()
    content = {"date": written, **content}
    if kind.upgrade and content.get("schema") != kind.schema:
        content = kind.upgrade(content, str(file))
    if name == "card" and "overrides" not in content:
        content |= {"overrides": _requested(file.parent)}
    result = kind.record.from_json(content, str(file))
    for field in kind.record.model_computed_fields:
        if content.get(field, getattr(result, field)) != getattr(result, field):
            follows = json.dumps(getattr(result, field))
            came = short(content[field])
            raise InputError(f"{file}: {field} must be {follows}, as its parts say, not {came}")
    return ResultFile(file, result)


def read_card(folder: Path) -> Card:
    """The card of a finished run.

    Args:
        folder: the run folder.

    Raises:
        InputError: if it holds no `card.json`, or one with a wrong field.
    """
    result = read_result(folder / CARD).result
    if not isinstance(result, Card):
        raise InputError(f"{folder / CARD} must be the card of a run")
    return result


def write_result(path: str | Path, result: Result) -> None:
    """Writes a result as JSON, whole or not at all.

    Raises:
        InputError: if `path` is a folder or its parent is missing.
    """
    write_json(path, result.to_json())


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    for name in (CARD, "result.json"):
        if (path / name).is_file():
            return path / name
    raise InputError(
        f"{path} holds neither card.json (a run) nor result.json (a comparison); "
        "name a result file instead"
    )


def _load(file: Path) -> Json:
    content = read_json(file, RESULT)
    if not isinstance(content, dict):
        raise InputError(f"{file} must hold one JSON object ({OURS}), not {short(content)}")
    return content


def _kind(content: Json, file: Path) -> str:
    """By what the file says it is, else by its fields."""
    schema = content.get("schema")
    if schema is None:
        for name, kind in KINDS.items():
            if all(mark in content for mark in kind.marks):
                return name
        raise InputError(f"{file} is no result. Expected: {OURS}. It has {short(list(content))}")
    for name, kind in KINDS.items():
        if schema in (kind.schema, f"atk_latent/{name}/1"):
            return name
    known = ", ".join(kind.schema for kind in KINDS.values())
    raise InputError(f"{file}: schema {short(schema)} is not known here. Known: {known}")


def _requested(folder: Path) -> JsonValue:
    """What the request of a run says was asked for beside the preset; None where it is silent."""
    request = folder / "request.json"
    overrides = _load(request).get("overrides") if request.is_file() else None
    return overrides if isinstance(overrides, dict) else None
