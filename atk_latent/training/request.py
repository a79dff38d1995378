"""What is to be trained, on what, from which seed; a resumed run must ask for the same."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import ClassVar

from atk_latent.pixels import UNIT, PixelFormat


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """What every kind of training is told.

    Args:
        data: registered name of the data set, or its path. preset: name of the recipe.
        overrides: settings on top of the preset, as text or typed.
        limit: int >= 1, training images at most; None for all.
        seed: int >= 0, of everything drawn.
    """

    data: str
    preset: str = "paper"
    overrides: Mapping[str, object] = dataclasses.field(default_factory=dict)
    limit: int | None = None
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class HardenRequest:
    """A classifier to be hardened.

    Args:
        method: registered name. options: see `RunOptions`.
        model: registered name, path to a trained model, or None for the data set's own.
        pixels: what the trained model wants, where that is not [0, 1].
    """

    models: ClassVar[tuple[str, ...]] = ("model.keras",)  # what a finished run holds
    method: str
    options: RunOptions
    model: str | None = None
    pixels: PixelFormat = UNIT


@dataclasses.dataclass(frozen=True)
class GANRequest:
    """A class-conditional GAN to be trained.

    Args:
        options: see `RunOptions`.
        judge: path to a trained classifier that judges the drawn images, or None.
    """

    method: ClassVar[str] = "song-gan"
    models: ClassVar[tuple[str, ...]] = ("helpers/generator.keras", "helpers/discriminator.keras")
    pixels: ClassVar[PixelFormat] = UNIT
    options: RunOptions
    judge: str | None = None

    @property
    def model(self) -> str | None:
        """The judge, under the name that a file has for it."""
        return self.judge


Request = HardenRequest | GANRequest


def request_json(request: Request) -> dict[str, object]:
    """The content of `request.json`, as reading it back gives it."""
    options = request.options
    content = {
        "method": request.method,
        "data": options.data,
        "preset": options.preset,
        "model": request.model,
        "overrides": dict(options.overrides),
        "limit": options.limit,
        "seed": options.seed,
    }
    content |= {name: text for name, text in vars(request.pixels).items() if text is not None}
    reread: dict[str, object] = json.loads(json.dumps(content, default=str))
    return reread
