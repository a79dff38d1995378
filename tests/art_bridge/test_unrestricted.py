import keras
import numpy as np
import pytest
from art.attacks.attack import EvasionAttack
from art.estimators.classification import TensorFlowV2Classifier
from keras import layers

from atk_latent.adversaries.latent_search import draw_targets
from atk_latent.art_bridge.factory import make_attack
from atk_latent.art_bridge.unrestricted import UnrestrictedGAN
from atk_latent.errors import InputError
from atk_latent.evaluation.runner import Options, run_attacks
from tests.art_bridge.conftest import STRIP

CLASSES, SHAPE = 3, STRIP
Y = np.arange(8) % CLASSES
FAST = {"steps": 40, "closeness": 0.0, "class_weight": 1.0, "learning_rate": 20.0}


@pytest.fixture(scope="module")
def model(strips):
    return strips[0]


def estimator(model, high=1.0):
    return TensorFlowV2Classifier(
        model=model,
        nb_classes=CLASSES,
        input_shape=SHAPE,
        clip_values=(0.0, high),
        preprocessing=(0.0, high),
        loss_object=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )


@pytest.fixture(scope="module")
def attack(gan, model):
    return UnrestrictedGAN(estimator(model), gan, batch_size=8, **FAST)


def test_it_is_an_art_attack_that_needs_no_images(attack, model):
    found = attack.generate(None, y=Y)
    assert found.shape == (8, *SHAPE)
    assert attack.counts["searched"] == 8 >= attack.counts["succeeded"] > 5
    success = attack.last["step"] >= 0
    said = attack.estimator.predict(found).argmax(axis=1)
    np.testing.assert_array_equal(said != Y, success)
    again = attack.generate(np.zeros((8, *SHAPE), np.float32), y=np.eye(CLASSES)[Y])
    np.testing.assert_array_equal(again, found)  # one-hot labels, and a fixed seed
    assert isinstance(attack, EvasionAttack)


def test_pixels_come_back_in_the_clip_values(gan, model, attack):
    wide = UnrestrictedGAN(estimator(model, 255.0), gan, batch_size=8, **FAST)
    found = wide.generate(None, y=Y)
    np.testing.assert_allclose(found, 255 * attack.generate(None, y=Y), rtol=1e-4, atol=1e-2)


def test_a_targeted_attack_takes_or_draws_its_targets(gan, model):
    attack = UnrestrictedGAN(estimator(model), gan, batch_size=8, seed=5, targeted=True, **FAST)
    target = (Y + 2) % CLASSES
    found = attack.generate(None, y=Y, target=target)
    won = attack.last["step"] >= 0
    assert won.mean() > 0.5
    np.testing.assert_array_equal(attack.estimator.predict(found).argmax(1)[won], target[won])
    attack.generate(None, y=Y)
    np.testing.assert_array_equal(attack.last["target"], draw_targets(Y, CLASSES, 5))


def test_what_does_not_fit_is_refused(attack, gan, model):
    with pytest.raises(InputError, match="needs y"):
        attack.generate(None)
    with pytest.raises(InputError, match="Received: 3 and 8"):
        attack.generate(np.zeros((3, *SHAPE), np.float32), y=Y)
    small = keras.Sequential([layers.Input((2, 2, 1)), layers.Flatten(), layers.Dense(3)])
    other = TensorFlowV2Classifier(small, 3, (2, 2, 1), clip_values=(0, 1))
    with pytest.raises(InputError, match=r"draws \(1, 6, 1\) images of 3 classes"):
        UnrestrictedGAN(other, gan)
    with pytest.raises(InputError, match="Did you mean 'steps'"):
        UnrestrictedGAN(estimator(model), gan, step=3)
    with pytest.raises(InputError, match="no trained GAN at 'nowhere'"):
        UnrestrictedGAN(estimator(model), "nowhere")


def test_without_a_gan_the_message_says_how_to_get_one(model):
    with pytest.raises(InputError, match="attack 'song': .*atkl train-gan --data DATA"):
        make_attack("song:steps=3", estimator(model))


def test_evaluate_says_how_the_searches_ended(strips, gan_run):
    model, x, _ = strips
    text = "steps=40,closeness=0,class_weight=1,learning_rate=20,batch_size=8"
    (result,) = run_attacks(model, x, Y, [f"song:gan={gan_run},{text}"], Options(seed=1))
    assert result.attack == "song untargeted"
    assert result.threat == "white-box, unrestricted (images of a GAN)"
    assert result.eps is None
    found = result.counts
    assert (found["searched"], result.settings["steps"]) == (8, 40)
    assert found["succeeded"] / 8 > 0.5
    assert found["wrong_at_start"] < found["succeeded"]
    assert result.robust_accuracy == pytest.approx(1 - found["succeeded"] / 8)
