import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.errors import InputError
from atk_latent.models.song_gan import (
    ARCHITECTURES,
    GAN,
    Architecture,
    BatchStatisticsNorm,
    ResampledConv,
    architecture_for,
    load_gan,
    song_discriminator,
    song_generator,
)
from tests.run_cards import write_card

TINY = Architecture((4, 4), "block", 4, ((4, "down"), (4, "none")), "mean", "sigmoid")
SHAPE, CLASSES = (8, 8, 1), 3


def conv(size, before, after):
    return size * size * before * after + after


def up_block(before, after, classes):
    norms = 2 * classes * before + 2 * classes * after
    return norms + conv(3, before, after) + conv(3, after, after) + conv(1, before, after)


def down_block(before, after):
    return conv(3, before, before) + conv(3, before, after) + conv(1, before, after)


@pytest.fixture(scope="module")
def tiny():
    return GAN(
        song_generator(TINY, SHAPE, CLASSES, latents=5, seed=1),
        song_discriminator(TINY, SHAPE, CLASSES, seed=2),
    )


def test_mnist_has_the_published_number_of_weights():
    # 138 -> 7x7x32, two blocks of 32, norm, conv to 1
    drawn = 138 * 1568 + 1568 + 2 * up_block(32, 32, 10) + 2 * 32 + conv(3, 32, 1)
    stem = conv(3, 1, 32) + conv(3, 32, 32) + conv(1, 1, 32)
    judged = stem + down_block(32, 32) + 4 * conv(3, 32, 32) + 33 + 330
    assert (drawn, judged) == (259_969, 66_539)
    kind = ARCHITECTURES["mnist"]
    assert song_generator(kind, (28, 28, 1), 10).count_params() == drawn
    assert song_discriminator(kind, (28, 28, 1), 10).count_params() == judged


@pytest.mark.parametrize("data", ["svhn", "cifar10"])
def test_svhn_has_the_published_number_of_weights(data):
    drawn = 138 * 2048 + 2048 + 3 * up_block(128, 128, 10) + 2 * 128 + conv(3, 128, 3)
    stem = conv(3, 3, 128) + conv(3, 128, 128) + conv(1, 3, 128)
    judged = stem + down_block(128, 128) + 4 * conv(3, 128, 128) + 129 + 1290
    kind = ARCHITECTURES[data]
    assert song_generator(kind, (32, 32, 3), 10).count_params() == drawn == 1_238_787
    assert song_discriminator(kind, (32, 32, 3), 10).count_params() == judged == 1_055_115


@pytest.mark.slow
@pytest.mark.parametrize("side", [64, 128])
def test_celeba_has_the_published_number_of_weights_at_both_sizes(side):
    widths = [(512, 512), (512, 256), (256, 128), (128, 64)]
    drawn = 130 * 8192 + 8192 + sum(up_block(*pair, 2) for pair in widths)
    drawn += 2 * 64 + conv(3, 64, 3)
    downs = [(64, 128), (128, 256), (256, 512), (512, 512)]
    judged = conv(3, 3, 64) + sum(down_block(*pair) for pair in downs) + 8193 + 16386
    kind = ARCHITECTURES["celeba"]
    generator = song_generator(kind, (side, side, 3), 2)
    assert generator.count_params() == drawn
    assert generator.output_shape == (None, side, side, 3)
    assert song_discriminator(kind, (side, side, 3), 2).count_params() == judged


def test_first_weights_have_the_published_sizes():
    kind = ARCHITECTURES["mnist"]
    generator = song_generator(kind, (28, 28, 1), 10, seed=3)
    limits = {
        "block1_conv2": (12 / (9 * 32 + 9 * 32)) ** 0.5,  # He: sqrt(3) * sqrt(4 / (in + out))
        "block1_shortcut": (6 / (32 + 32)) ** 0.5,  # Glorot: sqrt(3) * sqrt(2 / (in + out))
        "colours": (6 / (9 * 32 + 9)) ** 0.5,
        "expand": 2 / 138**0.5,  # truncated normal: two deviations
    }
    for name, limit in limits.items():
        largest = np.abs(generator.get_layer(name).get_weights()[0]).max()
        assert 0.95 * limit < largest <= limit, name
    assert np.abs(generator.get_layer("block1_conv1").get_weights()[0]).max() <= 0.1443376


@pytest.mark.parametrize("resample", ["up", "down"])
def test_a_resampled_convolution_is_the_two_layers_it_stands_for(resample):
    x = np.random.default_rng(0).normal(size=(2, 6, 4, 3)).astype(np.float32)
    fused, plain = ResampledConv(5, resample, seed=1), layers.Conv2D(5, 3, padding="same")
    plain.build((None, None, None, 3))
    found = fused(x)
    fused.bias.assign(np.arange(5.0))
    plain.set_weights(fused.get_weights())
    if resample == "up":
        wanted = plain(layers.UpSampling2D(2)(x))
    else:
        wanted = layers.AveragePooling2D(2)(plain(x))
    np.testing.assert_allclose(fused(x), wanted, atol=1e-5)
    assert found.shape == fused.compute_output_shape(x.shape)


def test_an_odd_map_cannot_be_halved():
    with pytest.raises(InputError, match="even sides"):
        ResampledConv(2, "down").build((None, 7, 8, 3))


def test_the_norm_takes_the_batch_at_hand_and_the_class_tables():
    x = tf.reshape(tf.constant([1.0, 3.0, 5.0, 7.0]), (2, 2, 1, 1))  # mean 4, variance 5
    norm = BatchStatisticsNorm(2)
    y = tf.constant([[1.0, 0.0], [0.0, 1.0]])
    norm([x, y])
    norm.set_weights([np.array([[1.0], [10.0]]), np.array([[0.0], [2.0]])])
    unit = (np.array([1, 3, 5, 7]) - 4) / np.sqrt(5 + 1e-5)
    wanted = np.concatenate([unit[:2], 10 * unit[2:] + 2])
    for training in (True, False):
        np.testing.assert_allclose(
            tf.reshape(norm([x, y], training=training), -1), wanted, rtol=1e-5
        )
    np.testing.assert_allclose(tf.reshape(BatchStatisticsNorm()(x), -1), unit, rtol=1e-5)


def test_images_depend_on_class_and_latent_and_are_pixels(tiny):
    z = tf.random.stateless_normal((6, 5), (1, 2))
    images = tiny.images(z, tf.constant([0, 1, 2, 0, 1, 2]))
    assert images.shape == (6, *SHAPE) == (6, *tiny.image_shape)
    assert 0 <= float(tf.reduce_min(images)) < float(tf.reduce_max(images)) <= 1
    assert float(tf.reduce_max(tf.abs(images[0] - images[3]))) > 1e-3
    others = tiny.images(z, tf.constant([1, 1, 2, 0, 1, 2]))
    assert float(tf.reduce_max(tf.abs(images[0] - others[0]))) > 1e-3
    assert tiny.auxiliary(images).shape == (6, CLASSES)
    assert (tiny.latents, tiny.num_classes) == (5, CLASSES)


def test_a_tanh_gan_takes_and_gives_pixels_in_0_1():
    kind = Architecture((4,), "conv", 4, ((4, "down"),), "flatten", "tanh", side=4)
    generator = song_generator(kind, (8, 8, 3), 2, latents=3, seed=1)  # drawn at 4x4
    images = generator([np.zeros((2, 3), "float32"), np.eye(2, dtype="float32")]).numpy()
    assert images.shape == (2, 8, 8, 3)
    assert images.min() >= 0 and images.max() <= 1
    assert generator.get_layer("unit").output.shape == (None, 4, 4, 3)
    judge = song_discriminator(kind, (8, 8, 3), 2, seed=1)
    probe = keras.Model(judge.input, judge.get_layer("scale").output)
    np.testing.assert_allclose(probe(np.full((1, 8, 8, 3), 0.75, "float32")), 0.5)


def test_images_that_cannot_be_drawn_are_refused():
    with pytest.raises(InputError, match="multiples of 4. Received: 10x8"):
        song_generator(TINY, (10, 8, 1), 3)


@pytest.mark.parametrize(
    ("data", "shape", "name"),
    [
        ("fashion_mnist", (28, 28, 1), "mnist"),
        ("my", (28, 28, 1), "mnist"),
        ("digits", (28, 28, 1), "digits"),
        ("my", (32, 32, 3), "cifar10"),
        ("cifar100", (32, 32, 3), "cifar10"),
        ("my", (128, 128, 3), "celeba"),
    ],
)
def test_the_architecture_is_found_by_name_or_size(data, shape, name):
    assert architecture_for(data, shape) == name


def test_a_stored_gan_is_the_same_gan(tiny, tmp_path):
    (tmp_path / "helpers").mkdir()
    with pytest.raises(InputError, match="atkl train-gan"):
        load_gan(tmp_path)
    for name, model in tiny._asdict().items():
        model.save(tmp_path / "helpers" / f"{name}.keras")
    write_card(tmp_path, "song-gan")
    again = load_gan(tmp_path)
    z, y = tf.random.stateless_normal((4, 5), (1, 2)), tf.constant([0, 1, 2, 0])
    np.testing.assert_array_equal(again.images(z, y), tiny.images(z, y))
    x = tiny.images(z, y)
    np.testing.assert_array_equal(again.auxiliary(x), tiny.auxiliary(x))
    write_card(tmp_path, "ladder")
    with pytest.raises(InputError, match="something else"):
        load_gan(tmp_path)
