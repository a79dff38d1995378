"""SGD as the published code runs it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


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
