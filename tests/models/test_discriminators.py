"""The discriminator of LADDER-GAN."""

import keras
import numpy as np
import pytest

from atk_latent.errors import InputError
from atk_latent.models.discriminators import image_discriminator


# 4,832,192: the published PyTorch class at three channels.
@pytest.mark.parametrize("official", [False, True])
def test_discriminator_has_the_published_size(official):
    model = image_discriminator(official=official)
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == 4_832_192
    relus = [layer for layer in model.layers if isinstance(layer, keras.layers.LeakyReLU)]
    assert len(relus) == (4 if official else 7)
    assert model.get_layer("logits").output.shape == (None, 1, 1, 1)


@pytest.mark.parametrize("shape", [(28, 28, 1), (8, 32, 1), (33, 40, 3), (128, 128, 3)])
def test_any_size_gives_one_logit(shape):
    model = image_discriminator(shape)
    x = np.random.default_rng(0).random((2, *shape)).astype("float32")
    y = model(x)
    assert y.shape == (2, 1)
    assert not np.allclose(y[0], y[1])


def test_small_image_sits_in_the_middle_of_black():
    small, large = image_discriminator((28, 28, 1), seed=1), image_discriminator((32, 32, 1), 1)
    x = np.random.default_rng(0).random((2, 28, 28, 1)).astype("float32")
    framed = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))
    np.testing.assert_allclose(small(x), large(framed), atol=1e-5)


def test_dropout_only_in_training():
    model = image_discriminator((32, 32, 1))
    x = np.random.default_rng(0).random((2, 32, 32, 1)).astype("float32")
    np.testing.assert_array_equal(model(x), model(x))
    assert not np.allclose(model(x, training=True), model(x, training=True))


def test_no_image_shape_is_refused():
    with pytest.raises(InputError, match="height, width, channels"):
        image_discriminator((32, 32))
