"""How mkdocstrings reads this package's docstrings."""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)
_REMARK = re.compile(r"^(Reference|Differs|Source): ", re.MULTILINE)
_SHARED_LINE = re.compile(r"^( {4,})(\w+(?:, \w+)+): (.*(?:\n\1 .*)*)", re.MULTILINE)


class HouseStyle(griffe.Extension):
    """Turns what the docstrings say their own way into sections that are rendered well."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrites the docstring of whatever was read."""
        if obj.docstring:
            obj.docstring.value = rewritten(obj.docstring.value)


def rewritten(text: str) -> str:
    """A docstring with `Examples:` as code, remarks in bold, one line for each parameter."""
    text = _EXAMPLE.sub("Examples:", text)
    text = _REMARK.sub(r"**\1:** ", text)
    return _SHARED_LINE.sub(_one_line_each, text)


def _one_line_each(match: re.Match[str]) -> str:
    indent, names, description = match.groups()
    return "\n".join(f"{indent}{name}: {description}" for name in names.split(", "))
