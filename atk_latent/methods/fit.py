"""`fit` as every training loop here runs it: resumable, quiet, at its best epoch."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from atk_latent.data.streams import Stream
from atk_latent.methods import distribution
from atk_latent.methods.callbacks import BestWeights, Checkpoint, Plateau, PlateauRule, Report
from atk_latent.methods.example_images import ExampleImages
from atk_latent.models.replicas import replicas
from atk_latent.progress import Progress


@dataclasses.dataclass(frozen=True)
class LoopOptions:
    """How every loop in a context runs, whatever is trained in it; see `loop_options`.

    Args:
        jit: whether train steps are compiled with XLA; None: on a single GPU.
        tensorboard: folder of TensorBoard's logs, one folder a stage; None writes none.
        checkpoint_minutes: float > 0, a state is also kept so often inside an epoch; None
            only at the end of each.
    """

    jit: bool | None = None
    tensorboard: Path | None = None
    checkpoint_minutes: float | None = None


_ORDINARY = LoopOptions()
_OPTIONS = contextvars.ContextVar("loop options", default=_ORDINARY)


@contextlib.contextmanager
def loop_options(options: LoopOptions) -> Iterator[None]:
    """A context whose training loops run by `options`."""
    token = _OPTIONS.set(options)
    try:
        yield
    finally:
        _OPTIONS.reset(token)


def jit_compile() -> bool:
    """Whether to compile train steps with XLA: as `loop_options` says, or on one GPU only.

    On a CPU XLA took 1.8 times as long for a LeNet step (TensorFlow 2.21, 2 cores). What
    several replicas say to each other it does not compile; Keras leaves it off there, too.
    """
    asked = _OPTIONS.get().jit
    if asked is not None:
        return asked
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
    options = _OPTIONS.get()
    checkpoint = Checkpoint(loop.checkpoint, best, minutes=options.checkpoint_minutes)
    begin = checkpoint.restore(model)
    plateaus = [Plateau(checkpoint, plateau)] if plateau else []
    others = [
        *([Report(loop.progress, loop.stage, loop.epochs, begin)] if loop.progress else []),
        *_tensorboard(options.tensorboard, loop, model, stream),
    ]
    fitted = False
    with contextlib.ExitStack() as together:
        for first, last, skipped in begin.legs(loop.epochs):
            if any(one.finished for one in plateaus):
                break
            batches = stream(first * loop.steps_per_epoch + skipped)
            if not fitted:
                together.enter_context(distribution.trained_together(model, batches))
            model.fit(
                distribution.shared(batches, model, loop.groups),
                epochs=last,
                initial_epoch=first,
                steps_per_epoch=loop.steps_per_epoch - skipped,
                callbacks=[*([best] if best else []), checkpoint, *plateaus, *others, *callbacks],
                shuffle=False,
                verbose=0,
                **distribution.validation(validation_data, model),
            )
            fitted = True
            if model.stop_training:
                break
            if skipped:
                checkpoint.take_back_averages()
    if begin.epoch and not fitted:
        # `fit` would do this last: put averaged weights in place where there are any
        model.optimizer.finalize_variable_values(model.trainable_weights)
    if best:
        best.put_back()
    return checkpoint.logs


def _tensorboard(
    folder: Path | None, loop: Loop, model: keras.Model, stream: Stream
) -> list[keras.callbacks.Callback]:
    """What writes TensorBoard's logs of a loop, in the process that writes."""
    if folder is None or not distribution.is_chief(model.distribute_strategy):
        return []
    place = str(folder / loop.stage)
    images = next(iter(stream(0)))
    return [
        keras.callbacks.TensorBoard(place, write_graph=False),
        ExampleImages(place, images),
    ]
