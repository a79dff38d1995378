"""AutoAttack standard on a PGD-trained LeNet: against torchattacks' and ART's, same weights.

Torchattacks runs its APGD and FAB for 10 steps, where the official recipe and ours take 100.
It is run both ways: as it is, which is a tenth of the gradients, and with 100 steps.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from atk_latent.adversaries.auto_attack import AutoAttack, AutoAttackSettings
from atk_latent.data.loading import load_dataset
from atk_latent.errors import InputError
from atk_latent.models.loading import load_classifier
from benchmarks.peers import without_peer
from benchmarks.timing import report

MODEL = Path(__file__).parents[1] / "saved_models" / "mnist-lenet-pgd"
EPS, STEPS = 0.3, 100
POINTS = 0.005  # the robust accuracies may differ by this much, or by one image
Attack = Callable[[np.ndarray, np.ndarray], np.ndarray]  # to adversarial images


def torchattacks(model: object, steps: int | None = None) -> Attack:
    """Torchattacks' AutoAttack on PyTorch, with its own steps or others."""
    import torch
    import torchattacks as ta

    from benchmarks.torch_twin import TorchTwin, as_numpy, as_torch

    peer = ta.AutoAttack(TorchTwin(model), eps=EPS, version="standard", n_classes=10, seed=0)
    for part in peer._autoattack.attacks if steps else ():
        if hasattr(part, "steps"):
            part.steps = steps
    return lambda x, y: as_numpy(peer(as_torch(x), torch.from_numpy(y)))


def art(model: object) -> Attack:
    """ART's AutoAttack with its own defaults, on ART's classifier."""
    import keras
    from art.attacks.evasion import AutoAttack as Peer
    from art.estimators.classification import TensorFlowV2Classifier

    estimator = TensorFlowV2Classifier(
        model,
        nb_classes=10,
        input_shape=(28, 28, 1),
        loss_object=keras.losses.CategoricalCrossentropy(from_logits=True),
        clip_values=(0, 1),
    )
    peer = Peer(estimator, eps=EPS, eps_step=2 * EPS, batch_size=64)
    return lambda x, y: peer.generate(x, np.eye(10, dtype=np.float32)[y])


# name: (how it is made, chunks, images of a chunk, ratio wanted, accuracy may lie below it)
PEERS: dict[str, tuple[Callable[[object], Attack], int, int, float | None, bool]] = {
    "torchattacks": (torchattacks, 5, 100, 1.0, False),
    "torchattacks_100_steps": (lambda model: torchattacks(model, STEPS), 3, 30, 1.0, False),
    "art": (art, 1, 10, None, True),
}


def versus(name: str, model: object, x: np.ndarray, y: np.ndarray) -> bool:
    """Chunk by chunk in turn; prints times, ratio, and the robust accuracies of both.

    Raises:
        ImportError: if the peer is not installed.
    """
    make, chunks, size, goal, below = PEERS[name]
    peer = make(model)
    ours = AutoAttack(AutoAttackSettings(eps=EPS, steps=STEPS))
    ours.run(model, x[:2], y[:2], batch_size=size)  # compiling is not what is compared
    seconds: dict[str, list[float]] = {"ours": [], "peer": []}
    robust: dict[str, list[bool]] = {"ours": [], "peer": []}
    for start in range(0, chunks * size, size):
        images, labels = x[start : start + size], y[start : start + size]
        began = time.perf_counter()
        robust["ours"] += list(ours.run(model, images, labels, batch_size=size).robust)
        middle = time.perf_counter()
        found = model.predict(peer(images, labels), verbose=0).argmax(axis=1) == labels
        seconds["ours"].append(middle - began)
        seconds["peer"].append(time.perf_counter() - middle)
        robust["peer"] += list(found & (model.predict(images, verbose=0).argmax(axis=1) == labels))
    medians = {side: statistics.median(times) for side, times in seconds.items()}
    left = {f"robust_{side}": float(np.mean(values)) for side, values in robust.items()}
    gap, ratio = left["robust_ours"] - left["robust_peer"], medians["peer"] / medians["ours"]
    most = max(POINTS, 1.5 / (chunks * size))
    ok = gap <= most and (below or gap >= -most) and ratio >= (goal or 0.0)
    line = {"name": f"autoattack_{name}", **medians, "ratio": ratio}
    line |= {} if goal is None else {"goal": goal}
    report({**line, "ok": ok, "images": chunks * size, **left})
    return ok


def main() -> int:
    """Equal robust accuracy within 0.5 points, at least as fast; never above ART's."""
    try:
        data = load_dataset("mnist")
    except (InputError, OSError) as problem:
        report({"name": "autoattack", "skipped": f"MNIST: {problem}"})
        return 0
    model = load_classifier(MODEL, data.image_shape, data.num_classes)
    met = True
    for name in PEERS:
        try:
            met &= versus(name, model, data.x_test, data.y_test)
        except ImportError as missing:
            without_peer(f"autoattack_{name}", missing)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
