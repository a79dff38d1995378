"""SGD as the published code runs it, and the part of the settings that makes optimizers."""

from __future__ import annotations

import dataclasses
from typing import Literal

import keras
import tensorflow as tf
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule, PiecewiseConstantDecay

from atk_latent.config import check_range
from atk_latent.errors import InputError
from atk_latent.methods.objectives import CrossEntropy


@keras.saving.register_keras_serializable(package="atk_latent")
class SGDL2(keras.optimizers.SGD):
    """SGD whose weight decay is part of the gradient: g + l2 * w, momentum included.

    Keras' own `weight_decay` is decoupled (it shrinks weights beside the momentum), which is
    another update than PyTorch's for the same number.

    Args:
        l2: float >= 0. **settings: of `keras.optimizers.SGD`.
    """

    def __init__(self, learning_rate: float = 0.01, *, l2: float = 0.0, **settings: object) -> None:
        super().__init__(learning_rate, **settings)
        self.l2 = l2

    def update_step(
        self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor
    ) -> None:
        """One variable's update with the decay added to its gradient."""
        if self.l2:
            gradient = ops.add(gradient, ops.multiply(self.l2, ops.cast(variable, gradient.dtype)))
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, object]:
        """Settings, `l2` included."""
        return {**super().get_config(), "l2": self.l2}


@keras.saving.register_keras_serializable(package="atk_latent")
class Cyclic(LearningRateSchedule):
    """From 0 straight up to `peak`, straight down to 0 again.

    Args:
        peak: float > 0, the highest rate. steps: int >= 1, updates in all.
        rise: float in (0, 1), share of them that go up.
    """

    def __init__(self, peak: float, steps: int, rise: float = 0.4) -> None:
        self.peak, self.steps, self.rise = peak, steps, rise

    def __call__(self, step: tf.Tensor | int) -> tf.Tensor:
        """The rate of update `step`, the first being 0."""
        done = (ops.cast(step, "float32") + 1.0) / (self.steps + 1.0)
        return self.peak * ops.minimum(done / self.rise, (1.0 - done) / (1.0 - self.rise))

    def get_config(self) -> dict[str, object]:
        """Settings."""
        return {"peak": self.peak, "steps": self.steps, "rise": self.rise}


def second_optimizer(
    optimizer: keras.optimizers.Optimizer, model: keras.Model
) -> keras.optimizers.Optimizer:
    """`optimizer` with its loss scaled where `model` computes in float16; `compile` does that
    for the first one of a model.
    """
    if model.dtype_policy.name != "mixed_float16":
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """How the weights of a classifier are updated: a part of every method's settings.

    Args:
        epochs: int >= 0. batch_size: int >= 1. learning_rate: float > 0.
        momentum: float in [0, 1). weight_decay: float >= 0, L2 in the gradient.
        algorithm: "sgd"; or "adam", whose weight decay is decoupled and which does not use
            `momentum`.
        schedule: "steps" multiplies the rate by `decay_factor` when each of `decay_epochs`
            begins; "cyclic" goes from 0 up to `learning_rate` and down again.
        cyclic_rise: float in (0, 1), share of the cyclic updates that go up.
        decay_epochs: ints >= 1, rising, counted from 0; None keeps the rate.
        decay_factor: float > 0.
        ema: float in [0, 1), momentum of a running average of the weights that replaces
            them at the end; 0 keeps the last weights.
        label_smoothing: float d in [0, 1): the true class counts 1 - d and each of the other
            K - 1 classes d / (K - 1).

    Raises:
        InputError: for values out of range.

    Example:
        >>> from atk_latent.methods import Optimizer
        >>> sgd = Optimizer(weight_decay=5e-4, decay_epochs=(3,)).make(steps_per_epoch=100)
        >>> sgd.l2
        0.0005
    """

    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 0.01
    momentum: float = 0.5
    weight_decay: float = 0.0
    algorithm: Literal["sgd", "adam"] = "sgd"
    schedule: Literal["steps", "cyclic"] = "steps"
    cyclic_rise: float = 0.4
    decay_epochs: tuple[int, ...] | None = None
    decay_factor: float = 0.1
    ema: float = 0.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        check_range("epochs", self.epochs, 0)
        check_range("batch_size", self.batch_size, 1)
        check_range("learning_rate", self.learning_rate, 1e-12)
        check_range("momentum", self.momentum, 0, 0.999999)
        check_range("weight_decay", self.weight_decay, 0)
        check_range("ema", self.ema, 0, 0.999999)
        check_range("cyclic_rise", self.cyclic_rise, 1e-6, 0.999999)
        check_range("decay_factor", self.decay_factor, 1e-12)
        check_range("label_smoothing", self.label_smoothing, 0, 0.999999)
        drops = list(self.decay_epochs or ())
        if drops != sorted({*drops} - {0}):
            raise InputError(
                f"setting 'decay_epochs' must be rising epochs from 1 on. Received: {drops}"
            )
        if self.schedule == "cyclic" and drops:
            raise InputError(
                "setting 'decay_epochs' goes with schedule=steps, not with the cyclic one. "
                f"Received: {drops}"
            )

    def make(self, steps_per_epoch: int) -> keras.optimizers.Optimizer:
        """A new Keras optimizer.

        Args:
            steps_per_epoch: int >= 1, updates of the weights in an epoch.
        """
        rate = self._rate(steps_per_epoch)
        average = {"use_ema": True, "ema_momentum": self.ema} if self.ema else {}
        if self.algorithm == "adam":
            return keras.optimizers.Adam(rate, weight_decay=self.weight_decay or None, **average)
        return SGDL2(rate, momentum=self.momentum, l2=self.weight_decay, **average)

    def _rate(self, steps_per_epoch: int) -> float | LearningRateSchedule:
        """The learning rate: a number, or a schedule over the optimizer's own step count."""
        if self.schedule == "cyclic":
            steps = max(self.epochs * steps_per_epoch, 1)
            return Cyclic(self.learning_rate, steps, self.cyclic_rise)
        drops = self.decay_epochs or ()
        if not drops:
            return self.learning_rate
        # A boundary is the last step of the old rate, steps being counted from 0.
        return PiecewiseConstantDecay(
            [epoch * steps_per_epoch - 1 for epoch in drops],
            [self.learning_rate * self.decay_factor**past for past in range(len(drops) + 1)],
        )

    def loss(self) -> CrossEntropy:
        """The cross-entropy under the smoothed labels."""
        return CrossEntropy(self.label_smoothing)
