"""The folder that a training leaves behind, whole after a kill at any moment."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras

from atk_latent.atomic import atomic_file, json_text, write_problem, writing
from atk_latent.checksums import noted_file
from atk_latent.errors import InputError
from atk_latent.files import (
    CHECKSUMS,
    GIB,
    MIB,
    FileKind,
    check_file,
    checksum,
    open_file,
    read_json_object,
)
from atk_latent.locks import LOCK, check_unlocked, locked
from atk_latent.methods.figures import Figure
from atk_latent.models.endings import original
from atk_latent.pixels import PixelFormat
from atk_latent.reporting.figures import draw
from atk_latent.reporting.model_card import model_card
from atk_latent.results.card import Card
from atk_latent.results.files import read_card
from atk_latent.training.request import HardenRequest, Request, request_json
from atk_latent.training.stored_request import StoredRequest

REQUEST, CARD, FINGERPRINT = "request.json", "card.json", "data_fingerprint"
_AGAIN = "the same command with --resume then trains it again"
REQUEST_FILE = FileKind("request of a run", 16 * MIB, "Remove the folder or choose another --out")
CARD_FILE = FileKind("run card", 256 * MIB, f"Copy it back, or remove it: {_AGAIN}")
FINISHED_MODEL = FileKind("Keras model file", 64 * GIB, f"Copy it back, or remove {CARD}: {_AGAIN}")
HELPER_FILE = FileKind("helper of a run", 64 * GIB, "Remove it to make it again")


class RunFolder:
    """The folder of one training, new or stopped before its end.

    It holds what was asked (`request.json`), models, `history.csv`, figures, `helpers/` with
    what was trained beside the classifier, and last `card.json`, which says that the run is
    complete. Until then `checkpoint/` and `helpers/checkpoint-*` hold the states that a
    stopped run goes on from.

    `checksums.json` lists what must not change: a file that has is refused. One process at a
    time writes there (`locked`).

    Args:
        folder: its place. request: what is to be trained.
        resume: go on with what is there.
        data_fingerprint: of the data set; None where it does not matter.

    Raises:
        InputError: if `folder` holds a run already and `resume` is off, or a run of another
            request or of other data; if another process writes there; if it is a file or cannot
            be made.
    """

    def __init__(
        self,
        folder: Path,
        request: Request,
        *,
        resume: bool = False,
        data_fingerprint: str | None = None,
    ) -> None:
        self.folder, self.request, self.resume = folder, request, resume
        self.data_fingerprint = data_fingerprint
        self.helpers, self.checkpoint = folder / "helpers", folder / "checkpoint"
        with writing(folder):
            self._check_place()
            check_unlocked(folder)
            self._check_request()
            self.resumed = any(place.exists() for place in self._states())

    def _check_place(self) -> None:
        ancestor = _existing(self.folder)
        if not ancestor.is_dir() or not os.access(ancestor, os.W_OK):
            raise InputError(
                f"--out {self.folder}: {ancestor} must be a folder that can be written to"
            )

    def _check_request(self) -> None:
        if not self.folder.exists() or not any(self.folder.iterdir()):
            return
        stored = self.folder / REQUEST
        if not stored.exists() and self._content():
            raise InputError(
                f"--out {self.folder} is a folder with other things in it; choose a new one"
            )
        if not stored.exists() or not (self.resume or self._content()):
            return
        if not self.resume:
            raise InputError(
                f"--out {self.folder} holds a run already; add --resume to go on with it, "
                "or choose another folder"
            )
        before, now = read_json_object(stored, REQUEST_FILE), request_json(self.request)
        StoredRequest.from_json(before, str(stored))
        differing = sorted(key for key in now if now[key] != before.get(key))
        if differing:
            key = differing[0]
            raise InputError(
                f"--resume: {self.folder} was started with {key}={before.get(key)!r}, "
                f"now it is {now[key]!r}; resume with the same arguments or choose another --out"
            )
        self._check_data(before.get(FINGERPRINT))

    def _check_data(self, before: object) -> None:
        """Refuses data that are not those the run was started on."""
        if before is None and self.finished:
            before = self.card().data_fingerprint
        if None not in (before, self.data_fingerprint) and before != self.data_fingerprint:
            raise InputError(
                f"--resume: {self.folder} was started on other data (fingerprint {before}, now "
                f"{self.data_fingerprint}); bring back those images and labels or choose another "
                "--out"
            )

    def _content(self) -> list[Path]:
        """The files that hold something which was not there before the run began."""
        files = [path for path in self.folder.rglob("*") if not path.is_dir()]
        return [path for path in files if path.name not in (REQUEST, CHECKSUMS, LOCK)]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder, made where it is not there yet, for this process alone.

        What failed before anything was trained leaves no folder behind.

        Raises:
            InputError: if another process holds it, has finished the run meanwhile, or the
                folder cannot be made.
        """
        above = _existing(self.folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = write_problem(self.folder, error)
            raise problem or InputError(
                f"--out {self.folder} cannot be made: {error.strerror}. Choose another place"
            ) from None
        try:
            with locked(self.folder):
                was_finished = self.finished
                self._check_request()
                if was_finished:
                    raise InputError(
                        f"--out {self.folder} was finished by another process meanwhile. Look at "
                        "its card, or choose another place"
                    )
                yield
        finally:
            self._remove_if_empty(above)

    def _remove_if_empty(self, above: Path) -> None:
        """Removes what is in the folder, and the folders made below `above`, if nothing counts."""
        with contextlib.suppress(OSError):
            if self._content() or (self.folder / LOCK).exists():
                return
            for path in sorted(self.folder.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            for folder in (self.folder, *self.folder.parents):
                if folder == above:
                    return
                folder.rmdir()

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
        begun = StoredRequest.from_json(read_json_object(stored, REQUEST_FILE), str(stored))
        return PixelFormat(begun.input_range, begun.preprocess)

    def card(self) -> Card:
        """The card of a complete run.

        Raises:
            InputError: if it is damaged, or the card of another run.
        """
        check_file(self.folder / CARD, CARD_FILE)
        card, options = read_card(self.folder), self.request.options
        for name, noted, wanted in (
            ("method", card.method, self.request.method),
            ("data", card.data, options.data),
            ("seed", card.seed, options.seed),
        ):
            if noted != wanted:
                problem = f"is the card of another run: {name} is {noted!r}, not {wanted!r}"
                raise CARD_FILE.wrong(self.folder / CARD, problem)
        return card

    def finished_card(self) -> Card:
        """The card of a complete run, once its models are there as they were written.

        Raises:
            InputError: if one is missing or was changed, or the card will not do.
        """
        card = self.card()
        for name in self.request.models:
            file = self.folder / name
            with open_file(file, FINISHED_MODEL) as model:
                if card.model_checksum not in (None, checksum(model)):
                    problem = f"is not the model that {CARD} was written for"
                    raise FINISHED_MODEL.wrong(file, problem)
        return card

    def open(self) -> None:
        """Makes the folder and notes the request."""
        self.helpers.mkdir(parents=True, exist_ok=True)
        if not (self.folder / REQUEST).exists():
            fingerprint = {FINGERPRINT: self.data_fingerprint} if self.data_fingerprint else {}
            self._write_json(REQUEST, {**request_json(self.request), **fingerprint})

    def _write_json(self, name: str, content: object) -> None:
        with noted_file(self.folder, name) as part:
            part.write_text(json_text(content) + "\n", encoding="utf-8")

    def adopt(self, helpers: Path, names: Sequence[str]) -> None:
        """Opens the run and copies files from another run's helpers, so none is trained again."""
        with self.locked():
            self.open()
            for name in names:
                check_file(helpers / name, HELPER_FILE)
                with noted_file(self.folder, f"{self.helpers.name}/{name}") as part:
                    shutil.copyfile(helpers / name, part)

    def save_model(self, model: keras.Model, name: str) -> None:
        """Saves a bare model with the ending it came with, whole or not at all."""
        with noted_file(self.folder, name) as part:
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
        model = self.folder / HardenRequest.models[0]
        if model.exists():
            with model.open("rb") as file:
                card = card.model_copy(update={"model_checksum": checksum(file)})
        self._write_json(CARD, card.to_json())
        for place in self._states():
            shutil.rmtree(place, ignore_errors=True)
        return card


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    while not path.exists() and path != path.absolute().parent:
        path = path.absolute().parent
    return path
