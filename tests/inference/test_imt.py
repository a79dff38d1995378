import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.adversaries.latent_discriminator import LatentDiscriminator
from atk_latent.errors import InputError
from atk_latent.exporting import export as exporting
from atk_latent.inference.imt import BACKWARDS, IMT, IMTClassifier, IMTSettings
from tests.adversaries.test_latent_discriminator import EPS, image, linear_discriminator, network

TOY = IMTSettings(step_size=EPS, radius=EPS, bounds=(-1.0, 1.0))


@pytest.fixture(scope="module")
def toy():
    """Golden toy: logits = x, p = sigmoid(x1 - 2 x2)."""
    classifier = keras.Sequential([keras.Input((1, 2, 1)), layers.Flatten()])
    return LatentDiscriminator(classifier, linear_discriminator([1.0, -2.0]), latent="logits")


def probability(toy, x):
    return float(tf.sigmoid(toy.score(x))[0])


def test_golden_imt_moves_the_crafted_image_back(toy):
    moved = IMT(toy, TOY)(image(0.137255, -0.337255))
    np.testing.assert_allclose(np.ravel(moved), [0.2, -0.4], atol=1e-6)
    assert probability(toy, moved) == pytest.approx(0.731059, abs=1e-6)


def test_golden_imt_plus_moves_an_unsure_image_by_half(toy):
    x = image(0.137255, -0.337255)
    moved = IMT(toy, TOY, variant="imt+")(x)
    np.testing.assert_allclose(np.ravel(moved), [0.168627, -0.368627], atol=1e-6)
    assert probability(toy, moved) == pytest.approx(0.712157, abs=1e-6)
    sure = image(0.2, -0.4)  # p = 0.731, outside (0.3, 0.7)
    np.testing.assert_array_equal(IMT(toy, TOY, variant="imt+")(sure), IMT(toy, TOY)(sure))


@pytest.mark.parametrize(
    ("changes", "length"),
    [
        ({}, 0.5 * EPS),
        ({"magnitude": 0.25}, 0.25 * EPS),
        ({"high": 0.6}, EPS),  # SVHN's interval on attacked images: p = 0.692 is outside
        ({"step_size": 4 * EPS}, EPS),  # the FGSM configuration: the projection undoes the half
        ({"step_size": 4 * EPS, "scale_radius": True}, 0.5 * EPS),  # SVHN: it does not
        ({"high": 0.6, "clean_high": 0.7}, EPS),  # nobody says what the image is
        ({"high": 0.6, "clean_high": 0.7, "told": "clean"}, 0.5 * EPS),
        ({"high": 0.6, "told": "clean"}, EPS),
        ({"fgsm_factor": 4.0}, 0.5 * EPS),
        ({"fgsm_factor": 4.0, "told": "fgsm"}, EPS),
        ({"fgsm_factor": 1.5, "told": "fgsm"}, 0.75 * EPS),
        ({"radius": 0.3 * EPS}, 0.3 * EPS),
        ({"low": 0.7, "high": 2.0}, EPS),  # section IV-B with D0's threshold at 0.3: p is below
        ({"low": 0.65, "high": 2.0}, 0.5 * EPS),
    ],
)
def test_the_published_variants_are_settings(toy, changes, length):
    x = image(0.137255, -0.337255)
    settings = IMTSettings(**{"step_size": EPS, "radius": EPS, "bounds": (-1.0, 1.0), **changes})
    moved = IMT(toy, settings, variant="imt+")(x)
    np.testing.assert_allclose(np.ravel(moved - x), [length, -length], atol=1e-6)


def test_nothing_leaves_the_bounds_and_a_zero_gradient_moves_nothing(toy):
    moved = IMT(toy, TOY)(image(0.99, -0.99))
    np.testing.assert_allclose(np.ravel(moved), [1.0, -1.0], atol=1e-6)
    flat = LatentDiscriminator(toy.classifier, linear_discriminator([0.0, 0.0]), latent="logits")
    np.testing.assert_array_equal(IMT(flat, TOY)(image(0.2, -0.4)), image(0.2, -0.4))


def test_a_saturated_discriminator_still_moves(toy):
    """p is exactly 1 in float32 here, where a gradient of p would be 0."""
    discriminator = linear_discriminator([100.0, -200.0])
    steep = LatentDiscriminator(toy.classifier, discriminator, latent="logits")
    x = image(0.5, -0.4)
    assert probability(steep, x) == 1.0
    np.testing.assert_allclose(np.ravel(IMT(steep, TOY)(x) - x), [EPS, -EPS], atol=1e-6)


@pytest.fixture(scope="module")
def manifold():
    return LatentDiscriminator(*network())


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((20, 4, 4, 1), np.float32)


def test_images_end_cleaner_and_within_the_radius(manifold, images):
    settings = IMTSettings(step_size=0.05, radius=0.04)
    moved = IMT(manifold, settings)(tf.constant(images))
    assert np.max(np.abs(moved - images)) <= 0.04 + 1e-6
    before, after = manifold.score(tf.constant(images)), manifold.score(moved)
    assert np.mean(after - before) > 0.01


def through(manifold, images, backward, sharpness=10.0):
    """The move, and its gradient for a cotangent of ones."""
    transform = IMT(manifold, IMTSettings(), backward=backward, sharpness=sharpness)
    x = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(x)
        moved = transform(x)
    return moved.numpy(), tape.gradient(moved, x).numpy()


def test_all_but_the_surrogate_move_alike_and_differ_in_gradients(manifold, images):
    found = {name: through(manifold, images, name) for name in BACKWARDS}
    for name in ("exact", "straight-through"):
        np.testing.assert_allclose(found[name][0], found["identity"][0], atol=1e-6)
    assert np.abs(found["smooth"][0] - found["identity"][0]).max() > 1e-3
    assert (found["identity"][1] == 1).all()
    clipped = (found["identity"][0] == 0) | (found["identity"][0] == 1)
    assert clipped.any()
    np.testing.assert_array_equal(found["exact"][1], np.where(clipped, 0.0, 1.0))
    # the network is smooth, so its gradient turns and the other two see it
    assert np.abs(found["straight-through"][1] - 1).max() > 1e-3
    steep = through(manifold, images, "smooth", sharpness=1e6)
    np.testing.assert_allclose(steep[0], found["identity"][0], atol=1e-4)


def test_in_a_network_of_relus_the_identity_is_the_exact_gradient(images):
    keras.utils.set_random_seed(0)
    classifier = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Flatten(),
            layers.Dense(6, activation="relu"),
            layers.Dense(3),
        ]
    )
    judge = linear_discriminator(np.linspace(-1, 1, 6).astype(np.float32))
    gradient = through(LatentDiscriminator(classifier, judge), images, "straight-through")[1]
    np.testing.assert_allclose(gradient, 1.0, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"variant": "imt++"}, "variant"),
        ({"backward": "none"}, "backward"),
        ({"sharpness": 0.0}, "sharpness"),
    ],
)
def test_wrong_options_are_refused(toy, options, word):
    with pytest.raises(InputError, match=word):
        IMT(toy, **options)


@pytest.mark.parametrize("values", [{"step_size": -1.0}, {"magnitude": 2.0}, {"low": 0.9}])
def test_wrong_settings_are_refused(values):
    with pytest.raises(InputError, match=next(iter(values))):
        IMTSettings(**values)


def test_saved_signatures_answer_bit_for_bit(manifold, images, tmp_path):
    endpoints = {
        name: IMTClassifier(IMT(manifold, variant=variant))
        for name, variant in (("imt", "imt"), ("imt_plus", "imt+"))
    }
    export = exporting.export_classifier(
        manifold.classifier, tmp_path / "out", images, endpoints=endpoints
    )
    assert export.signatures == {"serving_default": 0.0, "imt": 0.0, "imt_plus": 0.0}
    signatures = tf.saved_model.load(str(tmp_path / "out")).signatures
    assert {"serving_default", "imt", "imt_plus"} <= set(signatures)
    (logits,) = signatures["imt"](images=tf.constant(images)).values()
    assert np.abs(logits - manifold.classifier(images)).max() > 1e-3


def test_the_networks_inside_stay_trainable_and_the_model_around_them_has_nothing_to_train():
    classifier, discriminator = network()
    parts = (classifier, discriminator)
    before = [len(part.trainable_weights) for part in parts]
    guarded = IMTClassifier(IMT(LatentDiscriminator(classifier, discriminator)))
    assert min(before) > 0
    assert [len(part.trainable_weights) for part in parts] == before
    assert guarded.trainable_weights == guarded.trainable_variables == []
    assert len(guarded.weights) == sum(len(part.weights) for part in parts)
    x = np.random.default_rng(0).random((8, 4, 4, 1), np.float32)
    guarded.predict(x, verbose=0)
    classifier.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    weights = [weight.copy() for weight in classifier.get_weights()]
    classifier.fit(x, np.arange(8) % 3, verbose=0)
    moved = [
        np.abs(one - two).max() for one, two in zip(classifier.get_weights(), weights, strict=True)
    ]
    assert max(moved) > 0
    images = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = guarded(images)
    assert np.abs(tape.gradient(logits, images)).max() > 0


def test_a_model_for_prediction_cannot_be_made_trainable():
    guarded = IMTClassifier(IMT(LatentDiscriminator(*network())))
    guarded.trainable = False
    with pytest.raises(InputError, match="prediction only"):
        guarded.trainable = True
