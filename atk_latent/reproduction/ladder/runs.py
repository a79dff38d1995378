"""The classifiers of LADDER's tables: one vanilla, and every defence that fine-tunes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atk_latent.data.dataset import Dataset
from atk_latent.errors import InputError
from atk_latent.methods.ladder import HELPERS
from atk_latent.progress import Progress
from atk_latent.reproduction.ladder.scenes import ADVERSARIES, Scene, Size, attacks
from atk_latent.training.gan_training import train_gan
from atk_latent.training.pipeline import harden
from atk_latent.training.request import GANRequest, HardenRequest, RunOptions
from atk_latent.training.run_folder import RunFolder


@dataclasses.dataclass(frozen=True)
class Cast:
    """Everything that is trained for one seed; made when asked for, found again later.

    Args:
        scene, size: what and how much. dataset: loaded. folder: of this seed.
        gan: folder of Song et al.'s GAN, which all seeds share. seed: of the classifiers.
        progress: told (stage, done, in all, logs).
    """

    scene: Scene
    size: Size
    dataset: Dataset
    folder: Path
    gan: Path
    seed: int
    progress: Progress | None = None

    def vanilla(self) -> Path:
        """The run of the vanilla classifier."""
        options = RunOptions(self.scene.data, self.size.preset, seed=self.seed)
        return self._harden(HardenRequest("natural", options, self.scene.model), "Vanilla")

    def defence(self, label: str, **changes: Any) -> Path:
        """The run of a row of the tables; see `settings`.

        Args:
            label: of the row. **changes: of its settings; they end in the run's name.
        """
        method, settings = self.settings(label)
        if method == "natural":
            return self.vanilla()
        preset = "quick" if method == "trades" and self.size.preset == "quick" else "paper"
        name = " ".join([label, *(f"{key} {value}" for key, value in changes.items())])
        return self._harden(self._request(method, {**settings, **changes}, preset), name)

    def settings(self, label: str) -> tuple[str, dict[str, Any]]:
        """The method of a row, and its settings on top of the preset.

        Raises:
            InputError: if there is no such row.
        """
        rows: dict[str, tuple[str, dict[str, Any]]] = {
            "Vanilla": ("natural", {}),
            "LADDER": ("ladder", {}),
            "LADDER cavRandom": ("ladder-cavrandom", {}),
            "LADDER Random": ("ladder-random", {}),
            "LADDER-GAN": ("ladder-gan", {}),
            "TRADES + LADDER": ("trades-ladder", {}),
            "TRADES": ("trades", dict(self.size.trades)),
        }
        if label in rows:
            method, settings = rows[label]
            return method, {**(self.size.defence if "ladder" in method else {}), **settings}
        name = label.removesuffix(" adv.")
        if name not in ADVERSARIES:
            raise InputError(f"no row {label!r}. Known: {', '.join(rows)}, NAME adv.")
        spec = attacks(self.size, str(self.gan))[name]
        return "augment", {**self.size.defence, "attack": spec}

    def _request(self, method: str, settings: Mapping[str, Any], preset: str) -> HardenRequest:
        options = RunOptions(self.scene.data, preset, settings, seed=self.seed)
        return HardenRequest(method, options, str(self.vanilla() / "model.keras"))

    def _harden(self, request: HardenRequest, label: str) -> Path:
        place = self.folder / label
        if (place / "card.json").exists():
            return place
        known = self.folder / "LADDER" / "helpers"
        shared = HELPERS if request.method != "ladder-gan" else HELPERS[:1]
        if "ladder" in request.method and (known.parent / "card.json").exists():
            RunFolder(place, request, resume=True).adopt(known, shared)
        # Each run measures itself on some test images; the tables come from all of them.
        some = self.dataset.subset(None, min(2000, len(self.dataset.x_test)), self.seed)
        harden(request, some, place, resume=True, progress=self.progress)
        return place


def song_gan(
    scene: Scene, size: Size, dataset: Dataset, folder: Path, judge: Path, progress: Any
) -> Path:
    """The run of Song et al.'s GAN on the data set, seed 0."""
    request = GANRequest(RunOptions(scene.data, size.gan, size.gan_settings), str(judge))
    train_gan(request, dataset, folder, resume=True, progress=progress)
    return folder
