"""What methods say of themselves, so that nobody has to ask for their class."""

import keras
import numpy as np
import pytest

from atk_latent.errors import InputError
from atk_latent.methods.augment import AugmentedTraining, AugmentSettings
from atk_latent.methods.fixed_sets import FixedSetRequest
from atk_latent.registry import METHODS


def network():
    layers = [keras.layers.Flatten(), keras.layers.Dense(4, name="latent"), keras.layers.Dense(3)]
    return keras.Sequential([keras.Input((4, 4, 1)), *layers])


def method(name, **overrides):
    kind = METHODS[name]
    return kind(network(), kind.settings_for("", "digits", "quick", overrides))


def test_one_method_trains_the_vanilla_classifier():
    assert [name for name in METHODS if METHODS[name].is_vanilla] == ["natural"]


def test_a_vanilla_classifier_is_needed_to_start_from_or_as_teacher():
    fine_tuned = {name for name in METHODS if METHODS[name].starts_from == "vanilla"}
    assert fine_tuned == {name for name in METHODS if "ladder" in name} | {"augment"}
    assert method("augment").needs_vanilla and not method("augment").needs_teacher
    assert not method("pgd").needs_vanilla
    extra = method("pgd", extra_data="extra.npz")
    assert extra.needs_teacher and extra.needs_vanilla
    taught = method("pgd", extra_data="extra.npz", teacher="teacher.keras")
    assert not taught.needs_teacher and not taught.needs_vanilla


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"augment"}))
def test_other_methods_want_no_fixed_set_and_take_none(name):
    plain = method(name)
    assert plain.fixed_set_request() is None
    x = np.zeros((2, 4, 4, 1), np.float32)
    with pytest.raises(InputError, match=f"{type(plain).__name__} trains on no fixed set"):
        plain.use(x, x, np.zeros(2, np.int64))


def test_the_fixed_set_is_wanted_unless_a_file_has_it():
    def wanted(**settings):
        return AugmentedTraining(network(), AugmentSettings(**settings)).fixed_set_request()

    assert wanted(attack="pgd:eps=0.2") == FixedSetRequest("pgd:eps=0.2", 450)
    assert wanted(examples_per_class=None) == FixedSetRequest("fgsm", None)
    assert wanted(examples_from="set.npz") is None
