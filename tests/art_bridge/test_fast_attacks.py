"""Our gradient attacks behind ART's door: its words, its units, its results or better."""

import math

import keras
import numpy as np
import pytest
from art.attacks.evasion import ProjectedGradientDescent
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent.adversaries.names import ADVERSARIES, make_adversary
from atk_latent.art_bridge import evasion, fast_attacks
from atk_latent.art_bridge.estimator import estimator_for
from atk_latent.art_bridge.evasion import change_size, make_attack, seeded
from atk_latent.art_bridge.fast_attacks import FastPGD, MarginPGD
from atk_latent.errors import InputError
from atk_latent.registry import ATTACKS

SPECS = {
    "fgsm": "fgsm:eps=0.2",
    "rs-fgsm": "rs-fgsm:eps=0.2",
    "pgd": "pgd:eps=0.2,steps=5",
    "bim": "bim:eps=0.2,steps=5",
    "mim": "mim:eps=0.2,steps=5",
    "cw-pgd": "cw-pgd:eps=0.2,steps=5",
}


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


def test_every_adversary_has_an_attack_of_its_name():
    assert set(SPECS) == set(ADVERSARIES) <= set(ATTACKS)
    for name in SPECS:
        assert ATTACKS.entry(name).target.startswith(fast_attacks.__name__)
        assert ATTACKS[name].__self__.name == name


@pytest.mark.parametrize(
    ("name", "model_name"), [*((name, "three") for name in SPECS), ("cw-pgd", "two")]
)
def test_attack_by_name_keeps_the_contract_and_its_seed(name, model_name, request):
    model, x, y = request.getfixturevalue(model_name)
    estimator = estimator_for(model)
    bound = make_attack(SPECS[name], estimator)
    assert (bound.name, bound.threat, bound.norm) == (name, "white-box, Linf", "linf")
    with seeded(7):
        x_adv = bound.generate(x, y)
    assert x_adv.dtype == np.float32 and x_adv.min() >= 0 and x_adv.max() <= 1
    assert 1e-4 < change_size(x, x_adv, "linf").max() <= 0.2 + 1e-6
    assert estimator.compute_loss(x_adv, y, "mean") > estimator.compute_loss(x, y, "mean")
    assert robust(estimator, x_adv, y) < robust(estimator, x, y)
    with seeded(7):
        np.testing.assert_array_equal(bound.generate(x, y), x_adv)


@pytest.mark.parametrize("name", SPECS)
def test_defaults_are_those_of_the_adversary(name, three):
    estimator = estimator_for(three[0])
    attack = make_attack(name, estimator).attack
    want = make_adversary(name, eps=8 / 255).settings
    found = attack.settings()
    assert found.step_size == pytest.approx(want.step_length)
    for field in ("eps", "norm", "steps", "random_start", "restarts", "decay", "loss", "keep"):
        assert getattr(found, field) == getattr(want, field), field
    l2 = make_attack(f"{name}:norm=l2", estimator)
    assert (l2.eps, l2.threat, l2.attack.norm) == (128 / 255, "white-box, L2", 2)


def test_pgd_means_what_it_means_in_art(three):
    estimator = estimator_for(three[0])
    spec = "pgd:eps=0.3,steps=40"
    ours, theirs = make_attack(spec, estimator), make_attack(f"art:{spec}", estimator)
    assert isinstance(ours.attack, FastPGD) and ours.attack.num_random_init == 1
    for name in ("norm", "eps", "eps_step", "max_iter", "num_random_init", "batch_size"):
        assert getattr(ours.attack, name) == getattr(theirs.attack, name)
    assert (ours.threat, ours.norm, ours.eps) == (theirs.threat, theirs.norm, theirs.eps)
    assert ours.settings == {**theirs.settings, "keep": "best"}
    assert type(make_attack("art:fgsm", estimator).attack).__module__.startswith("art.")


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


def test_margin_is_a_setting_and_may_be_zero(three):
    model, x, y = three
    bound = make_attack("cw-pgd:eps=0.2,steps=3,margin=0", estimator_for(model))
    assert bound.attack.margin == bound.settings["margin"] == bound.attack.settings().margin == 0
    assert change_size(x, bound.generate(x, y), "linf").max() > 1e-4
    assert make_attack("cw-pgd", estimator_for(model)).attack.margin == 50
    bound.attack.set_params(margin=3.0)
    assert bound.attack.settings().margin == 3


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
        ({"norm": 1}, "norm must be np.inf, 'inf' or 2. Received: 1"),
        ({"eps": -0.1}, "'eps' must be at least 0"),
        ({"eps": np.zeros(3)}, "eps must be one number"),
        ({"eps_step": 0}, "eps_step must be greater than 0. Received: 0"),
        ({"max_iter": 0}, "max_iter must be a whole number, at least 1. Received: 0"),
        ({"max_iter": 1.5}, "max_iter must be a whole number"),
        ({"num_random_init": -1}, "num_random_init must be a whole number, at least 0"),
        ({"batch_size": 0}, "batch_size must be a whole number, at least 1"),
        ({"targeted": "yes"}, "targeted must be a bool. Received: 'yes'"),
        ({"decay": -1.0}, "'decay' must be at least 0"),
        ({"keep": "first"}, "one of best, last"),
        ({"seed": -1}, "'seed' must be at least 0"),
        ({"verbose": 1}, "verbose must be a bool"),
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
    with pytest.raises(InputError, match="'margin'"):
        MarginPGD(estimator_for(model), margin=-1)
    low, high = np.zeros((8, 8, 1)), np.linspace(0.5, 1, 64).reshape(8, 8, 1)
    with pytest.raises(InputError, match="same for every"):
        FastPGD(arts(model, clip_values=(low, high)))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("bim:restarts=2", "'restarts' must be 0 for bim"),
        ("mim:decay=-1", "'decay' must be at least 0"),
        ("cw-pgd:margin=-1", "'margin' must be at least 0"),
        ("rs-fgsm:step_size=0", "'step_size' must be greater than 0"),
        ("pgd:keep=first", "one of best, last"),
        ("mim:eps=0.1,step_size=0.2", "'step_size' must be at most eps"),
        ("art:bim", "ART has no attack 'bim'"),
    ],
)
def test_wrong_spec_is_one_line(spec, message, three):
    with pytest.raises(InputError) as error:
        make_attack(spec, estimator_for(three[0]))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_art_words_of_the_settings():
    assert set(fast_attacks._NORMS) == {math.inf, "inf", 2}
    assert set(fast_attacks._ART_NORMS) == {"linf", "l2"} < set(evasion.NORMS)
