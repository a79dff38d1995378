"""Runners whose trainings are only noted."""

import numpy as np
import pytest

from atk_latent.config import flat
from atk_latent.data.dataset import Dataset
from atk_latent.methods.presets import resolve
from atk_latent.reproduction import run
from atk_latent.reproduction.run import Runner
from atk_latent.results.card import Card


@pytest.fixture(scope="module")
def dataset():
    """Bright squares, one place for each of three classes."""
    rng = np.random.default_rng(0)
    y = np.arange(160) % 3
    x = rng.uniform(0, 0.4, (160, 16, 16, 1))
    for row, label in enumerate(y):
        x[row, 5 * label : 5 * label + 5] += 0.3
    return Dataset.from_arrays("digits", x[:120], y[:120], x[120:], y[120:])


@pytest.fixture
def card():
    """Makes what a run of seconds says of itself, from its request."""
    fields = {"date": "2026-01-31", "seed": 0, "versions": {}, "metrics": {}, "preset": "quick"}
    times = {"seconds": 3.0, "training_seconds": 2.0, "settings": {"epochs": 2}}
    return lambda request: Card(method=request.method, data=request.options.data, **fields, **times)


class Noted(Runner):
    """A runner that trains nothing: it notes what each run folder would be trained from."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.requests = {}

    def request(self, experiment, row, seed=None):
        """What a row would be trained from; what it needs is noted, too."""
        return self.requests[self.train(experiment, row, seed).folder]

    def settings(self, experiment, row):
        """The settings that a row would be trained with, by flat name."""
        request = self.request(experiment, row)
        model = experiment.budgets[self.preset].model if row.start else request.model
        options = request.options
        resolved = resolve(
            request.method, options.data, options.preset, model, dict(options.overrides)
        )
        return flat(resolved.settings)


@pytest.fixture
def noted(dataset, card, tmp_path, monkeypatch):
    """Makes a `Noted` runner in a folder of its own, by preset."""
    runners = []

    def note(request, data, folder, **_):
        runners[-1].requests[folder] = request
        return card(request)

    def runner(preset, seed=0):
        runners.append(Noted(preset, tmp_path, seed=seed))
        return runners[-1]

    monkeypatch.setattr(run, "load_dataset", lambda *_, **__: dataset)
    monkeypatch.setattr(run, "harden", note)
    monkeypatch.setattr(run, "train_gan", note)
    monkeypatch.setattr(run.RunFolder, "adopt", lambda *_: None)
    return runner
