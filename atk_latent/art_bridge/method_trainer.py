"""What every ART trainer shares: one method, trained on the model of an estimator."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
from art.data_generators import DataGenerator
from art.defences.trainer import Trainer
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent import config
from atk_latent.art_bridge.art_words import method_settings
from atk_latent.art_bridge.bars import ProgressBars
from atk_latent.art_bridge.context import AttackContext
from atk_latent.art_bridge.data_generators import drained
from atk_latent.art_bridge.estimator import estimator_for
from atk_latent.art_bridge.factory import make_attack
from atk_latent.art_bridge.unit_pixels import UnitPixels
from atk_latent.errors import InputError
from atk_latent.labels import integer_labels
from atk_latent.methods.base import Method
from atk_latent.methods.fixed_set import FixedSetRequest
from atk_latent.progress import Progress
from atk_latent.registry import METHODS

NO_MODEL = ""  # the name of a network that no preset knows


@dataclasses.dataclass(frozen=True)
class TrainingImages:
    """The images of one `fit`.

    Args:
        pixels: (n, H, W, C) in the clip values of the estimator, as they came.
        images: float32, the same in [0, 1]. labels: int64 (n,).
    """

    pixels: np.ndarray
    images: np.ndarray
    labels: np.ndarray

    def __getitem__(self, rows: np.ndarray | slice) -> TrainingImages:
        """Some of them."""
        return TrainingImages(self.pixels[rows], self.images[rows], self.labels[rows])


class _TrainerSignature:
    """The signature of a trainer: its own arguments, then every setting of its method.

    The defaults of the settings are those of the preset "paper" for the data set "mnist", as the
    trainer's own defaults say.
    """

    def __get__(
        self, trainer: MethodTrainer | None, owner: type[MethodTrainer]
    ) -> inspect.Signature:
        if not hasattr(owner, "method"):
            raise AttributeError(f"{owner.__name__} fixes no method")
        parameters: dict[str, inspect.Parameter] = {}
        for kind in owner.__mro__[: owner.__mro__.index(MethodTrainer) + 1]:
            constructor = vars(kind).get("__init__", MethodTrainer.__init__)
            _, *own = inspect.signature(constructor, eval_str=True).parameters.values()
            for parameter in own:
                if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
                    parameters.setdefault(parameter.name, parameter)
        defaults = {name: parameters[name].default for name in ("data", "preset")}
        method = METHODS[owner.method]
        settings = config.flat(method.settings_for(NO_MODEL, overrides={}, **defaults))
        for name, place in config.places(method.settings_type).items():
            setting = inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=settings[name], annotation=place.kind
            )
            parameters.setdefault(name, setting)
        return inspect.Signature(sorted(parameters.values(), key=lambda one: one.kind))


_EXAMPLE = """Example:
    >>> import keras
    >>> from atk_latent.estimators import CompiledKerasClassifier
    >>> from atk_latent.trainers import {0}
    >>> layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(16)]
    >>> network = keras.Sequential([*layers, keras.layers.ReLU(), keras.layers.Dense(3)])
    >>> trainer = {0}(CompiledKerasClassifier(network), epochs=2)
    >>> trainer.settings.optimizer.epochs  # next: trainer.fit(x, y)
    2
"""


class MethodTrainer(Trainer):
    """Any of our methods as an ART trainer; the named classes in `trainers` fix the method.

    Args:
        classifier: ART's `TensorFlowV2Classifier` (or ours) around a Keras model with logits.
            Training starts from its weights as they are (LADDER and the fixed sets want them
            trained, the others do not) and changes them in place, so the same object is
            robust afterwards.
        preset: "paper", "official" or "quick". data: the data set whose preset is meant
            ("mnist", "cifar10", ...).
        seed: of everything drawn. progress: told (stage, done, in all, logs).
        verbose: show progress bars where there is no `progress`.
        **settings: of the method, on top of the preset. ART's words `nb_epochs`, `eps_step` and
            `max_iter` mean `epochs`, `step_size` and `steps`. Lengths in pixels (`eps`) are in
            the classifier's own units, those of its `clip_values`; the preset's own are in
            [0, 1], and so are those in `trainer.settings`.

    Raises:
        InputError: on a classifier or a setting that will not do.

    Example:
        >>> import keras, numpy as np
        >>> from atk_latent.estimators import CompiledKerasClassifier
        >>> from atk_latent.trainers import PGDTrainer
        >>> x = np.random.default_rng(0).random((20, 4, 4, 1), np.float32)
        >>> y = np.arange(20) % 2
        >>> layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> estimator = CompiledKerasClassifier(keras.Sequential(layers))
        >>> trainer = PGDTrainer(estimator, eps=0.1, steps=2, batch_size=10)
        >>> trainer.fit(x, y, nb_epochs=1)
        >>> trainer.get_classifier() is estimator
        True
    """

    method: ClassVar[str]
    __signature__ = _TrainerSignature()

    def __init_subclass__(cls) -> None:
        """The docstring of a trainer without an example of its own gets the common one."""
        super().__init_subclass__()
        if "Example:" not in (cls.__doc__ or ""):
            cls.__doc__ = (
                f"{inspect.cleandoc(cls.__doc__ or '')}\n\n{_EXAMPLE.format(cls.__name__)}"
            )

    def __init__(
        self,
        classifier: TensorFlowV2Classifier,
        *,
        preset: str = "paper",
        data: str = "mnist",
        seed: int = 0,
        progress: Progress | None = None,
        verbose: bool = False,
        **settings: object,
    ) -> None:
        super().__init__(classifier)
        self.view = UnitPixels(classifier)
        self.seed, self.verbose = seed, verbose
        self.progress = ProgressBars() if verbose and progress is None else progress
        method = METHODS[self.method]
        overrides = method_settings(method.settings_type, settings, self.view.range)
        self.settings = method.settings_for(NO_MODEL, data, preset, overrides)
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
        **words: bool,
    ) -> None:
        """Trains the classifier on images in its clip values.

        Args:
            x: (n, H, W, C); y: integers (n,) or one-hot (n, K).
            validation_data: images and labels scored after each epoch (`val_accuracy`).
            batch_size, nb_epochs: instead of the preset's. callbacks: of Keras.
            folder: where state and helpers are kept; a second `fit` with the same folder
                goes on from there.
            verbose: show progress bars, as the constructor's, in this call.

        Raises:
            InputError: for images and labels that do not fit.
            TypeError: on another word.
        """
        verbose = words.pop("verbose", False)
        if words:
            raise TypeError(f"fit() got an unexpected keyword argument '{next(iter(words))}'")
        progress = ProgressBars() if verbose and self.progress is None else self.progress
        words_of_art = {"batch_size": batch_size, "epochs": nb_epochs}
        changes = {name: value for name, value in words_of_art.items() if value is not None}
        data = self._images(x, y)
        validation = None if validation_data is None else self._images(*validation_data)
        root = Path(folder) if folder else None
        if root:
            root.mkdir(parents=True, exist_ok=True)
        settings = config.updated(self.settings, changes)
        method = METHODS[self.method](self.view.model, settings, seed=self.seed)
        self._hand_over_fixed_set(method, data)
        method.prepare(data.images, data.labels, folder=root, progress=progress)
        method.harden(
            data.images,
            data.labels,
            folder=root / "checkpoint" if root else None,
            progress=progress,
            validation_data=(validation.images, validation.labels) if validation else None,
            callbacks=list(callbacks or []),
        )
        if root:
            method.save_helpers(root)
        self.trained = method

    def _images(self, x: np.ndarray, y: np.ndarray) -> TrainingImages:
        labels = integer_labels(y, self.classifier.nb_classes)
        if len(x) != len(labels):
            raise InputError(
                f"images and labels must be as many. Received: {len(x)} and {len(labels)}"
            )
        return TrainingImages(x, self.view.images(x), labels)

    def _hand_over_fixed_set(self, method: Method, data: TrainingImages) -> None:
        request = method.fixed_set_request()
        if request is not None:
            some = data[request.images.rows(data.labels, self.classifier.nb_classes, self.seed)]
            method.use(some.images, self._adversarial_set(request, some), some.labels)

    def _adversarial_set(self, request: FixedSetRequest, data: TrainingImages) -> np.ndarray:
        """What the attack of a method's settings makes of images, float32 in [0, 1]."""
        estimator = estimator_for(self.view.model, image_shape=data.images.shape[1:])
        attack = make_attack(request.attack, estimator, AttackContext(seed=self.seed))
        return attack.generate(data.images, data.labels)

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

    def predict(self, x: np.ndarray, **options: object) -> np.ndarray:
        """Logits of the trained classifier, (n, K)."""
        return np.asarray(self.classifier.predict(x, **options))
