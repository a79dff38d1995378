"""Trains each method for a few steps on several logical devices; the tests compare the weights.

A process of its own: logical devices must be there before TensorFlow starts.

    python replica_runs.py RESULT.npz JOBS REPLICAS
"""

import os
import sys
import time

if __name__ == "__main__":
    os.environ.update(
        CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow"
    )

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from atk_latent.config import places
from atk_latent.methods import generator_training
from atk_latent.methods.generator_training import GeneratorSettings, fit_generator
from atk_latent.methods.song_gan import GANSettings, SongGANTraining, fit_gan
from atk_latent.models.song_gan import GAN, Architecture, song_discriminator, song_generator
from atk_latent.registry import GENERATORS, METHODS, Entry

FAST = {
    "epochs": 2,  # of 10, 10 and 4 rows: parts of unequal size on 4 devices
    "batch_size": 10,
    "learning_rate": 0.05,
    "momentum": 0.5,
    "eps": 0.1,
    "steps": 2,
    "replays": 2,
    "latent_steps": 2,
    "latent_eps": 0.1,
    "adversarial_epochs": 0,
    "latent": "logits",
    "svm_images": 4,
    "svm_test_images": 2,
    "svm_epochs": 1,
    "generator": "tiny",
    "generator_epochs": 1,
    "generator_batch_size": 8,
    "examples_per_class": 4,
}
VARIANTS = {
    "pgd-awp": ("pgd", {"awp_gamma": 0.05, "alpha": 0.5, "augment": "crop-flip"}),
    "atld-official": ("atld", {"preset": "official", "d_steps": 2, "clean_pass_every": 2}),
    "ladder-fresh": ("ladder", {"examples": "fresh", "targets": "balanced"}),
    "tla-both": ("tla", {"positives": "both"}),
    "feature-scattering-steps": ("feature-scattering", {"steps": 2}),
    "trades-early": ("trades", {"early_stopping": True, "validation_share": 0.2}),
}


def data(n=24, size=4):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    x = rng.random((n, size, size, 1), np.float32) / 2
    x[np.arange(n), y] += 0.4
    return x, y.astype(np.int64)


def classifier():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Flatten(),
            layers.Dense(7, kernel_regularizer=keras.regularizers.L2(1e-3)),
            layers.BatchNormalization(momentum=0.9),
            layers.Activation("tanh", name="latent"),
            layers.Dense(3),
        ]
    )


def judge():
    keras.utils.set_random_seed(4)
    latent = keras.Input((3,))
    hidden = layers.Activation("tanh")(layers.BatchNormalization()(layers.Dense(6)(latent)))
    score = layers.Reshape(())(layers.Dense(1)(hidden))
    return keras.Model(latent, [score, layers.Dense(3)(hidden)])


def generator(latent_width, image_shape, *, seed=0):
    keras.utils.set_random_seed(seed)
    dense = layers.Dense(int(np.prod(image_shape)), activation="sigmoid")
    return keras.Sequential([keras.Input((latent_width,)), dense, layers.Reshape(image_shape)])


def method(job, strategy):
    name, own = VARIANTS.get(job, (job, {}))
    kind, own = METHODS[name], {**FAST, **own}
    preset = own.pop("preset", "paper")
    known = places(kind.settings_type)
    if name.startswith(("ladder", "trades-ladder")):
        own["eps"] = (0.5, 1.0)
    if kind.starts_from == "vanilla":
        own.pop("steps")
    own = {key: value for key, value in own.items() if key in known}
    settings = kind.settings_for("", "any", preset, own)
    with strategy.scope():
        options = {"discriminator": judge()} if name == "atld" else {}
        trained = kind(classifier(), settings, seed=1, **options)
    x, y = data()
    if name == "augment":
        trained.use(x, np.clip(x + 0.1, 0, 1), y)
    trained.prepare(x, y)
    held_out = data(7) if job == "natural" else None
    logs = trained.harden(x, y, validation_data=held_out)
    return trained.classifier.get_weights(), logs[-1]


def image_judge(image_shape, **_):
    """A judge without dropout, whose mask every replica draws for itself."""
    keras.utils.set_random_seed(8)
    return keras.Sequential([keras.Input(image_shape), layers.Flatten(), layers.Dense(1)])


def ladder_generator(strategy):
    generator_training.image_discriminator = image_judge
    with strategy.scope():
        made = generator(5, (4, 4, 1), seed=2)
    settings = GeneratorSettings(epochs=2, batch_size=10, gan="add", patience=0)
    latents = np.random.default_rng(1).standard_normal((24, 5), np.float32)
    logs = fit_generator(made, latents, data()[0], settings)
    return made.get_weights(), logs[-1]


def song(strategy):
    plan = Architecture((3,), "conv", 3, ((3, "down"),), "mean", "sigmoid")
    settings = GANSettings(steps=1, batch_size=5, discriminator_steps=2, latents=3)
    with strategy.scope():
        gan = GAN(
            song_generator(plan, (8, 8, 1), 3, latents=3, seed=4),
            song_discriminator(plan, (8, 8, 1), 3, seed=5),
        )
        training = SongGANTraining(gan, settings, seed=6)
    logs = fit_gan(training, *data(30, 8))
    return gan.generator.get_weights() + gan.discriminator.get_weights(), logs[-1]


def run(job, strategy):
    special = {"ladder-generator": ladder_generator, "song-gan": song}
    return special[job](strategy) if job in special else method(job, strategy)


def main(path, jobs, count):
    """One strategy in a process: a second would take the first for itself."""
    GENERATORS._entries["tiny"] = Entry("__main__:generator", "one layer")
    cpu, device = tf.config.list_physical_devices("CPU")[0], tf.config.LogicalDeviceConfiguration
    tf.config.set_logical_device_configuration(cpu, [device() for _ in range(int(count))])
    strategy = tf.distribute.get_strategy()
    if count != "1":
        strategy = tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(int(count))])
    results = {}
    for job in jobs.split(","):
        begun = time.monotonic()
        weights, logs = run(job, strategy)
        sys.stderr.write(f"{job} {count}: {time.monotonic() - begun:.1f} s\n")
        results |= {f"{job}/weight{index}": weight for index, weight in enumerate(weights)}
        results |= {f"{job}/{key}": value for key, value in logs.items() if key != "seconds"}
    np.savez(path, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
