"""What a run's card and screen say of its preset."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import atk_latent.art_bridge.estimator  # noqa: F401  (before click replaces stderr)
from atk_latent.cli.main import main


@pytest.fixture
def npz(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.random((12, 16, 16, 1), np.float32), np.arange(12) % 2
    np.savez(tmp_path / "my.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    return tmp_path / "my.npz"


@pytest.mark.parametrize(("preset", "name"), [("paper", "defaults"), ("quick", "quick")])
def test_a_run_on_data_without_rows_says_defaults(npz, tmp_path, preset, name):
    folder = tmp_path / "run"
    options = ["--method", "fgsm", "--data", str(npz), "--preset", preset, "--epochs", "1"]
    result = CliRunner().invoke(main, ["harden", *options, "--out", str(folder), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert f"({name})" in result.output.replace("\n", "")
    card = json.loads((folder / "card.json").read_text())
    assert card["preset"] == name
    assert card["settings"]["epochs"] == 1 and card["settings"]["awp_gamma"] == 0.0
    assert "preset " + name in (folder / "card.md").read_text()
