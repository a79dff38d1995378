"""The latent methods as ART trainers: the estimator that went in comes out trained."""

import keras
import numpy as np
import pytest
from art.estimators.classification import TensorFlowV2Classifier
from keras import layers

import atk_latent
from atk_latent import config
from atk_latent.registry import METHODS


def blobs(n=48):
    """Three classes of 4x4 images, each bright in a row of its own, in 0..255."""
    y = np.arange(n) % 3
    x = 60 * np.random.default_rng(0).random((n, 4, 4, 1), np.float32)
    x[np.arange(n), y] += 150
    return x, y


def estimator():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            layers.Input((4, 4, 1)),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(8, activation="relu", name="latent"),
            layers.Dense(3),
        ]
    )
    return TensorFlowV2Classifier(
        model=model, nb_classes=3, input_shape=(4, 4, 1), clip_values=(0.0, 255.0)
    )


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("FeatureScatteringTrainer", {}),
        ("LATTrainer", {"steps": 2, "latent_steps": 2, "adversarial_epochs": 0}),
    ],
)
def test_trainer_hardens_the_estimator_in_place(name, settings):
    classifier = estimator()
    before = classifier.model.layers[-1].get_weights()[0].copy()
    x, y = blobs()
    losses = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda _, logs: losses.append(logs["loss"]))
    settings = {"eps": 25.5, "learning_rate": 0.05, **settings}
    trainer = getattr(atk_latent, name)(classifier, preset="quick", data="digits", **settings)
    trainer.fit(x, np.eye(3)[y], nb_epochs=3, batch_size=16, callbacks=[watch])
    assert trainer.get_classifier() is classifier
    assert np.abs(classifier.model.layers[-1].get_weights()[0] - before).max() > 1e-3
    assert len(losses) == 3
    assert losses[-1] < losses[0]
    assert config.flat(trainer.trained.settings)["eps"] == pytest.approx(
        0.1
    )  # in [0, 1]; 25.5 of 0..255


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("BilateralTrainer", "bilateral"),
        ("FeatureScatteringTrainer", "feature-scattering"),
        ("LATTrainer", "lat"),
        ("TLATrainer", "tla"),
    ],
)
def test_trainer_has_the_settings_of_its_method(name, method):
    trainer = getattr(atk_latent, name)(estimator(), preset="paper", data="cifar10", eps="4")
    assert type(trainer.settings) is METHODS[method].settings_type
    assert config.flat(trainer.settings)["eps"] == 4 / 255
