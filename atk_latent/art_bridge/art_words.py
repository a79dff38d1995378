"""What a trainer is told at ART's door, as a method's settings: ART's names, ART's pixel units."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from atk_latent import config
from atk_latent.errors import InputError
from atk_latent.pixels import PixelRange

NAMES = {"nb_epochs": "epochs", "eps_step": "step_size", "max_iter": "steps"}  # ART's -> ours
_GREY_LEVELS = 1000  # a length of less than this share of the range is a slip of units


def method_settings(
    settings: type, words: Mapping[str, object], pixels: PixelRange
) -> dict[str, object]:
    """A trainer's keyword arguments as flat settings of its method.

    ART's `nb_epochs`, `eps_step` and `max_iter` mean `epochs`, `step_size` and `steps`. Lengths in
    pixels (`eps`, `step_size`, ...) come in the range of the estimator's `clip_values`, as
    everywhere in ART, and leave in [0, 1]; latent lengths stay as they are, and so does a whole
    part of the settings (``crafting=Crafting(eps=8 / 255)``).

    Args:
        settings: the dataclass of the method. words: by name, values or text. pixels: the range.

    Raises:
        InputError: for a word that comes twice or that the method has no setting for.
    """
    places, result = config.places(settings), dict[str, object]()
    for word, value in words.items():
        name = NAMES.get(word, word)
        if name != word and name in words:
            raise InputError(f"'{word}' is ART's word for '{name}': pass one of the two")
        if name != word and name not in places:
            raise InputError(f"'{word}' has no meaning here: the method has no setting '{name}'")
        in_pixels = name in places and places[name].is_pixels
        result[name] = _unit_length(word, value, pixels) if in_pixels else value
    return result


def _unit_length(name: str, value: object, pixels: PixelRange) -> object:
    """A length of the range `pixels` as one of [0, 1]."""
    if pixels.width == 1 or value is None or str(value).lower() in ("none", ""):
        return value
    length = config.number(value, name)  # type: ignore[arg-type]
    if 0 < length < pixels.width / _GREY_LEVELS and pixels.width > 1:
        warnings.warn(
            f"{name}={length:.4g} is less than a grey level: lengths are in the classifier's "
            f"clip_values, {pixels.low:g} to {pixels.high:g}, as in ART",
            stacklevel=4,
        )
    return length / pixels.width
