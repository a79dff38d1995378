"""What can be imported from `atk_latent.methods` and `atk_latent.inference`."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from atk_latent import inference, methods
from atk_latent.registry import METHODS


@pytest.mark.parametrize("name", METHODS)
def test_every_method_and_its_settings_are_public(name):
    method = METHODS[name]
    assert getattr(methods, method.__name__) is method
    assert getattr(methods, method.settings_type.__name__) is method.settings_type


@pytest.mark.parametrize("package", [methods, inference], ids=lambda p: p.__name__)
def test_names_are_importable_and_known_to_editors(package):
    assert sorted(package.__all__) == sorted(set(package.__all__)) == dir(package)
    for name in package.__all__:
        thing = getattr(package, name)
        assert thing.__name__ == name
        assert "Example:" in inspect.getdoc(thing), name
    tree = ast.parse(Path(package.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.name for node in block.body for alias in node.names}
    assert typed == set(package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        package.Nothing  # noqa: B018


@pytest.mark.parametrize("package", ["methods", "inference"])
def test_importing_the_package_imports_no_tensorflow(package):
    code = f"import sys, atk_latent.{package}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_submodules_stay_importable():
    assert importlib.import_module("atk_latent.methods.base").Method is methods.Method
