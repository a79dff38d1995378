"""What one attack left of a classifier's accuracy, and what became of single images."""

from __future__ import annotations

import base64
from typing import Annotated

import pydantic
from typing_extensions import Self

from atk_latent.results.accuracy import Accuracy, check_interval
from atk_latent.results.diagnostics import Component
from atk_latent.results.record import Count, Fraction, JsonField, Length, Record, optional, short
from atk_latent.results.threat import ThreatModel

MOST_CLASSES = 5_000  # a matrix of them still fits in memory
ClassIndex = Annotated[int, pydantic.Field(ge=0, lt=MOST_CLASSES)]
_PNG = b"\x89PNG\r\n\x1a\n"


def _png(value: bytes | str) -> bytes:
    """The file itself, from what JSON holds."""
    file = value
    if isinstance(value, str):
        try:
            file = base64.b64decode(value, validate=True)
        except ValueError:
            file = b""
    if not isinstance(file, bytes) or not file.startswith(_PNG):
        raise ValueError(f"must be a PNG file in base64, not {short(value)}")
    return file


def _base64(file: bytes) -> str:
    return base64.b64encode(file).decode("ascii")


Png = Annotated[
    bytes,
    pydantic.BeforeValidator(_png),
    pydantic.PlainSerializer(_base64, when_used="json"),
    pydantic.WithJsonSchema(
        {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}
    ),
]


class Published(Record):
    """A number from the literature for the same measurement.

    Args:
        value: fraction in [0, 1].
        source: where it stands: "LADDER, Table 7".
    """

    value: Fraction
    source: str


class Example(Record):
    """One image before and after an attack.

    Args:
        index: of the image among those that were attacked.
        label: its true class.
        clean_prediction: the class it is given as it is.
        clean_confidence: the softmax of that class; None where an older file does not say.
        prediction: the class it is given after the attack.
        confidence: the softmax of that class.
        linf: largest change of a value, [0, 1] pixel units.
        l2: Euclidean size of the change, [0, 1] pixel units.
        image, adversarial: 8-bit PNG files; base64 in JSON.
        perturbation: the change as a PNG file, around grey 128, its largest value at 127.
        perturbation_scale: that largest value, [0, 1] pixel units.
    """

    index: Count
    label: ClassIndex
    clean_prediction: ClassIndex
    clean_confidence: Fraction | None = None
    prediction: ClassIndex
    confidence: Fraction | None = None
    linf: Length | None = None
    l2: Length | None = None
    image: Png
    adversarial: Png
    perturbation: Png
    perturbation_scale: Length

    @property
    def is_robust(self) -> bool:
        """Whether the image is classified correctly before and after the attack."""
        return self.clean_prediction == self.label == self.prediction

    @property
    def is_flipped(self) -> bool:
        """Whether the image is classified correctly before the attack and wrongly after it."""
        return self.clean_prediction == self.label != self.prediction


class AttackResult(Record):
    """One attack on one classifier.

    Args:
        attack: how it is shown: "pgd", "autoattack (ART variant)".
        name: as registered: "pgd", "autoattack".
        spec: as the user wrote it: "pgd:eps=8/255".
        threat_model: what the attacker may do and knows. `threat`, its words, `eps` and
            `surrogate`, the model the images are made on, stand beside it in files.
        inference: what happens at prediction time: "none".
        n: images.
        robust_accuracy: fraction of all `n` images that are classified correctly before and
            after the attack. An image that was wrong before counts as wrong.
        low, high: ends of the 95% Wilson interval.
        linf: mean over all `n` images of the largest change of a value, pixel units.
        l2: mean over all `n` images of the Euclidean size of the change, pixel units.
        seconds: crafting and scoring.
        settings: every setting the attack ran with.
        components: of a cascade (AutoAttack): what each part did.
        warnings: reasons to doubt the number that the attack itself noticed.
        counts: what the attack counted (`song`: searched, succeeded, wrong_at_start).
        predictions: the class given to each of the `n` attacked images, in order; None where
            single images are left out. Image i is robust where clean_predictions[i] ==
            labels[i] == predictions[i].
        examples: some of the images: first those that the attack changed, then others.
        published: what a paper prints for the same measurement.

    Example:
        >>> AttackResult(
        ...     attack="pgd", spec="pgd:eps=0.3", inference="none",
        ...     threat_model=ThreatModel(access="white-box", norm="linf", eps=0.3),
        ...     n=10, robust_accuracy=0.5, low=0.2366, high=0.7634,
        ... ).to_json()["threat"]
        'white-box, Linf'
    """

    attack: str
    name: str = ""
    spec: str
    threat_model: ThreatModel
    inference: str
    n: Annotated[int, pydantic.Field(ge=1)]
    robust_accuracy: Fraction
    low: Fraction
    high: Fraction
    linf: Length | None = None
    l2: Length | None = None
    seconds: Length | None = None
    settings: JsonField = {}
    components: tuple[Component, ...] = ()
    warnings: tuple[str, ...] = ()
    counts: dict[str, Count] = {}
    predictions: tuple[ClassIndex, ...] | None = optional()
    examples: tuple[Example, ...] = optional(())
    published: Published | None = optional()

    @pydantic.model_validator(mode="after")
    def _accuracy_is_in_its_interval(self) -> Self:
        check_interval("robust_accuracy", self.low, self.robust_accuracy, self.high)
        return self

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def threat(self) -> str:
        """The threat model in words."""
        return str(self.threat_model)

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def eps(self) -> float | None:
        """Radius in [0, 1] pixel units; None: no bound."""
        return self.threat_model.eps

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def surrogate(self) -> str | None:
        """What the images are made on where that is not the target."""
        return self.threat_model.crafted_on

    @property
    def accuracy(self) -> Accuracy:
        """The robust accuracy with its interval."""
        return Accuracy(value=self.robust_accuracy, low=self.low, high=self.high, n=self.n)

    def without_images(self) -> AttackResult:
        """The result without what is known of single images."""
        return self.model_copy(update={"predictions": None, "examples": ()})
