"""ART's words and ART's pixel units, at every door that an ART script comes through."""

import copy
import pickle
import warnings

import keras
import numpy as np
import pytest
from art.attacks.evasion import AutoAttack

from atk_latent import config, trainers
from atk_latent.adversaries.latent_discriminator import LatentDiscriminator
from atk_latent.art_bridge.estimator import CompiledKerasClassifier
from atk_latent.art_bridge.manifold_attack import ManifoldAttack
from atk_latent.art_bridge.unrestricted import UnrestrictedGAN
from atk_latent.attacks import FastPGD, FastSquare
from atk_latent.errors import InputError
from atk_latent.registry import METHODS

SHAPE, CLASSES = (4, 4, 1), 3


def estimator(high=1.0):
    keras.utils.set_random_seed(0)
    dense = [keras.layers.Dense(8, activation="relu"), keras.layers.Dense(CLASSES)]
    layers = [keras.Input(SHAPE), keras.layers.Rescaling(1 / high), keras.layers.Flatten(), *dense]
    return CompiledKerasClassifier(keras.Sequential(layers), clip_values=(0.0, high))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.random((12, *SHAPE)).astype(np.float32), np.arange(12) % CLASSES


@pytest.mark.parametrize("name", [*trainers.__all__])
def test_radii_of_trainers_are_in_the_clip_values(name):
    kind = getattr(trainers, name)
    if name == "MethodTrainer":
        return
    settings = config.places(trainers_settings(kind))
    lengths = [name for name, place in settings.items() if place.is_pixels]
    assert "validation_eps" in lengths
    assert ("eps" in lengths) == ("eps" in settings and "LADDER" not in kind.__name__)
    words = dict.fromkeys(lengths, 51.0)
    trainer = kind(estimator(255.0), **words)
    flat = config.flat(trainer.settings)
    assert [flat[length] for length in lengths] == pytest.approx([0.2] * len(lengths))
    text = kind(estimator(255.0), **dict.fromkeys(lengths, "102/2"))
    assert config.flat(text.settings) == flat
    unit = kind(estimator(), **dict.fromkeys(lengths, 0.2))
    assert all(config.flat(unit.settings)[length] == pytest.approx(0.2) for length in lengths)


def trainers_settings(kind):
    return METHODS[kind.method].settings_type


def test_eight_of_255_trains_as_eight_255ths_of_one(data):
    x, y = data
    weights = []
    for high in (1.0, 255.0):
        ours = estimator(high)
        words = {"eps": 8 * high / 255, "eps_step": 2 * high / 255, "max_iter": 3}
        trainer = trainers.PGDTrainer(ours, nb_epochs=2, batch_size=6, **words)
        assert (trainer.settings.steps, trainer.settings.optimizer.epochs) == (3, 2)
        assert trainer.settings.step_size == pytest.approx(2 / 255)
        trainer.fit(high * x, y)
        weights.append(ours.model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_radius_in_the_wrong_units_is_warned_of():
    with pytest.warns(UserWarning, match="eps=0.03137 is less than a grey level.*0 to 255"):
        trainers.PGDTrainer(estimator(255.0), eps=8 / 255)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainers.PGDTrainer(estimator(255.0), eps=8)
        trainers.PGDTrainer(estimator(), eps=1e-5)
    with pytest.raises(InputError, match="'eps' must be between 0 and 1.*Received: 8"):
        trainers.PGDTrainer(estimator(), eps=8)


def test_words_of_art_come_once_and_have_a_meaning():
    with pytest.raises(InputError, match="'max_iter' is ART's word for 'steps': pass one"):
        trainers.PGDTrainer(estimator(), max_iter=3, steps=3)
    with pytest.raises(InputError, match="'max_iter' has no meaning here.*no setting 'steps'"):
        trainers.FGSMTrainer(estimator(), max_iter=3)


def test_verbose_shows_bars(data, capsys):
    x, y = data
    quiet, loud = (trainers.PGDTrainer(estimator(), steps=1, verbose=v) for v in (False, True))
    quiet.fit(x, y, nb_epochs=1)
    assert "%" not in capsys.readouterr().err
    loud.fit(x, y, nb_epochs=1)
    assert "100%" in capsys.readouterr().err
    quiet.fit(x, y, nb_epochs=1, verbose=True)
    assert "100%" in capsys.readouterr().err
    with pytest.raises(TypeError, match="unexpected keyword argument 'loud'"):
        quiet.fit(x, y, loud=True)


def test_trainers_refuse_more_labels_than_images(data):
    x, y = data
    trainer = trainers.PGDTrainer(estimator(), steps=1)
    with pytest.raises(InputError, match="as many. Received: 12 and 13"):
        trainer.fit(x, np.append(y, 0), nb_epochs=1)
    with pytest.raises(InputError, match="as many. Received: 11 and 12"):
        trainer.fit(x, y, validation_data=(x[1:], y), nb_epochs=1)


def test_trainers_leave_numpys_global_state_alone(data):
    x, y = data
    trainer = trainers.PGDTrainer(estimator(), steps=1)
    before = np.random.get_state()
    trainer.fit(x, y, nb_epochs=1)
    assert all(np.array_equal(a, b) for a, b in zip(before, np.random.get_state(), strict=True))


# Copies


def manifold_of(ours):
    flat = keras.Input((8,))
    score, head = keras.layers.Dense(1)(flat), keras.layers.Dense(CLASSES)(flat)
    judge = keras.Model(flat, [keras.layers.Reshape(())(score), head])
    return LatentDiscriminator(ours.model, judge)


def gan():
    from atk_latent.models.song_gan import GAN

    z, y = keras.Input((3,)), keras.Input((CLASSES,))
    drawn = keras.layers.Dense(16, activation="sigmoid")(keras.layers.Concatenate()([z, y]))
    x = keras.Input(SHAPE)
    flat = keras.layers.Flatten()(x)
    heads = [keras.layers.Dense(1)(flat), keras.layers.Dense(CLASSES)(flat)]
    return GAN(keras.Model([z, y], keras.layers.Reshape(SHAPE)(drawn)), keras.Model(x, heads))


WRITTEN = {
    "ManifoldAttack": lambda ours: ManifoldAttack(
        ours, manifold_of(ours), eps=0.1, steps=1, seed=0
    ),
    "UnrestrictedGAN": lambda ours: UnrestrictedGAN(ours, gan(), batch_size=4, steps=2, noise=True),
}


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))])
@pytest.mark.parametrize("name", WRITTEN)
def test_a_used_attack_is_copied_and_crafts_the_same(name, copied, data):
    x, y = data
    attack = WRITTEN[name](estimator())
    wanted = attack.generate(x[:4], y[:4])
    again = copied(attack)
    assert again.estimator is not attack.estimator
    np.testing.assert_allclose(again.generate(x[:4], y[:4]), wanted, atol=1e-5)


def test_lengths_of_written_attacks_are_in_the_clip_values(data):
    x, y = data
    made = []
    for high in (1.0, 255.0):
        ours = estimator(high)
        keras.utils.set_random_seed(1)
        noise = {"noise": True, "noise_eps": 0.1 * high, "steps": 2, "batch_size": 4}
        attacks = [
            ManifoldAttack(ours, manifold_of(estimator()), eps=0.1 * high, steps=2, seed=0),
            UnrestrictedGAN(ours, gan(), **noise),
        ]
        made.append([attack.generate(high * x[:4], y[:4]) / high for attack in attacks])
        assert attacks[0].settings.eps == attacks[1].search_settings.noise_eps == 0.1
    for one, other in zip(*made, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.slow
def test_arts_parallel_autoattack_takes_our_attacks(data):
    x, y = data
    ours = estimator()
    parts = [FastPGD(ours, max_iter=2), FastSquare(ours, max_iter=5)]
    parts[0].generate(x, y)  # compiled
    suite = AutoAttack(ours, eps=0.3, attacks=parts, parallel_pool_size=1)
    x_adv = suite.generate(x, np.eye(CLASSES)[y])
    assert x_adv.shape == x.shape and np.abs(x_adv - x).max() <= 0.3 + 1e-5
