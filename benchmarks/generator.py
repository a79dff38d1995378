"""Table 10's generator: one training epoch, composed kernels against plain Keras layers."""

import sys

import keras
import numpy as np
from keras import layers

from atk_latent.models.generators import mnist_generator
from benchmarks.timing import compare

IMAGES, BATCH = 2560, 256


def plain_generator() -> keras.Model:
    """The same generator with Keras' own transposed convolutions, cropped to PyTorch's sizes."""
    return keras.Sequential(
        [
            layers.Input((500,)),
            layers.Dense(800, use_bias=False),
            layers.Reshape((4, 4, 50)),
            layers.ReLU(),
            layers.Conv2DTranspose(50, 2, strides=4),
            layers.Cropping2D(((0, 2), (0, 2))),
            layers.Conv2D(20, 3),
            layers.ReLU(),
            layers.Conv2DTranspose(20, 2, strides=3),
            layers.Cropping2D(((0, 1), (0, 1))),
            layers.Conv2D(20, 4),
            layers.Conv2D(1, 5, activation="sigmoid"),
        ]
    )


def main() -> int:
    """Times one epoch of each on the same data."""
    rng = np.random.default_rng(0)
    z = rng.standard_normal((IMAGES, 500), np.float32)
    x = rng.random((IMAGES, 28, 28, 1), np.float32)
    models = [mnist_generator(500, (28, 28, 1)), plain_generator()]
    for model in models:
        model.compile(keras.optimizers.Adam(1e-3), "mse", jit_compile=False)
    ours, peer = (lambda m=m: m.fit(z, x, batch_size=BATCH, verbose=0) for m in models)
    return 0 if compare("generator_epoch", ours, peer, goal=3.0) else 1


if __name__ == "__main__":
    sys.exit(main())
