"""The road: a module imports only from folders to its left."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BASE = {
    "errors",
    "registry",
    "config",
    "atomic",
    "files",
    "checksums",
    "arrays",
    "locks",
    "labels",
    "pixels",
    "progress",
    "lazy",
}
DOORS = {"attacks", "trainers", "estimators"}  # public names; nothing on the road imports them
LAYERS = [
    "base",
    "results",
    "data",
    "models",
    "adversaries",
    "methods",
    "inference",
    "art_bridge",
    "evaluation",
    "reporting",
    "exporting",
    "training",
    "reproduction",
    "api",
    "cli",
    "doors",
]
FILES = sorted(
    p
    for p in [*ROOT.glob("atk_latent/**/*.py"), *ROOT.glob("cli/**/*.py")]
    if p != ROOT / "atk_latent" / "__init__.py"
)


def layer_name(dotted):
    part = dotted.split(".")[1] if "." in dotted else ""
    if part in DOORS:
        return "doors"
    return "base" if part in BASE or not part else part


def layer_of(path):
    relative = path.relative_to(ROOT)
    if relative.parts[0] == "cli":
        return "cli"
    return layer_name(".".join(relative.with_suffix("").parts))


def imported_modules(source, package):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                stem = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1])
                yield f"{stem}.{node.module}" if node.module else stem
            elif node.module == "atk_latent":
                yield from (f"atk_latent.{alias.name}" for alias in node.names)
            else:
                yield node.module


def package_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = ("atk_latent", *parts) if parts[0] == "cli" else parts
    return ".".join(parts[:-1])


def wrong_imports(source, layer, package):
    here = LAYERS.index(layer)
    found = {layer_name(m) for m in imported_modules(source, package) if m.startswith("atk_latent")}
    return sorted(name for name in found if name != "__version__" and LAYERS.index(name) > here)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_left(path):
    layer = layer_of(path)
    bad = wrong_imports(path.read_text(), layer, package_of(path))
    assert not bad, f"{path.name} is in {layer!r} and may not import {bad}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_bridge_imports_art(path):
    modules = imported_modules(path.read_text(), package_of(path))
    imports_art = any(m == "art" or m.startswith("art.") for m in modules)
    assert not imports_art or layer_of(path) == "art_bridge"


def test_an_import_to_the_right_is_caught():
    source = "from atk_latent.methods import base\nfrom ..art_bridge import trainers\n"
    assert wrong_imports(source, "models", "atk_latent.models") == ["art_bridge", "methods"]
