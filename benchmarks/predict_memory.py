"""Peak memory of predicting 10,000 CIFAR-sized images: ART's estimator against ours."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import keras
import numpy as np
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent.art_bridge.estimator import CompiledKerasClassifier
from benchmarks.timing import report

IMAGES, BATCH, SHAPE, GOAL = 10_000, 128, (32, 32, 3), 1.5


def network() -> keras.Model:
    """A small CNN: one image's largest activation is 64 KiB, all 10,000 of them are 625 MiB."""
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Conv2D(16, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(4),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )


def peak(side: str) -> float:
    """Predicts on one side; the most memory this process held, in MiB."""
    model = network()
    if side == "ours":
        estimator = CompiledKerasClassifier(model)
    else:
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        estimator = TensorFlowV2Classifier(model, 10, SHAPE, loss_object=loss, clip_values=(0, 1))
    x = np.random.default_rng(0).random((IMAGES, *SHAPE), np.float32)
    estimator.predict(x, batch_size=BATCH)
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main() -> int:
    """Each side in a process of its own, TensorFlow and the images included."""
    if len(sys.argv) > 1:
        print(json.dumps(peak(sys.argv[1])))
        return 0
    found = {}
    for side in ("ours", "peer"):
        command = [sys.executable, "-m", "benchmarks.predict_memory", side]
        found[side] = float(subprocess.check_output(command, text=True).split()[-1])
    ratio = found["peer"] / found["ours"]
    line = {"unit": "MiB", **found, "ratio": ratio, "goal": GOAL, "ok": ratio >= GOAL}
    report({"name": "predict_memory", **line})
    return 0 if ratio >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
