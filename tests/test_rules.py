"""House rules that a machine can check."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*ROOT.glob("atk_latent/**/*.py"), *ROOT.glob("cli/**/*.py")])


def functions(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_function_over_sixty_lines(path):
    long = [
        f"{f.name}: {f.end_lineno - f.lineno + 1}"
        for f in functions(path)
        if f.end_lineno - f.lineno + 1 > 60
    ]
    assert not long


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_assert_in_the_sources(path):
    assert not [
        n.lineno for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Assert)
    ]


def test_importing_the_package_imports_no_tensorflow():
    code = (
        "import sys, atk_latent, atk_latent.registry, atk_latent.config, atk_latent.attacks;"
        "sys.exit(any(m in sys.modules for m in ('tensorflow', 'keras', 'art', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_ruff_finds_nothing():
    for arguments in (["check"], ["format", "--check"]):
        run = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "--quiet", "."],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr


def test_mypy_finds_nothing():
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "-p", "atk_latent", "-p", "cli"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


ART_SIGNATURES = {"atk_latent/art_bridge/estimator.py:__init__"}  # ART's own list of parameters


def test_no_signature_over_seven_parameters():
    wide = [
        f"{path.relative_to(ROOT)}:{f.name}"
        for path in SOURCES
        for f in functions(path)
        if len([a for a in f.args.args + f.args.kwonlyargs if a.arg not in ("self", "cls")]) > 7
    ]
    assert set(wide) == ART_SIGNATURES


def test_any_is_rare_and_dicts_of_any_are_rarer():
    text = "\n".join(path.read_text() for path in SOURCES)
    body = re.sub(r"^from typing.*$", "", text, flags=re.M)
    assert 1000 * len(re.findall(r"\bAny\b", body)) / text.count("\n") <= 12
    assert len(re.findall(r"(?:dict|Mapping)\[str, Any\]", body)) <= 40


def test_no_file_is_named_that_is_not_in_the_repository():
    named = re.compile(r"`((?:atk_latent|cli|tests|benchmarks|docs|reproduced)/[\w./-]+?)`")
    lost = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in [*SOURCES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
        for name in named.findall(path.read_text())
        if not (ROOT / name).exists()
    ]
    assert not lost
