"""ART's own attacks on our estimator and on ART's, around the same LeNet, with the same seeds."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from art.attacks.evasion import (
    AutoProjectedGradientDescent,
    CarliniL2Method,
    DeepFool,
    HopSkipJump,
    ProjectedGradientDescent,
    SquareAttack,
)
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent.art_bridge.estimator import CompiledKerasClassifier
from atk_latent.data.loading import Dataset, load_dataset
from atk_latent.models.lenet import lenet
from benchmarks.timing import interleaved, report

GOAL = 1.5
BALL = {"eps": 0.15, "eps_step": 0.03, "verbose": False}
APGD = {"max_iter": 10, "nb_random_init": 1, "batch_size": 64}
HSJ = {"norm": 2, "max_iter": 2, "max_eval": 100, "init_eval": 20, "init_size": 50}
CW = {"max_iter": 5, "binary_search_steps": 2, "learning_rate": 0.1, "initial_const": 10.0}
# attack: its settings, images, timed runs of each side
ATTACKS: dict[str, tuple[type, dict[str, Any], int, int]] = {
    "pgd": (ProjectedGradientDescent, {**BALL, "max_iter": 10, "batch_size": 64}, 64, 5),
    "autopgd": (AutoProjectedGradientDescent, {**BALL, **APGD}, 64, 3),
    "deepfool": (DeepFool, {"max_iter": 10, "batch_size": 16, "verbose": False}, 16, 3),
    "cw_l2": (CarliniL2Method, {**CW, "batch_size": 16, "verbose": False}, 16, 3),
    "square": (SquareAttack, {"eps": 0.3, "max_iter": 50, "verbose": False}, 64, 3),
    "hopskipjump": (HopSkipJump, {**HSJ, "batch_size": 64, "verbose": False}, 3, 3),
}


def trained(data: Dataset) -> keras.Model:
    """LeNet after a few epochs, so that attacks have something to do."""
    keras.utils.set_random_seed(0)
    model = lenet(data.image_shape, data.num_classes)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss)
    model.fit(data.x_train, data.y_train, epochs=3, batch_size=64, verbose=0)
    return model


def crafting(kind: type, settings: dict[str, Any], estimator: Any, x: Any, y: Any) -> Callable:
    """One run of an attack, from the same seed each time."""
    attack, labels = kind(estimator, **settings), keras.utils.to_categorical(y, 10)

    def run() -> np.ndarray:
        np.random.seed(0)
        return attack.generate(x, labels)

    return run


def main() -> int:
    """One JSON line per attack and one for the geometric mean of the ratios."""
    data = load_dataset("digits")
    model = trained(data)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    ours = CompiledKerasClassifier(model)
    peer = TensorFlowV2Classifier(model, 10, data.image_shape, loss_object=loss, clip_values=(0, 1))
    right = np.flatnonzero(ours.predict(data.x_test).argmax(axis=1) == data.y_test)
    ratios, same = [], True
    for name, (kind, settings, images, repeats) in ATTACKS.items():
        x, y = data.x_test[right[:images]], data.y_test[right[:images]]
        sides = {"ours": ours, "peer": peer}
        runs = {side: crafting(kind, settings, e, x, y) for side, e in sides.items()}
        medians, found = interleaved(runs, repeats)
        won = {
            f"success_{side}": float(np.mean(ours.predict(x_adv).argmax(axis=1) != y))
            for side, x_adv in found.items()
        }
        equal = abs(won["success_ours"] - won["success_peer"]) <= 1 / len(x)
        ratios.append(medians["peer"] / medians["ours"])
        same = same and equal
        report({"name": f"art_{name}", **medians, "ratio": ratios[-1], **won, "ok": equal})
    mean = statistics.geometric_mean(ratios)
    ok = mean >= GOAL and same
    report({"name": "art_attacks", "ratio": mean, "goal": GOAL, "same_success": same, "ok": ok})
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
