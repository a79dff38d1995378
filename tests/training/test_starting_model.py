"""The precision that a trained model computes in, and what a run asks for."""

import keras
import numpy as np
import pytest

from atk_latent.data.dataset import Dataset
from atk_latent.errors import InputError
from atk_latent.pixels import UNIT, PixelFormat
from atk_latent.training.starting_model import StartingModel

HALF, BYTES = "mixed_bfloat16", PixelFormat("0,255")
X, Y = np.zeros((4, 4, 4, 1), np.float32), np.arange(4) % 2
DATA = Dataset("blobs", X, Y, X, Y, ("a", "b"))


@pytest.fixture
def saved(tmp_path):
    def save(precision):
        keras.config.set_dtype_policy(precision)
        layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
        path = tmp_path / f"{precision}.keras"
        keras.Sequential([*layers, keras.layers.Dense(2, dtype="float32")]).save(path)
        return str(path)

    yield save
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("pixels", [UNIT, BYTES], ids=["unit", "bytes"])
@pytest.mark.parametrize(
    ("stored", "wanted"), [("float32", HALF), (HALF, "float32"), (HALF, "mixed_float16")]
)
def test_a_model_of_another_precision_is_refused(saved, pixels, stored, wanted):
    start = StartingModel(saved(stored), DATA, 0, pixels)
    keras.config.set_dtype_policy(wanted)
    with pytest.raises(InputError, match=f"--precision {wanted} is for .* compute in {stored}"):
        start.load()


@pytest.mark.parametrize("pixels", [UNIT, BYTES], ids=["unit", "bytes"])
@pytest.mark.parametrize("precision", ["float32", HALF])
def test_a_model_of_the_precision_asked_for_is_taken(saved, pixels, precision):
    model = StartingModel(saved(precision), DATA, 0, pixels).load()
    assert model.outputs[0].dtype == "float32" and model.output_shape == (None, 2)


def test_a_network_that_is_written_out_ends_in_float32(saved):
    keras.config.set_dtype_policy(HALF)
    for name in ("plain:4x3,5", "lenet-bn"):
        shape = (28, 28, 1) if name == "lenet-bn" else (8, 8, 1)
        x = np.zeros((2, *shape), np.float32)
        data = Dataset("blobs", x, np.arange(2), x, np.arange(2), ("a", "b"))
        assert StartingModel(name, data, 0).load().outputs[0].dtype == "float32"
