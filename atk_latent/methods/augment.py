"""Adversarial training on a fixed set that any attack has crafted: LADDER's baselines."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, Literal

import keras
import numpy as np

from atk_latent.config import check_range, spec
from atk_latent.data.streams import Stream, fixed_set_batches
from atk_latent.errors import InputError
from atk_latent.methods.base import Method
from atk_latent.methods.extra_data import check_file
from atk_latent.methods.fixed_set import FixedSet, FixedSetRequest
from atk_latent.methods.image_arrays import read_image_arrays, whole_labels
from atk_latent.methods.optimizers import Optimizer
from atk_latent.methods.settings import MethodSettings
from atk_latent.progress import Progress
from atk_latent.registry import ATTACKS

Examples = tuple[np.ndarray | None, np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class AugmentSettings(MethodSettings):
    """Where the fixed set comes from; see `MethodSettings` for the rest.

    Args:
        attack: what crafts it on the vanilla classifier, as for `atkl attack`: "fgsm",
            "pgd:eps=0.3", "jsma", "art:cw-l2:...". Not used where there are examples.
        examples_from: path of an .npz with `x_adv` and `y` (and `x`, the originals), as
            `atkl attack --split train --out` writes it.
        fixed_set: which training images are attacked.
        alpha: float in [0, 1], weight of the clean loss.

    Raises:
        InputError: for values that are out of range or do not go together.

    Example:
        >>> from atk_latent.methods import AugmentSettings, FixedSet
        >>> AugmentSettings(attack="pgd:eps=0.3", fixed_set=FixedSet(100)).optimizer.epochs
        100
    """

    optimizer: Optimizer = Optimizer(epochs=100)
    attack: str = "fgsm"
    examples_from: str | None = None
    fixed_set: FixedSet = FixedSet()
    alpha: float = 0.5

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        super().__post_init__()
        self.extra_data.refuse()
        check_range("alpha", self.alpha, 0, 1)
        ATTACKS.entry(spec(self.attack)[0].removeprefix("art:"))

    def check_files(self) -> None:
        """Looks whether the files that are named are there; see `MethodSettings`."""
        super().check_files()
        check_file("examples_from", self.examples_from)

    def check_contents(self, image_shape: Sequence[int], num_classes: int) -> None:
        """Reads the files that are named; see `MethodSettings`."""
        super().check_contents(image_shape, num_classes)
        if self.examples_from is not None:
            read_examples(self.examples_from, image_shape, num_classes)


def read_examples(
    path: str, image_shape: Sequence[int] | None = None, num_classes: int | None = None
) -> Examples:
    """Originals (None where the file has none), adversarial images and labels.

    Args:
        path: of the file. image_shape: (H, W, C) that images must have; None for any.
        num_classes: K that labels must lie below; None for any.

    Raises:
        InputError: if `path` is no .npz file with these arrays, as
            `atkl attack --split train --out` writes it.
    """
    arrays = read_image_arrays(
        path, "examples_from", ["x", "x_adv", "y"], image_shape, optional=["x"]
    )
    original, x_adv, y = arrays.get("x"), arrays["x_adv"], arrays["y"]
    if original is not None and original.shape != x_adv.shape:
        raise InputError(
            f"examples_from {path}: 'x' and 'x_adv' must have one shape. Received: "
            f"{original.shape} and {x_adv.shape}"
        )
    if num_classes is not None:
        y = whole_labels(y, num_classes, f"examples_from {path}")
    return original, x_adv, y


class AugmentedTraining(Method):
    """Fine-tunes a vanilla classifier on clean images and a fixed set of adversarial ones.

    The loop, the settings and the size of the set are LADDER's; only the attack differs. The
    images are handed in with `use`, or read from `examples_from`.

    Args:
        classifier: Keras model, images (B, H, W, C) in [0, 1] to logits (B, K).
        settings: see `AugmentSettings`. seed: of the order of the data.

    Reference: LADDER section 4.1.2, Eq 6 and Table 6: "FGSM adv." and the like.

    Example:
        >>> import keras, numpy as np
        >>> from atk_latent.methods import AugmentedTraining, AugmentSettings, Optimizer
        >>> layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> x = np.random.default_rng(0).random((32, 4, 4, 1), np.float32)
        >>> y = (x.mean(axis=(1, 2, 3)) > 0.5).astype(int)
        >>> settings = AugmentSettings(optimizer=Optimizer(epochs=2))
        >>> method = AugmentedTraining(keras.Sequential(layers), settings)
        >>> method.use(x, np.clip(x + 0.1, 0, 1), y)
        >>> len(method.harden(x, y))
        2
    """

    settings_type: ClassVar[type[AugmentSettings]] = AugmentSettings
    starts_from: ClassVar[Literal["scratch", "vanilla"]] = "vanilla"
    settings: AugmentSettings

    def __init__(
        self, classifier: keras.Model, settings: AugmentSettings | None = None, *, seed: int = 0
    ) -> None:
        settings = settings or AugmentSettings()
        super().__init__(classifier, settings, seed=seed, alpha=settings.alpha)
        self._fixed: dict[str, Examples] = {}

    def fixed_set_request(self) -> FixedSetRequest | None:
        """What `attack` makes of training images, unless `examples_from` names a set."""
        if self.settings.examples_from is not None:
            return None
        return FixedSetRequest(self.settings.attack, self.settings.fixed_set)

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
        if not (x_adv.min() >= 0 and x_adv.max() <= 1):  # NaN is neither
            raise InputError(
                "adversarial examples must have pixels in [0, 1]. "
                f"Received: {x_adv.min():g}..{x_adv.max():g}"
            )
        if x is None and self.settings.fixed_set.originals == "paired":
            raise InputError("originals=paired needs the images that the examples were made from")
        labels = whole_labels(y, int(self.classifier.output_shape[-1]), "adversarial examples")
        self._fixed["examples"] = (x, x_adv, labels)

    def training_batches(
        self, x: np.ndarray, y: np.ndarray, *, progress: Progress | None = None
    ) -> tuple[Stream, int]:
        """The fixed set beside clean images; see `Method`."""
        del progress
        if "examples" not in self._fixed:
            if self.settings.examples_from is None:
                raise InputError(
                    "there are no adversarial examples to train on: call use(x, x_adv, y), or "
                    "name a file with examples_from"
                )
            self.use(*read_examples(self.settings.examples_from))
        original, x_adv, labels = self._without_held_out(*self._fixed["examples"])
        return fixed_set_batches(
            (x_adv if original is None else original, x_adv, labels),
            (x, y) if self.settings.fixed_set.originals == "full" else None,
            self.settings.optimizer.batch_size,
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
        held_out = {image.tobytes() for image in self.held_out}
        rest = np.array([image.tobytes() not in held_out for image in original])
        return original[rest], x_adv[rest], y[rest]
