"""Tiny classifiers that attacks have something to do with, and their images."""

import numpy as np
import pytest

from tests.run_cards import write_card

SIDE = 8


def images(classes, n, seed=0):
    """Noisy stripes, one place for each class: learned in a second, not without error."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = rng.uniform(0.0, 0.5, (n, SIDE, SIDE, 1)).astype(np.float32)
    for row, label in enumerate(y):
        x[row, 2 * label : 2 * label + 2] += 0.35
    return x, y.astype(np.int64)


def trained(classes):
    import keras

    keras.utils.set_random_seed(classes)
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            keras.layers.Conv2D(6, 3, strides=2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(classes),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss)
    model.fit(*images(classes, 240, 1), epochs=12, batch_size=40, verbose=0)
    return model


@pytest.fixture(scope="session")
def three():
    """(model, x, y) of three classes, 8x8x1."""
    return (trained(3), *images(3, 12))


@pytest.fixture(scope="session")
def two():
    """(model, x, y) of two classes, 8x8x1."""
    return (trained(2), *images(2, 12))


@pytest.fixture(scope="session")
def four():
    """(model, x, y) of four classes, 8x8x1."""
    return (trained(4), *images(4, 12))


@pytest.fixture(scope="session")
def game(three):
    """A trained classifier and a discriminator of its flat features with a say of its own."""
    import keras
    from keras import layers

    from atk_latent.adversaries.latent_discriminator import LatentDiscriminator

    model, x, y = three
    width = int(np.prod(model.layers[1].output.shape[1:]))
    keras.utils.set_random_seed(0)
    latent = keras.Input((width,))
    hidden = layers.Dense(8, activation="tanh")(latent)
    judge = keras.Model(
        latent, [layers.Reshape(())(layers.Dense(1)(hidden)), layers.Dense(3)(hidden)]
    )
    return LatentDiscriminator(model, judge), x, y


STRIP = (1, 6, 1)  # an image of the toy GAN


@pytest.fixture(scope="session")
def gan():
    """Three pixels sigmoid(z) beside the one-hot class, which the auxiliary classifier reads."""
    import keras
    from keras import layers

    from atk_latent.models.song_gan import GAN

    z, y = keras.Input((3,)), keras.Input((3,))
    drawn = layers.Concatenate()([layers.Activation("sigmoid")(z), y])
    x = keras.Input(STRIP)
    flat = layers.Flatten()(x)
    head = layers.Dense(3, use_bias=False)
    judge = keras.Model(x, [layers.Dense(1)(flat), head(flat)])
    head.set_weights([np.concatenate([np.zeros((3, 3)), 10 * np.eye(3)])])
    return GAN(keras.Model([z, y], layers.Reshape(STRIP)(drawn)), judge)


@pytest.fixture(scope="session")
def strips():
    """Class k is the brightest of the first three pixels; the last three help a little."""
    import keras
    from keras import layers

    model = keras.Sequential(
        [layers.Input(STRIP), layers.Flatten(), layers.Dense(3, use_bias=False)]
    )
    model.set_weights([np.concatenate([20 * np.eye(3), 4 * np.eye(3)])])
    y = np.arange(8) % 3
    x = np.zeros((8, *STRIP), np.float32)
    x[np.arange(8), 0, y, 0] = 1.0  # right before the attack
    return model, x, y


@pytest.fixture
def gan_run(gan, tmp_path):
    """A run folder as `atkl train-gan` leaves it."""
    (tmp_path / "helpers").mkdir()
    for name, part in gan._asdict().items():
        part.save(tmp_path / "helpers" / f"{name}.keras")
    write_card(tmp_path, "song-gan")
    return tmp_path
