"""The settings that every method has, composed of parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from atk_latent.methods.augmentation import Augmentation
from atk_latent.methods.early_stopping import EarlyStopping
from atk_latent.methods.extra_data import ExtraData
from atk_latent.methods.optimizers import Optimizer
from atk_latent.methods.weight_perturbation import WeightPerturbation


@dataclasses.dataclass(frozen=True)
class MethodSettings:
    """How a classifier is trained; each method adds fields or parts of its own.

    On the command line, in JSON and in cards the parts are flat, see `atk_latent.config`:
    ``learning_rate`` is that of `optimizer`, ``awp_gamma`` the size of `weight_perturbation`.

    Args:
        optimizer: how the weights are updated.
        augmentation: what changes the images of each batch before they are trained on.
        early_stopping: whether the best epoch's weights stay, measured on held-out images.
        weight_perturbation: whether gradients are computed at perturbed weights.
        extra_data: images without labels, mixed into the batches.

    Raises:
        InputError: for values that are out of range or do not go together.

    Example:
        >>> from atk_latent.methods import MethodSettings, Optimizer
        >>> MethodSettings(optimizer=Optimizer(epochs=5)).optimizer.epochs
        5
    """

    optimizer: Optimizer = Optimizer()
    augmentation: Augmentation = Augmentation()
    early_stopping: EarlyStopping = EarlyStopping()
    weight_perturbation: WeightPerturbation = WeightPerturbation()
    extra_data: ExtraData = ExtraData()

    def __post_init__(self) -> None:
        """Refuses what does not go together."""
        self.early_stopping.check(self.linf_radius)

    @property
    def linf_radius(self) -> float | None:
        """The Linf radius in [0, 1] pixels that the method trains for; None where it has none."""
        return None

    def check_files(self) -> None:
        """Looks whether the files that are named are there.

        Raises:
            InputError: for one that is not.
        """
        self.extra_data.check_files()

    def check_contents(self, image_shape: Sequence[int], num_classes: int) -> None:
        """Reads the files that are named, before anything is trained.

        Args:
            image_shape: (H, W, C) of the data. num_classes: K.

        Raises:
            InputError: for one that will not do.
        """
        self.extra_data.check_contents(image_shape, num_classes)
