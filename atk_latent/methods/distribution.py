"""Training one model on several replicas: who gets which rows, and what Keras' `fit` needs.

A model belongs to the strategy in whose scope it was made, as in Keras. Every replica gets its
part of each global batch, in order; batch normalisation takes its statistics over all of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf

from atk_latent.models.replicas import whole

Logs: TypeAlias = dict[str, tf.Tensor]
Step: TypeAlias = Callable[[tuple[tf.Tensor, ...]], Logs]
STEPS = ("train_step", "test_step")
PATCHED = ("_maybe_symbolic_build", "reset_metrics", "_get_metrics_result_or_logs")
Feed: TypeAlias = tf.data.Dataset | tf.distribute.DistributedDataset


def is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    """Whether the replicas of a strategy lie in several processes."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes; the only one always is."""
    if not is_multi_worker(strategy):
        return True
    resolver = strategy.cluster_resolver
    return (resolver.task_type, resolver.task_id) in (
        ("chief", 0),
        *([] if "chief" in resolver.cluster_spec().jobs else [("worker", 0)]),
    )


def from_all(strategy: tf.distribute.Strategy, content: bytes) -> list[bytes]:
    """What each replica's process passes in; all call this, with as many bytes each."""
    row = tf.constant([list(content)], tf.int32)
    rows = strategy.experimental_local_results(_everyone(strategy, row))[0]
    return [bytes(values) for values in rows.numpy().astype(np.uint8)]


@tf.function(reduce_retracing=True)
def _everyone(strategy: tf.distribute.Strategy, row: tf.Tensor) -> tf.Tensor:
    return strategy.run(whole, (row,))


def from_chief(strategy: tf.distribute.Strategy, content: bytes) -> bytes:
    """What the process that writes passes in; all call this."""
    chief = is_chief(strategy)
    size = len(content).to_bytes(8, "big") if chief else bytes(8)
    length = max(int.from_bytes(part, "big") for part in from_all(strategy, size))
    parts = from_all(strategy, content if chief else bytes(length))
    return next((part for part in parts if any(part)), parts[0])


def copy_from_chief(strategy: tf.distribute.Strategy, variables: list[keras.Variable]) -> None:
    """Gives variables the values that they have in the process that writes; all call this."""
    chief = tf.constant(is_chief(strategy))

    def copy() -> None:
        context = tf.distribute.get_replica_context()
        first = chief & (context.replica_id_in_sync_group == 0)
        for variable in variables:
            value = tf.convert_to_tensor(variable)
            value = tf.where(first, value, tf.zeros_like(value))
            variable.assign(context.all_reduce(tf.distribute.ReduceOp.SUM, value))

    tf.function(lambda: strategy.run(copy))()


def shared(stream: tf.data.Dataset, model: keras.Model, groups: int = 1) -> Feed:
    """The parts of each global batch of `stream` that the replicas of `model` get.

    The stream must be the same in every process. Parts lie one after the other in the batch
    and differ by one row at most, however many rows the last batch of an epoch has; where
    these are fewer than the replicas, each of them counts several times.

    Args:
        stream: batches, nested tuples of tensors; each is shared along its first axis.
        groups: int >= 1, equal groups of rows in a batch, each of which is shared.
    """
    strategy = model.distribute_strategy
    size = strategy.num_replicas_in_sync
    if size == 1:
        return stream

    def parts(context: tf.distribute.InputContext) -> tf.data.Dataset:
        local = size // context.num_input_pipelines
        first = context.input_pipeline_id * local
        mine = tf.data.Dataset.range(first, first + local)
        split = stream.flat_map(
            lambda *batch: mine.map(lambda index: _part(batch, index, size, groups))
        )
        return split.prefetch(2 * local)

    return strategy.distribute_datasets_from_function(parts)


def _part(
    batch: tuple[tf.Tensor, ...], index: tf.Tensor, size: int, groups: int
) -> tuple[tf.Tensor, ...]:
    """The rows of `batch` that belong to replica `index` of `size`."""
    index = tf.cast(index, tf.int32)

    def mine(x: tf.Tensor) -> tf.Tensor:
        rows = tf.reshape(tf.range(tf.shape(x)[0]), (groups, -1))
        count = tf.shape(rows)[1]
        rows = tf.tile(rows, [1, tf.where(count < size, -(-size // count), 1)])
        count = tf.shape(rows)[1]
        first, end = index * count // size, (index + 1) * count // size
        return tf.gather(x, tf.reshape(rows[:, first:end], (-1,)))

    part: tuple[tf.Tensor, ...] = tf.nest.map_structure(mine, batch)
    return part


def validation(
    data: tuple[np.ndarray, np.ndarray] | None, model: keras.Model, batch_size: int = 32
) -> dict[str, object]:
    """The arguments of `fit` that have images and labels scored after each epoch."""
    if data is None or model.distribute_strategy.num_replicas_in_sync == 1:
        return {"validation_data": data}
    batches = tf.data.Dataset.from_tensor_slices(data).batch(batch_size)
    return {
        "validation_data": shared(batches.repeat(), model),
        "validation_steps": -(-len(data[0]) // batch_size),
    }


@contextlib.contextmanager
def trained_together(model: keras.Model, stream: tf.data.Dataset) -> Iterator[None]:
    """A context in which `model.fit` works on the several replicas of the model's strategy.

    Nothing is changed where there is one replica.

    Args:
        model: compiled. stream: batches as it is trained on, of which one is looked at.

    Differs: Keras 3 (issue 20585) builds a model from the batch of all replicas, which fails
        for several processes, and wants logs of shape (1,) there. So the model is built from
        a batch of this process, once, and the logs get that shape. Outside the scope, where
        `fit` and its callbacks run, it would reset and read the metrics of one replica.
    """
    strategy = model.distribute_strategy
    if strategy.num_replicas_in_sync == 1:
        yield
        return
    with strategy.scope():
        model._maybe_symbolic_build(data_batch=next(iter(stream)))
    norms = [
        layer
        for layer in model._flatten_layers(include_self=False)
        if isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized
    ]
    for norm in norms:
        norm.synchronized = True
    model._maybe_symbolic_build = lambda **batch: None
    model.reset_metrics = _in_scope(model.reset_metrics, strategy)
    model._get_metrics_result_or_logs = lambda logs: _results(model, logs)
    if is_multi_worker(strategy):
        for name in STEPS:
            setattr(model, name, _with_long_logs(getattr(model, name)))
    try:
        yield
    finally:
        for norm in norms:
            norm.synchronized = False
        for name in (*PATCHED, *STEPS):
            if name in vars(model):
                delattr(model, name)


def _in_scope(call: Callable[[], None], strategy: tf.distribute.Strategy) -> Callable[[], None]:
    """`call` on the variables of all replicas."""

    def called() -> None:
        with strategy.scope():
            call()

    return called


def _results(model: keras.Model, logs: Logs) -> Logs:
    """What the metrics of all replicas say in place of `logs`, means of what each one says."""
    with model.distribute_strategy.scope():
        results = model.get_metrics_result()
    return {name: results.get(name, value) for name, value in logs.items()}


def _with_long_logs(step: Step) -> Step:
    """`step` with logs of shape (1,), which Keras reduces over processes."""
    return lambda data: {name: value[None] for name, value in step(data).items()}
