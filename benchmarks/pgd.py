"""PGD-20 on LeNet, batch 128: against 20 bare compiled input gradients and against ART's PGD."""

import sys

import keras
import numpy as np
import tensorflow as tf
from art.attacks.evasion import ProjectedGradientDescent
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent.adversaries.names import make_adversary
from atk_latent.models.lenet import lenet
from benchmarks.timing import compare

BATCH, STEPS, EPS, STEP = 128, 20, 0.3, 0.0375


def main() -> int:
    """The floor (goal: at most 1.10 times it), then ART (goal: a third of its time)."""
    keras.utils.set_random_seed(0)
    model = lenet((28, 28, 1), 10)
    rng = np.random.default_rng(0)
    x = rng.random((BATCH, 28, 28, 1), np.float32)
    y = rng.integers(0, 10, BATCH)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    images, labels = tf.constant(x), tf.constant(y)
    pgd = make_adversary("pgd", eps=EPS, steps=STEPS, step_size=STEP)

    @tf.function
    def input_gradient(images: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            value = loss(labels, model(images, training=False))
        return tape.gradient(value, images)

    def ours() -> np.ndarray:
        return pgd(model, images, labels).numpy()

    def floor() -> np.ndarray:
        return [input_gradient(images) for _ in range(STEPS)][-1].numpy()

    estimator = TensorFlowV2Classifier(
        model, nb_classes=10, input_shape=(28, 28, 1), loss_object=loss, clip_values=(0, 1)
    )
    peer = ProjectedGradientDescent(
        estimator,
        eps=EPS,
        eps_step=STEP,
        max_iter=STEPS,
        num_random_init=1,
        batch_size=BATCH,
        verbose=False,
    )
    near_floor = compare("pgd20_lenet_floor", ours, floor, goal=1 / 1.10, repeats=15)
    beats_art = compare("pgd20_lenet_art", ours, lambda: peer.generate(x, y), goal=3.0, repeats=9)
    return 0 if near_floor and beats_art else 1


if __name__ == "__main__":
    sys.exit(main())
