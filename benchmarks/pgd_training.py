"""PGD-7 training of LeNet on the digits: our ART trainer against ART's Madry trainer.

Same network, first weights, images, optimizer, epochs and attack; both make their graphs
within the time that is measured, as a user's first `fit` does.
"""

from __future__ import annotations

import sys

import keras
import numpy as np
from art.defences.trainer import AdversarialTrainerMadryPGD
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent.adversaries.factory import make_adversary
from atk_latent.art_bridge.trainers import PGDTrainer
from atk_latent.data.loading import load_dataset
from atk_latent.models.lenet import lenet
from atk_latent.models.scoring import clean_accuracy
from benchmarks.timing import interleaved, report

GOAL = 4.0
NOISE = 0.08  # two standard errors of the difference of two accuracies on 360 images
EPOCHS, BATCH, RATE, MOMENTUM = 3, 64, 0.02, 0.9
EPS, STEP, STEPS = 0.1, 0.025, 7


def estimator() -> TensorFlowV2Classifier:
    """LeNet with its first weights in ART's own estimator."""
    return TensorFlowV2Classifier(
        model=lenet((28, 28, 1), 10, seed=0),
        nb_classes=10,
        input_shape=(28, 28, 1),
        loss_object=keras.losses.CategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.SGD(RATE, momentum=MOMENTUM),
        clip_values=(0.0, 1.0),
    )


def main() -> int:
    """The ratio of the times, and the robust accuracy that each side reaches."""
    keras.utils.set_random_seed(0)
    data = load_dataset("digits")
    x, y = data.x_train, np.eye(10, dtype=np.float32)[data.y_train]

    def ours() -> keras.Model:
        trainer = PGDTrainer(
            estimator(),
            eps=EPS,
            step_size=STEP,
            steps=STEPS,
            algorithm="sgd",
            learning_rate=RATE,
            momentum=MOMENTUM,
        )
        trainer.fit(x, y, batch_size=BATCH, nb_epochs=EPOCHS)
        return trainer.get_classifier().model

    def peer() -> keras.Model:
        trainer = AdversarialTrainerMadryPGD(
            estimator(),
            nb_epochs=EPOCHS,
            batch_size=BATCH,
            eps=EPS,
            eps_step=STEP,
            max_iter=STEPS,
            num_random_init=1,
        )
        trainer.fit(x, y)
        return trainer.get_classifier().model

    medians, models = interleaved({"ours": ours, "peer": peer}, repeats=1)
    pgd = make_adversary("pgd", eps=EPS, steps=20, seed=1)
    robust = {
        side: clean_accuracy(
            model, pgd.craft_all(model, data.x_test, data.y_test), data.y_test
        ).value
        for side, model in models.items()
    }
    ratio, gap = medians["peer"] / medians["ours"], abs(robust["ours"] - robust["peer"])
    ok = ratio >= GOAL and gap <= NOISE
    found = {f"{side}_pgd_accuracy": value for side, value in robust.items()}
    line = {"name": "pgd_training_art", **medians, "ratio": ratio, "goal": GOAL, "ok": ok}
    report({**line, **found})
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
