"""Writes `atk_latent/attacks.pyi`, from which editors and type checkers know the attack classes.

Run ``python -m atk_latent.art_bridge.stubs`` after an attack's parameters have changed.
"""

from __future__ import annotations

import inspect
import math
import typing
from pathlib import Path
from typing import Any

import atk_latent
from atk_latent.art_bridge.attack_classes import MODULE, AdversaryAttack, attack_class
from atk_latent.atomic import atomic_file
from atk_latent.registry import ATTACKS

PATH = Path(atk_latent.__file__).with_name("attacks.pyi")
_HEAD = '''"""Written by `python -m atk_latent.art_bridge.stubs`; a test holds it up to date."""

from typing import Literal

from art.estimators.classification import TensorFlowV2Classifier

from atk_latent.art_bridge.attack_classes import AdversaryAttack
'''


def stub_text() -> str:
    """The text of the stub: hand-written classes imported, those of specs with signatures."""
    classes = [attack_class(name) for name in ATTACKS if ATTACKS.entry(name).art_class]
    classes.sort(key=lambda kind: kind.__name__)
    generated = [kind for kind in classes if kind.__module__ == MODULE]
    imports = [
        f"from {kind.__module__} import {kind.__name__} as {kind.__name__}"
        for kind in sorted(set(classes) - set(generated), key=lambda kind: kind.__module__)
    ]
    return "\n".join(
        [_HEAD.rstrip(), *imports, "", "__all__: list[str]", "", *map(_class_text, generated)]
    )


def _class_text(kind: type[AdversaryAttack]) -> str:
    first, *rest = inspect.getdoc(kind).splitlines()  # type: ignore[union-attr]
    lines = [f"class {kind.__name__}(AdversaryAttack):", f'    """{first}']
    lines += [f"    {line}".rstrip() for line in rest]
    lines += ['    """', "", "    def __init__(", "        self,"]
    keyword_only = False
    for parameter in kind.__signature__.parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            lines.append("        *,")
        annotation = f"{parameter.name}: {_kind_text(parameter.annotation)}"
        lines.append(f"        {annotation}{_default_text(parameter.default)},")
    return "\n".join([*lines, "    ) -> None: ...", ""])


def _default_text(default: object) -> str:
    if default is inspect.Parameter.empty:
        return ""
    return " = ..." if default == math.inf else f" = {_literal_text(default)}"


def _kind_text(kind: Any) -> str:
    """A type as it is written."""
    if isinstance(kind, type):
        return "None" if kind is type(None) else kind.__name__
    parts = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return f"Literal[{', '.join(map(_literal_text, parts))}]"
    return " | ".join(map(_kind_text, parts))


def _literal_text(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def main() -> None:
    """Writes the file."""
    with atomic_file(PATH) as part:
        part.write_text(stub_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
