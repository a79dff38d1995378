"""A Keras 3 classifier as ART wants it, batched and compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent.errors import InputError

Loss = Callable[[Any, Any], Any]
_NAMED_LOSSES = {
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
}


class CompiledKerasClassifier(TensorFlowV2Classifier):
    """Predicts and differentiates in batches, one graph each, for any ART attack.

    Accepted wherever ART takes a `TensorFlowV2Classifier`. What it does differently:
    `predict` keeps to its batch size; gradients are compiled, need one forward pass, come
    a sample each (the gradient of the *sum* of the losses, so they do not shrink with the
    batch), take whole-number or one-hot labels, and keep the scale of `preprocessing`;
    the loss is differentiated in float32 and each sample is rescaled on its way through
    the network, so a confident sample of a float16 network does not lose its gradient;
    `copy.deepcopy` and `pickle` work. `fit`, `get_activations`, `clone_for_refitting` and
    `save` are ART's.

    Chunks are padded with zeros to the next power of two (never with `training_mode`), so
    an attack that works on fewer and fewer images meets a handful of shapes, not hundreds.

    Args:
        model: keras.Model, float32 images (batch, height, width, channels) to logits
            (batch, classes). Not a softmax: the loss would see flattened differences.
        nb_classes: int >= 2; taken from the model where it says.
        input_shape: (height, width, channels); taken from the model where it says.
        loss_object: loss that `loss_gradient` and `fit` use: a keras.losses.Loss with
            ``from_logits=True``, its name, or a function (one-hot, logits) -> (batch,).
            Default: cross-entropy.
        optimizer: keras optimizer, for `fit` only.
        train_step: (model, images, labels) -> None, for `fit` only.
        channels_first: kept for ART; images are (height, width, channels) here.
        clip_values: lowest and highest legal pixel.
        preprocessing_defences: ART preprocessors, applied before `preprocessing`.
        postprocessing_defences: ART postprocessors of the predictions.
        preprocessing: (subtrahend, divisor), an ART preprocessor or None. ART's default
            (0, 1) does nothing and costs two copies; None does nothing and costs nothing.
        batch_size: int >= 1, images at once where the caller does not say.

    Raises:
        InputError: if classes or shape cannot be inferred, do not fit the model, or the
            model ends in a softmax.
    """

    def __init__(
        self,
        model: Any,
        nb_classes: int | None = None,
        input_shape: tuple[int, ...] | None = None,
        *,
        loss_object: Any = None,
        optimizer: Any = None,
        train_step: Callable[..., None] | None = None,
        channels_first: bool = False,
        clip_values: tuple[float, float] | None = (0.0, 1.0),
        preprocessing_defences: Any = None,
        postprocessing_defences: Any = None,
        preprocessing: Any = None,
        batch_size: int = 256,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size must be at least 1. Received: {batch_size!r}")
        shape = _image_shape(model, input_shape)
        super().__init__(
            model=model,
            nb_classes=_class_count(model, shape, nb_classes),
            input_shape=shape,
            loss_object=_loss(loss_object),
            optimizer=optimizer,
            train_step=train_step,
            channels_first=channels_first,
            clip_values=clip_values,
            preprocessing_defences=preprocessing_defences,
            postprocessing_defences=postprocessing_defences,
            preprocessing=preprocessing,
        )
        self.batch_size = batch_size
        self._forward_pass = None  # ART's closure, which cannot be pickled; `predict` is ours
        self._functions: dict[tuple[str, bool], Callable[..., Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """The state without the compiled functions, which are made again when needed."""
        return {**self.__dict__, "_functions": {}}

    def set_params(self, **kwargs: Any) -> None:
        """Changes parameters as ART does, and forgets what was compiled with the old ones."""
        super().set_params(**kwargs)
        self._functions = {}

    def predict(
        self,
        x: np.ndarray,
        batch_size: int | None = None,
        training_mode: bool = False,
        **kwargs: Any,
    ) -> np.ndarray:
        """Logits of `x`, `batch_size` images at a time.

        Args:
            x: images (n, height, width, channels) in the units of `clip_values`.
            batch_size: images at once; default: the estimator's own.
            training_mode: run the model in training mode, unpadded.

        Returns:
            float32 (n, classes).
        """
        logits = self._chunked("logits", [x], training_mode, batch_size)
        return self._apply_postprocessing(preds=_array(logits), fit=False)

    def compute_loss(
        self, x: Any, y: Any, reduction: str = "none", training_mode: bool = False, **kwargs: Any
    ) -> np.ndarray:
        """The loss of each sample, or their mean or sum.

        Args:
            x: images (n, height, width, channels).
            y: labels, whole numbers (n,) or one-hot (n, classes).
            reduction: "none", "mean" or "sum".
            training_mode: run the model in training mode, unpadded.

        Returns:
            float32 (n,), or () if reduced.

        Raises:
            ValueError: on another reduction, or labels that do not fit.
        """
        if reduction not in ("none", "mean", "sum"):
            raise ValueError(f"reduction must be none, mean or sum. Received: {reduction!r}")
        losses = _array(self._chunked("losses", [x, self._one_hot(y)], training_mode))
        if reduction == "none":
            return losses
        return np.asarray(losses.mean() if reduction == "mean" else losses.sum(), np.float32)

    def loss_gradient(self, x: Any, y: Any, training_mode: bool = False, **kwargs: Any) -> Any:
        """The gradient of each sample's own loss.

        Args:
            x: images (n, height, width, channels), array or tensor.
            y: labels, whole numbers (n,) or one-hot (n, classes).
            training_mode: run the model in training mode, unpadded.

        Returns:
            float32 of the shape of `x`; a tensor if `x` is one.

        Raises:
            ValueError: on labels that do not fit.
        """
        gradients = self._chunked("loss_gradient", [x, self._one_hot(y)], training_mode)
        gradients = gradients if isinstance(x, tf.Tensor) else _array(gradients)
        return self._through_preprocessing(x, gradients)

    def class_gradient(
        self,
        x: np.ndarray,
        label: int | list[int] | np.ndarray | None = None,
        training_mode: bool = False,
        **kwargs: Any,
    ) -> np.ndarray:
        """The gradient of logits, from one forward pass.

        Args:
            x: images (n, height, width, channels).
            label: None for every class; a class for all samples; or a class each (n,).
            training_mode: run the model in training mode, unpadded.

        Returns:
            float32 (n, classes, height, width, channels), or (n, 1, ...) with `label`.

        Raises:
            ValueError: on a class that is not there.
        """
        if label is None:
            gradients = _array(self._chunked("all_classes", [x], training_mode))
        else:
            labels = np.broadcast_to(np.asarray(label).reshape(-1), (len(x),))
            picked = self._chunked("one_class", [x, self._one_hot(labels)], training_mode)
            gradients = _array(picked)[:, None]
        if self.all_framework_preprocessing or not self.preprocessing_operations:
            return gradients
        each = [self._through_preprocessing(x, g) for g in np.moveaxis(gradients, 1, 0)]
        return np.stack(each, axis=1)

    def _one_hot(self, y: Any) -> Any:
        """Labels of any kind as float32 (n, classes)."""
        shape = tuple(y.shape) if hasattr(y, "shape") else np.shape(y)
        if len(shape) == 2 and shape[1] == self.nb_classes:
            return tf.cast(y, tf.float32)
        if len(shape) == 1 or (len(shape) == 2 and shape[1] == 1):
            labels = np.asarray(y).reshape(-1)
            if not len(labels) or (labels.min() >= 0 and labels.max() < self.nb_classes):
                return tf.one_hot(labels.astype(np.int64), self.nb_classes, dtype=tf.float32)
        raise ValueError(
            f"labels must be whole numbers from 0 to {self.nb_classes - 1} of shape (n,) or "
            f"one-hot of shape (n, {self.nb_classes}). Received: shape {shape}"
        )

    def _chunked(
        self, kind: str, arrays: Sequence[Any], training: bool, batch_size: int | None = None
    ) -> tf.Tensor:
        """Runs the compiled function `kind` over chunks of `arrays`, in order."""
        function = self._function(kind, training)
        total, size = len(arrays[0]), batch_size or self.batch_size
        size = self._fixed_batch() or size
        parts = []
        for start in range(0, max(total, 1), size):
            chunk = [a[start : start + size] for a in arrays]
            rows = len(chunk[0])
            x = self._before_graph(chunk[0])
            chunk = [tf.cast(a, tf.float32) for a in (x, *chunk[1:])]
            missing = 0 if training and rows else self._padded(rows, size) - rows
            if missing:
                chunk = [_pad(a, missing) for a in chunk]
            parts.append(function(*chunk)[:rows])
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)

    def _fixed_batch(self) -> int | None:
        shape = getattr(self.model, "input_shape", None) if self._is_graph_model() else None
        return shape[0] if isinstance(shape, tuple) else None

    def _is_graph_model(self) -> bool:
        return isinstance(self.model, keras.Model) and bool(getattr(self.model, "inputs", None))

    def _padded(self, rows: int, size: int) -> int:
        if self._fixed_batch():
            return size
        return min(size, 1 << max(rows - 1, 0).bit_length())

    def _before_graph(self, x: Any) -> Any:
        """Applies preprocessors that only know NumPy; the others are part of the graph."""
        if self.all_framework_preprocessing or not self.preprocessing_operations:
            return x
        return self._apply_preprocessing(np.asarray(x), y=None, fit=False)[0]

    def _through_preprocessing(self, x: Any, gradients: Any) -> Any:
        """Carries gradients back through preprocessors that only know NumPy."""
        if self.all_framework_preprocessing or not self.preprocessing_operations:
            return gradients
        back = self._apply_preprocessing_gradient(np.asarray(x), _array(gradients))
        return tf.convert_to_tensor(back) if isinstance(x, tf.Tensor) else back

    def _function(self, kind: str, training: bool) -> Callable[..., Any]:
        """The function `kind`, compiled when first asked for."""
        key = (kind, training)
        if key not in self._functions:
            from art.preprocessing.standardisation_mean_std.tensorflow import (
                StandardisationMeanStdTensorFlow as Standardisation,
            )

            makers = {
                "logits": self._make_logits,
                "losses": self._make_losses,
                "loss_gradient": self._make_loss_gradient,
                "all_classes": self._make_all_classes,
                "one_class": self._make_one_class,
            }
            function = makers[kind](training)
            simple = all(isinstance(p, Standardisation) for p in self.preprocessing_operations)
            if simple or not self.all_framework_preprocessing:
                images = tf.TensorSpec([None, *self.input_shape], tf.float32)
                labels = tf.TensorSpec([None, self.nb_classes], tf.float32)
                with_labels = kind in ("losses", "loss_gradient", "one_class")
                signature = [images, labels] if with_labels else [images]
                function = tf.function(function, input_signature=signature)
            self._functions[key] = function  # other preprocessors may not know graphs: eager
        return self._functions[key]

    def _make_logits(self, training: bool) -> Callable[..., Any]:
        steps = self.preprocessing_operations if self.all_framework_preprocessing else []

        def logits(x: tf.Tensor) -> tf.Tensor:
            for step in steps:
                if step.apply_predict:
                    x, _ = step.forward(x, None)
            return tf.cast(self.model(x, training=training), tf.float32)

        return logits

    def _make_losses(self, training: bool) -> Callable[..., Any]:
        logits, loss = self._make_logits(training), self._sample_loss()
        return lambda x, y: loss(y, logits(x))

    def _make_loss_gradient(self, training: bool) -> Callable[..., Any]:
        forward, slope = self._make_logits(training), self._slope()

        def loss_gradient(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(x)
                logits = forward(x)
            upper = slope(y, logits)
            scale = tf.reduce_max(tf.abs(upper), axis=1, keepdims=True)
            scale = tf.where(scale > 0, scale, tf.ones_like(scale))
            lower = tape.gradient(logits, x, upper / scale, unconnected_gradients="zero")
            return lower * tf.reshape(scale, [-1, *([1] * len(self.input_shape))])

        return loss_gradient

    def _slope(self) -> Loss:
        """The gradient of each sample's loss in its logits, (one-hot, logits) -> (n, classes)."""
        if _is_cross_entropy(self._loss_object):
            return _cross_entropy_slope
        loss = self._sample_loss()

        def slope(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(logits)
                total = tf.reduce_sum(loss(y, logits))
            return tape.gradient(total, logits, unconnected_gradients="zero")

        return slope

    def _make_one_class(self, training: bool) -> Callable[..., Any]:
        forward = self._make_logits(training)

        def one_class(x: tf.Tensor, picked: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(x)
                logits = forward(x)
            return tape.gradient(logits, x, picked, unconnected_gradients="zero")

        return one_class

    def _make_all_classes(self, training: bool) -> Callable[..., Any]:
        forward = self._make_logits(training)

        def all_classes(x: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
                tape.watch(x)
                logits = forward(x)

            def backward(index: tf.Tensor) -> tf.Tensor:
                picked = tf.one_hot(tf.fill([tf.shape(x)[0]], index), self.nb_classes)
                return tape.gradient(logits, x, picked, unconnected_gradients="zero")

            if self.nb_classes <= 32:
                return tf.stack([backward(i) for i in range(self.nb_classes)], axis=1)
            rows = tf.map_fn(
                backward,
                tf.range(self.nb_classes),
                fn_output_signature=tf.TensorSpec([None, *self.input_shape], tf.float32),
                parallel_iterations=1,
            )
            return tf.einsum("cb...->bc...", rows)

        return all_classes

    def _sample_loss(self) -> Loss:
        """The loss as a function (one-hot, logits) -> (batch,), whatever kind it is."""
        loss = self._loss_object
        if self._reduce_labels:
            return lambda y, logits: loss.call(tf.argmax(y, axis=1), logits)  # type: ignore[union-attr]
        if isinstance(loss, keras.losses.Loss):
            return loss.call

        def checked(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
            losses = loss(y, logits)  # type: ignore[misc]
            if losses.shape.rank != 1:
                raise InputError(
                    "a loss function must give one loss a sample, shape (batch,). "
                    f"Received: shape {losses.shape}"
                )
            return losses

        return checked


def estimator_for(
    model: Any,
    num_classes: int | None = None,
    image_shape: tuple[int, ...] | None = None,
    *,
    batch_size: int = 256,
) -> CompiledKerasClassifier:
    """The estimator of a Keras classifier on pixels in [0, 1]; an estimator passes through.

    Args:
        model: keras.Model that ends in logits, or already an estimator.
        num_classes: int >= 2; taken from the model where it says.
        image_shape: (height, width, channels); taken from the model where it says.
        batch_size: images at once.

    Raises:
        InputError: if classes or shape cannot be inferred or do not fit the model.
    """
    if isinstance(model, CompiledKerasClassifier):
        return model
    return CompiledKerasClassifier(model, num_classes, image_shape, batch_size=batch_size)


def _array(tensor: Any) -> np.ndarray:
    return tensor.numpy() if isinstance(tensor, tf.Tensor) else np.asarray(tensor)


def _is_cross_entropy(loss: Any) -> bool:
    if not isinstance(loss, tuple(_NAMED_LOSSES.values())):
        return False
    options: dict[str, Any] = loss.get_config()  # type: ignore[attr-defined]
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


def _pad(tensor: tf.Tensor, rows: int) -> tf.Tensor:
    return tf.pad(tensor, [[0, rows], *([[0, 0]] * (len(tensor.shape) - 1))])


def _image_shape(model: Any, given: tuple[int, ...] | None) -> tuple[int, ...]:
    try:
        said = model.input_shape
    except (AttributeError, ValueError):
        said = None
    said = tuple(said[1:]) if isinstance(said, tuple) else None
    if given is not None:
        fits = said is None or (
            len(said) == len(given)
            and all(s in (None, g) for s, g in zip(said, given, strict=True))
        )
        if not fits:
            raise InputError(f"the model takes images of shape {said}, not {tuple(given)}")
        return tuple(int(side) for side in given)
    if said is None or None in said:
        raise InputError("the model does not say the shape of its images: give input_shape")
    return said


def _class_count(model: Any, shape: tuple[int, ...], given: int | None) -> int:
    if _ends_in_softmax(model):
        raise InputError(
            "the model ends in a softmax, a classifier must end in logits: take the activation "
            "of the last layer away"
        )
    try:
        said = model.output_shape
    except (AttributeError, ValueError):
        said = model(np.zeros((1, *shape), np.float32), training=False).shape
    said = tuple(said)
    if len(said) != 2 or (given is not None and said[1] != given):
        wanted = f"(batch, {given})" if given else "(batch, classes)"
        raise InputError(f"the model must give logits of shape {wanted}. Received: {said}")
    return int(said[1])


def _ends_in_softmax(model: Any) -> bool:
    layers = getattr(model, "layers", None) or []
    if not layers:
        return False
    last = layers[-1]
    if isinstance(last, keras.Model):
        return _ends_in_softmax(last)
    return (
        isinstance(last, keras.layers.Softmax)
        or getattr(last, "activation", None) is keras.activations.softmax
    )


def _loss(loss: Any) -> Any:
    if loss is None:
        return keras.losses.CategoricalCrossentropy(from_logits=True)
    if isinstance(loss, str):
        if loss not in _NAMED_LOSSES:
            raise InputError(f"loss must be one of {', '.join(_NAMED_LOSSES)}. Received: {loss!r}")
        return _NAMED_LOSSES[loss](from_logits=True)
    config = loss.get_config() if isinstance(loss, keras.losses.Loss) else {}
    if config.get("from_logits") is False:
        raise InputError("the loss must be made with from_logits=True: the model gives logits")
    return loss
