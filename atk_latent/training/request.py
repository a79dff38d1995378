"""What is to be trained, on what, from which seed; a resumed run must ask for the same."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, get_args

from atk_latent.config import check_range
from atk_latent.errors import InputError
from atk_latent.pixels import UNIT, PixelFormat

FLOAT32 = "float32"
Strategy = Literal["auto", "none", "mirrored", "multiworker"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
Jit = Literal["auto", "on", "off"]
WORDS = {"strategy": get_args(Strategy), "precision": get_args(Precision), "jit": get_args(Jit)}


@dataclasses.dataclass(frozen=True)
class Execution:
    """On what, and how, a training runs; but for `precision` it changes no number.

    Args:
        strategy: "none" is one device; "mirrored" all visible ones of this process; "auto"
            that where there are several GPUs; "multiworker" the processes that TF_CONFIG or
            Slurm's variables name, all started with the same command.
        precision: that layers compute in, Keras' global policy; weights stay float32.
        jit: whether train steps are compiled with XLA; "auto": on a single GPU.
        tensorboard: folder of TensorBoard's logs; None writes none.
        checkpoint_minutes: float > 0, also keep a state so often inside an epoch; None only
            at the end of each.

    Raises:
        InputError: for values out of range, or that do not go together.
    """

    strategy: Strategy = "auto"
    precision: Precision = "float32"
    jit: Jit = "auto"
    tensorboard: Path | None = None
    checkpoint_minutes: float | None = None

    def __post_init__(self) -> None:
        """Refuses values out of range."""
        for name, words in WORDS.items():
            if getattr(self, name) not in words:
                raise InputError(
                    f"{name} must be one of {', '.join(words)}. Received: {getattr(self, name)!r}"
                )
        if self.checkpoint_minutes is not None:
            check_range("checkpoint_minutes", self.checkpoint_minutes, 1e-6)


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """What every kind of training is told.

    Args:
        data: registered name of the data set, or its path. preset: name of the recipe.
        overrides: settings on top of the preset, as text or typed.
        limit: int >= 1, training images at most; None for all.
        seed: int >= 0, of everything drawn. execution: see `Execution`.
    """

    data: str
    preset: str = "paper"
    overrides: Mapping[str, object] = dataclasses.field(default_factory=dict)
    limit: int | None = None
    seed: int = 0
    execution: Execution = Execution()


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
    if options.execution.precision != FLOAT32:  # as earlier versions wrote it
        content["precision"] = options.execution.precision
    content |= {name: text for name, text in vars(request.pixels).items() if text is not None}
    reread: dict[str, object] = json.loads(json.dumps(content, default=str))
    return reread
