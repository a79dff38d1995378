"""LADDER's helpers out of a run folder."""

from __future__ import annotations

from pathlib import Path

from atk_latent.config import build, places
from atk_latent.errors import InputError
from atk_latent.methods.ladder import LADDER
from atk_latent.models.loading import load_classifier
from atk_latent.registry import METHODS
from atk_latent.results.files import read_card


def has_helpers(folder: Path | None) -> bool:
    """Whether a folder is a finished LADDER run."""
    return folder is not None and (folder / "helpers" / "boundaries.npz").exists()


def load_ladder(folder: Path) -> LADDER:
    """The prepared method of a finished LADDER run, around its vanilla model.

    Raises:
        InputError: if the folder is not a LADDER run, or its files do not fit each other.
    """
    if not has_helpers(folder) or not (folder / "card.json").exists():
        raise InputError(
            f"{folder} holds no LADDER helpers; name a run folder that "
            "`atkl harden --method ladder` has finished"
        )
    card = read_card(folder)
    kind = METHODS[card.method]
    known = places(kind.settings_type)
    stored = {name: value for name, value in card.settings.items() if name in known}
    vanilla = load_classifier(folder / "helpers" / "vanilla.keras")
    ladder: LADDER = kind(vanilla, build(kind.settings_type, stored), seed=card.seed)
    ladder.load_helpers(folder / "helpers")
    return ladder
