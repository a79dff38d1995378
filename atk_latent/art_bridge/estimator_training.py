"""How an estimator trains: batches in, one compiled step, Keras callbacks told."""

from __future__ import annotations

import contextlib
import dataclasses
from abc import ABC
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from art.data_generators import DataGenerator
from keras.callbacks import Callback, CallbackList
from keras.optimizers import Optimizer
from typing_extensions import Self

from atk_latent.art_bridge import estimator_graphs as graphs, estimator_models as models
from atk_latent.art_bridge.data_generators import Batch, Batches, generated
from atk_latent.art_bridge.estimator_graphs import Array, as_array, as_float32
from atk_latent.errors import InputError

Learn: TypeAlias = Callable[[Array, Array], Mapping[str, tf.Tensor] | None]
OptimizerState: TypeAlias = tuple[dict[str, object], bool, list[np.ndarray]]


def seed_of_numpy(count: int) -> int | list[int]:
    """A seed that follows NumPy's global state and `count`; the state is read, not changed."""
    peek = np.random.RandomState()
    peek.set_state(np.random.get_state())
    drawn = int(peek.randint(2**31))
    return [drawn, count] if count else drawn


def shuffled(x: Array, y: Array, size: int, seed: int | list[int]) -> Batches:
    """Batches of arrays, in a new order of *all* samples at each epoch.

    Args:
        x: (n, ...); y: (n, ...). size: samples at once. seed: of the orders.
    """
    rng = np.random.default_rng(seed)

    def batches() -> Iterator[Batch]:
        order = rng.permutation(len(x))
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            yield x[chosen], y[chosen]

    return batches


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """What `fit` is told beside the data.

    Args:
        verbose: show Keras's progress bar.
        scheduler: called with the number of the epoch, from 0, at its end.
        callbacks: of Keras; `model.stop_training` ends the run after the epoch.
        validation_data: (images, labels) measured after each epoch.
        seed: of the order of the images; None takes one that follows NumPy's global state,
            which is left as it is, and the number of calls of `fit` before.
        steps: batches of an epoch, where that is known, for the progress bar.
    """

    verbose: bool = False
    scheduler: Callable[[int], object] | None = None
    callbacks: Sequence[Callback] = ()
    validation_data: Batch | None = None
    seed: int | None = None
    steps: int | None = None


def run_epochs(
    model: keras.Model,
    optimizer: Optimizer,
    learn: Learn,
    batches: Batches,
    epochs: int,
    options: FitOptions,
    validate: Callable[[Array, Array], dict[str, float]],
) -> None:
    """Shows every epoch's batches to `learn`.

    Args:
        model: whose weights `learn` moves; callbacks see it, and `optimizer` as its own.
        learn: (images, labels) -> numbers of the batch, or None.
        batches: starts an epoch. epochs: int >= 0. options: see `FitOptions`.
        validate: (images, labels) -> numbers of held-out images.
    """
    verbose = options.verbose
    with _lent(model, optimizer):
        told = CallbackList(
            list(options.callbacks),
            add_progbar=verbose,
            model=model,
            verbose=int(verbose),
            epochs=epochs,
            steps=options.steps,
        )
        model.stop_training = False
        told.on_train_begin()
        logs: dict[str, float] = {}
        for epoch in range(epochs):
            told.on_epoch_begin(epoch)
            logs = _one_epoch(learn, batches(), told)
            logs.update(validate(*options.validation_data) if options.validation_data else {})
            told.on_epoch_end(epoch, logs)
            if options.scheduler is not None:
                options.scheduler(epoch)
            if model.stop_training:
                break
        told.on_train_end(logs)


def _one_epoch(learn: Learn, batches: Iterator[Batch], told: CallbackList) -> dict[str, float]:
    """The means over the epoch so far go to the callbacks after each batch, as in Keras."""
    logs: dict[str, float] = {}
    sums: dict[str, float] = {}
    seen = 0
    for number, (images, labels) in enumerate(batches):
        told.on_train_batch_begin(number)
        seen += len(images)
        for name, value in (learn(images, labels) or {}).items():
            sums[name] = sums.get(name, 0.0) + len(images) * float(value)
        logs = {name: value / seen for name, value in sums.items()}
        told.on_train_batch_end(number, logs)
    return logs


@contextlib.contextmanager
def _lent(model: keras.Model, optimizer: Optimizer) -> Iterator[None]:
    """Callbacks find the optimizer at `model.optimizer`."""
    compiled, before = hasattr(model, "optimizer"), getattr(model, "optimizer", None)
    if before is optimizer:
        yield
        return
    model.optimizer = optimizer
    try:
        yield
    finally:
        if compiled:
            model.optimizer = before
        else:
            del model.optimizer


def optimizer_state(optimizer: Optimizer | None) -> OptimizerState | None:
    """An optimizer as something that can be pickled."""
    if optimizer is None:
        return None
    values = [np.array(variable) for variable in optimizer.variables]
    return keras.optimizers.serialize(optimizer), optimizer.built, values


def optimizer_from(state: OptimizerState | None, model: keras.Model) -> Optimizer | None:
    """The optimizer of `optimizer_state`, for the same weights in another model."""
    if state is None:
        return None
    config, built, values = state
    optimizer = keras.optimizers.deserialize(config)
    if built:
        optimizer.build(model.trainable_variables)
        for variable, value in zip(optimizer.variables, values, strict=True):
            variable.assign(value)
    return optimizer


def built_for(optimizer: Optimizer | None, weights: Sequence[keras.Variable]) -> Optimizer:
    """The optimizer with its slots made.

    Raises:
        InputError: if there is none, or nothing to train.
    """
    if not weights:
        raise InputError("fit has nothing to train: every layer of the model is frozen")
    if optimizer is None:
        raise InputError(
            "fit needs an optimizer (or a train_step): give the estimator optimizer=, or "
            "compile the model before the estimator is made"
        )
    if not optimizer.built:
        optimizer.build(weights)
    return optimizer


class TrainingMixin(ABC):  # of one layout with ART's classes: STRIP mixes one of its own in
    """`fit`, `fit_generator`, `clone_for_refitting` and `reset` of a `CompiledKerasClassifier`."""

    _model: keras.Model
    _fits: int
    input_shape: tuple[int, ...]
    nb_classes: int
    _optimizer: Optimizer
    _loss_object: graphs.Loss
    _train_step: Callable[..., None] | None
    _reduce_labels: bool
    _functions: dict[Hashable, Callable[..., Any]]
    predict: Callable[..., np.ndarray]
    compute_loss: Callable[..., np.ndarray]
    _one_hot: Callable[[Array], Array]
    _again: Callable[..., Self]
    _apply_preprocessing: Callable[..., Batch]
    all_framework_preprocessing: bool
    preprocessing_operations: list[Any]

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        batch_size: int = 128,
        nb_epochs: int = 10,
        verbose: bool = False,
        **options: Any,
    ) -> None:
        """Trains the model; calling it again goes on with the same graph and optimizer.

        ART's adversarial trainers call it once a batch: a `scheduler` or `callbacks` given
        to them see each batch as an epoch 0. To change the learning rate there, give the
        optimizer a `keras.optimizers.schedules.LearningRateSchedule`; it counts on.

        Args:
            x: images (n, height, width, channels), an array or a tensor.
            y: labels, whole numbers (n,), one-hot or soft (n, classes).
            batch_size: images a step. nb_epochs: times that every image is shown.
            verbose: show Keras's progress bar.
            **options: `scheduler`, `callbacks`, `validation_data` and `seed` of `FitOptions`.
                Callbacks find `loss` and `accuracy` (and `val_` ones) in the logs and the
                optimizer at `model.optimizer`.

        Raises:
            TypeError: on another option.
            InputError: without an optimizer or train step, or if x and y differ in length.
            ValueError: on labels that do not fit.
        """
        told = FitOptions(verbose, steps=-(-len(x) // batch_size), **options)
        if len(x) != len(y):
            raise InputError(f"x and y must have one length. Received: {len(x)} and {len(y)}")
        seed = seed_of_numpy(self._fits) if told.seed is None else told.seed
        self._fits += 1
        run_epochs(
            self._model,
            self._optimizer,
            self._learn,
            shuffled(as_array(x), as_array(self._one_hot(y)), batch_size, seed),
            nb_epochs,
            told,
            self._measured,
        )

    def fit_generator(
        self,
        generator: DataGenerator,
        nb_epochs: int = 20,
        verbose: bool = False,
        *,
        scheduler: Callable[[int], object] | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        """Trains the model on the batches of an ART data generator; see `fit`.

        Raises:
            InputError: if it is no data generator, or does not know its size.
        """
        batches = generated(generator)
        steps = -(-generator.size // generator.batch_size)
        run_epochs(
            self._model,
            self._optimizer,
            self._learn,
            batches,
            nb_epochs,
            FitOptions(verbose, scheduler, callbacks, steps=steps),
            self._measured,
        )

    def _learn(self, images: Array, labels: Array) -> Mapping[str, tf.Tensor] | None:
        """One training step, with the preprocessors that apply to it."""
        images, labels = np.asarray(images, np.float32), as_array(self._one_hot(labels))
        if self.all_framework_preprocessing:
            images, labels = as_float32(images), as_float32(labels)
            for step in self.preprocessing_operations:
                if step.apply_fit:
                    images, moved = graphs.preprocessed(step, images, labels)
                    labels = labels if moved is None else moved
        else:
            images, labels = self._apply_preprocessing(images, labels, fit=True)
        if self._train_step is not None:
            labels = np.argmax(labels, axis=1) if self._reduce_labels else labels
            self._train_step(
                self._model, tf.convert_to_tensor(images), tf.convert_to_tensor(labels)
            )
            return None
        weights = self._model.trainable_variables
        key = ("training", images.shape[1:], *map(id, weights))
        if key not in self._functions:
            optimizer = built_for(self._optimizer, weights)
            step = graphs.training_step(self._model, self._loss_object, optimizer)
            shapes = ([None, *images.shape[1:]], [None, self.nb_classes])
            signature = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
            self._functions[key] = tf.function(step, input_signature=signature)
        return dict(self._functions[key](as_float32(images), as_float32(labels)))

    def _measured(self, x: Array, y: Array) -> dict[str, float]:
        labels = np.argmax(as_array(self._one_hot(y)), axis=1)
        return {
            "val_loss": float(self.compute_loss(x, y, "mean")),
            "val_accuracy": float(np.mean(np.argmax(self.predict(x), axis=1) == labels)),
        }

    def clone_for_refitting(self) -> Self:
        """A classifier of the same configuration with weights of its own, drawn anew.

        Optimizer and compilation are made anew, too. What a `Normalization` layer was
        adapted to stays; an initialiser with a seed of its own repeats its draw.

        Raises:
            InputError: if the model cannot be made from its configuration.
        """
        model = models.fresh_copy(self._model, self.input_shape)
        own = getattr(self._model, "optimizer", None)
        if getattr(self._model, "compiled", False):
            model.compile_from_config(self._model.get_compile_config())
        if self._optimizer is None or self._optimizer is own:
            return self._again(model=model, optimizer=None)
        config = keras.optimizers.serialize(self._optimizer)
        return self._again(model=model, optimizer=keras.optimizers.deserialize(config))

    def reset(self) -> None:
        """Draws the weights anew, in place, and forgets what the optimizer remembers.

        By a new model of the same configuration or, where that cannot be, by the initialisers
        of the layers.

        Raises:
            InputError: if the model has no configuration, and a layer no initialiser.
        """
        try:
            fresh = models.fresh_copy(self._model, self.input_shape)
        except InputError:
            models.draw_weights_anew(self._model)
        else:
            self._model.set_weights(fresh.get_weights())
        if self._optimizer is not None and self._optimizer.built:
            config = keras.optimizers.serialize(self._optimizer)
            new = keras.optimizers.deserialize(config)
            new.build(self._model.trainable_variables)
            for variable, value in zip(self._optimizer.variables, new.variables, strict=True):
                variable.assign(value)
