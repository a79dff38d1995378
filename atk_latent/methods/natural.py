"""Plain training: the vanilla model of every table."""

from __future__ import annotations

from typing import Any, ClassVar

from atk_latent.config import build
from atk_latent.methods.base import Method
from atk_latent.methods.optimizers import SGDSettings
from atk_latent.methods.recipes import check_preset

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


class Natural(Method):
    """Trains on clean images alone; see `Method`."""

    is_vanilla: ClassVar[bool] = True

    @classmethod
    def settings_for(
        cls, model: str, data: str, preset: str, overrides: dict[str, Any]
    ) -> SGDSettings:
        """Settings of a preset, see `natural_settings`."""
        check_preset(cls.recipes, preset)
        return natural_settings(model, data, preset, overrides)
