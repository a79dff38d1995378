import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.adversaries.balls import LinfBall
from atk_latent.adversaries.discriminator_attacks import JointAscent
from atk_latent.adversaries.gradient_ascent import AscentSettings
from atk_latent.adversaries.latent_discriminator import (
    CLEAN,
    LatentDiscriminator,
    as_verdict,
    with_score,
)
from atk_latent.adversaries.latent_manifold import LatentManifold
from atk_latent.adversaries.noise import RowNoise
from atk_latent.errors import InputError
from tests.adversaries.contract import Case, check_place

EPS = 16 / 255


def linear_discriminator(weights, classes=2):
    """score = z . weights; class logits = 0."""
    latent = keras.Input((len(weights),))
    score = layers.Dense(1, use_bias=False, name="score_logit")
    outputs = [
        layers.Reshape(())(score(latent)),
        layers.Dense(classes, kernel_initializer="zeros", name="class")(latent),
    ]
    score.set_weights([np.reshape(weights, (-1, 1))])
    return keras.Model(latent, outputs)


@pytest.fixture(scope="module")
def toy():
    """Golden toy: logits = x, p = sigmoid(x1 - 2 x2)."""
    classifier = keras.Sequential([keras.Input((1, 2, 1)), layers.Flatten()])
    return LatentDiscriminator(classifier, linear_discriminator([1.0, -2.0]), latent="logits")


def image(*values):
    return tf.constant(values, tf.float32, (1, 1, 2, 1))


def crafted(toy, x, **settings):
    chosen = AscentSettings(
        **{
            "eps": EPS,
            "steps": 1,
            "random_start": False,
            "keep": "last",
            "bounds": (-1.0, 1.0),
            **settings,
        }
    )
    return LatentManifold(toy, chosen).craft_and_encode(x, RowNoise(tf.constant([0, 0])))


def probability(toy, x):
    return tf.sigmoid(toy.score(x)).numpy()


def test_golden_crafting_step(toy):
    x = image(0.2, -0.4)
    assert probability(toy, x) == pytest.approx([0.731059], abs=1e-6)
    assert tf.math.softplus(toy.score(x)).numpy() == pytest.approx([1.313262], abs=1e-6)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.math.softplus(toy.score(x))
    np.testing.assert_allclose(np.ravel(tape.gradient(loss, x)), [0.731059, -1.462117], atol=1e-6)
    x_adv, latents = crafted(toy, x)
    np.testing.assert_allclose(np.ravel(x_adv), [0.137255, -0.337255], atol=1e-6)
    assert probability(toy, x_adv) == pytest.approx([0.692485], abs=1e-6)
    np.testing.assert_array_equal(latents, toy.latents(x))


def test_golden_crafting_step_from_a_random_start(toy, monkeypatch):
    start = lambda self, x, noise: x + image(0.03, 0.01)  # noqa: E731
    monkeypatch.setattr(LinfBall, "random_start", start)
    x_adv, latents = crafted(toy, image(0.2, -0.4), random_start=True)
    np.testing.assert_allclose(np.ravel(x_adv), [0.167255, -0.337255], atol=1e-6)
    assert probability(toy, x_adv) == pytest.approx([0.698837], abs=1e-6)
    assert latents is None


def network(classes=3):
    keras.utils.set_random_seed(1)
    classifier = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Conv2D(3, 3),
            layers.BatchNormalization(),
            layers.Activation("tanh", name="maps"),
            layers.Flatten(),
            layers.Dense(6, activation="tanh", name="latent"),
            layers.Dense(classes),
        ]
    )
    latent = keras.Input((6,))
    hidden = layers.BatchNormalization()(layers.Dense(5, activation="tanh")(latent))
    score = layers.Reshape(())(layers.Dense(1)(hidden))
    discriminator = keras.Model(latent, [score, layers.Dense(classes)(hidden)])
    return classifier, discriminator


@pytest.fixture(scope="module")
def manifold():
    return LatentDiscriminator(*network())


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((20, 4, 4, 1), np.float32)


@pytest.mark.parametrize("batch_statistics", [False, True])
@pytest.mark.parametrize("steps", [1, 3])
def test_crafted_images_keep_the_contract_and_ask_no_labels(
    manifold, images, steps, batch_statistics
):
    settings = AscentSettings(eps=0.1, steps=steps, random_start=steps > 1, keep="last")

    def make():
        return LatentManifold(manifold, settings, batch_statistics=batch_statistics, seed=3)

    before = [np.copy(w) for w in (*manifold.classifier.weights, *manifold.discriminator.weights)]
    y = np.zeros(20, np.int64)
    found = make()(manifold.verdict, tf.constant(images), y)
    check_place(found, images, Case({}, eps=0.1))
    np.testing.assert_array_equal(make()(manifold.verdict, tf.constant(images), y + 1), found)
    after = [*manifold.classifier.weights, *manifold.discriminator.weights]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    told = [told_adversarial(manifold, x, batch_statistics) for x in (images, found)]
    assert told[1] > told[0] + 0.005  # they make the discriminator more right


def told_adversarial(manifold, x, batch_statistics):
    """Mean log D0, what crafting climbs."""
    latents = manifold.latents(tf.constant(x))
    score = manifold.judge(latents, batch_statistics=batch_statistics)[0]
    return -np.mean(np.logaddexp(0, score))


def test_with_batch_statistics_the_step_goes_along_the_published_loss(manifold, images):
    x = tf.constant(images)
    found = LatentManifold(manifold, batch_statistics=True)(manifold.verdict, x, np.zeros(20))
    with tf.GradientTape() as tape:
        tape.watch(x)
        p = tf.sigmoid(manifold.judge(manifold.latents(x), batch_statistics=True)[0])
        loss = keras.losses.BinaryCrossentropy()(tf.zeros_like(p), p)
    wanted = tf.clip_by_value(x - 8 / 255 * tf.sign(tape.gradient(loss, x)), 0, 1)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_one_step_by_default_moves_every_pixel_by_eps(manifold, images):
    x = tf.constant(0.5 + 0.2 * (images - 0.5))
    found = LatentManifold(manifold)(manifold.verdict, x, np.zeros(20))
    np.testing.assert_allclose(np.abs(found - x), 8 / 255, atol=1e-6)


def test_score_is_the_logit_of_being_clean(toy):
    x = image(0.2, -0.4)
    shares = tf.nn.softmax(toy.verdict(x))[0].numpy()
    assert shares[CLEAN] == pytest.approx(0.731059, abs=1e-6)
    assert as_verdict(tf.constant([2.0])).numpy().tolist() == [[0.0, 2.0]]


@pytest.mark.parametrize(
    ("latent", "layer", "width"),
    [("features", None, 6), ("logits", None, 3), ("features", "maps", 12)],
)
def test_any_layer_can_be_the_latent(latent, layer, width, images):
    classifier, _ = network()
    judge = linear_discriminator(np.arange(width, dtype=np.float32))
    manifold = LatentDiscriminator(classifier, judge, latent=latent, layer=layer)
    x = tf.constant(images)
    np.testing.assert_allclose(
        manifold.logits(manifold.latents(x)), classifier(x, training=False), atol=1e-6
    )
    assert manifold.score(x).shape == (20,)
    both = with_score(manifold)(x)
    np.testing.assert_allclose(both[:, :-1], classifier(x, training=False), atol=1e-6)
    np.testing.assert_allclose(both[:, -1], manifold.score(x), atol=1e-6)


def test_a_discriminator_of_another_width_is_refused():
    classifier, _ = network()
    with pytest.raises(InputError, match=r"reads latents of 4 numbers.*have 6"):
        LatentDiscriminator(classifier, linear_discriminator([1.0] * 4))


@pytest.mark.parametrize("loss", ["cross-entropy", "margin"])
@pytest.mark.parametrize("towards", ["clean", "adversarial"])
def test_joint_ascent_climbs_both_losses(manifold, images, loss, towards):
    settings = AscentSettings(eps=0.1, steps=5, loss=loss, random_start=False)
    x, y = tf.constant(images), tf.argmax(manifold.classifier(images), axis=-1).numpy()
    found = {}
    for weight in (0.0, 50.0):
        joint = JointAscent(settings, weight=weight, towards=towards)
        found[weight] = joint(with_score(manifold), x, y)
        check_place(found[weight], images, Case({}, eps=0.1))
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = manifold.classifier
    assert entropy(y, model(found[0.0])) > entropy(y, model(x)) + 0.01
    change = np.mean(manifold.score(found[50.0]) - manifold.score(x))
    assert change > 0.01 if towards == "clean" else change < -0.01


def test_joint_ascent_counts_success_by_the_classes_alone(manifold, images):
    x = tf.constant(images)
    y = tf.argmax(manifold.classifier(images), axis=-1, output_type=tf.int32)
    joint = JointAscent(AscentSettings(eps=0.0, steps=1, random_start=False))
    sure = lambda x: tf.concat([manifold.logits(manifold.latents(x)), 1e3 * tf.ones((20, 1))], 1)  # noqa: E731
    from atk_latent.adversaries.gradient_ascent import Problem

    assert not joint._judged(Problem(sure, x, y), x).success.numpy().any()
    assert joint._judged(Problem(sure, x, (y + 1) % 3), x).success.numpy().all()
