"""A generator of one layer, for tests of what is done with a generator."""

import keras
import pytest
from keras import layers

from atk_latent.registry import GENERATORS, Entry


def tiny_generator(latent_width, image_shape, *, seed=0):
    """Latents (B, N) to images (B, H, W, C) in [0, 1]."""
    size = image_shape[0] * image_shape[1] * image_shape[2]
    start = keras.initializers.GlorotUniform(seed=seed)
    return keras.Sequential(
        [
            keras.Input((latent_width,)),
            layers.Dense(size, activation="sigmoid", kernel_initializer=start),
            layers.Reshape(image_shape),
        ]
    )


@pytest.fixture(autouse=True, scope="module")
def known_tiny_generator():
    """Makes the generator known as "tiny" to the tests of a module."""
    GENERATORS._entries["tiny"] = Entry("tests.tiny_generator:tiny_generator", "one layer")
    yield
    del GENERATORS._entries["tiny"]
