"""Settings of a method by preset and data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atk_latent.errors import InputError

# Preset, then data set ("any" holds for all): settings that differ from the defaults.
Recipes = Mapping[str, Mapping[str, Mapping[str, Any]]]
LIKE = {"fashion_mnist": "mnist", "digits": "mnist", "cifar100": "cifar10", "svhn": "cifar10"}

UPRIGHT = ("svhn",)  # digits: mirrored, they are none


def check_preset(recipes: Recipes, preset: str) -> None:
    """Refuses the preset "stable" for a method that has none.

    Raises:
        InputError: naming the presets that every method has.
    """
    if preset == "stable" and preset not in recipes:
        raise InputError("preset 'stable' is for atld alone; paper, official and quick are for all")


def recipe(recipes: Recipes, data: str, preset: str) -> dict[str, Any]:
    """The settings of a preset: the paper's, then the preset's own, the narrower the later.

    Args:
        recipes: see `Recipes`. data: name of a data set; one that is not in `recipes` has the
            rows of the one it is `LIKE`, and no others.
        preset: "paper", "official" (the paper's own where their code says nothing else),
            "quick", or "stable" where a method has one.

    Raises:
        InputError: on "stable" for a method whose recipes need none.
    """
    check_preset(recipes, preset)
    values: dict[str, Any] = {}
    for layer in dict.fromkeys(("paper", preset)):
        for name in dict.fromkeys(("any", LIKE.get(data, data), data)):
            values |= recipes.get(layer, {}).get(name, {})
    return values | ({"augment": "none"} if data in UPRIGHT and "augment" in values else {})
