"""Attacks by the name that a user writes: ours where we have it, else ART's."""

from __future__ import annotations

from typing import Any

from atk_latent import config
from atk_latent.art_bridge import art_recipes
from atk_latent.art_bridge.bound_attack import BoundAttack
from atk_latent.art_bridge.context import AttackContext
from atk_latent.errors import InputError
from atk_latent.registry import ATTACKS


def make_attack(spec: str, estimator: Any, context: AttackContext | None = None) -> BoundAttack:
    """The attack that `spec` describes, ready to run on `estimator`.

    Args:
        spec: ``name`` or ``name:key=value,key=value``; ``art:name`` takes ART's own where
            the name alone would be ours.
        estimator: the ART estimator the attack is crafted on.
        context: what an attack may need beside it.

    Raises:
        InputError: on an unknown name or setting (with the nearest one) or a value that
            cannot be.
    """
    name, settings = config.spec(spec)
    if name.startswith("art:"):
        known = {recipe.name: recipe for recipe in art_recipes.RECIPES}
        plain = name.removeprefix("art:")
        if plain not in known:
            ATTACKS.entry(plain)  # an unknown name gets its hint
            raise InputError(f"ART has no attack '{plain}'. It has: {', '.join(known)}")
        factory = known[plain].bind
    else:
        factory = ATTACKS[name]
    try:
        return factory(estimator, settings, context or AttackContext())
    except InputError as error:
        raise InputError(f"attack '{name}': {error}") from None
