"""`atk_latent.trainers` and its like: names for editors, imports when they are used."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

DOORS = ["trainers", "estimators"]


@pytest.mark.parametrize("door", DOORS)
def test_a_door_gives_every_name_and_no_other(door):
    module = importlib.import_module(f"atk_latent.{door}")
    for name in module.__all__:
        assert getattr(module, name).__name__ == name
    assert dir(module) == sorted(module.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        module.Nothing  # noqa: B018


@pytest.mark.parametrize("door", DOORS)
def test_an_editor_sees_the_same_names(door):
    module = importlib.import_module(f"atk_latent.{door}")
    (guarded,) = (n for n in ast.parse(Path(module.__file__).read_text()).body if type(n) is ast.If)
    seen = {alias.name for line in guarded.body for alias in line.names}
    assert seen == set(module.__all__)


def test_opening_the_doors_imports_no_tensorflow():
    code = (
        "import sys;"
        + "".join(f"import atk_latent.{door};" for door in DOORS)
        + "sys.exit(any(m in sys.modules for m in ('tensorflow', 'keras', 'art', 'pydantic')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
