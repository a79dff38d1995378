import pytest

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
    (song,) = (row for row in baselines.ROWS if row.label == "song adv.")
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
