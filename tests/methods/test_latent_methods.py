"""Feature scattering, TLA, LAT and bilateral training, by numbers worked out by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.config import build
from atk_latent.errors import InputError
from atk_latent.methods.bilateral import (
    Bilateral,
    BilateralSettings,
    adversarial_labels,
    most_confusing,
)
from atk_latent.methods.feature_scattering import FeatureScattering, FeatureScatteringSettings
from atk_latent.methods.lat import LAT, LATSettings, Passed as LATPassed
from atk_latent.methods.tla import (
    TLA,
    Passed,
    TLASettings,
    angular_distance,
    nearest_negatives,
    same_class,
)
from atk_latent.registry import METHODS

X = np.array([[0.8, 0.2], [0.4, 0.6], [0.5, 0.1]], np.float32).reshape(3, 1, 2, 1)
Y = np.array([0, 1, 0])
NAMES = ("feature-scattering", "tla", "lat", "bilateral")


def network(kernel=None, bias=(0.0, 0.0, 0.0)):
    """Pixels are the latent, named `flat`; then one Dense layer to three logits."""
    model = keras.Sequential(
        [layers.Input((1, 2, 1)), layers.Flatten(name="flat"), layers.Dense(3, name="logits")]
    )
    model.set_weights([np.zeros((2, 3)) if kernel is None else kernel, np.array(bias)])
    return model


def compiled(method, rate=1.0):
    method.steps_per_epoch = 1
    method.configure()
    method.optimizer.learning_rate = rate
    method.optimizer.build(method.classifier.trainable_weights)
    return method


def softmax(z):
    powers = np.exp(z - z.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


# Bilateral


def test_adversarial_label_by_hand():
    # v = (.4076, 1.4076, 2.4076); shares of classes 1, 2 are .01 and 1.01 of 1.02;
    # eps_y = 1 / (1 + 9 * .990196) = .100890.
    found = adversarial_labels(tf.constant([[2.0, 1.0, 0.0]]), tf.constant([0]))
    np.testing.assert_allclose(found, [[0.899110, 0.000989, 0.099901]], atol=1e-6)


def test_adversarial_labels_keep_the_ratio_and_are_smoothing_where_others_are_equal():
    rng = np.random.default_rng(0)
    logits, y = tf.constant(rng.normal(0, 5, (6, 5))), tf.constant([0, 1, 2, 3, 4, 0])
    labels = adversarial_labels(logits, y, ratio=4.0).numpy()
    own = labels[np.arange(6), y]
    np.testing.assert_allclose(labels.sum(1), 1)
    np.testing.assert_allclose(own / np.sort(labels, 1)[:, -2], 4.0)
    lowest = np.argmin(logits + 99 * np.eye(5)[y], axis=1)  # the least likely other class
    np.testing.assert_array_equal(np.argsort(labels, 1)[:, -2], lowest)
    even = adversarial_labels(tf.constant([[7.0, 1.0, 1.0, 1.0]]), tf.constant([0]))
    np.testing.assert_allclose(even, [[0.75, *3 * [0.25 / 3]]], atol=1e-6)  # 1 / (1 + 9 / 3)


def test_most_confusing_class_is_the_likeliest_other_one():
    logits = tf.constant([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    assert most_confusing(logits, tf.constant([0, 1])).numpy().tolist() == [2, 0]


def test_bilateral_step_by_hand():
    kernel, eps = np.array([[1.0, 0.2, -0.6], [-0.4, 0.5, 0.9]]), 0.05
    settings = build(BilateralSettings, {"eps": eps, "random_start": False, "momentum": 0.0})
    method = compiled(Bilateral(network(kernel), settings))
    logs = method.train_on_batch(X, Y, return_dict=True)
    x = X.reshape(3, 2).astype(np.float64)
    logits = x @ kernel
    target = most_confusing(tf.constant(logits), tf.constant(Y, tf.int32)).numpy()
    # Log-odds against the target fall along w_t - sum_{j != t} softmax_j w_j.
    others = softmax(np.where(np.eye(3)[target] == 1, -np.inf, logits))
    slope = kernel.T[target] - others @ kernel.T
    x_adv = np.clip(x + eps * np.sign(slope), 0, 1)
    labels = adversarial_labels(tf.constant(logits), tf.constant(Y)).numpy()
    error = (softmax(x_adv @ kernel) - labels) / 3
    loss = -np.mean(np.sum(labels * np.log(softmax(x_adv @ kernel)), axis=1))
    assert logs["loss"] == pytest.approx(loss, abs=1e-5)
    assert logs["adversarial_accuracy"] == pytest.approx(
        np.mean(np.argmax(x_adv @ kernel, 1) == Y), abs=1e-6
    )
    found = method.classifier.get_weights()
    np.testing.assert_allclose(found[0], kernel - x_adv.T @ error, atol=1e-5)
    np.testing.assert_allclose(found[1], -error.sum(0), atol=1e-5)


def test_bilateral_can_learn_clean_images_beside():
    method = compiled(Bilateral(network(bias=(2, 1, 0)), BilateralSettings(alpha=0.25)))
    labels = adversarial_labels(tf.constant([[2.0, 1.0, 0.0]]), tf.constant([0]))
    logits = tf.constant([[2.0, 1.0, 0.0]])
    loss = method.compute_loss(None, (tf.constant([0]), labels), (logits, logits))
    entropy = -np.sum(labels * np.log(softmax(np.array([2.0, 1.0, 0.0]))))
    assert float(loss) == pytest.approx(0.25 * 0.407606 + 0.75 * entropy, abs=1e-5)


# Feature scattering


def test_feature_scattering_learns_smoothed_labels_of_moved_images_alone():
    settings = build(FeatureScatteringSettings, {"eps": 0.0, "momentum": 0.0})
    method = compiled(FeatureScattering(network(bias=(2, 1, 0)), settings))
    logs = method.train_on_batch(X[:1], Y[:1], return_dict=True)
    assert logs["loss"] == pytest.approx(1.157606, abs=1e-6)  # labels (.5, .25, .25)
    assert set(logs) == {"loss", "adversarial_accuracy"}
    error = softmax(np.array([2.0, 1.0, 0.0])) - [0.5, 0.25, 0.25]
    kernel, bias = method.classifier.get_weights()
    np.testing.assert_allclose(bias, [2, 1, 0] - error, atol=1e-6)
    np.testing.assert_allclose(kernel, -np.outer(X[0].ravel(), error), atol=1e-6)


# TLA


def test_angular_distance_ignores_length_and_sign():
    a = tf.constant([[1.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    b = tf.constant([[0.0, 3.0], [-5.0, 0.0], [1.0, 1.0]])
    np.testing.assert_allclose(angular_distance(a, b), [1, 0, 1 - 0.5**0.5], atol=1e-6)


def test_negatives_are_nearest_of_another_class_and_positives_others_of_the_same():
    y = tf.constant([0, 0, 1, 1, 2])
    latents = tf.constant([[1.0, 0.0], [1.0, 0.1], [1.0, 0.5], [0.0, 1.0], [-1.0, 0.0]])
    assert nearest_negatives(latents, latents, y).numpy().tolist() == [2, 2, 1, 1, 3]
    drawn = tf.constant(np.random.default_rng(0).random((5, 5)), tf.float32)
    assert same_class(y, drawn).numpy().tolist() == [1, 0, 3, 2, 4]  # alone: itself
    many = [same_class(tf.zeros(3, tf.int32), drawn[:3, :3] * sign)[0] for sign in (1, -1)]
    assert sorted(int(row) for row in many) == [1, 2]


def passed(latents, latents_adv):
    z, z_adv = tf.constant(latents, tf.float32), tf.constant(latents_adv, tf.float32)
    logits = tf.constant([[2.0, 1.0, 0.0]] * len(latents))
    return Passed(logits, logits, z, z_adv)


@pytest.mark.parametrize(
    ("positives", "expected"),
    [
        # Row 0: own cos 1, mate cos .6, negative cos .8 -> hinges .8 - 1 + .5, .8 - .6 + .5.
        # Its squares: own 1 + 1 + 1, mate the same, over two entries and times .1.
        ("own", 0.3 + 0.15),
        ("class", 0.7 + 0.15),
        ("both", 1.0 + 0.3),
    ],
)
def test_triplet_loss_by_hand(positives, expected):
    settings = TLASettings(positives=positives, margin=0.5, norm_weight=0.1, triplet_weight=2.0)
    method = compiled(TLA(network(), settings))
    batch = passed([[1, 0], [0.6, -0.8], [0.8, 0.6]], [[1, 0], [1, 0], [1, 0]])
    y = tf.constant([0, 0, 1])
    triplets = method.triplet_loss(batch, y).numpy()
    assert triplets[0] == pytest.approx(expected, abs=1e-6)
    loss = float(method.compute_loss(None, y, batch))
    entropy = np.mean([0.407606, 0.407606, 1.407606])
    assert loss == pytest.approx(entropy + 2.0 * triplets.mean(), abs=1e-5)


def test_tla_can_learn_clean_images_beside():
    method = compiled(TLA(network(), TLASettings(alpha=0.25, triplet_weight=0.0)))
    batch = passed([[1, 0], [0, 1]], [[1, 0], [0, 1]])
    batch = batch._replace(logits_adv=tf.zeros((2, 3)))
    loss = float(method.compute_loss(None, tf.constant([0, 0]), batch))
    assert loss == pytest.approx(0.25 * 0.407606 + 0.75 * np.log(3), abs=1e-5)


def test_a_batch_of_one_class_has_no_triplet():
    method = TLA(network(), TLASettings(margin=1.0))
    batch = passed([[1, 0], [0, 1]], [[1, 0], [1, 0]])
    np.testing.assert_array_equal(method.triplet_loss(batch, tf.constant([1, 1])), [0, 0])


def test_tla_update_reaches_the_layers_below_the_latent():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            layers.Input((1, 2, 1)),
            layers.Flatten(),
            layers.Dense(4, activation="tanh", name="latent"),
            layers.Dense(3, kernel_initializer="zeros"),  # cross-entropy stops here
        ]
    )
    method = compiled(TLA(model, TLASettings(eps=0.1, steps=1, margin=1.0)))
    before = model.layers[1].get_weights()[0].copy()
    logs = method.train_on_batch(X, Y, return_dict=True)
    assert np.abs(model.layers[1].get_weights()[0] - before).max() > 1e-3
    assert set(logs) == {"loss", "accuracy", "adversarial_accuracy"}


# LAT


def test_latents_are_pushed_to_the_ends_of_their_channels_range():
    kernel = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    settings = build(LATSettings, {"latent_layer": "flat", "latent_eps": 1.0, "latent_steps": 1})
    method = LAT(network(kernel, bias=(0, -99, 0)), settings)
    z = method.perturb_latents(tf.constant(X), tf.constant(Y)).numpy()
    # Logit 0 is channel 0 in [.4, .8], logit 2 channel 1 in [.1, .6]: class 0 wants them low
    # and high; class 1, without a chance, is pushed towards the larger one.
    np.testing.assert_allclose(z[[0, 2]], [[0.4, 0.6], [0.4, 0.6]], atol=1e-6)
    np.testing.assert_allclose(z[1], [0.8, 0.6], atol=1e-6)


def test_latents_stay_in_their_ball():
    settings = build(LATSettings, {"latent_layer": "flat", "latent_eps": 0.1, "latent_steps": 5})
    method = LAT(network(np.random.default_rng(0).normal(size=(2, 3))), settings)
    z = method.perturb_latents(tf.constant(X), tf.constant(Y)).numpy()
    move = np.abs(z - X.reshape(3, 2)).max(0)
    assert (move <= 0.1 * np.array([0.4, 0.5]) + 1e-6).all()
    assert (move > 0.01).all()


def test_lat_loss_by_hand_and_its_step():
    settings = build(
        LATSettings,
        {"latent_layer": "flat", "eps": 0.1, "steps": 1, "latent_steps": 1, "momentum": 0.0},
    )
    method = compiled(LAT(network(bias=(2, 1, 0)), settings))
    logs = method.train_on_batch(X[:1], Y[:1], return_dict=True)
    assert logs["loss"] == pytest.approx(1.25 * 0.407606, abs=1e-6)
    assert set(logs) == {"loss", "adversarial_accuracy"}
    error = softmax(np.array([2.0, 1.0, 0.0])) - [1, 0, 0]
    np.testing.assert_allclose(
        method.classifier.get_weights()[1], [2, 1, 0] - 1.25 * error, atol=1e-6
    )
    logits = tf.constant([[2.0, 1.0, 0.0]])
    batch = LATPassed(logits, tf.constant([[0.0, 0.0, 0.0]]))
    loss = float(method.compute_loss(None, tf.constant([0]), batch))
    assert loss == pytest.approx(0.407606 + 0.25 * np.log(3), abs=1e-6)


def test_lat_trains_adversarially_first_and_once(tmp_path):
    settings = build(
        LATSettings,
        {
            "latent_layer": "flat",
            "adversarial_epochs": 2,
            "adversarial_learning_rate": 0.5,
            "steps": 1,
        },
    )
    stages = []
    method = LAT(network(), settings)
    first = settings.adversarial_training()
    assert (first.optimizer.epochs, first.optimizer.learning_rate, first.steps) == (2, 0.5, 1)
    method.prepare(X, Y, folder=tmp_path, progress=lambda stage, *_: stages.append(stage))
    trained = method.classifier.get_weights()
    assert set(stages) == {"adversarial"}
    assert np.abs(trained[0]).max() > 0
    assert {path.name for path in tmp_path.iterdir()} == {"adversarial.npz", "checksums.json"}
    resumed = LAT(network(), settings)
    resumed.prepare(X, Y, folder=tmp_path)
    for ours, theirs in zip(resumed.classifier.get_weights(), trained, strict=True):
        np.testing.assert_array_equal(ours, theirs)


# All of them


def test_the_fine_tuning_alone_can_be_cyclic():
    for data, first in (("cifar10", "steps"), ("some.npz", "cyclic")):
        settings = LAT.settings_for("", data, "paper", {"schedule": "cyclic"})
        before = settings.adversarial_training()
        assert (settings.optimizer.schedule, before.optimizer.schedule) == ("cyclic", first)
        assert bool(before.optimizer.decay_epochs) == (first == "steps")


def test_presets_are_those_of_the_published_code():
    scattering, tla, lat, bilateral = (
        METHODS[name].settings_for("wrn-28-10", "cifar10", "paper", {}) for name in NAMES
    )
    sgd = scattering.optimizer
    assert (sgd.batch_size, sgd.epochs, sgd.decay_epochs) == (60, 200, (60, 90))
    assert (sgd.label_smoothing, scattering.steps, sgd.weight_decay) == (0.5, 1, 2e-4)
    transport = scattering.transport
    assert (transport.regularisation, transport.sinkhorn_iterations) == (0.01, 100)
    assert (tla.triplet_weight, tla.margin, tla.norm_weight) == (2.0, 0.03, 1e-3)
    assert (tla.positives, tla.optimizer.batch_size, tla.steps) == ("both", 50, 7)
    assert lat.latent_layer == "group2_block4_add"
    assert (lat.latent_attack.eps, lat.latent_attack.steps) == (8 / 255, 20)
    assert (lat.optimizer.learning_rate, lat.adversarial.learning_rate) == (1e-3, 0.1)
    assert (bilateral.label_ratio, bilateral.optimizer.decay_epochs) == (9.0, (100, 150))
    for settings in (scattering, bilateral):  # one step of eps
        assert settings.ascent().step_length == settings.eps == 8 / 255
    assert METHODS["tla"].settings_for("lenet", "mnist", "paper", {}).triplet_weight == 0.5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("data", ["digits", "mnist", "svhn", "some.npz"])
def test_every_preset_of_every_data_set_can_be_built(name, data):
    for preset in ("paper", "official", "quick"):
        settings = METHODS[name].settings_for("", data, preset, {"eps": "0.1"})
        assert settings.eps == 0.1
        assert settings.ascent().step_length <= 0.1


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (BilateralSettings, {"label_smoothing": 0.1}, "label_smoothing.*Received: 0.1"),
        (BilateralSettings, {"label_ratio": 0.5}, "label_ratio"),
        (TLASettings, {"margin": -1}, "margin"),
        (TLASettings, {"positives": "any"}, "one of class, own, both"),
        (LATSettings, {"alpha": 0.5}, "alpha.*Received: 0.5"),
        (LATSettings, {"latent_eps": -0.1}, "eps"),
        (FeatureScatteringSettings, {"tolerance": -1}, "tolerance"),
        (FeatureScatteringSettings, {"norm": "l9"}, "linf, l2"),
    ],
)
def test_wrong_settings_are_refused(kind, values, message):
    with pytest.raises(InputError, match=message):
        build(kind, values)


def test_a_layer_that_is_not_there_is_refused():
    for kind, settings in (
        (TLA, TLASettings(latent_layer="flaat")),
        (LAT, LATSettings(latent_layer="flaat")),
    ):
        with pytest.raises(InputError, match="flaat"):
            kind(network(), settings)
