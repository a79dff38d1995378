"""Plain training: the vanilla model of every table."""

from __future__ import annotations

from typing import ClassVar, cast

from atk_latent.methods.base import Method
from atk_latent.methods.presets import PRESETS, resolve
from atk_latent.methods.settings import MethodSettings


def natural_settings(model: str, data: str, preset: str = "paper") -> MethodSettings:
    """Settings of the vanilla classifier that another method starts from.

    Args:
        model: registered name of the classifier, or a path. data: name of the data set.
        preset: of the method; where plain training does not have it, the paper's counts.
    """
    known = preset if preset in PRESETS else "paper"
    return cast(MethodSettings, resolve("natural", data, known, model).settings)


class Natural(Method):
    """Trains on clean images alone; see `Method`.

    Reference: the published LADDER code's vanilla models, for the presets.

    Example:
        >>> import keras, numpy as np
        >>> from atk_latent.methods import MethodSettings, Natural, Optimizer
        >>> layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> x = np.random.default_rng(0).random((32, 4, 4, 1), np.float32)
        >>> y = (x.mean(axis=(1, 2, 3)) > 0.5).astype(int)
        >>> method = Natural(keras.Sequential(layers), MethodSettings(Optimizer(epochs=2)))
        >>> len(method.harden(x, y))
        2
    """

    is_vanilla: ClassVar[bool] = True
