"""The card of a run: what `atkl harden` and `atkl train-gan` write last."""

from __future__ import annotations

from typing import Literal

import pydantic

from atk_latent.results.provenance import Measured
from atk_latent.results.record import Count, Fraction, Json, JsonField, Length, optional


class Card(Measured):
    """What was trained, on what, how, and what was measured.

    Args:
        run: the run folder. method, data, preset: as registered.
        model: name or path of the network; None of a run without a classifier.
        input_range, preprocess: of the pixels that the network inside wants; None for [0, 1]. The
            saved model takes [0, 1] all the same.
        overrides: settings asked for on top of the preset; None where nobody noted them.
        settings: every setting as it was used, by flat name.
        metrics: what the method measured of itself, by name; each method has its own.
        train_images, test_images: how many. data_fingerprint: of images and labels.
        class_names: one name a class. model_checksum: SHA-256 of the `model.keras` beside it.
        clean_accuracy: of the hardened classifier, test images without attack, a fraction.
        vanilla_clean_accuracy: of the classifier it started from; None where there is none.
        seconds: all training and measuring. training_seconds: the epochs alone.
        peak_memory_mb: most memory of the process, MiB.
        resumed: whether the run was stopped and resumed.
        limits: what the numbers do not say, beside what every card says.
        remeasured: what was measured again later.
    """

    schema_name: Literal["atk_latent/card/1"] = pydantic.Field(
        default="atk_latent/card/1", alias="schema"
    )
    run: str | None = optional()
    method: str
    data: str
    preset: str
    model: str | None = None
    input_range: str | None = optional()
    preprocess: str | None = optional()
    overrides: JsonField | None = pydantic.Field(
        default=None, exclude_if=lambda value: value is None
    )
    settings: JsonField
    metrics: JsonField
    train_images: Count | None = optional()
    test_images: Count | None = optional()
    data_fingerprint: str | None = optional()
    class_names: tuple[str, ...] = optional(())
    model_checksum: str | None = optional()
    clean_accuracy: Fraction | None = None
    vanilla_clean_accuracy: Fraction | None = None
    seconds: Length | None = None
    training_seconds: Length | None = None
    peak_memory_mb: Length | None = None
    resumed: bool | None = optional()
    limits: tuple[str, ...] = optional(())
    remeasured: str | None = optional()

    def number(self, name: str) -> float | None:
        """A metric that is a number; None where there is none of that name."""
        value = self.metrics.get(name)
        return float(value) if isinstance(value, int | float) else None

    @property
    def epochs(self) -> int | None:
        """How many the classifier was trained for; None where the settings do not say."""
        epochs = self.settings.get("epochs")
        return epochs if isinstance(epochs, int) else None

    @property
    def title(self) -> str:
        """What was trained on what: "ladder on mnist"."""
        return f"{self.method} on {self.data}"

    @property
    def is_classifier(self) -> bool:
        """Whether the run holds a classifier; a GAN's does not."""
        return self.clean_accuracy is not None

    @property
    def metric_rows(self) -> dict[str, tuple[Json, ...]]:
        """The metrics that are tables: rows of named numbers, by name."""
        tables: dict[str, tuple[Json, ...]] = {}
        for name, value in self.metrics.items():
            if isinstance(value, list) and value:
                rows = tuple(row for row in value if isinstance(row, dict))
                if len(rows) == len(value):
                    tables[name] = rows
        return tables
