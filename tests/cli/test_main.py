import json
import os
import re
import statistics
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from atk_latent import __version__
from atk_latent.cli.main import COMMANDS, main
from atk_latent.registry import ATTACKS, DATA, METHODS


def invoke(*arguments):
    return CliRunner().invoke(main, list(arguments))


def test_help_answers_at_once_and_imports_no_tensorflow():
    code = (
        "import sys\n"
        "try:\n"
        "    from atk_latent.cli.main import main; main(['--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(m in sys.modules for m in ('tensorflow', 'keras', 'art', 'numpy')))"
    )
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        seconds.append(time.perf_counter() - start)
        assert done.returncode == 0
    assert statistics.median(seconds) < 0.6  # 0.3 s on a quiet machine


def test_help_names_every_command():
    result = invoke("--help")
    assert result.exit_code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    result = invoke(name, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_version():
    assert __version__ in invoke("--version").stdout


@pytest.mark.parametrize(
    ("kind", "names"), [("methods", METHODS), ("attacks", ATTACKS), ("data", DATA)]
)
def test_list_prints_every_name(kind, names):
    assert json.loads(invoke("list", kind, "--json").stdout) == {kind: list(names)}
    text = invoke("list", kind).stdout
    for name in names:
        assert re.search(rf"^{re.escape(name)}\s+\S", text, re.MULTILINE)


def test_doctor_finds_versions_devices_and_data(tmp_path, monkeypatch):
    (tmp_path / "mnist.npz").write_bytes(b"")
    monkeypatch.setenv("ATKL_DATA_DIR", str(tmp_path))
    found = json.loads(invoke("doctor", "--json").stdout)
    assert found["versions"]["tensorflow"]
    assert found["data"]["mnist"].endswith("mnist.npz")
    assert any("CPU" in device for device in found["devices"])
    assert "tensorflow" in invoke("doctor").stdout


def test_list_alone_is_everything_on_one_page():
    text = invoke("list").stdout
    for registry in (METHODS, ATTACKS, DATA):
        assert all(re.search(rf"^  {re.escape(name)} ", text, re.MULTILINE) for name in registry)
    assert set(json.loads(invoke("list", "--json").stdout)) >= {"methods", "attacks", "suites"}
    assert invoke("list", "--verbose").exit_code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_for_atkl(shell):
    text = invoke("completion", shell).stdout
    assert "_ATKL_COMPLETE" in text
    assert f"{shell}_complete" in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("atkl ev", "evaluate"),
        ("atkl harden --method tra", "trades-ladder"),
        ("atkl harden --data fash", "fashion_mnist"),
        ("atkl evaluate RUN --attack auto", "autoattack"),
        ("atkl reproduce ladder-m", "ladder-mnist"),
        ("atkl harden --see", "--seed"),
    ],
)
def test_the_tab_key_completes(words, expected):
    code = "from atk_latent.cli.main import main; main(prog_name='atkl')"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "_ATKL_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"plain,{expected}" in answer.stdout.splitlines()
