import json

import numpy as np
import pytest
from click.testing import CliRunner

# Importing ART resets logging: it must happen here, not under click's CliRunner.
import atk_latent.art_bridge.estimator  # noqa: F401
from atk_latent.cli.main import main
from atk_latent.data.loading import load_dataset
from atk_latent.errors import InputError
from atk_latent.methods import song_gan
from atk_latent.models.song_gan import load_gan
from atk_latent.training import gan_training
from atk_latent.training.request import GANRequest, RunOptions

CLASSES = 2
FAST = {
    "architecture": "digits",
    "steps": "20",
    "latents": "4",
    "batch_size": "8",
    "discriminator_steps": "1",
}


def train_gan(*args, **options):
    """The card as files have it."""
    return gan_training.train_gan(*args, **options).to_json()


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    """8x8 images with a bright left (class 0) or right half."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("data") / "halves.npz"
    arrays = {}
    for part, count in (("train", 40), ("test", 20)):
        y = np.arange(count) % CLASSES
        x = rng.uniform(0, 0.2, (count, 8, 8, 1)).astype(np.float32)
        x[y == 0, :, :4] += 0.7
        x[y == 1, :, 4:] += 0.7
        arrays |= {f"x_{part}": x, f"y_{part}": y}
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """A classifier that knows the two halves without training."""
    import keras
    from keras import layers

    model = keras.Sequential([layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(CLASSES)])
    left = np.zeros((8, 8, 1))
    left[:, :4] = 1.0
    weights = np.stack([left.ravel(), 1 - left.ravel()], axis=1)
    model.set_weights([weights, np.zeros(CLASSES)])
    path = tmp_path_factory.mktemp("judge") / "judge.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def run(npz, judge, tmp_path_factory):
    """A run made by the command itself, in two stages of ten steps, and its card."""
    folder = tmp_path_factory.mktemp("runs") / "deep" / "song"
    arguments = ["train-gan", "--data", str(npz), "--out", str(folder), "--judge", str(judge)]
    arguments += ["--json", *(f"--set={name}={value}" for name, value in FAST.items())]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(song_gan, "STAGE_STEPS", 10)
        result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return folder, json.loads(result.stdout)


def request(npz, *, judge=None, overrides=FAST):
    return GANRequest(RunOptions(str(npz), "paper", overrides), judge)


def test_a_run_folder_holds_the_gan_its_images_and_its_card(run):
    folder, card = run
    present = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert present == {
        "card.json",
        "card.md",
        "checksums.json",
        "history.csv",
        "images.png",
        "request.json",
        "helpers/generator.keras",
        "helpers/discriminator.keras",
    }
    assert json.loads((folder / "card.json").read_text()) == card
    words = (folder / "card.md").read_text()
    assert "no classifier" in words and "logits" not in words and "attack" not in words
    assert (card["method"], card["preset"], card["seed"]) == ("song-gan", "paper", 0)
    assert card["settings"]["steps"] == 20
    assert card["settings"]["gradient_penalty"] == 10
    lines = (folder / "history.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,generator_steps,")
    assert [line.split(",")[1] for line in lines[1:]] == ["10", "20"]


def test_the_card_says_how_often_drawn_images_show_their_class(run, judge):
    folder, card = run
    gan = load_gan(folder)
    metrics = card["metrics"]
    y = np.arange(metrics["drawn_images"]) % CLASSES
    assert len(y) == 1000
    images, seen = song_gan.draw_images(gan, y, seed=0, batch_size=8)
    assert metrics["auxiliary_accuracy"] == pytest.approx(np.mean(seen == y))
    left = images[:, :, :4].sum((1, 2, 3)) > images[:, :, 4:].sum((1, 2, 3))
    assert metrics["judge_accuracy"] == pytest.approx(np.mean(left == (y == 0)))
    assert metrics["judge"] == str(judge)
    assert 0 <= metrics["auxiliary_accuracy_test_images"] <= 1


def test_a_finished_run_is_not_done_again(run, npz, judge):
    folder, card = run
    dataset, asked = load_dataset(str(npz)), request(npz, judge=str(judge))
    with pytest.raises(InputError, match="--resume"):
        train_gan(asked, dataset, folder)
    assert train_gan(asked, dataset, folder, resume=True) == card


def test_wrong_arguments_leave_nothing_behind(npz, tmp_path):
    dataset = load_dataset(str(npz))
    for changes in ({"judge": "nowhere.keras"}, {"overrides": {"latent": 3}}):
        with pytest.raises(InputError):
            train_gan(request(npz, **changes), dataset, tmp_path / "run")
    with pytest.raises(InputError, match="there are 40"):
        train_gan(request(npz, overrides={**FAST, "batch_size": 41}), dataset, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_evaluate_attacks_with_the_gan(run, npz, judge):
    folder, _ = run
    attack = f"song:gan={folder},steps=2,batch_size=8"
    arguments = ["evaluate", str(judge), "--data", str(npz), "--attack", attack, "--json"]
    result = CliRunner().invoke(main, [*arguments, "--limit", "8"])
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["attacks"]
    assert found["threat"] == "white-box, unrestricted (images of a GAN)"
    assert found["counts"]["searched"] == 8
    missing = CliRunner().invoke(main, [*arguments[:5], "song"])
    assert missing.exit_code == 2
    assert "atkl train-gan --data halves" in missing.output
