"""What `atkl audit` writes."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from atk_latent.results.provenance import Measured
from atk_latent.results.record import JsonField, Length, Record, optional


class Check(Record):
    """One question that was put to a classifier, and its answer.

    Args:
        name: short, stable: "zero-gradients".
        why: why the answer matters, a sentence.
        measured: the figures, by name.
        passed: whether they are as they should be.
        verdict: the answer, a sentence.
    """

    name: str
    why: str
    measured: JsonField
    passed: bool
    verdict: str


class Audit(Measured):
    """Signs that a robustness figure may come from attacks that failed.

    Args:
        target: the classifier, as the user named it.
        input_range, preprocess: of the pixels that the classifier was said to want; None for
            [0, 1].
        inference: the defence that was audited together with it; "none" where it is bare.
        data: the data set's name.
        n: images.
        eps: Linf radius, [0, 1] pixel units.
        checks: every question that could be put.
    """

    schema_name: Literal["atk_latent/audit/1"] = pydantic.Field(
        default="atk_latent/audit/1", alias="schema"
    )
    target: str
    input_range: str | None = optional()
    preprocess: str | None = optional()
    inference: str | None = optional()
    data: str
    n: Annotated[int, pydantic.Field(ge=1)]
    eps: Length
    checks: tuple[Check, ...]

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def title(self) -> str:
        """What it is about: "runs/ladder on mnist"."""
        return f"{self.target} on {self.data}"
