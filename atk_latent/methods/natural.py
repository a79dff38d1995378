"""Plain training: the vanilla model of every table."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np

from atk_latent.config import build, check_range
from atk_latent.methods.base import Method
from atk_latent.methods.fitting import Progress, batches, jit_compile, run_fit
from atk_latent.methods.optimizers import SGDL2


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


# The published LADDER code's recipes for its four vanilla models (reference: its README).
RECIPES: dict[str, dict[str, Any]] = {
    "lenet": {},
    "svhnnet": {
        "epochs": 150,
        "batch_size": 1280,
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
    },
    "celebanet": {"epochs": 100, "momentum": 0.9},
    "cifarnet": {
        "epochs": 200,
        "batch_size": 128,
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
    },
}
# 1,437 training images are few: more epochs, or LeNet is left half trained.
DATA_RECIPES: dict[str, dict[str, Any]] = {"digits": {"epochs": 40}}
QUICK_EPOCHS = {"digits": 20}


def natural_settings(
    model: str, data: str, preset: str = "paper", overrides: dict[str, Any] | None = None
) -> SGDSettings:
    """Settings of plain training for a registered model name and data set."""
    values = {**RECIPES.get(model, RECIPES["cifarnet"]), **DATA_RECIPES.get(data, {})}
    if preset == "quick":
        values["epochs"] = QUICK_EPOCHS.get(data, 5)
    return build(SGDSettings, {**values, **(overrides or {})})


def compile_classifier(method: Method, settings: SGDSettings) -> None:
    """Compiles with the settings' optimizer and cross-entropy on logits."""
    method.compile(
        optimizer=settings.optimizer(),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=jit_compile(),
    )


class Natural(Method):
    """Trains on clean images alone.

    Args:
        classifier: Keras model, images to logits.
        settings: see `SGDSettings`.
        seed: order of the data.
    """

    def __init__(
        self, classifier: keras.Model, settings: SGDSettings | None = None, *, seed: int = 0
    ) -> None:
        super().__init__(classifier, alpha=1.0)
        self.settings, self.seed = settings or SGDSettings(), seed

    @staticmethod
    def settings_for(model: str, data: str, preset: str, overrides: dict[str, Any]) -> SGDSettings:
        """Settings of a preset, see `natural_settings`."""
        return natural_settings(model, data, preset, overrides)

    def harden(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        folder: Path | None = None,
        progress: Progress | None = None,
        validation_data: tuple[np.ndarray, np.ndarray] | None = None,
        callbacks: list[keras.callbacks.Callback] | None = None,
    ) -> list[dict[str, float]]:
        """Trains the classifier; see `Method.harden`."""
        size = self.settings.batch_size
        compile_classifier(self, self.settings)
        return run_fit(
            self,
            lambda step: batches((x, y), size, seed=self.seed, start_step=step),
            epochs=self.settings.epochs,
            steps_per_epoch=-(-len(x) // size),
            stage="classifier",
            checkpoint=folder,
            progress=progress,
            validation_data=validation_data,
            callbacks=callbacks,
        )
