"""Adversaries by the name of their attack."""

from __future__ import annotations

from typing import Any

import keras

from atk_latent.registry import ATTACKS


def make_adversary(
    name: str, *, seed: int | keras.random.SeedGenerator = 0, **settings: object
) -> Any:
    """The adversary of the attack `name`, with its defaults and `settings` on top.

    Args:
        name: of `registry.ATTACKS`. seed: int >= 0 or a `keras.random.SeedGenerator`.
        **settings: values or text (``eps="8/255"``) of the adversary's settings.

    Raises:
        InputError: on an unknown name or setting (with the nearest one) or a value that
            cannot be.
    """
    return ATTACKS[name].adversary(seed=seed, **settings)
