"""What `atkl reproduce` writes: several classifiers under the same attacks."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
from typing_extensions import Self

from atk_latent.results.accuracy import Accuracy, check_interval
from atk_latent.results.attack_result import AttackResult, Published
from atk_latent.results.provenance import Measured
from atk_latent.results.record import Fraction, Length, Record, optional
from atk_latent.results.threat import ThreatModel


class Column(Record):
    """One attack of a comparison.

    Args:
        label: what the table calls it.
        spec: the attack, as for `atkl evaluate`; None is no attack.
        limit: the first so many test images; None takes all.
    """

    label: str
    spec: str | None
    limit: Annotated[int, pydantic.Field(ge=1)] | None = None

    @classmethod
    def of(cls, label: str, spec: str | None, limit: int | None = None) -> Column:
        """The column of these fields."""
        return cls(label=label, spec=spec, limit=limit)


class Cell(Record):
    """One measured accuracy of a comparison.

    Args:
        attack: label of its column.
        threat_model: what the attacker may do and knows; `threat`, its words, stands beside
            it in files.
        accuracy: fraction of all `n` images. low, high: its 95% Wilson interval.
        n: images.
        seconds: crafting and scoring; 0 where it was not measured.
        published: what a paper prints for the same measurement.
        seeds: the accuracies whose mean this is, one a seed.

    Example:
        >>> Cell.of("clean", Accuracy.of([True, False])).threat
        'none'
    """

    attack: str
    threat_model: ThreatModel
    accuracy: Fraction
    low: Fraction
    high: Fraction
    n: Annotated[int, pydantic.Field(ge=1)]
    seconds: Length | None = 0.0
    published: Published | None = optional()
    seeds: tuple[Fraction, ...] | None = optional()

    @pydantic.model_validator(mode="after")
    def _accuracy_is_in_its_interval(self) -> Self:
        check_interval("accuracy", self.low, self.accuracy, self.high)
        return self

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def threat(self) -> str:
        """The threat model in words."""
        return str(self.threat_model)

    @property
    def measured(self) -> Accuracy:
        """The accuracy with its interval."""
        return Accuracy(value=self.accuracy, low=self.low, high=self.high, n=self.n)

    @classmethod
    def of(
        cls,
        attack: str,
        accuracy: Accuracy,
        threat_model: ThreatModel | None = None,
        *,
        seconds: float = 0.0,
        published: Published | None = None,
        seeds: tuple[float, ...] | None = None,
    ) -> Cell:
        """The cell of an accuracy; without a threat model it is one without attack."""
        return cls(
            attack=attack,
            threat_model=threat_model or ThreatModel(access="none"),
            accuracy=accuracy.value,
            low=accuracy.low,
            high=accuracy.high,
            n=accuracy.n,
            seconds=seconds,
            published=published,
            seeds=seeds,
        )

    @classmethod
    def of_attack(
        cls, attack: str, result: AttackResult, published: Published | None = None
    ) -> Cell:
        """The cell of an attack's result, in the column `attack`."""
        return cls.of(
            attack,
            result.accuracy,
            result.threat_model,
            seconds=result.seconds or 0.0,
            published=published,
        )


class Row(Record):
    """One classifier of a comparison.

    Args:
        label: what the table calls it.
        cells: at most one a column; one may be missing.
        rank: mean of its ranks in the columns; None where that makes no sense.
        run: its run folder.
        inference: the defence at prediction time.
        seconds: of hardening. training: of its epochs alone. epochs: how many.
        difference: mean distance to the published values, as a fraction.
    """

    label: str
    cells: tuple[Cell, ...]
    rank: float | None = None
    run: str | None = optional()
    inference: str | None = optional()
    seconds: Length | None = optional()
    training: Length | None = None
    epochs: int | None = None
    difference: float | None = optional()

    def cell(self, attack: str) -> Cell | None:
        """The cell of a column; None where it is missing."""
        return next((cell for cell in self.cells if cell.attack == attack), None)

    @property
    def clean(self) -> Cell | None:
        """The cell without attack; None where there is none."""
        return next((c for c in self.cells if c.threat_model.access == "none"), None)

    @property
    def seconds_per_epoch(self) -> float | None:
        """The training's seconds an epoch; None where they are not known."""
        return self.training / self.epochs if self.training and self.epochs else None


class Comparison(Measured):
    """Several classifiers under the same attacks.

    Args:
        title: heads the table.
        data: the data set's name. data_fingerprint: of its images and labels.
        columns: the attacks, in order. rows: the classifiers, in order.
        notes: lines below the table.
    """

    schema_name: Literal["atk_latent/comparison/2"] = pydantic.Field(
        default="atk_latent/comparison/2", alias="schema"
    )
    title: str
    data: str
    data_fingerprint: str | None = optional()
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    def results(self, row: Row) -> tuple[AttackResult, ...]:
        """The attacks on a row's classifier, each with the spec of its column."""
        specs = {column.label: column.spec for column in self.columns}
        return tuple(
            AttackResult(
                attack=cell.attack,
                spec=specs.get(cell.attack) or cell.attack,
                threat_model=cell.threat_model,
                inference=row.inference or "none",
                n=cell.n,
                robust_accuracy=cell.accuracy,
                low=cell.low,
                high=cell.high,
                seconds=cell.seconds,
                published=cell.published,
            )
            for cell in row.cells
            if cell.threat_model.access != "none"
        )
