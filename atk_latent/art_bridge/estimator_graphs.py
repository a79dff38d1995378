"""What an estimator computes, as functions of tensors: losses, gradients, a training step.

`forward` is the model with its preprocessing, images to float32 logits; `outputs` is what
the estimator predicts, logits or probabilities. Labels are float32 (batch, classes).

Where preprocessing makes several images of each (expectation over transformation), `forward`
gives their logits in a row; what is computed here is the mean over them, one row an image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf
from art.defences.preprocessor.preprocessor import PreprocessorTensorFlowV2
from art.preprocessing.expectation_over_transformation.tensorflow import EoTTensorFlowV2
from keras.optimizers import Optimizer

from atk_latent.errors import InputError

Array: TypeAlias = np.ndarray | tf.Tensor
Graph: TypeAlias = Callable[..., tf.Tensor]
Loss: TypeAlias = keras.losses.Loss | Graph  # of labels and logits
Step: TypeAlias = Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]
NAMED_LOSSES = {
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
}
_UNROLLED_CLASSES = 32


def as_array(tensor: Array) -> np.ndarray:
    """A tensor or an array as an array."""
    return np.array(tensor) if isinstance(tensor, tf.Tensor) else np.asarray(tensor)


def as_float32(array: Array) -> tf.Tensor:
    """A tensor or an array as a float32 tensor."""
    if isinstance(array, tf.Tensor):
        return tf.cast(array, tf.float32)
    return tf.convert_to_tensor(np.asarray(array, np.float32))


def loss_object(loss: Loss | str | None) -> Loss:
    """The loss that was asked for: by name, as an object, or None for cross-entropy.

    Raises:
        InputError: on an unknown name, or a loss made for probabilities.
    """
    if loss is None:
        return keras.losses.CategoricalCrossentropy(from_logits=True)
    if isinstance(loss, str):
        if loss not in NAMED_LOSSES:
            raise InputError(f"loss must be one of {', '.join(NAMED_LOSSES)}. Received: {loss!r}")
        return NAMED_LOSSES[loss](from_logits=True)
    config = loss.get_config() if isinstance(loss, keras.losses.Loss) else {}
    if config.get("from_logits") is False:
        raise InputError("the loss must be made with from_logits=True: the model gives logits")
    return loss


def takes_whole_numbers(loss: Loss) -> bool:
    """Whether a loss wants labels as whole numbers."""
    return isinstance(loss, keras.losses.SparseCategoricalCrossentropy)


def sample_loss(loss: Loss) -> Graph:
    """The loss as a function (labels, logits) -> (batch,), whatever kind it is."""
    if isinstance(loss, keras.losses.Loss):
        call: Graph = loss.call  # type: ignore[union-attr]
        sparse = takes_whole_numbers(loss)
        return (lambda y, logits: call(tf.argmax(y, axis=1), logits)) if sparse else call

    def checked(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        losses = loss(y, logits)
        if losses.shape.rank != 1:
            raise InputError(
                "a loss function must give one loss a sample, shape (batch,). "
                f"Received: shape {losses.shape}"
            )
        return losses

    return checked


def preprocessed(
    step: PreprocessorTensorFlowV2, x: tf.Tensor, y: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Images and labels behind one of ART's TensorFlow preprocessors.

    Differs: `forward` of ART's expectation over transformation loses the axis of the batch where
    it is handed a tensor, and gives labels one axis too many.
    """
    if not isinstance(step, EoTTensorFlowV2):
        images, labels = step.forward(x, y)
        return images, labels
    rows = (x[row : row + 1] for row in range(len(x)) for _ in range(step.nb_samples))
    parts = [tf.convert_to_tensor(step._transform(row, None)[0]) for row in rows]
    images = tf.concat(parts, axis=0) if parts else x
    return images, None if y is None else _repeated(y, step.nb_samples)


def losses(forward: Graph, loss: Loss) -> Graph:
    """(images, labels) -> the loss of each sample."""
    each = sample_loss(loss)

    def values(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        logits = forward(x)
        draws = _draws(logits, x)
        return _mean(each(_repeated(y, draws), logits), draws)

    return values


def mean_outputs(forward: Graph, activation: Graph | None = None) -> Graph:
    """Images -> the outputs of `forward`, one row an image.

    Args:
        forward: see above. activation: applied before the mean is taken.
    """

    def outputs(x: tf.Tensor) -> tf.Tensor:
        values = forward(x)
        return _mean(activation(values) if activation else values, _draws(values, x))

    return outputs


def _draws(values: tf.Tensor, x: tf.Tensor) -> int:
    """How many rows of `values` there are for each image of `x`.

    Raises:
        InputError: if they are not as many for each.
    """
    rows, images = values.shape[0], x.shape[0]
    if rows == images or not images:
        return 1
    if rows is None or rows % images:
        raise InputError(f"the preprocessors made {rows} images of {images}, not as many of each")
    return int(rows // images)


def _mean(values: tf.Tensor, draws: int) -> tf.Tensor:
    """The mean over `draws` rows in a row of each image."""
    if draws == 1:
        return values
    return tf.reduce_mean(tf.reshape(values, [-1, draws, *values.shape[1:]]), axis=1)


def _repeated(rows: tf.Tensor, draws: int) -> tf.Tensor:
    return rows if draws == 1 else tf.repeat(rows, draws, axis=0)


def loss_gradient(forward: Graph, loss: Loss) -> Graph:
    """(images, labels) -> the gradient of each sample's own loss.

    Each sample's slope in the logits is scaled to 1 on its way through the network, so that
    a small one survives float16, and back afterwards.
    """
    slope = _slope(loss)

    def gradient(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            logits = forward(x)
        draws = _draws(logits, x)
        upper = slope(_repeated(y, draws), logits)
        largest = tf.reshape(tf.abs(upper), [-1, draws * upper.shape[1]])
        scale = tf.reduce_max(largest, axis=1, keepdims=True)
        scale = tf.where(scale > 0, scale, tf.ones_like(scale))
        share = upper / (draws * _repeated(scale, draws))
        lower = tape.gradient(logits, x, share, unconnected_gradients="zero")
        return lower * tf.reshape(scale, [-1, *([1] * (len(x.shape) - 1))])

    return gradient


def _slope(loss: Loss) -> Graph:
    """The gradient of each sample's loss in its logits, (labels, logits) -> (batch, classes)."""
    if _is_cross_entropy(loss):
        return _cross_entropy_slope
    each = sample_loss(loss)

    def slope(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(logits)
            total = tf.reduce_sum(each(y, logits))
        return tape.gradient(total, logits, unconnected_gradients="zero")

    return slope


def _is_cross_entropy(loss: Loss) -> bool:
    if not isinstance(loss, tuple(NAMED_LOSSES.values())):
        return False
    options = loss.get_config()  # type: ignore[attr-defined]
    return not options.get("label_smoothing") and options.get("ignore_class") is None


def _cross_entropy_slope(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """softmax(logits) - y, without the cancellation in the label's own place.

    There float32 gives 0 as soon as the label's logit leads by 17; the sum over the other
    classes is the same number and stays exact.
    """
    share = tf.nn.softmax(logits)
    others = share * (1 - y)
    exact = others - y * tf.reduce_sum(others, axis=1, keepdims=True)
    one_hot = tf.reduce_max(y, axis=1, keepdims=True) == 1
    return tf.where(one_hot, exact, share * tf.reduce_sum(y, axis=1, keepdims=True) - y)


def one_class(outputs: Graph) -> Graph:
    """(images, one-hot) -> the gradient of each sample's picked output."""

    def gradient(x: tf.Tensor, picked: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            values = outputs(x)
        return tape.gradient(values, x, picked, unconnected_gradients="zero")

    return gradient


def all_classes(outputs: Graph, classes: int) -> Graph:
    """Images -> the gradients of every output, (batch, classes, ...), from one forward pass."""

    def gradients(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(x)
            values = outputs(x)

        def backward(index: tf.Tensor) -> tf.Tensor:
            picked = tf.one_hot(tf.fill([tf.shape(x)[0]], index), classes)
            return tape.gradient(values, x, picked, unconnected_gradients="zero")

        if classes <= _UNROLLED_CLASSES:
            return tf.stack([backward(i) for i in range(classes)], axis=1)
        rows = tf.map_fn(
            backward,
            tf.range(classes),
            fn_output_signature=tf.TensorSpec(x.shape, tf.float32),
            parallel_iterations=1,
        )
        return tf.einsum("cb...->bc...", rows)

    return gradients


def training_step(model: keras.Model, loss: Loss, optimizer: Optimizer) -> Step:
    """(images, labels) -> {"loss", "accuracy"}, the weights moved by one step.

    The loss is the mean over the batch (the sum, if the loss object says so) and the model's
    own penalties; its gradient is scaled by an optimizer that scales (mixed precision).
    """
    each, weights = sample_loss(loss), model.trainable_variables
    reduce = tf.reduce_sum if getattr(loss, "reduction", None) == "sum" else tf.reduce_mean

    def step(x: tf.Tensor, y: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = tf.cast(model(x, training=True), tf.float32)
            total = reduce(each(y, logits))
            for penalty in model.losses:
                total += tf.cast(penalty, tf.float32)
            scaled = optimizer.scale_loss(total)
        optimizer.apply_gradients(zip(tape.gradient(scaled, weights), weights, strict=True))
        right = tf.argmax(logits, axis=1) == tf.argmax(y, axis=1)
        return {"loss": total, "accuracy": tf.reduce_mean(tf.cast(right, tf.float32))}

    return step
