"""The numbers that the papers print, as fractions."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml

from atk_latent.results.attack_result import Published


def published(paper: str, table: str, data: str) -> dict[str, dict[str, Published]]:
    """A table as printed, by labels of row and column; what is not printed is not there.

    Args:
        paper: "atld" or "ladder", a file of `published/`.
        table, data: the keys of the table in it; {} where the paper has none for the data set.
    """
    cells: dict[str, dict[str, Published]] = {}
    for block in _file(paper)[table].get(data, ()):
        for row, percents in block["rows"].items():
            pairs = zip(block["columns"], percents, strict=True)
            cells[row] = {
                column: Published(value=percent / 100, source=block["source"])
                for column, percent in pairs
                if percent is not None
            }
    return cells


@functools.cache
def _file(paper: str) -> Mapping[str, Any]:
    path = resources.files("atk_latent.reproduction") / "published" / f"{paper}.yaml"
    content: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content
