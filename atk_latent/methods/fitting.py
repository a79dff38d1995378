"""What every training loop here shares: resuming and quiet progress.

`keras.callbacks.BackupAndRestore` is not used: it writes two files one after the other, so
a kill between them loses the state, and it does not bring back the order of the data.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from atk_latent.data.streams import Stream
from atk_latent.errors import InputError
from atk_latent.progress import Progress


def jit_compile() -> bool:
    """Whether to compile train steps with XLA: on a GPU only.

    On a CPU XLA took 1.8 times as long for a LeNet step (TensorFlow 2.21, 2 cores).
    """
    return bool(tf.config.list_logical_devices("GPU"))


class BestWeights(keras.callbacks.Callback):
    """Keeps the weights of the epoch that scores highest; later equals do not replace it.

    Keras' `EarlyStopping` and `ModelCheckpoint` forget the best epoch when a run is resumed;
    here it is part of the state that `Checkpoint` saves.

    Args:
        models: whose weights are kept, all of the same epoch.
        score: number of the models as they stand, the higher the better.
        name: of the score in the logs.
    """

    def __init__(
        self, models: Sequence[keras.Model], score: Callable[[], float], name: str
    ) -> None:
        super().__init__()
        self.models, self.score, self.name = models, score, name
        self.highest = keras.Variable(-1.0, trainable=False, name="highest")
        self.kept = [
            keras.Variable(weight, trainable=False, dtype=weight.dtype) for weight in self.weights
        ]

    @property
    def weights(self) -> list[keras.Variable]:
        """Those of all models as they stand."""
        return [weight for model in self.models for weight in model.weights]

    @property
    def variables(self) -> list[keras.Variable]:
        """Everything that a resumed run needs."""
        return [self.highest, *self.kept]

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Scores the epoch that ended, with averaged weights in place where there are any."""
        weights = self.weights
        current = [np.array(weight) for weight in weights]
        self.model.optimizer.finalize_variable_values(self.model.trainable_weights)
        found = self.score()
        if found > float(self.highest):
            self.highest.assign(found)
            _assign(self.kept, weights)
        _assign(weights, current)
        if logs is not None:
            logs[self.name] = found

    def put_back(self) -> None:
        """Gives the models the kept weights, where an epoch has been scored."""
        if float(self.highest) >= 0:
            _assign(self.weights, self.kept)


def _assign(variables: Any, values: Any) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


class Checkpoint(keras.callbacks.Callback):
    """Keeps the state of a `fit` on disk after every epoch, and restores it.

    One folder an epoch, ``epoch-0007/``, moved into place in one step once complete, and
    only then is the older one removed: a kill at any moment leaves a good state. It holds
    every variable of the model (weights, batch statistics, random state) and of its
    optimizers, bit for bit, and the logs so far, to which it adds the `seconds` of each epoch.

    Args:
        folder: where the states live; made when needed. None keeps nothing on disk.
        best: another callback whose `variables` belong to the state.
    """

    def __init__(self, folder: Path | None, best: BestWeights | None = None) -> None:
        super().__init__()
        self.folder, self.best = folder, best
        self.logs: list[dict[str, float]] = []
        self.begun = 0.0

    def variables(self) -> dict[str, Any]:
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
        """Loads the newest state into `model`.

        Returns:
            The number of epochs it has behind it; 0 where there is no state.
        """
        self.set_model(model)
        states = sorted(self.folder.glob("epoch-*")) if self.folder else []
        if not states:
            return 0
        for optimizer in _optimizers(model).values():
            if not optimizer.built:
                optimizer.build(model.trainable_weights)
        with np.load(states[-1] / "variables.npz") as stored:
            for name, variable in self.variables().items():
                variable.assign(stored[name])
        self.logs = json.loads((states[-1] / "logs.json").read_text())
        return len(self.logs)

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
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        new, part = self.folder / f"epoch-{epoch + 1:06d}", self.folder / "part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        state: dict[str, Any] = {name: np.asarray(v) for name, v in self.variables().items()}
        np.savez(part / "variables.npz", **state)
        (part / "logs.json").write_text(json.dumps(self.logs))
        os.replace(part, new)
        for old in self.folder.glob("epoch-*"):
            if old != new:
                shutil.rmtree(old)


def _optimizers(model: keras.Model) -> dict[str, keras.optimizers.Optimizer]:
    """The optimizers that a model holds, by attribute."""
    kind = keras.optimizers.Optimizer
    return {name: value for name, value in vars(model).items() if isinstance(value, kind)}


class Plateau(keras.callbacks.Callback):
    """Lowers the learning rate when a logged value stops improving; in the end stops.

    Keras' `ReduceLROnPlateau` and `EarlyStopping` want an absolute `min_delta`, which fits
    one data set only, and forget their counters when a run is resumed. Here everything
    follows from the logs.

    Args:
        checkpoint: holds the logs, those of a killed run included.
        monitor: name of a value that should fall.
        learning_rate: float > 0, the rate to start from.
        min_improvement: relative fall that counts, 0.01 is one percent.
        patience: epochs in a row without it before the rate is lowered.
        factor: what the rate is multiplied with. cuts: times it is lowered; after that
            many, the next plateau ends the training.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        monitor: str,
        learning_rate: float,
        min_improvement: float,
        patience: int,
        factor: float = 0.3,
        cuts: int = 2,
    ) -> None:
        super().__init__()
        self.checkpoint, self.monitor, self.learning_rate = checkpoint, monitor, learning_rate
        self.min_improvement, self.patience = min_improvement, patience
        self.factor, self.cuts = factor, cuts

    def plateaus(self) -> int:
        """How often the value has stopped improving so far."""
        best, waited, found = float("inf"), 0, 0
        for logs in self.checkpoint.logs:
            if logs[self.monitor] < best * (1 - self.min_improvement):
                best, waited = logs[self.monitor], 0
            else:
                waited += 1
            if waited >= self.patience:
                found, waited = found + 1, 0
        return found

    @property
    def finished(self) -> bool:
        """Whether training has come to its end."""
        return self.plateaus() > self.cuts

    def _apply(self) -> None:
        self.model.optimizer.learning_rate.assign(
            self.learning_rate * self.factor ** min(self.plateaus(), self.cuts)
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


def run_fit(
    model: keras.Model,
    stream: Stream,
    *,
    epochs: int,
    steps_per_epoch: int,
    stage: str,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
    callbacks: list[keras.callbacks.Callback] | None = None,
    plateau: Mapping[str, Any] | None = None,
    best: BestWeights | None = None,
    validation_data: Any = None,
) -> list[dict[str, float]]:
    """`model.fit` that goes on where a killed one stopped.

    Args:
        stream: from the step to start at to an endless data set of batches.
        stage: the name in progress reports.
        checkpoint: folder of the state; None keeps none.
        callbacks: the user's own. plateau: settings of `Plateau`, to stop early.
        best: scores each epoch; its weights are the ones that stay.
        validation_data: as in Keras.

    Returns:
        The logs of every epoch, those before a resumed start included, with its `seconds`.
    """
    keeper = Checkpoint(checkpoint, best)
    start = keeper.restore(model)
    ours = [Plateau(keeper, **plateau)] if plateau else []
    scores = [best] if best else []
    reports = [Report(progress, stage, epochs)] if progress else []
    if start < epochs and not any(one.finished for one in ours):
        model.fit(
            stream(start * steps_per_epoch),
            epochs=epochs,
            initial_epoch=start,
            steps_per_epoch=steps_per_epoch,
            validation_data=validation_data,
            callbacks=[*scores, keeper, *ours, *reports, *(callbacks or [])],
            shuffle=False,
            verbose=0,
        )
    elif start:  # `fit` would do this last: put averaged weights in place where there are any
        model.optimizer.finalize_variable_values(model.trainable_weights)
    if best:
        best.put_back()
    return keeper.logs
