"""The numbers that the papers print, as fractions."""

from __future__ import annotations

import functools
import json
from importlib import resources

import pydantic
import yaml

from atk_latent.results.attack_result import Published
from atk_latent.results.record import Record


class Block(Record):
    """A printed table, or a part of it.

    Args:
        source: where it stands: "LADDER, Table 7".
        columns: their labels. rows: by label, a percentage a column; None where the paper has
            none.
    """

    source: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[float | None, ...]]


_PAPER = pydantic.TypeAdapter(dict[str, dict[str, tuple[Block, ...]]])


def published(paper: str, table: str, data: str) -> dict[str, dict[str, Published]]:
    """A table as printed, by labels of row and column; what is not printed is not there.

    Args:
        paper: "atld" or "ladder", a file of `published/`.
        table, data: the keys of the table in it; {} where the paper has none for the data set.
    """
    return {
        row: {
            column: Published(value=percent / 100, source=block.source)
            for column, percent in zip(block.columns, percents, strict=True)
            if percent is not None
        }
        for block in _blocks(paper)[table].get(data, ())
        for row, percents in block.rows.items()
    }


@functools.cache
def _blocks(paper: str) -> dict[str, dict[str, tuple[Block, ...]]]:
    path = resources.files("atk_latent.reproduction") / "published" / f"{paper}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return _PAPER.validate_json(json.dumps(content))
