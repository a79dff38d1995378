"""House rules that a machine can check."""

import ast
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


@pytest.mark.slow
def test_mypy_finds_nothing():
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "-p", "atk_latent", "-p", "cli"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
