"""The JSON Schemas of result files, made from the records.

`python -m atk_latent.results.schemas` writes them into `schemas/` again.
"""

from __future__ import annotations

from pathlib import Path

from atk_latent.atomic import json_text
from atk_latent.results.files import KINDS
from atk_latent.results.record import Json

FOLDER = Path(__file__).parent / "schemas"


def schema(kind: str) -> Json:
    """The JSON Schema (draft 2020-12) of a kind of result file.

    Args:
        kind: "evaluation", "audit", "comparison" or "card".
    """
    content = KINDS[kind].record.model_json_schema(mode="serialization")
    for part in (content, *content.get("$defs", {}).values()):
        if "description" in part:  # the docstring, without code
            part["description"] = part["description"].partition("\n\nExample:")[0]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": KINDS[kind].schema}
    return {**head, **content}


def schema_files() -> dict[Path, str]:
    """Path and text of every schema's file."""
    return {
        FOLDER / f"{name.schema.removeprefix('atk_latent/').replace('/', '-')}.json": (
            json_text(schema(kind)) + "\n"
        )
        for kind, name in KINDS.items()
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path, text in schema_files().items():
        path.write_text(text, encoding="utf-8")
