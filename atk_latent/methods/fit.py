"""`fit` as every training loop here runs it: resumable, quiet, at its best epoch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from atk_latent.data.streams import Stream
from atk_latent.methods import distribution
from atk_latent.methods.callbacks import BestWeights, Checkpoint, Plateau, PlateauRule, Report
from atk_latent.models.replicas import replicas
from atk_latent.progress import Progress


def jit_compile() -> bool:
    """Whether to compile train steps with XLA: on one GPU only.

    On a CPU XLA took 1.8 times as long for a LeNet step (TensorFlow 2.21, 2 cores). What
    several replicas say to each other it does not compile; Keras leaves it off there, too.
    """
    return replicas() == 1 and bool(tf.config.list_logical_devices("GPU"))


@dataclasses.dataclass(frozen=True)
class Loop:
    """How long a training loop runs, and where its state and its progress go.

    Args:
        epochs: int >= 0. steps_per_epoch: int >= 1.
        stage: the name in progress reports.
        checkpoint: folder of the state; None keeps none.
        progress: told (stage, done, in all, logs); None tells nobody.
        groups: int >= 1, the equal groups of rows that make a batch; replicas share each one.
    """

    epochs: int
    steps_per_epoch: int
    stage: str
    checkpoint: Path | None = None
    progress: Progress | None = None
    groups: int = 1


def run_fit(
    model: keras.Model,
    stream: Stream,
    loop: Loop,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    plateau: PlateauRule | None = None,
    best: BestWeights | None = None,
    validation_data: tuple[np.ndarray, np.ndarray] | None = None,
) -> list[dict[str, float]]:
    """`model.fit` that goes on where a killed one stopped.

    Args:
        model: compiled. stream: from the step to start at to an endless data set of batches.
        loop: see `Loop`.
        callbacks: the user's own. plateau: stops early, see `Plateau`.
        best: scores each epoch; the weights of the best one stay.
        validation_data: as in Keras.

    Returns:
        The logs of every epoch, those before a resumed start included, with its `seconds`.
    """
    checkpoint = Checkpoint(loop.checkpoint, best)
    start = checkpoint.restore(model)
    plateaus = [Plateau(checkpoint, plateau)] if plateau else []
    scores = [best] if best else []
    reports = [Report(loop.progress, loop.stage, loop.epochs)] if loop.progress else []
    if start < loop.epochs and not any(one.finished for one in plateaus):
        first = stream(start * loop.steps_per_epoch)
        with distribution.trained_together(model, first):
            model.fit(
                distribution.shared(first, model, loop.groups),
                epochs=loop.epochs,
                initial_epoch=start,
                steps_per_epoch=loop.steps_per_epoch,
                callbacks=[*scores, checkpoint, *plateaus, *reports, *callbacks],
                shuffle=False,
                verbose=0,
                **distribution.validation(validation_data, model),
            )
    elif start:  # `fit` would do this last: put averaged weights in place where there are any
        model.optimizer.finalize_variable_values(model.trainable_weights)
    if best:
        best.put_back()
    return checkpoint.logs
