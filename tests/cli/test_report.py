"""`atkl report`: from files to a folder, without TensorFlow."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from atk_latent.cli.report import report


@pytest.fixture
def audit(tmp_path):
    check = {"name": "restarts", "why": "w", "measured": {}, "passed": False, "verdict": "v"}
    record = {
        "schema": "atk_latent/audit/1",
        "date": "2026-01-31",
        "target": "runs/a",
        "data": "digits",
        "n": 20,
        "eps": 0.1,
        "passed": False,
        "checks": [check],
        "seed": 0,
        "versions": {},
    }
    path = tmp_path / "audit.json"
    path.write_text(json.dumps(record))
    return path


def reported(*arguments):
    return CliRunner().invoke(report, [str(argument) for argument in arguments])


def test_it_says_what_it_found_and_where_it_wrote(audit, tmp_path):
    shown = reported(audit, "--out", tmp_path / "out", "--title", "Mine & yours")
    assert shown.exit_code == 0, shown.output
    assert "Failed. Audit of runs/a on digits: 1 of 1 checks failed: restarts." in shown.stdout
    assert "<title>Mine &amp; yours</title>" in (tmp_path / "out" / "index.html").read_text()


def test_json_names_every_file(audit, tmp_path):
    shown = reported(audit, "--out", tmp_path / "out", "--json")
    found = json.loads(shown.stdout)
    assert found["report"] == str(tmp_path / "out")
    written = {str(path) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert set(found["files"]) == written
    assert found["files"][0].endswith("index.html")


def test_wrong_input_is_one_line_and_leaves_nothing(audit, tmp_path):
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"colour": 1}')
    full = tmp_path / "full"
    full.mkdir()
    (full / "x").write_text("x")
    cases = [
        ((wrong, "--out", tmp_path / "out"), "wrong.json is no result"),
        ((audit, wrong, "--out", tmp_path / "out"), "wrong.json is no result"),
        ((tmp_path / "none.json", "--out", tmp_path / "out"), "none.json does not exist"),
        ((audit, "--out", full), "not empty"),
        ((audit, "--out", audit / "out"), "cannot be written to"),
        ((audit, "--out", "/proc/x"), "cannot be written to"),
        ((audit, "--out", tmp_path / ("n" * 300)), "has a name of 300 bytes"),
    ]
    for arguments, message in cases:
        shown = reported(*arguments)
        assert shown.exit_code == 2
        assert message in shown.stderr and shown.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_folders_above_the_report_are_made(audit, tmp_path):
    assert reported(audit, "--out", tmp_path / "no" / "such" / "out").exit_code == 0
    assert (tmp_path / "no" / "such" / "out" / "index.html").is_file()


def test_no_tensorflow_is_imported(audit, tmp_path):
    code = (
        "import sys\n"
        "from atk_latent.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: code = end.code\n"
        "loaded = [m for m in ('tensorflow', 'keras', 'art') if m in sys.modules]\n"
        "sys.exit(code or ','.join(loaded) or 0)"
    )
    command = [sys.executable, "-c", code, "report", str(audit), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "index.html").is_file()
