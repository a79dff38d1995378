"""What `atkl evaluate` writes."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
from typing_extensions import Self

from atk_latent.results.accuracy import Accuracy, check_interval
from atk_latent.results.attack_result import AttackResult, ClassIndex, Published
from atk_latent.results.provenance import Measured
from atk_latent.results.record import Fraction, optional


def _check_count(name: str, accuracy: float, *classes: tuple[int, ...] | None) -> None:
    """Refuses an accuracy that is not the share of images whose classes are all the same.

    Args:
        name: of the accuracy's field. accuracy: a fraction.
        classes: of each image, several times; nothing is known where one is None.

    Raises:
        ValueError: naming the two numbers.
    """
    known = [each for each in classes if each is not None]
    if len(known) < len(classes):
        return
    n, right = len(known[0]), sum(len(set(row)) == 1 for row in zip(*known, strict=True))
    if abs(accuracy * n - right) > 0.5:
        raise ValueError(
            f"{name} must be that of the predictions in the file, {right / n:g}, not {accuracy:g}"
        )


class Evaluation(Measured):
    """What attacks leave of one classifier's accuracy. Accuracies are fractions.

    Args:
        target: the classifier, as the user named it.
        input_range, preprocess: of the pixels that the classifier was said to want; None for
            [0, 1].
        data: the data set's name.
        inference: what happens at prediction time; None where an older file does not say.
        n: images.
        clean_accuracy: without attack. clean_low, clean_high: its 95% Wilson interval.
        clean_published: what a paper prints for the accuracy without attack.
        attacks: one result an attack.
        suite: the named list of attacks that was run.
        skipped: a line for each attack of the suite that was left out, and why.
        labels: the true class of each of the `n` images, in order; None where single images
            are left out, as with the next two.
        clean_predictions: the class given to each image as it is.
        class_names: one name a class.

    Example:
        >>> record = Evaluation(
        ...     date="2026-01-31", seed=0, versions={}, target="runs/a", data="mnist", n=10,
        ...     clean_accuracy=0.9, clean_low=0.596, clean_high=0.982, attacks=(),
        ... )
        >>> record.title, record.to_json()["schema"]
        ('runs/a on mnist', 'atk_latent/evaluation/2')
    """

    schema_name: Literal["atk_latent/evaluation/2"] = pydantic.Field(
        default="atk_latent/evaluation/2", alias="schema"
    )
    target: str
    input_range: str | None = optional()
    preprocess: str | None = optional()
    data: str
    inference: str | None = optional()
    n: Annotated[int, pydantic.Field(ge=1)]
    clean_accuracy: Fraction
    clean_low: Fraction
    clean_high: Fraction
    clean_published: Published | None = optional()
    attacks: tuple[AttackResult, ...]
    suite: str | None = None
    skipped: tuple[str, ...] = ()
    labels: tuple[ClassIndex, ...] | None = optional()
    clean_predictions: tuple[ClassIndex, ...] | None = optional()
    class_names: tuple[str, ...] = optional(())

    @pydantic.model_validator(mode="after")
    def _one_class_an_image(self) -> Self:
        """Refuses lists that do not hold one class for each image."""
        lists = {"labels": self.labels, "clean_predictions": self.clean_predictions}
        for i, result in enumerate(self.attacks):
            lists[f"attacks[{i}]: predictions"] = result.predictions
        for name, classes in lists.items():
            if classes is not None and len(classes) != self.n:
                raise ValueError(
                    f"{name} must hold one class for each of the {self.n} images, "
                    f"not {len(classes)}"
                )
        return self

    @pydantic.model_validator(mode="after")
    def _numbers_agree(self) -> Self:
        """Refuses accuracies that are not those of the classes beside them."""
        check_interval("clean_accuracy", self.clean_low, self.clean_accuracy, self.clean_high)
        _check_count("clean_accuracy", self.clean_accuracy, self.labels, self.clean_predictions)
        for i, result in enumerate(self.attacks):
            place = f"attacks[{i}]"
            if result.n != self.n:
                raise ValueError(f"{place}: n must be the {self.n} of the file, not {result.n}")
            if self.clean_predictions is not None:
                classes = (self.labels, self.clean_predictions, result.predictions)
                _check_count(f"{place}: robust_accuracy", result.robust_accuracy, *classes)
            for k, example in enumerate(result.examples):
                label = (
                    None if self.labels is None else self.labels[example.index : example.index + 1]
                )
                if example.index >= self.n or (label is not None and label != (example.label,)):
                    raise ValueError(f"{place}: examples[{k}] shows none of the images of the file")
        return self

    @property
    def title(self) -> str:
        """What it is about: "runs/ladder on mnist"."""
        return f"{self.target} on {self.data}"

    @property
    def clean(self) -> Accuracy:
        """The accuracy without attack, with its interval."""
        return Accuracy(
            value=self.clean_accuracy, low=self.clean_low, high=self.clean_high, n=self.n
        )

    def class_name(self, number: int) -> str:
        """The name of a class, or its number where it has none."""
        return self.class_names[number] if number < len(self.class_names) else str(number)
