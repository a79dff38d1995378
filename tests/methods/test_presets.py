"""Presets: every value of every row, whose they are, and what they are called."""

import json
from pathlib import Path

import pytest

from atk_latent.config import flat
from atk_latent.data.aliases import KNOWN, widening
from atk_latent.errors import InputError
from atk_latent.methods import presets
from atk_latent.methods.optimizers import Optimizer
from atk_latent.methods.presets import Row, preset_values, resolve, rows
from atk_latent.registry import DATA, METHODS, MODELS

# What the first edition's presets came to: for each method the defaults of its settings, and
# the differences to them, each with the cases "preset|data|model|overrides" that have it.
GOLDEN = json.loads((Path(__file__).parent / "golden" / "settings.json").read_text())
VARIANTS = {  # what these add to LADDER's defaults, which the golden rows list as differences
    "ladder-cavrandom": {"noise": "cavrandom"},
    "ladder-random": {"noise": "random"},
    "ladder-gan": {"gan": "replace"},
}


def as_json(settings):
    return json.loads(json.dumps(flat(settings)))


def test_the_golden_settings_are_those_of_every_method():
    assert set(GOLDEN) == set(METHODS)


@pytest.mark.parametrize("method", GOLDEN)
def test_settings_of_every_preset_and_data_set_are_the_golden_ones(method):
    defaults = GOLDEN[method]["defaults"]
    assert as_json(METHODS[method].settings_type()) == defaults | VARIANTS.get(method, {})
    for differences, cases in GOLDEN[method]["rows"]:
        for case in cases:
            preset, data, model, text = case.split("|")
            overrides = dict(pair.split("=") for pair in text.split(",") if pair)
            if isinstance(differences, str):
                with pytest.raises(InputError, match="atld alone"):
                    METHODS[method].settings_for(model, data, preset, overrides)
                continue
            settings = METHODS[method].settings_for(model, data, preset, overrides)
            assert as_json(settings) == defaults | differences, case


@pytest.mark.parametrize(
    ("method", "data", "preset", "model", "name"),
    [
        ("pgd", "my.npz", "paper", "", "defaults"),
        ("pgd", "my.npz", "official", "", "defaults"),
        ("pgd", "celeba", "paper", "", "defaults"),
        ("pgd", "my.npz", "quick", "", "quick"),
        ("pgd", "mnist", "paper", "", "paper"),
        ("pgd", "mnist", "official", "", "official"),
        ("pgd", "fashion_mnist", "paper", "", "paper"),
        ("atld", "my.npz", "paper", "", "paper"),
        ("atld", "my.npz", "stable", "", "stable"),
        ("augment", "my.npz", "official", "", "official"),
        ("augment", "my.npz", "paper", "", "defaults"),
        ("ladder", "my.npz", "paper", "", "defaults"),
        ("ladder-gan", "my.npz", "paper", "", "defaults"),
        ("lat", "my.npz", "paper", "lenet", "defaults"),  # the layer is no preset
        ("lat", "mnist", "paper", "lenet", "paper"),
        ("natural", "my.npz", "paper", "lenet", "paper"),
    ],
)
def test_a_run_on_data_without_rows_goes_by_the_defaults(method, data, preset, model, name):
    assert resolve(method, data, preset, model).preset == name


def test_a_whole_part_replaces_the_presets():
    own = Optimizer(epochs=5)
    settings = resolve("pgd", "mnist", "paper", overrides={"optimizer": own}).settings
    assert settings.optimizer == own and settings.eps == 0.3
    both = {"optimizer": own, "learning_rate": "0.5"}
    settings = resolve("pgd", "mnist", "paper", overrides=both).settings
    assert settings.optimizer == Optimizer(epochs=5, learning_rate=0.5)


def test_the_layer_of_a_model_is_set_without_a_preset():
    assert resolve("lat", "my.npz", "paper", "lenet").settings.latent_layer == "relu2"
    assert resolve("lat", "my.npz", "paper", "my.keras").settings.latent_layer is None


def test_a_preset_is_the_papers_and_the_narrower_rows_win(monkeypatch):
    table = (
        Row({"a": 1, "b": 1}, preset="paper"),
        Row({"b": 2}, preset="paper", data=("mnist",)),
        Row({"c": 3}, preset="paper", data=("digits",)),
        Row({"b": 4}, preset="quick"),
        Row({"d": 5}, model="lenet"),
        Row({"e": 6}, preset="quick", data=("mnist",), when={"examples": "fresh"}),
    )
    monkeypatch.setattr(presets, "rows", lambda method: table)
    assert preset_values("x", "mnist", "paper") == ({"a": 1, "b": 2}, "paper")
    assert preset_values("x", "digits", "paper") == ({"a": 1, "b": 2, "c": 3}, "paper")
    assert preset_values("x", "digits", "quick") == ({"a": 1, "b": 4, "c": 3}, "quick")
    assert preset_values("x", "my.npz", "official") == ({"a": 1, "b": 1}, "official")
    assert preset_values("x", "my.npz", "paper", "lenet")[0] == {"a": 1, "b": 1, "d": 5}
    fresh = {"examples": "fresh"}
    assert preset_values("x", "mnist", "quick", overrides=fresh)[0] == {"a": 1, "b": 4, "e": 6}


def test_rows_name_only_what_there_is():
    for method in METHODS:
        for row in rows(method):
            assert row.preset in ("", "paper", "official", "quick", "stable")
            assert {*row.data} <= {"any", *DATA}
            assert row.model in ("", *MODELS)
            assert row.settings or row.preset
    assert set(KNOWN) <= set(DATA)
    assert {entry.like for entry in KNOWN.values()} <= {"", *DATA}
    assert {entry.model for entry in KNOWN.values()} <= {"", *MODELS}


def test_tables_speak_of_a_data_set_by_what_it_is_like():
    assert widening("svhn") == ("any", "cifar10", "svhn")
    assert widening("my.npz") == ("any", "my.npz")
    assert widening("") == ("any",)


@pytest.mark.parametrize(
    ("preset", "message"), [("stable", "for atld alone"), ("papers", "paper, official, quick")]
)
def test_presets_that_there_are_not_are_refused(preset, message):
    with pytest.raises(InputError, match=message):
        resolve("pgd", "mnist", preset)


def test_a_method_of_ones_own_has_the_rows_of_its_nearest_registered_base():
    base = METHODS["pgd"]
    assert METHODS.name_of(type("Own", (base,), {})) == "pgd"
    assert METHODS.name_of(int) == ""
