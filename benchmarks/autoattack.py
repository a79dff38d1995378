"""AutoAttack standard on a PGD-trained LeNet: against torchattacks' and ART's, same weights."""

from __future__ import annotations

import json
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

MODEL = Path(__file__).parents[1] / "saved_models" / "mnist-lenet-pgd"
EPS = 0.3
CHUNKS = {"torchattacks": (5, 100), "art": (1, 25)}  # how many, of how many images
POINTS = 0.005  # the robust accuracies may differ by this much
Attack = Callable[[np.ndarray, np.ndarray], np.ndarray]  # to adversarial images


def torchattacks(model: object) -> Attack:
    """Torchattacks' AutoAttack on PyTorch."""
    import torch
    import torchattacks as ta

    from benchmarks.torch_twin import TorchTwin, as_numpy, as_torch

    peer = ta.AutoAttack(TorchTwin(model), eps=EPS, version="standard", n_classes=10, seed=0)
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
    peer = Peer(estimator, eps=EPS, eps_step=2 * EPS, batch_size=CHUNKS["art"][1])
    return lambda x, y: peer.generate(x, np.eye(10, dtype=np.float32)[y])


def versus(
    name: str, model: object, peer: Attack, x: np.ndarray, y: np.ndarray, chunk: int
) -> bool:
    """Chunk by chunk in turn; prints times, ratio, and the robust accuracies of both."""
    ours = AutoAttack(AutoAttackSettings(eps=EPS), batch_size=chunk)
    ours.run(model, x[:2], y[:2])  # compiling is not what is compared
    seconds: dict[str, list[float]] = {"ours": [], "peer": []}
    robust: dict[str, list[bool]] = {"ours": [], "peer": []}
    for start in range(0, len(x), chunk):
        images, labels = x[start : start + chunk], y[start : start + chunk]
        began = time.perf_counter()
        robust["ours"] += list(ours.run(model, images, labels).robust)
        middle = time.perf_counter()
        found = model.predict(peer(images, labels), verbose=0).argmax(axis=1) == labels
        seconds["ours"].append(middle - began)
        seconds["peer"].append(time.perf_counter() - middle)
        robust["peer"] += list(found & (model.predict(images, verbose=0).argmax(axis=1) == labels))
    medians = {side: statistics.median(times) for side, times in seconds.items()}
    left = {side: float(np.mean(values)) for side, values in robust.items()}
    ratio = medians["peer"] / medians["ours"]
    close = name == "autoattack_art" or abs(left["ours"] - left["peer"]) <= POINTS
    ok = bool(ratio >= 1 and close and left["ours"] <= left["peer"] + POINTS)
    line = {"name": name, **medians, "ratio": ratio, "goal": 1.0, "ok": ok}
    line |= {"images": len(x), "robust_ours": left["ours"], "robust_peer": left["peer"]}
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}))
    return ok


def main() -> int:
    """Equal robust accuracy within 0.5 points and at least as fast; never above ART's."""
    try:
        data = load_dataset("mnist")
    except (InputError, OSError) as problem:
        print(json.dumps({"name": "autoattack", "skipped": f"MNIST: {problem}"}))
        return 0
    model = load_classifier(MODEL, data.image_shape, data.num_classes)
    met = True
    for name, make in (("torchattacks", torchattacks), ("art", art)):
        times, chunk = CHUNKS[name]
        x, y = data.x_test[: times * chunk], data.y_test[: times * chunk]
        try:
            peer = make(model)
        except ImportError as missing:
            without_peer(f"autoattack_{name}", missing)
            continue
        met &= versus(f"autoattack_{name}", model, peer, x, y, chunk)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
