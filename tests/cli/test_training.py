"""What `atkl harden` and `atkl train-gan` make of their arguments, without training anything."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

# Importing ART resets logging: it must happen here, not under click's CliRunner.
import atk_latent.art_bridge.estimator  # noqa: F401
from atk_latent.cli.main import main
from atk_latent.results.card import Card
from atk_latent.training import gan_training, pipeline
from atk_latent.training.request import GANRequest, HardenRequest, RunOptions
from tests import run_cards

CARD = Card.from_json({**run_cards.CARD, "method": "pgd", "run": "there"}, "card")


@pytest.fixture
def calls(monkeypatch):
    """The requests and folders that reach the training, which does nothing."""
    calls = []

    def train(request, dataset, folder, *, resume, progress):
        calls.append((request, len(dataset.x_train), folder, resume))
        return CARD

    monkeypatch.setattr(pipeline, "harden", train)
    monkeypatch.setattr(gan_training, "train_gan", train)
    return calls


def invoke(*arguments):
    return CliRunner().invoke(main, [*arguments, "--data", "digits", "--device", "cpu", "--json"])


def test_harden_asks_for_what_its_options_say(calls, tmp_path):
    (tmp_path / "settings.json").write_text('{"epochs": 7, "momentum": 0.5}')
    result = invoke(
        *("harden", "--method", "pgd", "--preset", "quick", "--model", "lenet", "--seed", "3"),
        *("--eps", "8/255", "--set", "epochs=2", "--limit", "40", "--resume"),
        *("--config", str(tmp_path / "settings.json"), "--out", str(tmp_path / "run")),
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == CARD.to_json()
    settings = {"epochs": "2", "momentum": 0.5, "eps": "8/255"}
    request = HardenRequest("pgd", RunOptions("digits", "quick", settings, 40, 3), "lenet")
    assert calls == [(request, 40, tmp_path / "run", True)]


def test_train_gan_asks_for_what_its_options_say(calls, tmp_path):
    result = invoke("train-gan", "--judge", "judge.keras", "--set", "steps=100", "--limit", "40")
    assert result.exit_code == 0, result.output
    request = GANRequest(RunOptions("digits", "paper", {"steps": "100"}, 40), "judge.keras")
    ((asked, images, folder, resume),) = calls
    assert (asked, images, str(folder), resume) == (request, 40, "runs/song-digits", False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--eps", "0.3", "--set", "eps=0.2"], "'eps' is given twice, by --eps and by --set"),
        (["--latent-layer", "fc1"], "--latent-layer does nothing for --method pgd"),
        (["--set", "eps"], "a setting must read key=value"),
        (["--method", "pgb"], "Did you mean 'pgd'?"),
    ],
)
def test_wrong_options_train_nothing(calls, arguments, message):
    result = invoke("harden", "--method", "pgd", *arguments)
    assert result.exit_code == 2 and message in result.output
    assert not calls


def test_ctrl_c_says_how_to_go_on(monkeypatch, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "harden", interrupted)
    result = invoke("harden", "--method", "pgd", "--out", str(tmp_path / "run"))
    assert result.exit_code == 130
    assert f"The same command with --resume goes on in {tmp_path / 'run'}." in result.output


def test_help_of_the_training_commands_imports_no_tensorflow():
    for command in ("harden", "train-gan"):
        code = (
            "import sys; from click.testing import CliRunner; from atk_latent.cli.main import main;"
            f"assert CliRunner().invoke(main, [{command!r}, '--help']).exit_code == 0;"
            "sys.exit(any(m in sys.modules for m in ('tensorflow', 'keras', 'pydantic')))"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
