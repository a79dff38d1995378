"""The audit catches defences that are built to fool it, and lets an honest one pass."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.art_bridge.context import AttackContext
from atk_latent.data.loading import load_dataset
from atk_latent.evaluation import audit_checks
from atk_latent.evaluation.audit import audit
from atk_latent.evaluation.audit_checks import Subject
from atk_latent.evaluation.runner import Deployed, Options, Surrogate
from atk_latent.inference.imt import IMT, IMTClassifier, IMTSettings
from tests.evaluation import two_halves

EPS, SIDE = 0.1, 6


def blobs(n, seed):
    """Two classes told apart by which half is brighter; the margin varies."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    x = rng.uniform(0.3, 0.7, (n, SIDE, SIDE, 1))
    lift = rng.uniform(0.02, 0.3, n)
    for row, label in enumerate(y):
        half = slice(0, 3) if label else slice(3, 6)
        x[row, half] += lift[row]
    return np.clip(x, 0, 1).astype(np.float32), y


X, Y = blobs(100, 1)


@pytest.fixture(scope="module")
def honest():
    """A small network trained on images with noise of size eps: smooth, nothing hidden."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            layers.Flatten(),
            layers.Dense(16, activation="tanh"),
            layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.fit(*blobs(1000, 0), epochs=15, batch_size=50, verbose=0)
    return model


class Quantised(layers.Layer):
    def call(self, x):
        return tf.round(x * 8) / 8


class Detached(layers.Layer):
    def call(self, x):
        return tf.stop_gradient(x)


class Noisy(layers.Layer):
    def call(self, x):
        return x + tf.random.normal(tf.shape(x), stddev=0.2)


class Rippled(layers.Layer):
    def call(self, x):  # a wave too small to change a class, with slopes that drown the others
        return x + 1e-3 * tf.sin(2e4 * x)


class Undefined(layers.Layer):
    def call(self, x):  # adds nothing, but its slope is infinite times 0
        return x + tf.sqrt(0.0 * x)


def behind(layer, model):
    return keras.Sequential([keras.Input((SIDE, SIDE, 1)), layer, model])


def failed(model, *checks, **more):
    record = audit(model, X, Y, EPS, checks=checks, **more)
    return {check.name for check in record.checks if not check.passed}


def test_a_check_is_a_function_and_its_line_in_the_list():
    public = {
        function
        for name, function in vars(audit_checks).items()
        if getattr(function, "__annotations__", {}).get("return") in ("Check", "Check | None")
    }
    assert public == set(audit_checks.CHECKS) and len(public) == len(audit_checks.CHECKS) == 14


def test_an_honest_model_passes_every_check(honest):
    record = audit(honest, X, Y, EPS, surrogate=Surrogate("itself", honest))
    checks = record.checks
    assert record.passed, [c for c in checks if not c.passed]
    assert len(checks) == 13 and all(c.measured and c.why and c.verdict for c in checks)


@pytest.mark.parametrize(
    ("fake", "checks", "caught_by"),
    [
        (
            Quantised,
            (audit_checks.zero_gradients, audit_checks.unbounded, audit_checks.black_box),
            {"zero-gradients", "unbounded", "black-box-beats-white-box"},
        ),
        (Detached, (audit_checks.zero_gradients,), {"zero-gradients"}),
        (Noisy, (audit_checks.randomised_output,), {"randomised-output"}),
        (
            Rippled,
            (audit_checks.rough_loss, audit_checks.exploding_gradients),
            {"rough-loss", "exploding-gradients"},
        ),
        (Undefined, (audit_checks.exploding_gradients,), {"exploding-gradients"}),
    ],
)
def test_a_planted_fake_is_caught(fake, checks, caught_by, honest):
    assert caught_by <= failed(behind(fake(), honest), *checks)


def test_saturated_logits_are_caught(honest):
    saturated = keras.Sequential([honest, layers.Rescaling(1e4)])
    assert failed(saturated, audit_checks.zero_gradients) == {"zero-gradients"}


def test_a_surrogate_reveals_hidden_gradients(honest):
    masked, open_model = behind(Quantised(), honest), Surrogate("open", honest)
    found = failed(masked, audit_checks.transfer, surrogate=open_model)
    assert found == {"transfer-beats-white-box"}


# What the figures mean, each time with and without a sign of masking

SOUND = {
    "fgsm:eps=0.1": 0.6,
    "pgd:eps=0.1,steps=20,restarts=1": 0.5,
    "pgd:eps=0.1,steps=100,restarts=1": 0.49,
    "pgd:eps=0.1,steps=20,restarts=5": 0.48,
    "pgd:eps=0.1,steps=20,restarts=10": 0.47,
    "pgd:eps=0.2,steps=20,restarts=1": 0.2,
    "pgd:eps=0.4,steps=20,restarts=1": 0.0,
    "pgd:eps=1,steps=100,restarts=1": 0.0,
    "cw-pgd:eps=0.1,steps=20,restarts=1": 0.45,
    "square:eps=0.1,queries=1000": 0.55,
}


def answered(check, **changes):
    """A check from made-up figures; "white" stands for PGD-20 with one start."""
    known = SOUND | {name: value for name, value in changes.items() if ":" in name}
    return check(
        Subject(None, X, Y, EPS, accuracy=known.__getitem__, transfer=lambda spec: changes["moved"])
    )


@pytest.mark.parametrize(
    ("check", "fine", "wrong"),
    [
        (audit_checks.one_step_beats_many, {}, {"fgsm:eps=0.1": 0.45}),
        (audit_checks.other_loss, {}, {"cw-pgd:eps=0.1,steps=20,restarts=1": 0.39}),
        (audit_checks.more_steps, {}, {"pgd:eps=0.1,steps=100,restarts=1": 0.55}),  # weaker
        (audit_checks.more_steps, {}, {"pgd:eps=0.1,steps=100,restarts=1": 0.4}),  # still gains
        (audit_checks.restarts, {}, {"pgd:eps=0.1,steps=20,restarts=10": 0.4}),
        (audit_checks.larger_eps, {}, {"pgd:eps=0.2,steps=20,restarts=1": 0.55}),
        (audit_checks.larger_eps, {}, {"pgd:eps=0.4,steps=20,restarts=1": 0.25}),
        (audit_checks.unbounded, {}, {"pgd:eps=1,steps=100,restarts=1": 0.1}),
        (audit_checks.black_box, {}, {"square:eps=0.1,queries=1000": 0.4}),
        (audit_checks.transfer, {"moved": 0.5}, {"moved": 0.4}),
    ],
)
def test_figures_that_cannot_be_are_found(check, fine, wrong):
    assert answered(check, **fine).passed
    found = answered(check, **wrong)
    assert not found.passed and set(wrong.values()) <= {*found.measured.values(), 0.1}


def test_noise_that_beats_gradients_is_found(honest):
    """Without gradients PGD ends where it starts: in the ball, while noise is at its corners."""
    asked = (audit_checks.random_noise,)
    for model, passes in ((honest, True), (behind(Detached(), honest), False)):
        (found,) = audit(model, X, Y, 0.4, checks=asked).checks
        assert found.passed is passes, found


# Behind a defence at inference


@pytest.fixture(scope="module")
def halves():
    return two_halves.game().manifold, *two_halves.images(40)


def behind_imt(halves, step_size, *asked):
    manifold, x, y = halves
    settings = IMTSettings(step_size=step_size, radius=step_size)
    imt = IMTClassifier(IMT(manifold, settings))
    return audit(
        manifold.classifier,
        x,
        y,
        two_halves.EPS,
        options=Options(
            deployed=Deployed(f"imt:step_size={step_size}", imt), context=AttackContext(imt=imt)
        ),
        checks=asked or None,
    ).checks


def test_a_defence_that_undoes_static_attacks_only_is_caught(halves):
    (check,) = behind_imt(halves, two_halves.EPS, audit_checks.static_vs_adaptive)
    assert check.measured["static_pgd_20"] == 1.0  # u goes down, and up again
    assert check.measured["joint"] == check.measured["least_adaptive"] == 0.0  # v goes along
    assert not check.passed
    assert "100.0%" in check.verdict and "must not be quoted as robustness" in check.verdict


def test_a_defence_that_does_nothing_gains_nothing(halves):
    (check,) = behind_imt(halves, 0.0, audit_checks.static_vs_adaptive)
    assert check.passed and check.measured["static_pgd_20"] == 0.0
    assert "must not" not in check.verdict


def test_attacks_are_made_through_what_is_deployed(halves):
    """PGD that meets the defence leaves some; on the bare classifier it leaves nothing."""
    asked = (audit_checks.one_step_beats_many, audit_checks.randomised_output)
    met, random = behind_imt(halves, two_halves.EPS, *asked)
    manifold, x, y = halves
    (bare,) = audit(manifold.classifier, x, y, two_halves.EPS, checks=asked[:1]).checks
    assert bare.measured["pgd_20"] == 0.0 < 0.3 < met.measured["pgd_20"]
    assert random.passed


def test_nothing_static_is_asked_of_a_bare_classifier(halves):
    manifold, x, y = halves
    asked = (audit_checks.static_vs_adaptive,)
    assert audit(manifold.classifier, x, y, EPS, checks=asked).checks == ()


@pytest.mark.slow
def test_a_pgd_trained_network_passes_every_check():
    from atk_latent.methods.adversarial import PGDTraining
    from atk_latent.registry import MODELS

    keras.utils.set_random_seed(0)
    digits = load_dataset("digits")
    classifier = MODELS["lenet"](digits.image_shape, digits.num_classes)
    settings = PGDTraining.settings_for(
        "lenet", "digits", "quick", {"epochs": 12, "decay_epochs": 9}
    )
    PGDTraining(classifier, settings).harden(digits.x_train, digits.y_train)
    x, y = digits.x_test[:100], digits.y_test[:100]
    record = audit(classifier, x, y, settings.eps)
    assert record.passed, [check for check in record.checks if not check.passed]
