"""The folder that a training leaves behind, whole after a kill at any moment."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import keras

from atk_latent.atomic import atomic_file, write_json
from atk_latent.errors import InputError
from atk_latent.methods.figures import Figure
from atk_latent.models.endings import original
from atk_latent.pixels import PixelFormat
from atk_latent.reporting.figures import draw
from atk_latent.reporting.model_card import model_card
from atk_latent.results.card import Card
from atk_latent.results.files import read_card
from atk_latent.training.request import Request, request_json

REQUEST, CARD = "request.json", "card.json"


class RunFolder:
    """The folder of one training, new or stopped before its end.

    It holds what was asked (`request.json`), models, `history.csv`, figures, `helpers/` with
    what was trained beside the classifier, and last `card.json`, which says that the run is
    complete. Until then `checkpoint/` and `helpers/checkpoint-*` hold the states that a
    stopped run goes on from.

    Args:
        folder: its place. request: what is to be trained.
        resume: go on with what is there.

    Raises:
        InputError: if `folder` holds a run already and `resume` is off, or a run of another
            request; if it is a file or cannot be made.
    """

    def __init__(self, folder: Path, request: Request, *, resume: bool = False) -> None:
        self.folder, self.request = folder, request
        self.helpers, self.checkpoint = folder / "helpers", folder / "checkpoint"
        self._check_place()
        self._check_request(resume)
        self.resumed = any(place.exists() for place in self._states())

    def _check_place(self) -> None:
        ancestor = self.folder.absolute()
        while not ancestor.exists():
            ancestor = ancestor.parent
        if not ancestor.is_dir() or not os.access(ancestor, os.W_OK):
            raise InputError(
                f"--out {self.folder}: {ancestor} must be a folder that can be written to"
            )

    def _check_request(self, resume: bool) -> None:
        if not self.folder.exists() or not any(self.folder.iterdir()):
            return
        stored = self.folder / REQUEST
        if not stored.exists():
            raise InputError(
                f"--out {self.folder} is a folder with other things in it; choose a new one"
            )
        if not resume:
            raise InputError(
                f"--out {self.folder} holds a run already; add --resume to go on with it, "
                "or choose another folder"
            )
        before, now = json.loads(stored.read_text()), request_json(self.request)
        differing = sorted(key for key in now if now[key] != before.get(key))
        if differing:
            key = differing[0]
            raise InputError(
                f"--resume: {self.folder} was started with {key}={before.get(key)!r}, "
                f"now it is {now[key]!r}; resume with the same arguments or choose another --out"
            )

    def _states(self) -> list[Path]:
        """Where states lie while something is trained."""
        return [self.checkpoint, *self.helpers.glob("checkpoint-*")]

    @property
    def finished(self) -> bool:
        """Whether the folder holds a complete run."""
        return (self.folder / CARD).exists()

    @property
    def pixels(self) -> PixelFormat:
        """What the model wants that the run starts from: as requested, else as it was begun."""
        stored = self.folder / REQUEST
        if not self.request.pixels.is_unit or not stored.exists():
            return self.request.pixels
        begun = json.loads(stored.read_text())
        return PixelFormat(begun.get("input_range"), begun.get("preprocess"))

    def card(self) -> Card:
        """The card of a complete run."""
        return read_card(self.folder)

    def open(self) -> None:
        """Makes the folder and notes the request."""
        self.helpers.mkdir(parents=True, exist_ok=True)
        if not (self.folder / REQUEST).exists():
            write_json(self.folder / REQUEST, request_json(self.request))

    def adopt(self, helpers: Path, names: Sequence[str]) -> None:
        """Opens the run and copies files from another run's helpers, so none is trained again."""
        self.open()
        for name in names:
            with atomic_file(self.helpers / name) as part:
                shutil.copyfile(helpers / name, part)

    def save_model(self, model: keras.Model, name: str) -> None:
        """Saves a bare model with the ending it came with, whole or not at all."""
        with atomic_file(self.folder / name) as part:
            original(model).save(part)

    def save_history(self, logs: list[dict[str, float]]) -> None:
        """Writes `history.csv`, one line an epoch of the training that matters."""
        text = io.StringIO()
        names = list(dict.fromkeys(name for row in logs for name in row))
        writer = csv.DictWriter(text, ["epoch", *names])
        writer.writeheader()
        writer.writerows({"epoch": i + 1, **row} for i, row in enumerate(logs))
        with atomic_file(self.folder / "history.csv") as part:
            part.write_text(text.getvalue(), encoding="utf-8")

    def save_figure(self, figure: Figure, name: str) -> None:
        """Draws a figure as `name`.png."""
        with atomic_file(self.folder / f"{name}.png") as part:
            draw(figure, part)

    def finish(self, card: Card) -> Card:
        """Ends the run: the card for people, then `card.json`; the states are no longer needed."""
        with atomic_file(self.folder / "card.md") as part:
            part.write_text(model_card(card), encoding="utf-8")
        write_json(self.folder / CARD, card.to_json())
        for place in self._states():
            shutil.rmtree(place, ignore_errors=True)
        return card
