"""What the parts of LADDER's study share: its classifiers, its attacked sets, its numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from atk_latent.data.dataset import Dataset
from atk_latent.models.loading import load_classifier
from atk_latent.progress import Progress
from atk_latent.reporting.tables import slug
from atk_latent.reproduction.ladder.runs import Cast
from atk_latent.reproduction.ladder.scenes import Scene, Size, attacks, published
from atk_latent.reproduction.table import table_of, write_table
from atk_latent.results.comparison import Column, Comparison, Row
from atk_latent.training.adversarial_sets import crafted_set


@dataclasses.dataclass(frozen=True)
class Study:
    """One run of the whole study.

    Args:
        scene, size: what and how much. dataset: loaded. folder: where everything goes.
        casts: the trained classifiers, one a seed. vanilla: that of the first seed.
        progress: told (stage, done, in all, logs).
    """

    scene: Scene
    size: Size
    dataset: Dataset
    folder: Path
    casts: tuple[Cast, ...]
    vanilla: keras.Model
    progress: Progress | None

    @property
    def gan(self) -> Path:
        """The run of Song et al.'s GAN."""
        return self.casts[0].gan

    def model(self, place: Path) -> keras.Model:
        """The classifier of a run."""
        return load_classifier(place, self.dataset.image_shape, self.dataset.num_classes)

    def first(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The first test images and their classes."""
        return self.dataset.x_test[:count], self.dataset.y_test[:count]

    def crafted(self, made_on: str, model: keras.Model, column: str) -> tuple[Any, Any]:
        """The transfer set of a column, made on `model`, and its classes."""
        count = self.size.slow if column.startswith("AutoAttack") else self.size.attacked
        x, y = self.first(count)
        path = self.folder / "sets" / slug(made_on) / f"{slug(column)}.npz"
        spec = attacks(self.size, str(self.gan))[column]
        x_adv = crafted_set(path, spec, model, x, y, self.dataset, seed=0, progress=self.progress)
        return x_adv, y

    def write(self, name: str, table: Comparison, *, ranked: bool = True) -> Comparison:
        """Writes a table of this study."""
        return write_table(self.folder, table, name=name, ranked=ranked)

    def table(
        self, title: str, columns: Sequence[Column], rows: Sequence[Row], notes: Sequence[str]
    ) -> Comparison:
        """A table of this study."""
        return table_of(
            self.dataset,
            title=title,
            columns=columns,
            rows=rows,
            notes=notes,
            seed=self.casts[0].seed,
        )


def is_correct(model: keras.Model, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which images are classified correctly, bool (n,)."""
    return np.argmax(model.predict(x, batch_size=500, verbose=0), axis=1) == y


def printed(data: str) -> dict[str, dict[str, float]]:
    """The paper's rows for a data set, fractions by column; own-attack cells are left out."""
    known = published()
    return {
        row: {
            name: value / 100
            for name, value in zip(known["columns"], values, strict=True)
            if value is not None
        }
        for row, values in known[data].items()
    }
