"""Networks by name."""

import numpy as np
import pytest

from atk_latent.data.dataset import Dataset
from atk_latent.errors import InputError
from atk_latent.models.architectures import architecture, is_architecture
from atk_latent.training.starting_model import StartingModel
from tests.models.test_plain import kinds


def test_a_network_is_registered_or_written_out(tmp_path, monkeypatch):
    file = tmp_path / "net.txt"
    file.write_text("4x3s2,\nmax2\n\n10\n")
    for name in (f"plain:{file}", "plain:4x3s2,max2,10"):
        assert is_architecture(name)
        built = architecture(name)((28, 28, 1), 3, seed=1)
        assert kinds(built) == [
            "Conv2D",
            "ReLU",
            "MaxPooling2D",
            "Flatten",
            "Dense",
            "ReLU",
            "Dense",
        ]
        assert built.output_shape == (None, 3)
    assert architecture("lenet")((28, 28, 1), 10, seed=0).name == "lenet"
    assert not is_architecture("my.keras")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lenett", "Did you mean 'lenet'"),
        ("plain:nowhere.txt", "'nowhere.txt' is no text file"),
        ("plain:4z3", "Received: '4z3'"),
    ],
)
def test_what_cannot_be_built_is_refused(name, message):
    with pytest.raises(InputError, match=message):
        architecture(name)((28, 28, 1), 10, seed=0)


def test_a_run_starts_from_a_network_that_is_written_out(monkeypatch):

    x, y = np.zeros((4, 8, 8, 1), np.float32), np.arange(4) % 2
    data = Dataset("blobs", x, y, x, y, ("a", "b"))
    start = StartingModel("plain:4x3,5", data, seed=0)
    assert not start.is_trained
    assert start.load().output_shape == (None, 2)


def test_silu_stands_where_relu_does():
    names = [layer.name for layer in architecture("wrn-28-10-silu")((8, 8, 3), 2, seed=0).layers]
    assert sum(name.endswith("silu") for name in names) == 25
    assert not any(name.endswith("relu") for name in names)
