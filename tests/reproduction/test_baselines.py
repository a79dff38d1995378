import numpy as np
import pytest

from atk_latent.art_bridge.estimator import estimator_for
from atk_latent.art_bridge.factory import make_attack
from atk_latent.config import spec
from atk_latent.models.lenet import lenet
from atk_latent.registry import METHODS
from atk_latent.reproduction import baselines


@pytest.mark.parametrize("preset", ["quick", "paper"])
@pytest.mark.parametrize("experiment", [baselines.MNIST, baselines.CIFAR10], ids=lambda e: e.data)
def test_every_row_of_the_baselines_can_be_set(experiment, preset, noted):
    runner, rows = noted(preset), experiment.rows
    assert len({row.label for row in rows}) == len(rows)
    ablations = {"ladder-cavrandom", "ladder-random", "ladder-gan"}
    assert {row.method for row in rows} == set(METHODS) - ablations
    radius = {"mnist": {"quick": "0.2", "paper": "0.3"}}.get(experiment.data, {})
    for row in rows:
        settings = runner.settings(experiment, row)
        request = runner.request(experiment, row)
        if "eps" in row.settings:
            assert request.options.overrides["eps"] == radius.get(preset, "8/255")
        if preset == "quick" and METHODS[row.method].starts_from == "scratch":
            assert row.method == "lat" or settings["epochs"] == 8, row.label


def test_song_examples_come_from_the_gan_that_the_baselines_train(noted, tmp_path):
    runner = noted("quick")
    (song,) = (row for row in baselines.ROWS if row.folder == "song adv.")
    request, gan = runner.request(baselines.CIFAR10, song), tmp_path / "runs" / "song-gan"
    assert request.options.overrides == {"attack": f"song:gan={gan},steps=60"}
    assert request.model == str(tmp_path / "runs" / "Natural" / "model.keras")
    options = runner.requests[gan].options
    assert options.overrides == {"architecture": "mnist", "steps": 1000}
    assert options.limit == 5_000 and runner.requests[gan].judge is None
    natural = runner.requests[tmp_path / "runs" / "Natural"]
    assert natural.model == "lenet" and natural.options.limit == 5_000


def test_the_papers_recipes_train_the_papers_network(noted):
    runner, experiment = noted("paper"), baselines.CIFAR10
    request = runner.request(experiment, baselines.NATURAL)
    assert request.model == "cifarnet" and request.options.limit is None
    title = runner.text(experiment, experiment.title)
    assert "cifarnet" in title and "own recipe" in title and "120 training images" in title


def test_every_row_says_its_preset_and_runs_are_named_as_before(noted):
    titles = [row.title("quick") for row in baselines.ROWS]
    assert all(title.endswith((" (quick)", " (official)")) for title in titles)
    games = [row for row in baselines.ROWS if row.method == "atld"]
    assert [row.title("quick") for row in games] == [
        "ATLD-, no divergence term (official)",
        "ATLD-, the code's term (official)",
        "ATLD-, the paper's term (quick)",
    ]
    assert [row.folder for row in games][-1] == "ATLD-"
    settings = [noted("quick").settings(baselines.MNIST, row) for row in games]
    assert [s["theta_term"] for s in settings] == ["none", "mse_ratio", "discriminator"]


def test_passes_alone_have_a_row(noted):
    """As long as LADDER, on as many images, none of them attacked."""
    runner = noted("quick")
    rows = {row.folder: runner.settings(baselines.CIFAR10, row) for row in baselines.CIFAR10.rows}
    ladder, longer = rows["LADDER"], rows["Natural, fine-tuned"]
    for name in ("epochs", "examples_per_class", "batch_size", "learning_rate", "originals"):
        assert longer[name] == ladder[name], name
    name, settings = spec(longer["attack"])
    assert name == "fgsm" and float(settings["eps"]) < 1e-8
    flipped = rows["Natural, fine-tuned, crops and flips"]
    assert {n for n in flipped if flipped[n] != longer[n]} == {"augment"}
    assert baselines.AUGMENTED not in baselines.MNIST.rows  # digits are not mirrored


def test_the_attack_of_no_change_changes_nothing(dataset):
    network = lenet(dataset.image_shape, 3)
    x, y = dataset.x_test[:4], dataset.y_test[:4]
    attack = make_attack(baselines.UNCHANGED, estimator_for(network, image_shape=x.shape[1:]))
    np.testing.assert_allclose(attack.generate(x, y), x, atol=1e-8)
