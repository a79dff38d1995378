"""One step of each baseline, number by number, on a linear classifier of two pixels."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.adversaries.kl_ascent import KLAscent, KLSettings, kl_divergence
from atk_latent.config import build, flat
from atk_latent.errors import InputError
from atk_latent.methods.adversarial import (
    FGSMSettings,
    FGSMTraining,
    FreeSettings,
    FreeTraining,
    PGDSettings,
    PGDTraining,
)
from atk_latent.methods.callbacks import Checkpoint
from atk_latent.methods.mart import MART, MARTSettings, log_of_others
from atk_latent.methods.objectives import CrossEntropy
from atk_latent.methods.trades import TRADES, TRADESLADDERSettings, TRADESSettings
from atk_latent.registry import METHODS

W = np.array([[1.0, -1.0], [-2.0, 2.0]], np.float32)  # z = (u, -u), u = x1 - 2 x2
X = np.full((1, 1, 2, 1), 0.5, np.float32)
Y = np.array([0])


def linear(kernel=W):
    inputs, outputs = kernel.shape
    model = keras.Sequential(
        [layers.Input((1, inputs, 1)), layers.Flatten(), layers.Dense(outputs)]
    )
    model.set_weights([kernel, np.zeros(outputs)])
    return model


def stepped(method, rate=1.0):
    """The kernel after one step of plain gradient descent on (X, Y), and the logs."""
    method.compile(keras.optimizers.SGD(rate), CrossEntropy(), jit_compile=False)
    logs = method.train_on_batch(X, Y, return_dict=True)
    return method.classifier.get_weights()[0], {name: float(v) for name, v in logs.items()}


def test_pgd_takes_one_step_on_adversarial_images_alone():
    # The loss climbs against u: x_adv = (.4, .6), z = (-.8, .8), p = (.167982, .832018).
    settings = PGDSettings(eps=0.1, steps=1, random_start=False)
    kernel, logs = stepped(PGDTraining(linear(), settings))
    slope = np.outer([0.4, 0.6], [0.167982 - 1, 0.832018])
    np.testing.assert_allclose(kernel, W - slope, atol=1e-5)
    assert logs == {"loss": pytest.approx(1.783901, abs=1e-5), "adversarial_accuracy": 0.0}


def test_alpha_brings_the_clean_loss_in():
    # z = (-.5, .5) on X itself: p = (.268941, .731059).
    settings = PGDSettings(eps=0.1, steps=1, random_start=False, alpha=0.25)
    kernel, logs = stepped(PGDTraining(linear(), settings))
    clean = np.outer([0.5, 0.5], [0.268941 - 1, 0.731059])
    adversarial = np.outer([0.4, 0.6], [0.167982 - 1, 0.832018])
    np.testing.assert_allclose(kernel, W - 0.25 * clean - 0.75 * adversarial, atol=1e-5)
    assert logs["loss"] == pytest.approx(0.25 * 1.313262 + 0.75 * 1.783901, abs=1e-5)


def test_fgsm_steps_one_and_a_quarter_eps_from_anywhere_in_the_ball():
    method = FGSMTraining(linear(), FGSMSettings(eps=0.1))
    found = np.array([method.perturb(tf.constant(X), tf.constant(Y)) for _ in range(20)])
    change = np.reshape(found - X, (20, 2)) * [-1, 1]
    assert change.max() == pytest.approx(0.1, abs=1e-6)
    assert change.min() >= 0.025 - 1e-6  # from the far side of the ball
    assert np.ptp(change) > 0.01


def test_free_training_moves_weights_and_image_by_turns():
    # numpy: x_adv starts at x + delta; both move with the gradients of one pass.
    method = FreeTraining(
        linear(),
        build(FreeSettings, {"eps": 0.1, "step_size": 0.06, "replays": 2, "batch_size": 3}),
    )
    kernel, bias, delta = W.astype(np.float64), np.zeros(2), np.zeros(2)
    for _ in range(2):
        for _ in range(2):
            x_adv = 0.5 + delta
            odds = np.exp(x_adv @ kernel + bias)
            top = odds / odds.sum() - [1, 0]
            delta = np.clip(delta + 0.06 * np.sign(kernel @ top), -0.1, 0.1)
            kernel, bias = kernel - 0.1 * np.outer(x_adv, top), bias - 0.1 * top
        if method.compiled:
            method.train_on_batch(X, Y)
        else:
            stepped(method, 0.1)
        np.testing.assert_allclose(method.classifier.get_weights()[0], kernel, atol=1e-5)
        np.testing.assert_allclose(np.reshape(method.delta[0], -1), delta, atol=1e-6)
    assert int(method.optimizer.iterations) == 4
    np.testing.assert_array_equal(method.delta[1:], np.zeros((2, 1, 2, 1)))


def test_free_training_keeps_the_perturbation_that_dark_and_bright_pixels_cannot_show():
    # numpy, Algorithm 1: the input is cut to [0, 1], the perturbation to the ball alone.
    batches = [np.array([0.02, 0.97]), np.array([0.5, 0.5]), np.array([0.99, 0.01])]
    method = FreeTraining(
        linear(),
        build(FreeSettings, {"eps": 0.1, "step_size": 0.06, "replays": 2, "batch_size": 1}),
    )
    method.compile(keras.optimizers.SGD(0.1), CrossEntropy(), jit_compile=False)
    kernel, bias, delta = W.astype(np.float64), np.zeros(2), np.zeros(2)
    for x in batches:
        for _ in range(2):
            x_adv = np.clip(x + delta, 0, 1)
            odds = np.exp(x_adv @ kernel + bias)
            top = odds / odds.sum() - [1, 0]
            delta = np.clip(delta + 0.06 * np.sign(kernel @ top), -0.1, 0.1)
            kernel, bias = kernel - 0.1 * np.outer(x_adv, top), bias - 0.1 * top
        method.train_on_batch(np.float32(x).reshape(1, 1, 2, 1), Y)
        np.testing.assert_allclose(np.reshape(method.delta, -1), delta, atol=1e-6)
        np.testing.assert_allclose(method.classifier.get_weights()[0], kernel, atol=1e-5)
    assert np.any(np.clip(batches[0] + delta, 0, 1) != batches[0] + delta)  # the case occurs


def test_free_training_survives_a_gradient_that_overflows(monkeypatch):
    method = FreeTraining(
        linear(), build(FreeSettings, {"eps": 0.1, "replays": 1, "batch_size": 1})
    )
    method.compile(keras.optimizers.SGD(0.1), CrossEntropy(), run_eagerly=True)
    real, scale = method.gradients, [np.nan]
    monkeypatch.setattr(method, "gradients", lambda *given, **more: (
        lambda y_pred, found: (y_pred, [*found[:-1], scale[0] * found[-1]])
    )(*real(*given, **more)))  # fmt: skip
    method.train_on_batch(X, Y)
    np.testing.assert_array_equal(method.delta, np.zeros((1, 1, 2, 1)))
    scale[0] = 1.0
    method.train_on_batch(X, Y)
    np.testing.assert_allclose(np.abs(method.delta), 0.1, atol=1e-6)


def test_free_training_refuses_a_batch_that_it_has_no_perturbations_for():
    method = FreeTraining(linear(), build(FreeSettings, {"eps": 0.1, "batch_size": 2}))
    method.compile("sgd", CrossEntropy())
    with pytest.raises(InputError, match="batch_size=2.*Received: 3"):
        method.train_on_batch(np.repeat(X, 3, 0), np.repeat(Y, 3))


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_no_epochs_leave_the_classifier_as_it_was(ema):
    method = PGDTraining(linear(), build(PGDSettings, {"eps": 0.1, "epochs": 0, "ema": ema}))
    assert method.harden(*images()) == []
    np.testing.assert_array_equal(method.classifier.get_weights()[0], W)


PENALTY = 0.5


IN_THE_LOOP = [name for name in METHODS if "ladder" not in name and name != "augment"]


@pytest.mark.parametrize("name", IN_THE_LOOP)
def test_the_regularisers_of_the_layers_count_once(name):
    losses, still = [], {"learning_rate": 1e-12, "batch_size": 8}
    still |= {"label_smoothing": 0.1} if name in ("atld", "feature-scattering") else {}
    x = np.random.default_rng(0).random((8, 1, 2, 1), np.float32)
    for strength in (0.0, PENALTY):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((1, 2, 1))
        z = layers.Dense(3, activation="relu")(layers.Flatten()(inputs))
        shrunk = keras.regularizers.L2(strength)
        model = keras.Model(inputs, layers.Dense(2, kernel_regularizer=shrunk)(z))
        settings = METHODS[name].settings_for("", "digits", "paper", still)
        method = METHODS[name](model, settings)
        method.configure()
        logs = method.train_on_batch(x, np.arange(8) % 2, return_dict=True)
        losses.append(float(logs["loss"]))
    squares = np.sum(np.square(model.layers[-1].get_weights()[0]))
    assert losses[1] - losses[0] == pytest.approx(PENALTY * squares, rel=1e-3)


CLEAN = np.array([[2, 0, 0], [0, 1, 0]], np.float32)
ADVERSARIAL = np.array([[1, 1, 0], [0, 0, 1]], np.float32)
LABELS = np.array([0, 1])


def pair_loss(method):
    method.compile("sgd", method.settings.optimizer.loss())
    pair = (tf.constant(CLEAN), tf.constant(ADVERSARIAL))
    with tf.GradientTape() as tape:
        tape.watch(pair)
        loss = method.compute_loss(y=tf.constant(LABELS), y_pred=pair)
    return float(loss), [np.array(g) for g in tape.gradient(loss, pair)]


@pytest.mark.parametrize(("beta", "loss"), [(6.0, 2.396808), (1.0, 0.729047)])
def test_trades_loss_is_the_golden_one(beta, loss):
    assert pair_loss(TRADES(linear(), TRADESSettings(beta=beta)))[0] == pytest.approx(
        loss, abs=1e-6
    )


def test_trades_gradient_flows_through_both_members():
    # d KL / d z' = q - p; d KL / d z_k = p_k (log p_k / q_k - KL), half of each: mean of two.
    _, (clean, adversarial) = pair_loss(TRADES(linear(), TRADESSettings(beta=6.0)))
    p, q = (np.exp(z) / np.exp(z).sum(1, keepdims=True) for z in (CLEAN, ADVERSARIAL))
    ratio = np.log(p / q)
    kl = (p * ratio).sum(1, keepdims=True)
    np.testing.assert_allclose(adversarial, 6 * (q - p) / 2, atol=1e-6)
    np.testing.assert_allclose(
        clean, (p - np.eye(3)[LABELS]) / 2 + 6 * p * (ratio - kl) / 2, atol=1e-6
    )


def test_trades_equals_pytorch():
    torch = pytest.importorskip("torch")
    from torch.nn import functional

    clean, adversarial = (torch.tensor(z, requires_grad=True) for z in (CLEAN, ADVERSARIAL))
    divergence = functional.kl_div(
        functional.log_softmax(adversarial, 1), functional.softmax(clean, 1), reduction="sum"
    )
    loss = functional.cross_entropy(clean, torch.tensor(LABELS)) + 6 / 2 * divergence
    loss.backward()
    ours, gradients = pair_loss(TRADES(linear(), TRADESSettings(beta=6.0)))
    assert ours == pytest.approx(loss.item(), abs=1e-6)
    for mine, theirs in zip(gradients, (clean.grad, adversarial.grad), strict=True):
        np.testing.assert_allclose(mine, theirs.numpy(), atol=1e-6)


def test_label_smoothing_reaches_the_trades_loss():
    plain = pair_loss(TRADES(linear(), TRADESSettings(beta=0.0)))[0]
    smooth = pair_loss(
        TRADES(linear(), build(TRADESSettings, {"beta": 0.0, "label_smoothing": 0.5}))
    )[0]
    # K = 3: half of the weight goes to the two others; log p sums of both rows by hand.
    assert smooth - plain == pytest.approx((0.5 * 2 + 0.5 * 1) / 2, abs=1e-5)


def test_trades_climbs_the_divergence_and_never_asks_for_labels():
    adversary = KLAscent(KLSettings(eps=0.1, steps=3, step_size=0.04))
    x_adv = adversary(linear(), X, np.array([0])).numpy()
    np.testing.assert_allclose(np.abs(x_adv - X), np.full_like(X, 0.1), atol=1e-6)
    assert np.sign(x_adv - X).reshape(-1).tolist() in ([1, -1], [-1, 1])  # along +-w
    z, z_adv = (tf.constant(np.reshape(v, (1, 2)) @ W) for v in (X, x_adv))
    # u goes from -.5 to -.8 or to -.2
    assert float(kl_divergence(z, z_adv)[0]) == pytest.approx(
        0.0320 if x_adv[0, 0, 0, 0] < 0.5 else 0.0384, abs=1e-4
    )


def test_mart_loss_by_hand():
    # BCE: row 1 -log .422319 - log(1 - .422319); row 2 -log .211942 - log(1 - .576117);
    # KL .302929 and .364175, 1 - p_y .213014 and .423883.
    method = MART(linear(), MARTSettings(beta=5.0))
    assert pair_loss(method)[0] == pytest.approx(2.457475, abs=1e-5)
    bce = pair_loss(MART(linear(), MARTSettings(beta=0.0)))[0]
    assert bce == pytest.approx((1.410728 + 2.409742) / 2, abs=1e-5)


def test_mart_margin_stays_finite_where_the_rival_has_won():
    logits = tf.constant([[0.0, 60.0, 0.0]])
    assert float(log_of_others(logits, tf.constant([0]))[0]) == pytest.approx(-60 + np.log(2), 1e-5)


def images(n=60):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    x = 0.3 * rng.random((n, 1, 2, 1), np.float32)
    x[y == 1, 0, 1] += 0.6
    return x, y


@pytest.mark.parametrize("name", ["pgd", "fgsm", "free", "trades", "mart"])
def test_training_from_scratch_learns_and_measures_itself(name):
    kind = METHODS[name]
    changes = {"eps": "0.1", "epochs": 8, "learning_rate": 0.2, "batch_size": 16, "augment": "none"}
    if name in ("pgd", "trades", "mart"):
        changes["steps"] = 2
    if name == "free":
        changes |= {"replays": 2, "epochs": 4}
    method = kind(linear(np.zeros((2, 2), np.float32)), kind.settings_for("", "", "quick", changes))
    logs = method.harden(*images(), validation_data=images(20))
    assert set(logs[-1]) >= {"loss", "adversarial_accuracy", "val_accuracy"}
    assert ("accuracy" in logs[-1]) == (name in ("trades", "mart"))
    found = method.measure(*images(20))
    assert found["pgd_accuracy"] > 0.9
    assert (found["pgd_eps"], found["pgd_images"]) == (0.1, 20)


def test_the_state_of_free_training_is_saved_with_the_rest(tmp_path):
    method = FreeTraining(
        linear(), build(FreeSettings, {"eps": 0.1, "epochs": 1, "batch_size": 16, "replays": 2})
    )
    method.harden(*images(), folder=tmp_path)
    again = FreeTraining(linear(), method.settings)
    again.configure()
    assert Checkpoint(tmp_path).restore(again) == 1
    assert np.abs(again.delta).max() > 0
    np.testing.assert_array_equal(again.delta, method.delta)


@pytest.mark.parametrize(
    ("name", "data", "wanted"),
    [
        ("pgd", "mnist", {"eps": 0.3, "step_size": 0.01, "steps": 40, "alpha": 0.0}),
        ("pgd", "cifar10", {"eps": 8 / 255, "step_size": 2 / 255, "steps": 7, "momentum": 0.9}),
        ("fgsm", "svhn", {"eps": 8 / 255, "epochs": 15, "schedule": "cyclic", "augment": "none"}),
        ("fgsm", "mnist", {"schedule": "cyclic", "cyclic_rise": 0.4}),
        ("fgsm", "cifar10", {"cyclic_rise": 0.5, "augment": "crop-flip"}),
        ("free", "cifar100", {"replays": 8, "decay_epochs": (13, 19), "augment": "crop-flip"}),
        ("trades", "cifar10", {"eps": 0.031, "step_size": 0.007, "beta": 6.0, "epochs": 76}),
        ("trades", "mnist", {"beta": 1.0, "learning_rate": 0.01, "decay_epochs": (54,)}),
        ("mart", "cifar10", {"beta": 5.0, "weight_decay": 3.5e-3, "steps": 10}),
    ],
)
def test_presets_are_those_of_the_papers(name, data, wanted):
    settings = METHODS[name].settings_for("", data, "paper", {})
    assert {key: flat(settings)[key] for key in wanted} == wanted


def test_marts_published_code_counts_epochs_from_one():
    settings = MART.settings_for("", "cifar10", "official", {})
    assert settings.optimizer.decay_epochs == (74, 89, 99)
    assert (settings.eps, settings.step_size) == (0.031, 0.007)


def test_the_step_follows_another_eps_unless_it_is_given():
    half = PGDTraining.settings_for("", "cifar10", "paper", {"eps": "4/255"})
    assert half.step_size == pytest.approx(1 / 255)
    own = {"eps": "4/255", "step_size": "2/255"}
    assert PGDTraining.settings_for("", "cifar10", "paper", own).step_size == pytest.approx(2 / 255)
    assert FGSMSettings(eps=0.2).ascent().step_length == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PGDSettings(alpha=1.5), "alpha"),
        (lambda: PGDSettings(steps=0), "steps"),
        (lambda: FreeSettings(replays=0), "replays"),
        (lambda: TRADESSettings(beta=-1.0), "beta"),
        (lambda: MARTSettings(beta=-1.0), "beta"),
        (lambda: KLSettings(step_size=0.0), "step_size"),
        (lambda: build(TRADESLADDERSettings, {"originals": "full"}), "paired"),
        (lambda: TRADES.settings_for("", "mnist", "paper", {"betta": 1}), "beta"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
