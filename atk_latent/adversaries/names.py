"""Every adversary by name, in one place; made without importing TensorFlow before it is needed."""

from __future__ import annotations

from typing import Any

from atk_latent.registry import Entry, Registry

_ASCENT = "atk_latent.adversaries.gradient_ascent"

ADVERSARIES = Registry(
    "adversary",
    {
        "fgsm": Entry(f"{_ASCENT}:fgsm", "one gradient step of eps"),
        "rs-fgsm": Entry(f"{_ASCENT}:rs_fgsm", "one gradient step of eps from a random start"),
        "pgd": Entry(f"{_ASCENT}:pgd", "gradient steps from a random start"),
        "bim": Entry(f"{_ASCENT}:bim", "gradient steps from the image itself"),
        "mim": Entry(f"{_ASCENT}:mim", "gradient steps with momentum, from the image itself"),
        "cw-pgd": Entry(f"{_ASCENT}:cw_pgd", "PGD on the margin loss, the papers' CW20/40/100"),
    },
)


def make_adversary(name: str, *, seed: Any = 0, **settings: Any) -> Any:
    """The adversary `name` with its own defaults and `settings` on top.

    Args:
        name: of `ADVERSARIES`. seed: int >= 0 or a `keras.random.SeedGenerator`.
        **settings: values or text (``eps="8/255"``) of the adversary's settings.

    Raises:
        InputError: on an unknown name or setting (with the nearest one) or a value that
            cannot be.
    """
    return ADVERSARIES[name](seed=seed, **settings)
