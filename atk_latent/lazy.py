"""Public names that are imported when they are first used."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any


def lazy(module: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What a module of lazy names needs: its `__getattr__`, `__dir__` and `__all__`.

    The names are declared once, where editors and type checkers read them: as imports below the
    module's ``if TYPE_CHECKING:``.

    Args:
        module, file: the module's `__name__` and `__file__`.

    Example:
        >>> "harden" in __import__("atk_latent").__all__
        True
    """
    places = _typed_imports(Path(file).read_text(encoding="utf-8"))

    def getattribute(name: str) -> Any:
        """Imports a public name when it is first used."""
        if name not in places:
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        if places[name] == module:
            return importlib.import_module(f"{module}.{name}")
        return getattr(importlib.import_module(places[name]), name)

    def names() -> list[str]:
        """The public names, for who asks with the tab key."""
        return sorted(places)

    return getattribute, names, sorted(places)


def _typed_imports(source: str) -> dict[str, str]:
    """Name to module of every import below ``if TYPE_CHECKING:``."""
    places: dict[str, str] = {}
    for block in ast.parse(source).body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for line in block.body:
                if isinstance(line, ast.ImportFrom) and line.module:
                    places |= {alias.asname or alias.name: line.module for alias in line.names}
    return places
