"""The manifold of a run: its classifier, its discriminator and how IMT is to be done."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import keras

from atk_latent.adversaries.latent_discriminator import LatentDiscriminator
from atk_latent.config import build, spec
from atk_latent.errors import InputError
from atk_latent.inference.imt import IMT, VARIANTS, IMTClassifier, IMTSettings, Variant
from atk_latent.methods.atld import DISCRIMINATOR, load_settings
from atk_latent.models.loading import MODEL_FILE, load_network

NO_IMT = "none"


def has_manifold(run: Path | None) -> bool:
    """Whether a run folder holds a discriminator of latents."""
    return run is not None and (run / "helpers" / DISCRIMINATOR).is_file()


def load_manifold(
    run: Path | None, classifier: keras.Model
) -> tuple[LatentDiscriminator, dict[str, float | bool | None]]:
    """The manifold of a finished ATLD run around its classifier.

    Args:
        run: the run folder. classifier: its `model.keras`, loaded.

    Returns:
        The manifold, and the run's settings of IMT.

    Raises:
        InputError: if the run holds no discriminator, or one that does not fit.
    """
    if not has_manifold(run) or run is None:
        raise InputError(
            f"{run or 'the target'} holds no discriminator, which IMT needs; name a run folder "
            "that `atkl harden --method atld` has finished"
        )
    discriminator = load_network(run / "helpers" / DISCRIMINATOR)
    if len(discriminator.inputs) != 1 or len(discriminator.outputs) != 2:
        raise MODEL_FILE.wrong(run / "helpers" / DISCRIMINATOR, "is no discriminator of latents")
    stored = load_settings(run / "helpers")
    manifold = LatentDiscriminator(
        classifier, discriminator, latent=stored.latent, layer=stored.latent_layer
    )
    return manifold, stored.imt


def imt_for(text: str, run: Path | None, classifier: keras.Model) -> IMTClassifier | None:
    """What ``--inference`` names: "none", "imt", "imt+" or "imt+:high=0.6,magnitude=0.25".

    Args:
        text: the variant, with settings (`IMTSettings`) on top of the run's.
        run: the run folder with the discriminator. classifier: the bare classifier.

    Returns:
        The classifier behind IMT; None for "none".

    Raises:
        InputError: on another word or setting, or a run without discriminator.
    """
    name, overrides = spec(text)
    if name == NO_IMT and not overrides:
        return None
    if name not in VARIANTS:
        raise InputError(
            f"--inference must be {NO_IMT}, {' or '.join(VARIANTS)}. Received: {text!r}"
        )
    manifold, stored = load_manifold(run, classifier)
    settings = build(IMTSettings, {**stored, **overrides})
    return IMTClassifier(IMT(manifold, settings, variant=cast(Variant, name)))
