"""--ray and its companions, and `atkl sweep`: what is wrong is one line and exit code 2."""

import sys

import pytest
from click.testing import CliRunner

from atk_latent.cli.audit import audit_command
from atk_latent.cli.evaluate import evaluate_command
from atk_latent.cli.reproduce import reproduce
from atk_latent.cli.sweep import sweep_command

MODEL = "saved_models/digits-lenet-natural"
EVALUATE = (evaluate_command, MODEL, "--data", "digits")
AUDIT = (audit_command, MODEL, "--data", "digits")
REPRODUCE = (reproduce, "atld-fig3")
SWEEP = (sweep_command, "--data", "digits")


def refused(command, *arguments):
    result = CliRunner().invoke(command, [str(a) for a in arguments])
    assert result.exit_code == 2, result.output
    assert result.stdout == "" and len(result.stderr.strip().splitlines()) == 1
    return result.stderr


@pytest.mark.parametrize("command", [EVALUATE, AUDIT, REPRODUCE])
def test_workers_without_ray_are_refused(command, tmp_path):
    error = refused(*command, "--workers", 2, "--out", tmp_path / "out")
    assert "--workers is for --ray; add --ray local" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [EVALUATE, AUDIT, REPRODUCE])
def test_without_ray_installed_the_line_says_how_to_get_it(command, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    error = refused(*command, "--ray", "local", "--out", tmp_path / "out")
    assert "pip install 'atk-latent[ray]'" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method", "tradez"), "Did you mean 'trades'"),
        (("--method", "pgd", "--seeds", "0,x"), "--seeds must be whole numbers"),
        (("--method", "pgd", "--set", "eps=0.1,,2"), "--set must read KEY=A,B,C"),
        (("--method", "pgd", "--set", "epss=0.1"), "Did you mean 'eps'"),
        (("--method", "pgd", "--attack", "pgdd"), "Did you mean 'pgd'"),
        (("--method", "pgd", "--gpus-per-worker", 1), "--gpus-per-worker is for --ray"),
        (("--method", "pgd", "--limit-train", 3), "--limit-train"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_before_it_writes(arguments, message, tmp_path):
    assert message in refused(*SWEEP, *arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
