"""ATLD's faces in ART: the trainer, IMT as a preprocessor, attacks that know the defence."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from art.attacks.evasion import ProjectedGradientDescent
from art.estimators.classification import TensorFlowV2Classifier
from keras import layers

from atk_latent.art_bridge.context import AttackContext
from atk_latent.art_bridge.estimator import estimator_for
from atk_latent.art_bridge.factory import make_attack
from atk_latent.art_bridge.imt import IMTPreprocessor, pipeline_estimator
from atk_latent.art_bridge.manifold_attack import GROUPS, ManifoldAttack
from atk_latent.art_bridge.trainers import ATLDTrainer
from atk_latent.errors import InputError
from atk_latent.inference.imt import BACKWARDS, IMT, IMTClassifier, IMTSettings
from tests.art_bridge.conftest import SIDE, images

EPS = 0.1


def behind_imt(manifold):
    return AttackContext(imt=IMTClassifier(IMT(manifold)))


@pytest.fixture(scope="module")
def bare(game):
    return estimator_for(game[0].classifier, batch_size=12)


@pytest.fixture(scope="module")
def deployed(game):
    return IMTClassifier(IMT(game[0], IMTSettings(step_size=EPS, radius=EPS)))


def test_the_preprocessor_predicts_as_the_deployed_classifier_and_in_its_own_range(game, deployed):
    manifold, x, _ = game
    defence = IMTPreprocessor(manifold, IMTSettings(step_size=EPS, radius=EPS))
    estimator = estimator_for(manifold.classifier)
    guarded = type(estimator)(
        manifold.classifier, 3, (SIDE, SIDE, 1), preprocessing_defences=defence
    )
    np.testing.assert_allclose(guarded.predict(x), deployed(x), atol=1e-5)
    wide = IMTPreprocessor(
        manifold, IMTSettings(step_size=EPS, radius=EPS), clip_values=(0.0, 255.0)
    )
    moved = wide(255 * x)[0]
    np.testing.assert_allclose(moved / 255, deployed.transform(x), atol=1e-5)


@pytest.mark.parametrize("backward", ["identity", "smooth"])
def test_arts_own_attack_sees_through_the_preprocessor(game, backward):
    """ART's estimator and ART's PGD: gradients are those of the pipeline, not of the bare net."""
    manifold, x, y = game
    guarded, plain = (
        TensorFlowV2Classifier(
            model=manifold.classifier,
            nb_classes=3,
            input_shape=(SIDE, SIDE, 1),
            loss_object=keras.losses.CategoricalCrossentropy(from_logits=True),
            clip_values=(0, 1),
            preprocessing_defences=defence,
        )
        for defence in (
            IMTPreprocessor(
                manifold, IMTSettings(step_size=EPS, radius=EPS), backward=backward, sharpness=3.0
            ),
            None,
        )
    )
    one_hot = np.eye(3)[y]
    found = guarded.loss_gradient(tf.constant(x), tf.constant(one_hot))
    assert np.abs(found - plain.loss_gradient(tf.constant(x), tf.constant(one_hot))).max() > 1e-6
    pgd = ProjectedGradientDescent(guarded, eps=EPS, eps_step=0.05, max_iter=2, verbose=False)
    x_adv = pgd.generate(x, one_hot)
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert entropy(y, guarded.predict(x_adv)) > entropy(y, guarded.predict(x))


def test_an_attack_through_imt_beats_the_static_one(game, bare, deployed):
    manifold, x, y = game
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    text = f"eps={EPS},steps=10,random_start=false"
    static = make_attack(f"pgd:{text}", bare).generate(x, y)
    adaptive = make_attack(
        f"through-imt:attack=pgd,backward=identity,{text}", bare, AttackContext(imt=deployed)
    )
    x_adv = adaptive.generate(x, y)
    assert np.abs(x_adv - x).max() <= EPS + 1e-6
    assert entropy(y, deployed(x_adv)) > entropy(y, deployed(static)) + 1e-3
    assert str(adaptive.threat) == (
        "adaptive: white-box through IMT (BPDA, the move's gradient taken as 1), Linf"
    )
    assert (adaptive.name, adaptive.eps) == ("through-imt", EPS)
    assert adaptive.settings["steps"] == 10 and adaptive.settings["backward"] == "identity"


@pytest.mark.parametrize("backward", BACKWARDS)
def test_every_backward_gives_the_estimator_a_gradient(deployed, game, backward):
    _, x, y = game
    estimator = pipeline_estimator(deployed, backward=backward)
    gradient = estimator.loss_gradient(x, y)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
    if backward != "smooth":
        np.testing.assert_allclose(estimator.predict(x), deployed(x), atol=1e-5)


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("through-imt:attack=through-imt", "another attack"),
        ("through-imt:backward=no", "backward"),
        ("through-imt:attack=pgdd", "Did you mean 'pgd'"),
        ("through-imt:attack=pgd,stesp=3", "Did you mean 'steps'"),
    ],
)
def test_wrong_settings_through_imt_are_refused(bare, deployed, spec, word):
    with pytest.raises(InputError, match=word):
        make_attack(spec, bare, AttackContext(imt=deployed))


def test_without_imt_there_is_nothing_to_go_through(bare):
    with pytest.raises(InputError, match="no IMT to attack through"):
        make_attack("through-imt", bare)
    with pytest.raises(InputError, match="holds no discriminator"):
        make_attack("atld-joint", bare)


def losses(manifold, x, y):
    logits = manifold.classifier(x, training=False)
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return float(entropy(y, logits)), float(np.mean(manifold.score(tf.constant(x))))


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("settings", ["steps=1", "steps=5", "steps=5,loss=margin"])
def test_table_fives_groups_raise_what_they_are_for(game, bare, group, settings):
    manifold, x, y = game
    spec = f"atld-{group}:eps={EPS},random_start=false,{settings}"
    bound = make_attack(spec, bare, behind_imt(manifold))
    x_adv = bound.generate(x, y)
    assert np.abs(x_adv - x).max() <= EPS + 1e-6 and x_adv.min() >= 0 and x_adv.max() <= 1
    before, after = losses(manifold, x, y), losses(manifold, x_adv, y)
    if group != "manifold":
        assert after[0] > before[0]
    if group != "joint":
        assert after[1] > before[1]  # looks cleaner
    assert str(bound.threat).startswith("adaptive: sees classifier and discriminator")


def test_the_chain_is_its_two_parts(game, bare):
    manifold, x, y = game
    text = f"eps={EPS},random_start=false,steps=3,step_size=0.05"
    first = make_attack(f"pgd:{text},keep=last", bare).generate(x, y)
    found = make_attack(f"atld-chain:{text}", bare, behind_imt(manifold)).generate(x, y)
    start = tf.constant(first)
    with tf.GradientTape() as tape:
        tape.watch(start)
        score = manifold.score(start)
    moved = np.clip(first + EPS * np.sign(tape.gradient(score, start)), 0, 1)
    np.testing.assert_allclose(found, np.clip(moved, x - EPS, x + EPS), atol=1e-5)


def test_the_attack_takes_an_estimator_of_other_pixels(game):
    manifold, x, y = game
    scaled = keras.Sequential(
        [keras.Input((SIDE, SIDE, 1)), layers.Rescaling(1 / 255), *manifold.classifier.layers]
    )
    estimator = TensorFlowV2Classifier(
        model=scaled, nb_classes=3, input_shape=(SIDE, SIDE, 1), clip_values=(0, 255)
    )
    options = {"eps": 255 * EPS, "steps": 1, "random_start": False}
    attack = ManifoldAttack(estimator, manifold, "manifold", **options)
    own = ManifoldAttack(
        estimator_for(manifold.classifier),
        manifold,
        "manifold",
        eps=EPS,
        steps=1,
        random_start=False,
    )
    np.testing.assert_allclose(attack.generate(255 * x, y) / 255, own.generate(x, y), atol=1e-5)
    with pytest.raises(InputError, match="group must be one of"):
        ManifoldAttack(estimator, manifold, "both")
    own.set_params(eps=EPS / 2)
    assert np.abs(own.generate(x, y) - x).max() == pytest.approx(EPS / 2)
    with pytest.raises(InputError, match="'steps' must be at least 1"):
        own.set_params(steps=0)


def test_the_trainer_trains_arts_classifier_and_hands_out_its_imt():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            layers.Flatten(),
            layers.Dense(8, activation="relu"),
            layers.Dense(3),
        ]
    )
    classifier = TensorFlowV2Classifier(
        model=model, nb_classes=3, input_shape=(SIDE, SIDE, 1), clip_values=(0, 255)
    )
    trainer = ATLDTrainer(classifier, data="mnist", eps=255 * 0.05, discriminator="small")
    with pytest.raises(InputError, match="not been fitted"):
        trainer.preprocessor()
    x, y = images(3, 60, 2)
    before = model.get_weights()
    trainer.fit(255 * x, np.eye(3)[y], batch_size=30, nb_epochs=1)
    assert trainer.get_classifier() is classifier
    assert any(np.abs(a - b).max() > 0 for a, b in zip(before, model.get_weights(), strict=True))
    moved = trainer.preprocessor("imt+")(255 * x)[0]
    assert 0 < np.abs(moved - 255 * x).max() <= 255 * 0.05 + 1e-3
