"""LADDER examples: batched in one graph against one at a time, as the published code does."""

import sys

import numpy as np

from atk_latent.config import build
from atk_latent.data.loading import load_dataset
from atk_latent.methods.ladder import LADDER, LADDERSettings
from atk_latent.models.lenet import lenet
from benchmarks.timing import compare

IMAGES = 200


def main() -> int:
    """Crafts the same images both ways with the same helpers (trained for a moment)."""
    data = load_dataset("digits")
    settings = build(LADDERSettings, {"generator_epochs": 1, "svm_epochs": 1})
    ladder = LADDER(lenet(data.image_shape, data.num_classes), settings)
    ladder.prepare(data.x_train, data.y_train)
    x, y = data.x_train[:IMAGES], data.y_train[:IMAGES]
    adversary = ladder.adversary(seed=0)

    def batched() -> np.ndarray:
        return adversary.craft_all(x, y)["x_adv"]

    def singly() -> np.ndarray:
        return adversary.craft_all(x, y, batch_size=1)["x_adv"]

    return 0 if compare("ladder_crafting", batched, singly, goal=3.0, repeats=3) else 1


if __name__ == "__main__":
    sys.exit(main())
