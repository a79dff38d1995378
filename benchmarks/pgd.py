"""PGD-20: against its floor of 20 bare compiled input gradients, and against the peers' PGD."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from art.attacks.evasion import ProjectedGradientDescent
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent.adversaries.factory import make_adversary
from atk_latent.registry import MODELS
from benchmarks.peers import without_peer
from benchmarks.timing import compare

STEPS, EPS = 20, 0.3
STEP = 2.5 * EPS / STEPS
# network: image shape, batch, timed runs of each side
NETWORKS = {"lenet": ((28, 28, 1), 128, 15), "wrn-10-4": ((32, 32, 3), 50, 3)}
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
Attack = Callable[[np.ndarray, np.ndarray], np.ndarray]


def compiled(model: keras.Model) -> Attack:
    """Our PGD, the last iterate as the peers have it."""
    pgd = make_adversary("pgd", eps=EPS, steps=STEPS, step_size=STEP, keep="last")
    return lambda x, y: pgd(model, tf.constant(x), tf.constant(y)).numpy()


def floor(model: keras.Model) -> Attack:
    """The forward and backward passes that nothing can do without."""

    @tf.function
    def gradient(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            value = LOSS(labels, model(images, training=False))
        return tape.gradient(value, images)

    def twenty(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        images, labels = tf.constant(x), tf.constant(y)
        return [gradient(images, labels) for _ in range(STEPS)][-1].numpy()

    return twenty


def art(model: keras.Model) -> Attack:
    """ART's PGD on ART's classifier."""
    shape = tuple(model.input_shape[1:])
    estimator = TensorFlowV2Classifier(model, 10, shape, loss_object=LOSS, clip_values=(0, 1))
    ball = {"eps": EPS, "eps_step": STEP, "max_iter": STEPS, "num_random_init": 1}
    peer = ProjectedGradientDescent(estimator, **ball, batch_size=1024, verbose=False)
    return lambda x, y: peer.generate(x, y)


def foolbox(model: keras.Model) -> Attack:
    """Foolbox' PGD on TensorFlow."""
    import foolbox as fb

    view = fb.TensorFlowModel(model, bounds=(0, 1), device="/device:CPU:0")
    peer = fb.attacks.LinfPGD(abs_stepsize=STEP, steps=STEPS, random_start=True)
    return lambda x, y: peer(view, tf.constant(x), tf.constant(y), epsilons=EPS)[1].numpy()


def torchattacks(model: keras.Model) -> Attack:
    """Torchattacks' PGD on PyTorch with the same weights."""
    import torchattacks as ta

    from benchmarks.torch_twin import TorchTwin, as_numpy, as_torch

    peer = ta.PGD(TorchTwin(model), eps=EPS, alpha=STEP, steps=STEPS, random_start=True)

    def run(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        import torch

        return as_numpy(peer(as_torch(x), torch.from_numpy(y)))

    return run


PEERS = {  # name: (how it is made, ratio wanted at least on LeNet)
    "floor": (floor, 1 / 1.10),
    "art": (art, 3.0),
    "foolbox": (foolbox, 1.0),
    "torchattacks": (torchattacks, 1.0),
}


def main() -> int:
    """Each network against each peer, both sides in turn."""
    met = True
    for network, (shape, batch, repeats) in NETWORKS.items():
        keras.utils.set_random_seed(0)
        model = MODELS[network](shape, 10)
        rng = np.random.default_rng(0)
        x, y = rng.random((batch, *shape), np.float32), rng.integers(0, 10, batch)
        ours = functools.partial(compiled(model), x, y)
        for peer, (make, wanted) in PEERS.items():
            name = f"pgd20_{network.replace('-', '_')}_{peer}"
            goal = wanted if network == "lenet" else min(wanted, 1.0)
            try:
                run = functools.partial(make(model), x, y)
            except ImportError as missing:
                without_peer(name, missing)
                continue
            met &= compare(name, ours, run, goal=goal, repeats=repeats)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
