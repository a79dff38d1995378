"""Every attack that is an ART class of its own: ``from atk_latent.attacks import FastPGD``.

The classes are made when they are first asked for, from what each attack's registry line names.
Importing this module imports neither TensorFlow nor ART.
"""

from __future__ import annotations

from atk_latent.registry import ATTACKS

_NAMES = {ATTACKS.entry(name).art_class: name for name in ATTACKS if ATTACKS.entry(name).art_class}
__all__ = sorted(_NAMES)


def __getattr__(name: str) -> type:
    """The class of that name."""
    if name not in _NAMES:
        raise AttributeError(f"module 'atk_latent.attacks' has no attribute '{name}'")
    from atk_latent.art_bridge.attack_classes import attack_class

    return attack_class(_NAMES[name])


def __dir__() -> list[str]:
    """The classes."""
    return __all__
