"""LADDER's generators."""

import keras
import numpy as np
import pytest
from keras import layers

from atk_latent.errors import InputError
from atk_latent.models.generators import (
    celeba_generator,
    cifar_generator,
    generator_for,
    mnist_generator,
    svhn_generator,
)
from atk_latent.registry import GENERATORS


def trainable(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


# Parameter counts of the published PyTorch classes (LADDER repository, Tables 10-13).
@pytest.mark.parametrize(
    ("builder", "count", "latents", "image"),
    [
        (mnist_generator, 427_611, 500, (28, 28, 1)),
        (svhn_generator, 17_089_155, 4096, (32, 32, 3)),
        (celeba_generator, 54_114_499, 4096, (128, 128, 3)),
        (cifar_generator, 22_202_571, 512, (32, 32, 3)),
    ],
)
def test_default_generator_has_the_published_size(builder, count, latents, image):
    model = builder()
    assert trainable(model) == count
    assert model.input_shape == (None, latents)
    assert model.output_shape == (None, *image)
    z = np.random.default_rng(0).normal(size=(1, latents)).astype("float32")
    pixels = model(z).numpy()
    assert pixels.dtype == "float32"
    assert pixels.shape == (1, *image)
    assert pixels.min() >= 0
    assert pixels.max() <= 1


def test_registry_names_are_these_builders():
    assert [GENERATORS[name] for name in GENERATORS] == [
        mnist_generator,
        svhn_generator,
        celeba_generator,
        cifar_generator,
    ]


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ((28, 28, 1), "mnist"),
        ((32, 32, 3), "cifar10"),
        ((128, 128, 3), "celeba"),
        ((28, 28, 3), "cifar10"),
        ((17, 40, 1), "cifar10"),
    ],
)
def test_generator_is_chosen_by_image_shape(shape, name):
    assert generator_for(shape) == name
    assert name in GENERATORS


def plain_mnist_generator():
    """Table 10 with ordinary Keras layers."""
    inputs = keras.Input((500,))
    x = layers.Dense(800, use_bias=False)(inputs)
    x = layers.ReLU()(layers.Reshape((4, 4, 50))(x))
    x = layers.Cropping2D(((0, 2), (0, 2)))(layers.Conv2DTranspose(50, 2, strides=4)(x))
    x = layers.ReLU()(layers.Conv2D(20, 3)(x))
    x = layers.Cropping2D(((0, 1), (0, 1)))(layers.Conv2DTranspose(20, 2, strides=3)(x))
    x = layers.Conv2D(1, 5)(layers.Conv2D(20, 4)(x))
    return keras.Model(inputs, layers.Activation("sigmoid")(x))


def test_mnist_generator_equals_the_table_layer_by_layer():
    ours, theirs = mnist_generator(seed=3), plain_mnist_generator()
    theirs.set_weights(ours.get_weights())
    z = np.random.default_rng(0).normal(size=(3, 500)).astype("float32")
    np.testing.assert_allclose(ours(z), theirs(z), atol=1e-5)


@pytest.fixture(scope="module")
def small_cifar():
    return cifar_generator(6, (8, 8, 1), seed=1)


@pytest.mark.parametrize("shape", [(28, 28, 1), (9, 17, 2)])
def test_cifar_generator_draws_any_size_within_bounds(shape):
    model = cifar_generator(6, shape)
    pixels = model(np.random.default_rng(0).normal(size=(2, 6)).astype("float32") * 10).numpy()
    assert pixels.shape == (2, *shape)
    assert pixels.min() >= 0
    assert pixels.max() <= 1


def test_tanh_is_moved_to_pixels():
    model = cifar_generator(6, (8, 8, 1), output_activation="tanh")
    inner = keras.Model(model.input, model.get_layer("tanh").output)
    z = np.random.default_rng(0).normal(size=(2, 6)).astype("float32") * 10
    assert inner(z).numpy().min() < 0
    np.testing.assert_allclose(model(z), (inner(z).numpy() + 1) / 2, atol=1e-6)


def test_official_start_moves_only_the_transposed_convolutions(small_cifar):
    official = cifar_generator(6, (8, 8, 1), seed=1, init="official")
    for mine, theirs in zip(small_cifar.weights, official.weights, strict=True):
        shift = 1.0 if "_up/kernel" in mine.path else 0.0
        np.testing.assert_allclose(theirs.numpy() - mine.numpy(), shift, atol=1e-6)
    kernel = small_cifar.get_layer("block1_up").kernel.numpy()
    assert abs(kernel.mean()) < 1e-3
    assert kernel.std() == pytest.approx(0.02, rel=0.02)


def test_same_seed_is_bit_equal_and_another_differs():
    first, again, other = (mnist_generator(seed=seed).get_weights() for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_layers_of_one_shape_start_differently(small_cifar):
    kernels = [w.numpy() for w in small_cifar.weights if w.shape == (3, 3, 512, 512)]
    assert len(kernels) == 5
    assert not np.allclose(kernels[0], kernels[1])


def test_wrong_arguments_are_refused():
    with pytest.raises(InputError, match=r"28x28 images only. Received: 32x32"):
        mnist_generator(500, (32, 32, 1))
    with pytest.raises(InputError, match=r"latent_dim .* Received: 0"):
        cifar_generator(0)
    with pytest.raises(InputError, match=r"init must be one of dcgan, official. Received: 'he'"):
        cifar_generator(init="he")
    with pytest.raises(InputError, match=r"output_activation .* Received: 'relu'"):
        cifar_generator(output_activation="relu")
    with pytest.raises(InputError, match="height, width, channels"):
        generator_for((28, 28))
