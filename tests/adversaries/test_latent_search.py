import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.adversaries.latent_search import (
    LatentSearch,
    LatentSearchSettings,
    closeness,
    draw_targets,
    gradient_noise_variance,
    nearest_other,
)
from atk_latent.adversaries.noise import RowNoise
from atk_latent.errors import InputError
from atk_latent.models.song_gan import GAN

CLASSES, WIDTH = 3, 3


def toy_gan(weight=10.0):
    """Three pixels sigmoid(z) beside the one-hot class; the auxiliary classifier reads that.

    With `weight` 0 it reads pixel k for class k instead, so that it can disagree.
    """
    z, y = keras.Input((WIDTH,)), keras.Input((CLASSES,))
    image = layers.Concatenate()([layers.Activation("sigmoid")(z), y])
    image = layers.Reshape((1, WIDTH + CLASSES, 1))(image)
    x = keras.Input((1, WIDTH + CLASSES, 1))
    flat = layers.Flatten()(x)
    head = layers.Dense(CLASSES, use_bias=False, name="aux")
    logits, score = head(flat), layers.Dense(1)(flat)
    table = np.eye(CLASSES) * weight
    own = np.zeros((WIDTH, CLASSES)) if weight else np.eye(CLASSES)
    head.set_weights([np.concatenate([own, table])])
    return GAN(keras.Model([z, y], image), keras.Model(x, [score, logits]))


def classifier(x):
    """Class k is the brightest of the first three pixels, whatever the class drawn."""
    return 20.0 * tf.reshape(x, (tf.shape(x)[0], -1))[:, :CLASSES]


@pytest.fixture(scope="module")
def gan():
    return toy_gan()


def search(gan, **settings):
    values = {"steps": 60, "closeness": 0.0, "class_weight": 1.0, "learning_rate": 20.0}
    return LatentSearch(gan, LatentSearchSettings(**{**values, **settings}), batch_size=8)


Y = np.arange(10) % CLASSES


@pytest.fixture(scope="module")
def untargeted(gan):
    one = search(gan)
    return one, one.craft_all(classifier, Y, seed=3)


@pytest.mark.parametrize(
    ("step", "variance"), [(0, 0.01), (9, 0.002818), (99, 0.000794), (999, 0.000224)]
)
def test_the_noise_of_the_gradient_fades_as_published(step, variance):
    assert gradient_noise_variance(step) == pytest.approx(variance, abs=5e-7)


def test_closeness_is_free_near_the_start():
    # max(.09 - .01, 0), 0 | 0, .04 - .01: means .04 and .015, .0275 over the batch
    z = tf.constant([[0.3, -0.05], [0.0, 0.2]])
    found = closeness(z, tf.zeros_like(z), 0.1)
    np.testing.assert_allclose(found, [0.04, 0.015], atol=1e-7)
    assert float(tf.reduce_mean(found)) == pytest.approx(0.0275)


def test_the_nearest_other_class_is_the_least_cross_entropy():
    logits = tf.constant([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0]])
    total = np.log(np.exp(2) + np.exp(1) + 1)
    found = nearest_other(logits, tf.constant([0, 1]))
    np.testing.assert_allclose(found, [total - 1, total - 2], rtol=1e-6)


def test_targets_are_all_other_classes_alike():
    y = np.repeat(np.arange(CLASSES), 300)
    target = draw_targets(y, CLASSES, 1)
    assert not np.any(target == y)
    counts = np.bincount(target * CLASSES + y, minlength=9)
    assert np.all((counts == 0) | (np.abs(counts - 150) < 45))


def test_an_untargeted_search_fools_the_classifier_and_not_the_auxiliary(gan, untargeted):
    _, found = untargeted
    assert np.all(found["step"] >= 0)
    said = np.argmax(classifier(found["x_adv"]), axis=1)
    assert np.all(said != Y)
    assert np.all(np.argmax(gan.auxiliary(found["x_adv"]), axis=1) == Y)
    at_once = found["step"] == 0
    assert 0 < at_once.sum() < 10
    np.testing.assert_array_equal(found["x_adv"][at_once], found["x_start"][at_once])
    began = np.argmax(classifier(found["x_start"]), axis=1)
    np.testing.assert_array_equal(began != Y, at_once)


def test_the_same_seed_gives_the_same_images_whatever_is_behind_them(gan, untargeted):
    one, found = untargeted
    again = one.craft_all(classifier, Y, seed=3)
    np.testing.assert_array_equal(again["x_adv"], found["x_adv"])
    fewer = one.craft_all(classifier, Y[:8], seed=3)  # the last batch is filled up
    np.testing.assert_array_equal(fewer["x_adv"], found["x_adv"][:8])
    assert not np.array_equal(one.craft_all(classifier, Y, seed=4)["x_adv"], found["x_adv"])
    assert one.craft_all(classifier, Y[:0])["x_adv"].shape == (0, 1, 6, 1)


def test_a_targeted_search_reaches_its_targets(gan):
    one = search(gan, targeted=True)
    target = (Y + 1) % CLASSES
    found = one.craft_all(classifier, Y, target=target, seed=1)
    assert np.all(found["step"] >= 0)
    np.testing.assert_array_equal(np.argmax(classifier(found["x_adv"]), axis=1), target)
    np.testing.assert_array_equal(found["target"], target)
    drawn = one.craft_all(classifier, Y, seed=2)["target"]
    np.testing.assert_array_equal(drawn, draw_targets(Y, CLASSES, 2))


def test_without_steps_only_the_first_images_are_looked_at(gan):
    found = search(gan, steps=0).craft_all(classifier, Y, seed=3)
    np.testing.assert_array_equal(found["x_adv"], found["x_start"])
    assert set(found["step"]) == {0, -1}


def test_noise_alone_stays_in_its_ball(gan):
    # The latents may not move: closeness has all the weight and the rate is tiny.
    one = search(gan, noise=True, noise_eps=0.3, learning_rate=1e-6, steps=3)
    x0 = gan.images(tf.zeros((8, WIDTH)), tf.zeros(8, tf.int32))
    tau = tf.zeros_like(x0)
    gradients = [tf.zeros((8, WIDTH)), 5.0 * tf.ones_like(x0)]
    noise = RowNoise(tf.constant([1, 0], tf.int64))
    _, moved = one._moved(
        tf.constant(0), tf.zeros((8, WIDTH)), tau, gradients, noise, resting=tf.zeros(8, tf.bool)
    )
    lengths = np.linalg.norm(np.reshape(moved, (8, -1)), axis=1)
    np.testing.assert_allclose(lengths, 1e-6, rtol=1e-4)  # of unit length, times the rate
    strong = search(gan, noise=True, noise_eps=0.3)
    found = strong.craft_all(classifier, Y[:8], seed=3)
    assert np.all(found["step"] >= 0)
    assert found["x_adv"].min() >= 0 and found["x_adv"].max() <= 1
    x, _, _ = strong._look(
        classifier,
        tf.zeros(8, tf.int32),
        tf.zeros(8, tf.int32),
        tf.zeros((8, WIDTH)),
        tf.zeros((8, WIDTH)),
        100.0 * tf.ones_like(x0),
    )
    wanted = np.clip(x0 + 0.3, 0, 1)  # tanh is 1
    np.testing.assert_allclose(x, wanted, atol=1e-6)


def test_one_step_of_the_latents_by_hand(gan):
    # Closeness alone: its gradient at dz = .3 is 2 * .3 / 3 numbers, times 100, over 64 images.
    one = search(gan, closeness=100.0, class_weight=0.0, learning_rate=1.0)
    z0, z = tf.zeros((8, WIDTH)), tf.fill((8, WIDTH), 0.3)
    y = tf.zeros(8, tf.int32)
    constant = lambda x: tf.zeros((8, CLASSES))  # noqa: E731
    _, success, (of_z, _) = one._look(constant, y, y, z0, z, tf.zeros((8, 0)))
    np.testing.assert_allclose(of_z, 100 * 2 * 0.3 / 3 / 64, rtol=1e-5)
    assert not np.any(success)  # equal logits are class 0
    noise = RowNoise(tf.constant([7, 0], tf.int64))
    resting = tf.constant([True] + 7 * [False])
    moved, _ = one._moved(tf.constant(0), z, tf.zeros((8, 0)), [of_z, None], noise, resting=resting)
    np.testing.assert_array_equal(moved[0], z[0])
    np.testing.assert_allclose(moved[1:], (z - (of_z + 0.1 * noise.normal(z)))[1:], rtol=1e-5)


def test_a_first_image_of_another_class_is_drawn_anew():
    doubtful = toy_gan(weight=0.0)  # the auxiliary classifier sees z, so 2 of 3 disagree
    one = LatentSearch(doubtful, LatentSearchSettings(steps=0), batch_size=32)
    y = np.arange(32) % CLASSES
    start = one.craft_all(classifier, y, seed=1)["x_start"]
    agree = np.argmax(doubtful.auxiliary(start), axis=1) == y
    assert agree.mean() > 0.9  # 1 - (2/3)^10 = .983


@pytest.mark.parametrize(
    ("y", "target", "message"),
    [
        ([0, 3], None, r"0..2, those of the GAN. Received: shape \(2,\), \[0, 3\]"),
        ([0, 1], [1, 2], "targeted=False"),
    ],
)
def test_wrong_labels_are_refused(gan, y, target, message):
    with pytest.raises(InputError, match=message):
        search(gan).craft_all(classifier, np.array(y), target=target)


def test_settings_out_of_range_are_refused():
    with pytest.raises(InputError, match="'noise_eps' must be between 0 and 1"):
        LatentSearchSettings(noise_eps=1.5)
