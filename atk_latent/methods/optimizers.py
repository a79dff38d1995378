"""SGD as the published code runs it, and its settings."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
from keras import ops

from atk_latent.config import check_range


@keras.saving.register_keras_serializable(package="atk_latent")
class SGDL2(keras.optimizers.SGD):
    """SGD whose weight decay is part of the gradient: g + l2 * w, momentum included.

    Keras' own `weight_decay` is decoupled (it shrinks weights beside the momentum), which is
    another update than PyTorch's for the same number.

    Args:
        l2: float >= 0. **settings: of `keras.optimizers.SGD`.
    """

    def __init__(self, learning_rate: float = 0.01, *, l2: float = 0.0, **settings: Any) -> None:
        super().__init__(learning_rate, **settings)
        self.l2 = l2

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One variable's update with the decay added to its gradient."""
        if self.l2:
            gradient = ops.add(gradient, ops.multiply(self.l2, ops.cast(variable, gradient.dtype)))
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        """Settings, `l2` included."""
        return {**super().get_config(), "l2": self.l2}


@dataclasses.dataclass(frozen=True)
class SGDSettings:
    """How a classifier's weights are updated.

    Args:
        epochs: int >= 0. batch_size: int >= 1. learning_rate: float > 0.
        momentum: float in [0, 1). weight_decay: float >= 0, L2 in the gradient.
        ema: float in [0, 1), momentum of a running average of the weights that replaces
            them at the end; 0 keeps the last weights.
    """

    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 0.01
    momentum: float = 0.5
    weight_decay: float = 0.0
    ema: float = 0.0

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        check_range("epochs", self.epochs, 0)
        check_range("batch_size", self.batch_size, 1)
        check_range("learning_rate", self.learning_rate, 1e-12)
        check_range("momentum", self.momentum, 0, 0.999999)
        check_range("weight_decay", self.weight_decay, 0)
        check_range("ema", self.ema, 0, 0.999999)

    def optimizer(self) -> keras.optimizers.Optimizer:
        """A fresh optimizer."""
        average = {"use_ema": True, "ema_momentum": self.ema} if self.ema else {}
        return SGDL2(self.learning_rate, momentum=self.momentum, l2=self.weight_decay, **average)
