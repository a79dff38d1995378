"""ART trainers around our methods: two changed lines in an ART script."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
from art.attacks import EvasionAttack
from art.data_generators import DataGenerator
from art.defences.trainer import Trainer
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent.art_bridge.context import AttackContext
from atk_latent.art_bridge.data_generators import drained
from atk_latent.art_bridge.estimator import estimator_for
from atk_latent.art_bridge.factory import make_attack
from atk_latent.art_bridge.unit_pixels import UnitPixels
from atk_latent.errors import InputError
from atk_latent.labels import integer_labels
from atk_latent.methods.base import Method
from atk_latent.methods.ladder import rows_per_class
from atk_latent.progress import Progress
from atk_latent.registry import METHODS


class MethodTrainer(Trainer):
    """Any of our methods as an ART trainer; the named classes below fix the method.

    Args:
        classifier: ART's `TensorFlowV2Classifier` (or ours) around a Keras model with logits.
            Training starts from its weights as they are (LADDER and the fixed sets want them
            trained, the others do not) and changes them in place, so the same object is
            robust afterwards.
        preset: "paper", "official" or "quick". data: the data set whose preset is meant
            ("mnist", "cifar10", ...).
        seed: of everything drawn. progress: told (stage, done, in all, logs).
        **settings: of the method, on top of the preset.

    Raises:
        InputError: on a classifier or a setting that will not do.
    """

    method: ClassVar[str]

    def __init__(
        self,
        classifier: TensorFlowV2Classifier,
        *,
        preset: str = "paper",
        data: str = "mnist",
        seed: int = 0,
        progress: Progress | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(classifier)
        self.view = UnitPixels(classifier)
        self.seed, self.progress = seed, progress
        self.settings = METHODS[self.method].settings_for("", data, preset, settings)
        self.settings.check_files()
        self.trained: Method | None = None

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        validation_data: tuple[np.ndarray, np.ndarray] | None = None,
        batch_size: int | None = None,
        nb_epochs: int | None = None,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        folder: Path | str | None = None,
    ) -> None:
        """Trains the classifier on images in its clip values.

        Args:
            x: (n, H, W, C); y: integers (n,) or one-hot (n, K).
            validation_data: images and labels scored after each epoch (`val_accuracy`).
            batch_size, nb_epochs: instead of the preset's. callbacks: of Keras.
            folder: where state and helpers are kept; a second `fit` with the same folder
                goes on from there.
        """
        changes = {"batch_size": batch_size, "epochs": nb_epochs}
        given = {name: value for name, value in changes.items() if value is not None}
        settings = dataclasses.replace(self.settings, **given)
        images, labels = self.view.images(x), integer_labels(y, self.classifier.nb_classes)
        if validation_data is not None:
            held_out = validation_data
            validation_data = (
                self.view.images(held_out[0]),
                integer_labels(held_out[1], self.classifier.nb_classes),
            )
        root = Path(folder) if folder else None
        if root:
            root.mkdir(parents=True, exist_ok=True)
        method = METHODS[self.method](self.view.model, settings, seed=self.seed)
        self._equip(method, x, images, labels)
        method.prepare(images, labels, folder=root, progress=self.progress)
        method.harden(
            images,
            labels,
            folder=root / "checkpoint" if root else None,
            progress=self.progress,
            validation_data=validation_data,
            callbacks=list(callbacks or []),
        )
        self.trained = method

    def _equip(self, method: Method, x: np.ndarray, images: np.ndarray, labels: np.ndarray) -> None:
        """What a named class does with a new method before it is prepared; nothing here.

        Args:
            x: images in the clip values. images: the same in [0, 1]. labels: int64 (n,).
        """

    def fit_generator(
        self, generator: DataGenerator, nb_epochs: int | None = None, **options: Any
    ) -> None:
        """Trains on the images of an ART data generator.

        It is drained into memory first (`size` images, `batch_size` at a time), since some
        methods need every class at once and all shuffle by their own seed.

        Raises:
            InputError: if it does not know its size, or ends before it.
        """
        x, y = drained(generator)
        self.fit(x, y, nb_epochs=nb_epochs, **options)

    def predict(self, x: np.ndarray, **options: Any) -> np.ndarray:
        """Logits of the trained classifier, (n, K)."""
        return self.classifier.predict(x, **options)


class LADDERTrainer(MethodTrainer):
    """LADDER as an ART trainer; see `MethodTrainer` and `methods.ladder.LADDER`."""

    method = "ladder"


class TRADESLADDERTrainer(MethodTrainer):
    """TRADES' loss on LADDER examples; see `MethodTrainer` and `methods.trades`."""

    method = "trades-ladder"


class PGDTrainer(MethodTrainer):
    """PGD adversarial training; see `MethodTrainer` and `methods.adversarial.PGDTraining`."""

    method = "pgd"


class FGSMTrainer(MethodTrainer):
    """Fast adversarial training; see `MethodTrainer` and `methods.adversarial.FGSMTraining`."""

    method = "fgsm"


class FreeTrainer(MethodTrainer):
    """Free adversarial training; see `MethodTrainer` and `methods.adversarial.FreeTraining`."""

    method = "free"


class TRADESTrainer(MethodTrainer):
    """TRADES; see `MethodTrainer` and `methods.trades.TRADES`."""

    method = "trades"


class MARTTrainer(MethodTrainer):
    """MART; see `MethodTrainer` and `methods.mart.MART`."""

    method = "mart"


class AugmentTrainer(MethodTrainer):
    """Fine-tuning on a fixed set that any attack makes; targeted ones too.

    Args:
        classifier: see `MethodTrainer`.
        attack: what makes the set: a name as on the command line ("pgd:eps=0.3"), or an ART
            `EvasionAttack` bound to any estimator that takes the same pixels. A targeted
            one gets a random other class for each image.
        **options: of `MethodTrainer`.

    Raises:
        InputError: on an attack of another kind.
    """

    method = "augment"

    def __init__(
        self,
        classifier: TensorFlowV2Classifier,
        attack: str | EvasionAttack | None = None,
        **options: Any,
    ) -> None:
        self.attack = attack if isinstance(attack, EvasionAttack) else None
        if isinstance(attack, str):
            options["attack"] = attack
        elif attack is not None and self.attack is None:
            raise InputError(
                "attack must be a name such as 'fgsm' or an ART EvasionAttack. "
                f"Received: {type(attack).__name__}"
            )
        super().__init__(classifier, **options)

    def _equip(self, method: Method, x: np.ndarray, images: np.ndarray, labels: np.ndarray) -> None:
        settings: Any = method.settings
        if settings.examples_from is not None:
            return
        if settings.examples_per_class is not None:
            rows = rows_per_class(
                labels, settings.examples_per_class, self.classifier.nb_classes, self.seed
            )
            x, images, labels = x[rows], images[rows], labels[rows]
        if self.attack is not None:
            wanted = self._targets(labels) if getattr(self.attack, "targeted", False) else labels
            x_adv = self.attack.generate(x, np.eye(self.classifier.nb_classes)[wanted])
            made = self.view.images(x_adv)
        else:
            estimator = estimator_for(self.view.model, image_shape=images.shape[1:])
            bound = make_attack(settings.attack, estimator, AttackContext(seed=self.seed))
            made = bound.generate(images, labels)
        method.use(images, made, labels)

    def _targets(self, labels: np.ndarray) -> np.ndarray:
        """A random other class for each label."""
        classes = self.classifier.nb_classes
        shift = np.random.default_rng(self.seed).integers(1, classes, len(labels))
        return (labels + shift) % classes
