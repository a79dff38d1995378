"""A classifier whose IMT undoes static attacks, and nothing else."""

import keras
import numpy as np
from keras import layers

from atk_latent.config import build
from atk_latent.methods.atld import ATLD
from atk_latent.methods.atld_settings import ATLDSettings

EPS, SIDE = 0.1, 6


def images(n):
    """Grey images of two classes, 0.45 and 0.55 in both halves, with little noise."""
    y = np.arange(n) % 2
    noise = np.random.default_rng(0).uniform(-0.03, 0.03, (n, SIDE, SIDE, 1))
    return (0.45 + 0.1 * y[:, None, None, None] + noise).astype(np.float32), y


def game():
    """Logits look at the upper half alone; halves that differ by 0.05 look adversarial.

    The means (u, v) of the halves are the latents. IMT by `EPS` brings u and v together, so
    whoever moves u alone has done nothing; whoever moves both alike is not seen.
    """
    means, logits = layers.Dense(2, use_bias=False, name="means"), layers.Dense(2)
    classifier = keras.Sequential(
        [keras.Input((SIDE, SIDE, 1)), layers.Flatten(), means, layers.ReLU(), logits]
    )
    upper = np.repeat([1.0, 0.0], SIDE * SIDE // 2)
    means.set_weights([np.stack([upper, 1 - upper], axis=1) / (SIDE * SIDE // 2)])
    logits.set_weights([np.array([[-20.0, 20.0], [0.0, 0.0]]), np.array([10.0, -10.0])])
    latent = keras.Input((2,))
    apart, score = layers.Dense(2, activation="relu"), layers.Dense(1)
    classes = layers.Dense(2, kernel_initializer="zeros")
    judge = keras.Model(latent, [layers.Reshape(())(score(apart(latent))), classes(latent)])
    apart.set_weights([np.array([[1.0, -1.0], [-1.0, 1.0]]), np.full(2, -0.05)])
    score.set_weights([np.full((2, 1), -40.0), np.ones(1)])
    settings = build(
        ATLDSettings,
        {"eps": EPS, "latent": "features", "latent_layer": "means", "label_smoothing": 0.1},
    )
    return ATLD(classifier, settings, discriminator=judge)
