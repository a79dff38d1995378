"""The wheel and the source distribution hold what the package needs to run."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NEEDED = (
    "atk_latent/py.typed",
    "atk_latent/attacks.pyi",
    "atk_latent/evaluation/suites/full.yaml",
    "atk_latent/methods/presets/atld.yaml",
    "atk_latent/reproduction/published/atld.yaml",
    "atk_latent/results/schemas/",
    "atk_latent/reporting/templates/",
    "atk_latent/cli/main.py",
)


def run(*words, **options):
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_wheel_and_sdist_install_and_run_elsewhere(tmp_path):
    run(sys.executable, "-m", "build", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    sdist, wheel = next(tmp_path.glob("*.tar.gz")), next(tmp_path.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for needed in NEEDED:
        assert any(name.startswith(needed) for name in names), needed
    assert not any(name.startswith(("tests/", "benchmarks/", "cli/")) for name in names)
    with tarfile.open(sdist) as archive:
        assert any(name.endswith("/setup.py") for name in archive.getnames())

    for package in (wheel, sdist):
        folder = tmp_path / package.suffix[1:]
        venv.create(folder, with_pip=True)
        python = folder / "bin" / "python"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path[1:])}
        environment["PYTHONPATH"] = site_packages()
        run(python, "-m", "pip", "install", "--no-deps", "-q", package, cwd=tmp_path)
        code = "import atk_latent, atk_latent.cli.main as m; print(atk_latent.__file__)"
        assert str(folder) in run(python, "-c", code, cwd=tmp_path, env=environment)
        command = folder / "bin" / "atkl"
        text = run(command, "list", "suites", cwd=tmp_path, env=environment)
        assert "autoattack" in text.lower()


def site_packages():
    """Where this environment's libraries are."""
    import numpy

    return str(Path(numpy.__file__).parents[1])
