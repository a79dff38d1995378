"""Adversarial training on a fixed set that any attack has made: LADDER's baselines."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

import keras
import numpy as np

from atk_latent.config import check_range, spec
from atk_latent.data.streams import Stream, fixed_set_batches
from atk_latent.errors import InputError
from atk_latent.methods.base import Method
from atk_latent.methods.fixed_sets import FixedSetRequest
from atk_latent.methods.ladder import TABLE_6
from atk_latent.methods.optimizers import SGDSettings
from atk_latent.methods.recipes import Recipes
from atk_latent.progress import Progress
from atk_latent.registry import ATTACKS

Examples = tuple[np.ndarray | None, np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class AugmentSettings(SGDSettings):
    """Where the fixed set comes from, beside how the weights are updated.

    Args:
        attack: what makes it on the vanilla classifier, as for `atkl attack`: "fgsm",
            "pgd:eps=0.3", "jsma", "art:cw-l2:...". Not asked where there are examples.
        examples_from: path of an .npz with `x_adv` and `y` (and `x`, the originals), as
            `atkl attack --split train --out` writes it.
        examples_per_class: int >= 1, training images of each class that are attacked; None
            takes them all.
        originals: "full" pairs each adversarial batch with one of the full clean training
            set; "paired" with the very images it was made from.
        alpha: float in [0, 1], weight of the clean loss.
    """

    attack: str = "fgsm"
    examples_from: str | None = None
    examples_per_class: int | None = 450
    originals: Literal["full", "paired"] = "full"
    alpha: float = 0.5
    epochs: int = 100

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        super().__post_init__()
        self.refuse_extra_data()
        check_range("alpha", self.alpha, 0, 1)
        ATTACKS.entry(spec(self.attack)[0].removeprefix("art:"))
        if self.examples_per_class is not None:
            check_range("examples_per_class", self.examples_per_class, 1)


def read_examples(path: str) -> Examples:
    """Originals (None where the file has none), adversarial images and labels.

    Raises:
        InputError: if `path` is no .npz file with these arrays.
    """
    try:
        with np.load(path) as stored:
            original = np.asarray(stored["x"], np.float32) if "x" in stored else None
            return original, np.asarray(stored["x_adv"], np.float32), np.asarray(stored["y"])
    except (OSError, ValueError, KeyError) as problem:
        raise InputError(
            f"examples_from {path} must be an .npz file with arrays 'x_adv' and 'y', as "
            f"`atkl attack --split train --out` writes it: {problem}"
        ) from None


# What some row of LADDER's table says; the others go back to the defaults.
_VARYING = {
    field.name: field.default
    for field in dataclasses.fields(AugmentSettings)
    if any(field.name in row for row in TABLE_6.values())
}


class AugmentedTraining(Method):
    """Fine-tunes a vanilla classifier on clean images and a fixed set of adversarial ones.

    The loop, the settings and the size of the set are LADDER's; only who makes the images
    differs. They are handed in with `use`, or read from `examples_from`.

    Args:
        classifier: Keras model, images (B, H, W, C) in [0, 1] to logits (B, K).
        settings: see `AugmentSettings`. seed: of the order of the data.

    Reference: LADDER section 4.1.2, Eq 6 and Table 6: "FGSM adv." and the like.
    """

    settings_type: ClassVar[type[AugmentSettings]] = AugmentSettings
    starts_from: ClassVar[Literal["scratch", "vanilla"]] = "vanilla"
    recipes: ClassVar[Recipes] = {
        "paper": {
            data: {name: row.get(name, default) for name, default in _VARYING.items()}
            for data, row in TABLE_6.items()
        },
        "official": {"any": {"originals": "paired"}},
        "quick": {"any": {"examples_per_class": 100, "epochs": 20}},
    }
    settings: AugmentSettings

    def __init__(self, classifier: keras.Model, settings: Any = None, *, seed: int = 0) -> None:
        settings = settings or AugmentSettings()
        super().__init__(classifier, settings, seed=seed, alpha=settings.alpha)
        self._made: dict[str, Examples] = {}

    def fixed_set_request(self) -> FixedSetRequest | None:
        """What `attack` makes of training images, unless `examples_from` names a set."""
        if self.settings.examples_from is not None:
            return None
        return FixedSetRequest(self.settings.attack, self.settings.examples_per_class)

    def use(self, x: np.ndarray | None, x_adv: np.ndarray, y: np.ndarray) -> None:
        """Takes the fixed set; see `Method.use`.

        Raises:
            InputError: if its arrays do not fit each other or the classifier.
        """
        shape = tuple(self.classifier.input_shape[1:])
        if x_adv.shape[1:] != shape or len(x_adv) != len(y) or not len(y):
            raise InputError(
                f"adversarial examples must be (n, {', '.join(map(str, shape))}) with n labels. "
                f"Received: {x_adv.shape} and {y.shape}"
            )
        if x_adv.min() < 0 or x_adv.max() > 1:
            raise InputError(
                "adversarial examples must have pixels in [0, 1]. "
                f"Received: {x_adv.min():g}..{x_adv.max():g}"
            )
        if x is None and self.settings.originals == "paired":
            raise InputError("originals=paired needs the images that the examples were made from")
        self._made["examples"] = (x, x_adv, y.astype(np.int64))

    def training_batches(
        self, x: np.ndarray, y: np.ndarray, *, progress: Progress | None = None
    ) -> tuple[Stream, int]:
        """The fixed set beside clean images; see `Method`."""
        del progress
        if "examples" not in self._made:
            if self.settings.examples_from is None:
                raise InputError(
                    "there are no adversarial examples to train on: call use(x, x_adv, y), or "
                    "name a file with examples_from"
                )
            self.use(*read_examples(self.settings.examples_from))
        original, x_adv, labels = self._without_held_out(*self._made["examples"])
        return fixed_set_batches(
            (x_adv if original is None else original, x_adv, labels),
            (x, y) if self.settings.originals == "full" else None,
            self.settings.batch_size,
            seed=self.seed,
        )

    def _without_held_out(
        self, original: np.ndarray | None, x_adv: np.ndarray, y: np.ndarray
    ) -> Examples:
        """The fixed set but for the images that early stopping scores on."""
        if self.held_out is None:
            return original, x_adv, y
        if original is None:
            raise InputError(
                "early_stopping must know which examples were made from images that it holds "
                "out: examples_from must have them as 'x'. Received: 'x_adv' and 'y' alone"
            )
        held = {image.tobytes() for image in self.held_out}
        kept = np.array([image.tobytes() not in held for image in original])
        return original[kept], x_adv[kept], y[kept]
