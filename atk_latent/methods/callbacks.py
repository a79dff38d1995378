"""Callbacks that every training loop here shares: resuming, the best epoch, progress.

`keras.callbacks.BackupAndRestore` is not used: it writes two files one after the other, so
a kill between them loses the state, and it does not bring back the order of the data.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from atk_latent.arrays import ArraySpec
from atk_latent.errors import InputError
from atk_latent.methods.states import States
from atk_latent.progress import Progress


class BestWeights(keras.callbacks.Callback):
    """Remembers the weights of the epoch that scores highest; the first of equals.

    Keras' `EarlyStopping` and `ModelCheckpoint` forget the best epoch when a run is resumed;
    here it is part of the state that `Checkpoint` saves.

    Args:
        models: whose weights are remembered, all of the same epoch.
        score: number of the models as they stand, the higher the better.
        name: of the score in the logs.
    """

    def __init__(
        self, models: Sequence[keras.Model], score: Callable[[], float], name: str
    ) -> None:
        super().__init__()
        self.models, self.score, self.name = models, score, name
        self.highest = keras.Variable(-1.0, trainable=False, name="highest")
        self.best = [
            keras.Variable(weight, trainable=False, dtype=weight.dtype) for weight in self.weights
        ]

    @property
    def weights(self) -> list[keras.Variable]:
        """Those of all models as they stand."""
        return [weight for model in self.models for weight in model.weights]

    @property
    def variables(self) -> list[keras.Variable]:
        """Everything that a resumed run needs."""
        return [self.highest, *self.best]

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Scores the epoch that ended, with averaged weights in place where there are any."""
        weights = self.weights
        current = [np.array(weight) for weight in weights]
        self.model.optimizer.finalize_variable_values(self.model.trainable_weights)
        score = self.score()
        if score > float(self.highest):
            self.highest.assign(score)
            _assign(self.best, weights)
        _assign(weights, current)
        if logs is not None:
            logs[self.name] = score

    def put_back(self) -> None:
        """Gives the models the weights of the best epoch, where one has been scored."""
        if float(self.highest) >= 0:
            _assign(self.weights, self.best)


def _assign(variables: Iterable[keras.Variable], values: Iterable[object]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


class Checkpoint(keras.callbacks.Callback):
    """Keeps the state of a `fit` on disk after every epoch, and restores it.

    A state (`States`) holds every variable of the model (weights, batch statistics, random
    state) and of its optimizers, bit for bit, and the logs so far, to which it adds the
    `seconds` of each epoch.

    Args:
        folder: where the states live; created when needed. None writes nothing to disk.
        best: another callback whose `variables` belong to the state.
    """

    def __init__(self, folder: Path | None, best: BestWeights | None = None) -> None:
        super().__init__()
        self.states, self.best = None if folder is None else States(folder), best
        self.logs: list[dict[str, float]] = []
        self.begun = 0.0

    def variables(self) -> dict[str, keras.Variable]:
        """Everything that is saved: the model's variables, its optimizers', the best so far."""
        owners = {"model": self.model, **_optimizers(self.model)}
        if self.best:
            owners["best"] = self.best
        return {
            f"{name}-{index}": variable
            for name, owner in owners.items()
            for index, variable in enumerate(owner.variables)
        }

    def restore(self, model: keras.Model) -> int:
        """Loads the newest state that is whole into `model`.

        Returns:
            The number of epochs it has behind it; 0 where there is no state.

        Raises:
            InputError: if no state is whole, or they are those of another model; the model is
                as it was then.
        """
        self.set_model(model)
        if self.states is None:
            return 0
        if self.states.exist():
            for optimizer in _optimizers(model).values():
                if not optimizer.built:
                    optimizer.build(model.trainable_weights)
        state = self.states.restore(self._specs())
        if state is None:
            return 0
        for name, variable in self.variables().items():
            variable.assign(state.variables[name])
        self.logs = state.logs
        return len(self.logs)

    def _specs(self) -> dict[str, ArraySpec]:
        """What each variable on disk must be; only metrics may be other than finite."""
        metrics = {id(v) for metric in self.model.metrics for v in metric.variables}
        return {
            name: ArraySpec(
                dtype.kind, tuple(variable.shape), dtype, finite=id(variable) not in metrics
            )
            for name, variable in self.variables().items()
            for dtype in [np.dtype(tf.as_dtype(variable.dtype).as_numpy_dtype)]
        }

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Looks at the clock."""
        self.begun = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Saves the state of the epoch that ended; an `InputError` if its weights are NaN."""
        if not all(np.isfinite(weight).all() for weight in self.model.get_weights()):
            raise InputError(
                f"training diverged in epoch {epoch + 1}: weights are NaN or infinite. Set a lower "
                "learning_rate"
            )
        seconds = round(time.monotonic() - self.begun, 3)
        values = {name: float(value) for name, value in (logs or {}).items()}
        self.logs.append({**values, "seconds": seconds})
        if self.states is not None:
            state = {name: np.asarray(v) for name, v in self.variables().items()}
            self.states.save(state, self.logs)


def _optimizers(model: keras.Model) -> dict[str, keras.optimizers.Optimizer]:
    """The optimizers that a model holds, by attribute."""
    kind = keras.optimizers.Optimizer
    return {name: value for name, value in vars(model).items() if isinstance(value, kind)}


@dataclasses.dataclass(frozen=True)
class PlateauRule:
    """When a logged value has stopped improving, and what happens then.

    Args:
        monitor: name of a value that should fall.
        learning_rate: float > 0, the rate to start from.
        min_improvement: relative fall that counts, 0.01 is one percent.
        patience: epochs in a row without it before the rate is lowered.
        factor: what the rate is multiplied with. cuts: times it is lowered; after that
            many, the next plateau ends the training.
    """

    monitor: str
    learning_rate: float
    min_improvement: float
    patience: int
    factor: float = 0.3
    cuts: int = 2


class Plateau(keras.callbacks.Callback):
    """Lowers the learning rate when a logged value stops improving; in the end stops.

    Keras' `ReduceLROnPlateau` and `EarlyStopping` want an absolute `min_delta`, which fits
    one data set only, and forget their counters when a run is resumed. Here everything
    follows from the logs.

    Args:
        checkpoint: holds the logs, those of a killed run included. rule: see `PlateauRule`.
    """

    def __init__(self, checkpoint: Checkpoint, rule: PlateauRule) -> None:
        super().__init__()
        self.checkpoint, self.rule = checkpoint, rule

    def plateaus(self) -> int:
        """How often the value has stopped improving so far."""
        best, waited, plateaus = float("inf"), 0, 0
        for logs in self.checkpoint.logs:
            if logs[self.rule.monitor] < best * (1 - self.rule.min_improvement):
                best, waited = logs[self.rule.monitor], 0
            else:
                waited += 1
            if waited >= self.rule.patience:
                plateaus, waited = plateaus + 1, 0
        return plateaus

    @property
    def finished(self) -> bool:
        """Whether training has come to its end."""
        return self.plateaus() > self.rule.cuts

    def _apply(self) -> None:
        self.model.optimizer.learning_rate.assign(
            self.rule.learning_rate * self.rule.factor ** min(self.plateaus(), self.rule.cuts)
        )
        if self.finished:
            self.model.stop_training = True

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Sets the rate that the epochs so far call for."""
        self._apply()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Sets the rate for the next epoch, or stops."""
        self._apply()


class Report(keras.callbacks.Callback):
    """Tells `progress` after every batch: (stage, batches done, in all, logs).

    Args:
        progress: the listener. stage: the name it hears.
        epochs: epochs in all.
        every: batches between two calls.
    """

    def __init__(self, progress: Progress, stage: str, epochs: int, every: int = 10) -> None:
        super().__init__()
        self.progress, self.stage, self.epochs, self.every = progress, stage, epochs, every
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Remembers the epoch."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Reports now and then."""
        steps = self.params["steps"]
        if (batch + 1) % self.every == 0 or batch + 1 == steps:
            done = self.epoch * steps + batch + 1
            self.progress(self.stage, done, self.epochs * steps, dict(logs or {}))
