import keras
import numpy as np

from atk_latent.art_bridge.context import AttackContext
from atk_latent.methods.fixed_sets import FixedSetRequest
from atk_latent.training import adversarial_sets
from atk_latent.training.adversarial_sets import adversarial_set


def linear():
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])


def test_a_set_is_made_once_and_read_afterwards(tmp_path, monkeypatch):
    x = np.random.default_rng(0).uniform(0.3, 0.7, (9, 2, 2, 1)).astype(np.float32)
    y, heard, place = np.arange(9) % 3, [], tmp_path / "deep" / "set.npz"
    arguments = (place, "fgsm:eps=0.1", linear(), x, y, AttackContext(seed=2))
    x_adv = adversarial_set(*arguments, lambda *said: heard.append(said[:3]))
    np.testing.assert_allclose(np.abs(x_adv - x).max(axis=(1, 2, 3)), 0.1, rtol=1e-5)
    assert heard[-1] == ("examples", 9, 9)
    with np.load(place) as stored:
        np.testing.assert_array_equal(stored["x"], x)
        np.testing.assert_array_equal(stored["y"], y)
    monkeypatch.setattr(adversarial_sets, "make_attack", None)
    np.testing.assert_array_equal(adversarial_set(*arguments), x_adv)


def test_a_request_picks_some_images_of_each_class_or_all():
    labels = np.array([0, 0, 0, 1, 1, 2])
    some = FixedSetRequest("fgsm", 2).rows(labels, 3, seed=0)
    assert np.bincount(labels[some]).tolist() == [2, 2, 1]
    assert np.array_equal(labels[FixedSetRequest("fgsm").rows(labels, 3, seed=0)], labels)
