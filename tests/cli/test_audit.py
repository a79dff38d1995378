"""`atkl audit` says what it found and exits with 3 where a check fails."""

import json

import jsonschema
import keras
import numpy as np
import pytest
from click.testing import CliRunner

from atk_latent.art_bridge import estimator  # noqa: F401  before CliRunner swaps stderr
from atk_latent.cli.audit import audit_command
from atk_latent.evaluation import audit, audit_checks
from atk_latent.results.schemas import schema
from tests.evaluation import two_halves


def audited(path, *arguments):
    command = [str(path), "--data", "digits", "--limit", "20", *map(str, arguments)]
    return CliRunner().invoke(audit_command, command)


@pytest.fixture
def model(tmp_path):
    """Ignores its input: no gradient anywhere."""
    flat = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(10, kernel_initializer="zeros"),
        ]
    )
    flat.save(tmp_path / "flat.keras")
    return tmp_path / "flat.keras"


def test_a_failed_check_is_named_explained_and_ends_with_three(model, monkeypatch):
    monkeypatch.setattr(audit, "CHECKS", (audit_checks.zero_gradients,))
    shown = audited(model)
    assert shown.exit_code == 3
    assert "FAILED" in shown.stdout and "exactly 0 on 100.0%" in shown.stdout
    assert "stands still" in shown.stdout


def test_json_holds_every_check_and_goes_to_a_file_too(model, monkeypatch, tmp_path):
    monkeypatch.setattr(audit, "CHECKS", (audit_checks.randomised_output,))
    shown = audited(model, "--json", "--eps", "0.1", "--out", tmp_path / "audit.json")
    assert shown.exit_code == 0, shown.output
    record = json.loads(shown.stdout)
    assert record == json.loads((tmp_path / "audit.json").read_text())
    assert (record["passed"], record["eps"], record["n"]) == (True, 0.1, 20)
    assert [check["name"] for check in record["checks"]] == ["randomised-output"]


def test_a_run_is_audited_behind_its_imt(monkeypatch, tmp_path):
    monkeypatch.setattr(audit, "CHECKS", (audit_checks.static_vs_adaptive,))
    game, (x, y) = two_halves.game(), two_halves.images(20)
    game.classifier.save(tmp_path / "model.keras")
    game.save_helpers(tmp_path / "helpers")
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    command = [tmp_path, "--data", tmp_path / "data.npz", "--eps", two_halves.EPS, "--json"]
    arguments = [str(part) for part in (*command, "--inference", "imt")]
    shown = CliRunner().invoke(audit_command, arguments)
    assert shown.exit_code == 3, shown.output
    record = json.loads(shown.stdout)
    jsonschema.validate(record, schema("audit"))
    assert record["inference"] == "imt"
    (check,) = record["checks"]
    assert (check["name"], check["measured"]["static_pgd_20"]) == ("static-vs-adaptive", 1.0)
    assert "must not be quoted" in check["verdict"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--eps", "far"), "--eps must be a number"),
        (("--eps", "2"), "'eps' must be between"),
        (("--inference", "mit"), "must be none, imt or imt+"),
        (("--inference", "imt"), "holds no discriminator"),
        (("--surrogate", "nowhere.keras"), "nowhere.keras"),
    ],
)
def test_wrong_input_is_one_line(model, arguments, message):
    shown = audited(model, *arguments)
    assert shown.exit_code == 2
    assert message in shown.stderr and shown.stderr.count("\n") == 1
