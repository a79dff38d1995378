"""Our attacks behind ART's door: its words, its units, its results or better."""

import copy
import inspect
import math
import pickle
import re

import keras
import numpy as np
import pytest
from art.attacks.attack import EvasionAttack
from art.attacks.evasion import ProjectedGradientDescent
from art.estimators.classification import TensorFlowV2Classifier

import atk_latent
from atk_latent import attacks
from atk_latent.art_bridge import stubs
from atk_latent.art_bridge.attack_classes import ART_NORMS, NORMS, attack_class
from atk_latent.art_bridge.bound_attack import change_size, seeded
from atk_latent.art_bridge.estimator import estimator_for
from atk_latent.attacks import (
    APGD,
    FAB,
    APGDTargeted,
    FABTargeted,
    FastCarliniL2,
    FastJSMA,
    FastPGD,
    FastSquare,
    MarginPGD,
    RayS,
    StandardAutoAttack,
)
from atk_latent.errors import InputError

EPS = 51.0  # of 255
SCALED = ("eps", "eps_step", "theta")
BALL = {"eps": EPS, "max_iter": 8}
SETTINGS = {
    FastPGD: {**BALL, "eps_step": 20.0, "num_random_init": 1},
    MarginPGD: {**BALL, "eps_step": 20.0},
    APGD: {**BALL, "loss_type": "difference_logits_ratio"},
    APGDTargeted: {**BALL, "nb_targets": 2},
    FAB: BALL,
    FABTargeted: BALL,
    FastSquare: {"eps": 80.0, "max_iter": 80},
    RayS: {"eps": 80.0, "max_iter": 80},
    FastCarliniL2: {
        "learning_rate": 0.05,
        "binary_search_steps": 2,
        "max_iter": 30,
        "initial_const": 1.0,
    },
    FastJSMA: {"theta": 255.0, "gamma": 0.5},
    StandardAutoAttack: {**BALL, "queries": 20},
}
UNSEEDED = (MarginPGD, FAB, FABTargeted, RayS, FastCarliniL2)  # nothing in them is drawn


def arts(model, classes=3, **options):
    settings = {"clip_values": (0.0, 1.0), **options}
    return TensorFlowV2Classifier(
        model,
        nb_classes=classes,
        input_shape=(8, 8, 1),
        loss_object=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        **settings,
    )


def images(n, seed=5):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = rng.uniform(0.0, 0.5, (n, 8, 8, 1)).astype(np.float32)
    for row, label in enumerate(y):
        x[row, 2 * label : 2 * label + 2] += 0.35
    return x, y


def robust(estimator, x_adv, y):
    return float(np.mean(estimator.predict(x_adv).argmax(axis=1) == y))


def test_public_names_are_the_promised_ones():
    by_hand = {"LADDERAttack", "ManifoldAttack", "UnrestrictedGAN"}
    promised = {kind.__name__ for kind in SETTINGS} | by_hand
    assert promised <= set(attacks.__all__)
    for name in promised:
        kind = getattr(attacks, name)
        assert issubclass(kind, EvasionAttack) and kind.__name__ == name
        assert getattr(atk_latent, name) is kind is getattr(attacks, name)
    with pytest.raises(AttributeError, match="has no attribute 'SlowPGD'"):
        attacks.SlowPGD  # noqa: B018


# The order and the defaults of the first edition.
COMMON = "*, seed=None, verbose=False"
SIGNATURES = {
    "FastPGD": "norm=inf, eps=0.3, eps_step=0.1, max_iter=100, targeted=False, "
    "num_random_init=0, batch_size=32, *, decay=None, keep='best', eot=1, seed=None, verbose=False",
    "MarginPGD": "norm=inf, eps=0.3, eps_step=0.1, max_iter=100, targeted=False, "
    "num_random_init=0, batch_size=32, *, decay=None, keep='best', eot=1, margin=50.0, seed=None, "
    "verbose=False",
    "APGD": "norm=inf, eps=0.3, max_iter=100, nb_random_init=1, batch_size=32, "
    "loss_type='cross_entropy', *, eot=1, seed=None, verbose=False",
    "APGDTargeted": "norm=inf, eps=0.3, max_iter=100, nb_random_init=1, batch_size=32, *, "
    "nb_targets=9, eot=1, seed=None, verbose=False",
    "FAB": f"norm=inf, eps=0.3, max_iter=100, nb_restarts=1, batch_size=32, {COMMON}",
    "FABTargeted": "norm=inf, eps=0.3, max_iter=100, nb_restarts=1, batch_size=32, *, "
    "nb_targets=9, seed=None, verbose=False",
    "FastSquare": "norm=inf, max_iter=100, eps=0.3, p_init=0.8, nb_restarts=1, batch_size=128, "
    f"{COMMON}",
    "RayS": "eps=0.3, max_iter=10000, batch_size=128, *, early_stop=True, seed=None, verbose=False",
    "FastCarliniL2": "confidence=0.0, targeted=False, learning_rate=0.005, "
    "binary_search_steps=9, max_iter=1000, initial_const=0.01, batch_size=128, *, "
    "random_target=False, abort_early=True, eps=None, seed=None, verbose=False",
    "FastJSMA": "theta=1.0, gamma=0.145, batch_size=128, *, targeted=False, seed=None, "
    "verbose=False",
    "StandardAutoAttack": "norm=inf, eps=0.3, version='standard', batch_size=128, *, "
    "max_iter=100, nb_targets=9, queries=5000, eot=20, seed=None, verbose=False",
}


@pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.__name__)
def test_signature_is_real_and_the_promised_one(kind):
    signature = inspect.signature(kind)
    bare = signature.replace(
        parameters=[p.replace(annotation=p.empty) for p in signature.parameters.values()]
    )
    assert str(bare) == f"(estimator, {SIGNATURES[kind.__name__]})"
    assert all(p.annotation is not p.empty for p in signature.parameters.values())
    text = inspect.getdoc(kind)
    for name in signature.parameters:
        assert re.search(rf"^    {name}: \S", text, re.MULTILINE), (name, text)


def test_stub_is_up_to_date():
    assert stubs.PATH.read_text() == stubs.stub_text(), "python -m atk_latent.art_bridge.stubs"


@pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.__name__)
def test_a_copy_crafts_the_same_images(kind, four):
    model, x, y = four
    options = {name: value for name, value in SETTINGS[kind].items() if name not in SCALED}
    attack = kind(estimator_for(model), batch_size=5, seed=3, **options)
    want = attack.generate(x, y)  # compiled by now
    for again in (pickle.loads(pickle.dumps(attack)), copy.deepcopy(attack)):
        assert type(again) is kind and again.settings() == attack.settings()
        np.testing.assert_allclose(again.generate(x, y), want, atol=1e-5)


def test_an_attack_of_arts_own_has_no_class_here():
    assert attack_class("fgsm") is FastPGD and attack_class("apgd-dlr") is APGD
    with pytest.raises(InputError, match="no ART class of its own"):
        attack_class("deepfool")


@pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.__name__)
def test_class_keeps_the_contract_on_arts_own_estimator(kind, four):
    """In its units, from one-hot labels, and the same for the same seed."""
    model, x, y = four
    scaled = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), model])
    estimator = arts(scaled, 4, clip_values=(0.0, 255.0))
    pixels = np.asarray(x * 255, np.float64)
    attack = kind(estimator, batch_size=5, seed=3, **SETTINGS[kind])
    found = attack.generate(pixels, np.eye(4)[y])
    assert found.shape == pixels.shape and found.dtype == np.float64
    assert found.min() >= 0 and found.max() <= 255
    if getattr(attack, "eps", None) is not None:
        assert change_size(pixels, found, attack.measure).max() <= attack.eps + 1e-3
    assert robust(estimator, found, y) < robust(estimator, pixels, y)
    np.testing.assert_array_equal(attack.generate(pixels, y), found)
    attack.set_params(seed=4)
    assert (kind in UNSEEDED) == np.array_equal(attack.generate(pixels, y), found)


@pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.__name__)
def test_parameters_are_arts_and_can_be_set(kind, four):
    attack = kind(estimator_for(four[0]))
    assert isinstance(attack, EvasionAttack) and attack.targeted is False
    for name in kind.attack_params:
        assert hasattr(attack, name), name
        attack.set_params(**{name: getattr(attack, name)})
    again = kind.of(attack.estimator, attack.settings())
    assert again.settings() == attack.settings()
    steps = "gamma" if kind is FastJSMA else "max_iter"
    before = attack.settings()
    attack.set_params(**{steps: 0.5 if kind is FastJSMA else 7})
    assert attack.settings() != before
    with pytest.raises(InputError, match=f"{steps} must be"):
        attack.set_params(**{steps: -1})
    with pytest.raises(ValueError, match="nothing"):
        attack.set_params(nothing=1)


@pytest.mark.parametrize("kind", [FastCarliniL2, FastJSMA], ids=lambda kind: kind.__name__)
def test_targeted_class_reaches_the_classes_wanted(kind, four):
    model, x, y = four
    options = SETTINGS[kind] | ({"theta": 1.0} if kind is FastJSMA else {})
    attack = kind(estimator_for(model), targeted=True, **options)
    wanted = (y + 1) % 4
    found = attack.generate(x, wanted)
    assert robust(attack.estimator, found, wanted) > robust(attack.estimator, x, wanted) + 0.4
    with pytest.raises(InputError, match="wanted classes"):
        attack.generate(x)


def test_findings_are_kept(four):
    model, x, y = four
    estimator = estimator_for(model)
    suite = StandardAutoAttack(estimator, eps=0.15, max_iter=5, queries=20, seed=1)
    found = suite.generate(x, y)
    names = [record.name for record in suite.result.components]
    assert names == ["apgd-ce", "apgd-t", "fab-t", "square"]
    assert suite.result.robust_accuracy == robust(estimator, found, y)
    assert suite.diagnostics().components == suite.result.components
    left = suite.result.robust
    np.testing.assert_array_equal(found[left], x[left])
    rays = RayS(estimator, eps=None, max_iter=60)
    size = change_size(x, rays.generate(x, y), "linf")
    np.testing.assert_allclose(rays.result.distance, size, atol=1e-5)


@pytest.mark.parametrize(
    ("norm", "eps", "starts"), [(np.inf, 0.12, 0), (np.inf, 0.12, 1), (2, 0.9, 0)]
)
def test_robust_accuracy_is_not_higher_than_arts(norm, eps, starts, three):
    x, y = images(300)
    estimator = arts(three[0])
    options = {"norm": norm, "eps": eps, "eps_step": eps / 4, "max_iter": 20}
    options |= {"num_random_init": starts, "batch_size": 100, "verbose": False}
    with seeded(0):
        theirs = ProjectedGradientDescent(estimator, **options).generate(x, y)
        found = FastPGD(estimator, **options).generate(x, y)
    noise = 0.015 if starts else 0.0
    assert robust(estimator, found, y) <= robust(estimator, theirs, y) + noise
    assert robust(estimator, theirs, y) < robust(estimator, x, y) - 0.1


def test_estimators_own_pixels_and_preprocessing_are_respected(three):
    model, x, y = three
    inner = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Rescaling(0.2, 0.4), model]
    )  # undoes (p / 255 - 0.4) / 0.2, so both see the same images
    estimator = arts(inner, clip_values=(0.0, 255.0), preprocessing=(0.4 * 255, 0.2 * 255))
    pixels = (x * 255).astype(np.float32)
    np.testing.assert_allclose(estimator.predict(pixels), model.predict(x, verbose=0), atol=1e-4)
    options = {"max_iter": 3, "num_random_init": 1, "seed": 3}
    found = FastPGD(estimator, eps=25.5, eps_step=10.2, **options).generate(pixels, y)
    assert found.min() >= 0 and found.max() <= 255
    assert 24 < np.abs(found - pixels).max() <= 25.5 + 1e-4
    want = FastPGD(arts(model), eps=0.1, eps_step=0.04, **options).generate(x, y)
    assert np.mean(np.abs(found / 255 - want) < 1e-4) > 0.99


def test_labels_dtypes_and_radius_zero(three):
    model, x, y = three
    attack = FastPGD(estimator_for(model), eps=0.1, eps_step=0.05, max_iter=3)
    want = attack.generate(x, y)
    np.testing.assert_array_equal(attack.generate(x, np.eye(3)[y]), want)
    predicted = estimator_for(model).predict(x).argmax(axis=1)
    np.testing.assert_array_equal(attack.generate(x), attack.generate(x, predicted))
    double = attack.generate(x.astype(np.float64), y)
    assert double.dtype == np.float64
    np.testing.assert_allclose(double, want, atol=1e-6)
    assert attack.generate(x[:0], y[:0]).shape == (0, 8, 8, 1)
    attack.set_params(eps=0.0)
    np.testing.assert_array_equal(attack.generate(x, y), x)


def test_targeted_reaches_its_class(three):
    model, x, y = three
    attack = FastPGD(estimator_for(model), eps=0.4, eps_step=0.1, max_iter=10, targeted=True)
    wanted = (y + 1) % 3
    found = attack.generate(x, wanted)
    assert robust(attack.estimator, found, wanted) > robust(attack.estimator, x, wanted) + 0.5
    with pytest.raises(InputError, match="wanted classes"):
        attack.generate(x)


def test_margin_is_a_parameter_and_may_be_zero(three):
    attack = MarginPGD(estimator_for(three[0]), margin=0)
    assert attack.settings().margin == 0 and attack.settings().loss == "margin"
    attack.set_params(margin=3.0)
    assert attack.settings().margin == 3


def test_seed_and_restarts(three):
    model, x, y = three
    attack = FastPGD(estimator_for(model), eps=0.1, max_iter=2, num_random_init=2, seed=1)
    first = attack.generate(x, y)
    np.testing.assert_array_equal(attack.generate(x, y), first)
    np.testing.assert_allclose(attack.generate(x[:5], y[:5]), first[:5], atol=1e-5)
    attack.set_params(seed=2)
    assert np.abs(attack.generate(x, y) - first).max() > 1e-3
    assert attack.settings().restarts == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": 3}, "norm must be np.inf, 'inf', 1 or 2. Received: 3"),
        ({"eps": -0.1}, "eps must be at least 0"),
        ({"eps": np.zeros(3)}, "eps must be a number"),
        ({"eps_step": 0}, "eps_step must be greater than 0. Received: 0"),
        ({"max_iter": 0}, "max_iter must be at least 1. Received: 0"),
        ({"max_iter": 1.5}, "max_iter must be a whole number"),
        ({"num_random_init": -1}, "num_random_init must be at least 0"),
        ({"batch_size": 0}, "batch_size must be a whole number, at least 1"),
        ({"targeted": "yes"}, "targeted must be a bool. Received: 'yes'"),
        ({"decay": -1.0}, "decay must be at least 0"),
        ({"keep": "first"}, "one of best, last"),
        ({"seed": -1}, "'seed' must be at least 0"),
        ({"verbose": 1}, "verbose must be a bool"),
        ({"epz": 1}, "unknown parameter 'epz'"),
    ],
)
def test_wrong_parameter_is_refused_at_once(options, message, three):
    with pytest.raises(InputError) as error:
        FastPGD(estimator_for(three[0]), **options)
    assert message in str(error.value)


def test_wrong_input_is_refused(three):
    model, x, y = three
    attack = FastPGD(estimator_for(model))
    with pytest.raises(InputError, match="clip values"):
        attack.generate(x * 255, y)
    with pytest.raises(InputError, match="labels"):
        attack.generate(x, y + 5)
    with pytest.raises(InputError, match="masks"):
        attack.generate(x, y, mask=np.ones_like(x))
    with pytest.raises(InputError, match="margin must"):
        MarginPGD(estimator_for(model), margin=-1)
    low, high = np.zeros((8, 8, 1)), np.linspace(0.5, 1, 64).reshape(8, 8, 1)
    with pytest.raises(InputError, match="same for every"):
        FastPGD(arts(model, clip_values=(low, high)))


def test_art_words_of_the_norms():
    assert set(NORMS) == {math.inf, "inf", 2, 1}
    assert {NORMS[norm]: norm for norm in ART_NORMS.values()} == ART_NORMS
