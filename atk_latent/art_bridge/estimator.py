"""A Keras 3 classifier as ART wants it, batched and compiled."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from art import config as art_config
from art.defences.postprocessor import Postprocessor
from art.defences.preprocessor import Preprocessor
from art.estimators.classification import TensorFlowV2Classifier
from art.preprocessing.standardisation_mean_std.tensorflow import StandardisationMeanStdTensorFlow
from keras.optimizers import Optimizer
from numpy.typing import ArrayLike
from typing_extensions import Self

from atk_latent.art_bridge import (
    estimator_graphs as graphs,
    estimator_models as models,
    estimator_training as training,
)
from atk_latent.art_bridge.estimator_graphs import Array, Graph, as_array, as_float32
from atk_latent.atomic import atomic_file
from atk_latent.errors import InputError
from atk_latent.models.endings import as_logits, original

Kind: TypeAlias = str | tuple[str, int | str]  # what is computed; activations of which layer

_OTHER_FORMATS = (".ckpt", ".h5", ".hdf5", ".onnx", ".pb", ".pt", ".pth", ".tf", ".tflite")

_PASSES: dict[object, str] = dict.fromkeys(
    ("loss_gradient", "all_classes", "one_class"), "gradients"
)

Classifier: TypeAlias = "keras.Model | CompiledKerasClassifier"  # a model, or an estimator of it


class CompiledKerasClassifier(training.TrainingMixin, TensorFlowV2Classifier):
    """Predicts, differentiates and trains in batches, one graph each, for any ART attack.

    Accepted wherever ART takes a `TensorFlowV2Classifier`. What it does differently:

    - `predict` keeps to its batch size.
    - Gradients are compiled, need one forward pass, come a sample each (the gradient of the
      *sum* of the losses, so they do not shrink with the batch), take whole-number or one-hot
      labels, and keep the scale of `preprocessing`. The loss is differentiated in float32 and
      each sample is rescaled on its way through the network, so a confident sample of a
      float16 network does not lose its gradient.
    - `fit` compiles its step once for all calls, shuffles all samples, tells Keras callbacks,
      and adds the model's own penalties.
    - `get_activations` takes any layer of any model, nested ones by path ("block/conv").
    - `clone_for_refitting`, `reset`, `save`, `copy.deepcopy` and `pickle` work.
    - `as_probabilities` is the same classifier for attacks that demand probabilities.

    Chunks are padded with zeros to a multiple of an eighth of the next power of two (never
    with `training_mode`), so an attack that works on fewer and fewer images meets a handful
    of shapes, not hundreds. ART's attacks that are given `loss_type` (AutoPGD and its kin) make
    an estimator of ART's own around the model; without it they use this one.

    Args:
        model: keras.Model, float32 images (batch, height, width, channels) to logits
            (batch, classes). Where it ends in softmax or sigmoid, `model` here is its logits
            with the same weights, and `save` writes it as it came. One logit z, of the second
            of two classes, is taken as the logits (0, z).
        nb_classes: int >= 2; taken from the model where it says.
        input_shape: (height, width, channels); taken from the model where it says.
        loss_object: loss that `loss_gradient` and `fit` use: a keras.losses.Loss with
            ``from_logits=True``, its name, or a function (one-hot, logits) -> (batch,).
            Default: cross-entropy.
        optimizer: keras optimizer or its name, for `fit` only. Default: the one the model
            was compiled with.
        train_step: (model, images, labels) -> None, for `fit` only.
        channels_first: kept for ART; images are (height, width, channels) here.
        clip_values: lowest and highest legal pixel.
        preprocessing_defences: ART preprocessors, applied before `preprocessing`.
        postprocessing_defences: ART postprocessors of the predictions.
        preprocessing: (subtrahend, divisor), an ART preprocessor or None. ART's default
            (0, 1) does nothing and costs two copies; None does nothing and costs nothing.
        batch_size: int >= 1, images at once where the caller does not say.
        probabilities: `predict`, `class_gradient` and the public `model` are those of
            softmax(logits); losses still start from the logits, those of `logits_model`.

    Raises:
        InputError: if classes or shape cannot be inferred, do not fit the model, or the
            model ends in a softmax that cannot be undone.

    Example:
        >>> import keras, numpy as np
        >>> from atk_latent.estimators import CompiledKerasClassifier
        >>> layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> estimator = CompiledKerasClassifier(keras.Sequential(layers), clip_values=(0, 255))
        >>> images = np.full((3, 4, 4, 1), 255, np.float32)
        >>> estimator.predict(images).shape
        (3, 2)
        >>> estimator.loss_gradient(images, np.array([0, 1, 1])).shape
        (3, 4, 4, 1)
    """

    estimator_params = [
        *TensorFlowV2Classifier.estimator_params,
        "channels_first",
        "batch_size",
        "probabilities",
    ]

    def __init__(
        self,
        model: keras.Model,
        nb_classes: int | None = None,
        input_shape: tuple[int, ...] | None = None,
        *,
        loss_object: graphs.Loss | str | None = None,
        optimizer: Optimizer | str | None = None,
        train_step: Callable[..., None] | None = None,
        channels_first: bool = False,
        clip_values: tuple[float, float] | None = (0.0, 1.0),
        preprocessing_defences: Preprocessor | list[Preprocessor] | None = None,
        postprocessing_defences: Postprocessor | list[Postprocessor] | None = None,
        preprocessing: Preprocessor | tuple[ArrayLike, ArrayLike] | None = None,
        batch_size: int = 256,
        probabilities: bool = False,
    ) -> None:
        _check_batch_size(batch_size)
        model = as_logits(model)
        self.batch_size, self.probabilities = batch_size, probabilities
        shape = models.image_shape(model, input_shape)
        self._softmax_model: keras.Model | None = None
        super().__init__(
            model=model,
            nb_classes=models.class_count(model, shape, nb_classes),
            input_shape=shape,
            loss_object=graphs.loss_object(loss_object),
            optimizer=_optimizer(optimizer, original(model)),
            train_step=train_step,
            channels_first=channels_first,
            clip_values=clip_values,
            preprocessing_defences=preprocessing_defences,
            postprocessing_defences=postprocessing_defences,
            preprocessing=preprocessing,
        )
        self._forward_pass = None  # ART's closure, which cannot be pickled; `predict` is ours
        self._functions: dict[Hashable, Callable[..., Any]] = {}
        self._fits = 0
        self.on_pass: Callable[[str, int], None] | None = None  # (kind of pass, images)

    @property
    def logits_model(self) -> keras.Model:
        """The Keras model that ends in logits."""
        return self._model

    @property
    def model(self) -> keras.Model:
        """The Keras model as ART's attacks take it: where `probabilities`, with a softmax behind.

        Some of them (AutoPGD with a `loss_type`) make an estimator of their own around it and
        choose its loss by what `predict` gives, so both must agree. The weights are shared.
        """
        if not self.probabilities:
            return self._model
        if self._softmax_model is None:
            self._softmax_model = models.with_softmax(self._model, self.input_shape)
        return self._softmax_model

    def get_params(self) -> dict[str, Any]:
        """The parameters of the constructor by name, as ART has them."""
        return {**super().get_params(), "model": self._model}

    def __getstate__(self) -> dict[str, object]:
        """The state without the compiled functions, which are made again when needed."""
        state = training.optimizer_state(self._optimizer)
        cleared: dict[str, object] = {"_functions": {}, "_softmax_model": None, "on_pass": None}
        return {**self.__dict__, **cleared, "_optimizer": state}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Makes the optimizer anew for the weights of the copied model."""
        self.__dict__.update(state)
        self._optimizer = training.optimizer_from(state["_optimizer"], self._model)

    def set_params(self, **kwargs: object) -> None:
        """Changes parameters as ART does, and forgets what was compiled with the old ones.

        Raises:
            InputError: for a value that the constructor would refuse.
        """
        _check_batch_size(kwargs.get("batch_size", self.batch_size))
        if "loss_object" in kwargs:
            kwargs["loss_object"] = graphs.loss_object(kwargs["loss_object"])
        if "optimizer" in kwargs:
            kwargs["optimizer"] = _optimizer(kwargs["optimizer"], kwargs.get("model", self._model))
        super().set_params(**kwargs)
        self._softmax_model = None
        self._reduce_labels = graphs.takes_whole_numbers(self._loss_object)
        self._functions = {}

    def as_probabilities(self) -> Self:
        """The same model and settings, predicting probabilities instead of logits.

        For ART's attacks that demand them (`SimBA`, `VirtualAdversarialMethod`); AutoPGD,
        AutoAttack and ours want logits.
        """
        return self._again(probabilities=True)

    def _again(self, **changes: object) -> Self:
        return type(self)(**{**self.get_params(), **changes})

    def predict(
        self, x: np.ndarray, batch_size: int | None = None, training_mode: bool = False, **_: object
    ) -> np.ndarray:
        """Logits of `x`, `batch_size` images at a time; probabilities if so made.

        Args:
            x: images (n, height, width, channels) in the units of `clip_values`.
            batch_size: images at once; default: the estimator's own.
            training_mode: run the model in training mode, unpadded.

        Returns:
            float32 (n, classes).
        """
        outputs = self._chunked("outputs", [x], training_mode, batch_size)
        return np.asarray(self._apply_postprocessing(preds=as_array(outputs), fit=False))

    def _predict_framework(self, x: tf.Tensor, training_mode: bool = False) -> tf.Tensor:
        """What `predict` gives, as a tensor that a gradient tape sees through."""
        images = tf.cast(self._before_graph(x), tf.float32)
        return self._run(self._function("outputs", training_mode), images)

    def compute_loss(
        self, x: Array, y: Array, reduction: str = "none", training_mode: bool = False, **_: object
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
        losses = as_array(self._chunked("losses", [x, self._one_hot(y)], training_mode))
        if reduction == "none":
            return losses
        return np.asarray(losses.mean() if reduction == "mean" else losses.sum(), np.float32)

    def loss_gradient(self, x: Array, y: Array, training_mode: bool = False, **_: object) -> Array:
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
        return self._through_preprocessing(x, gradients)

    def class_gradient(
        self,
        x: np.ndarray,
        label: int | list[int] | np.ndarray | None = None,
        training_mode: bool = False,
        **_: object,
    ) -> np.ndarray:
        """The gradient of what `predict` gives, from one forward pass.

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
            gradients = as_array(self._chunked("all_classes", [x], training_mode))
        else:
            labels = np.broadcast_to(np.asarray(label).reshape(-1), (len(x),))
            picked = self._chunked("one_class", [x, self._one_hot(labels)], training_mode)
            gradients = as_array(picked)[:, None]
        if not self._numpy_preprocessing():
            return gradients
        each = [self._through_preprocessing(x, g) for g in np.moveaxis(gradients, 1, 0)]
        return np.stack(each, axis=1)

    def get_activations(
        self, x: Array, layer: int | str, batch_size: int | None = None, framework: bool = False
    ) -> Array:
        """What a layer gives for `x`.

        Args:
            x: images (n, height, width, channels), array or tensor.
            layer: its place in `layer_names`, its name, or its path in nested models
                ("block/conv").
            batch_size: images at once; default: the estimator's own.
            framework: a tensor that a gradient tape sees through, from one call.

        Returns:
            float32 (n, ...), an array or (`framework`) a tensor.

        Raises:
            InputError: if there is no such layer, or the model cannot be read.
        """
        if framework:
            x = tf.cast(self._before_graph(x), tf.float32)
            return self._run(self._function(("activations", layer), False), x)
        return as_array(self._chunked(("activations", layer), [x], False, batch_size))

    def save(self, filename: str, path: str | None = None) -> None:
        """Writes the model, without preprocessing, as a .keras file.

        Args:
            filename: its name; ".keras" is added where it does not end so ("model_v1.0").
            path: its folder, made if missing. Default: ART's data folder.

        Raises:
            InputError: on the ending of another format; `atk_latent.export` writes those.
        """
        file = Path(path or art_config.ART_DATA_PATH) / filename
        if file.suffix.lower() in _OTHER_FORMATS:
            raise InputError(f"filename must end in .keras. Received: {filename!r}")
        file = file if file.suffix == ".keras" else file.with_name(f"{file.name}.keras")
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(file) as temporary:
            original(self._model).save(temporary)

    def _one_hot(self, y: Array) -> Array:
        """Labels of any kind as float32 (n, classes)."""
        shape = tuple(y.shape) if hasattr(y, "shape") else np.shape(y)
        if len(shape) == 2 and shape[1] == self.nb_classes:
            return as_float32(y) if isinstance(y, tf.Tensor) else np.asarray(y, np.float32)
        if len(shape) == 1 or (len(shape) == 2 and shape[1] == 1):
            labels = np.asarray(y).reshape(-1)
            if not len(labels) or (labels.min() >= 0 and labels.max() < self.nb_classes):
                return np.eye(self.nb_classes, dtype=np.float32)[labels.astype(np.int64)]
        raise ValueError(
            f"labels must be whole numbers from 0 to {self.nb_classes - 1} of shape (n,) or "
            f"one-hot of shape (n, {self.nb_classes}). Received: shape {shape}"
        )

    def _chunked(
        self, kind: Kind, arrays: Sequence[Array], training: bool, batch_size: int | None = None
    ) -> Array:
        """Runs the compiled function `kind` over chunks of `arrays`, in order.

        Returns:
            A tensor if the images are one, else an array.

        Raises:
            InputError: for images of another shape, or not as many labels.
        """
        if len({len(array) for array in arrays}) > 1:
            raise InputError(
                "images and labels must be as many. "
                f"Received: {' and '.join(str(len(array)) for array in arrays)}"
            )
        function = self._function(kind, training)
        tensors = isinstance(arrays[0], tf.Tensor)
        total, fixed = len(arrays[0]), self._fixed_batch()
        size = fixed or batch_size or self.batch_size
        parts = []
        for start in range(0, max(total, 1), size):
            images, *labels = (a[start : start + size] for a in arrays)
            rows = len(images)
            images = self._before_graph(images)
            if len(images) != rows:
                raise InputError(
                    f"a preprocessor made {len(images)} images of {rows}; one that only knows "
                    "NumPy must keep their number. Use a PreprocessorTensorFlowV2"
                )
            chunk = [as_float32(a) for a in (images, *labels)]
            padded = fixed or (rows if training and rows else _padded(rows, size))
            chunk = [_pad(a, padded - rows) for a in chunk] if padded > rows else chunk
            result = self._run(function, *chunk)
            if self.on_pass is not None:
                self.on_pass(_PASSES.get(kind, "predictions"), rows)
            parts.append(result[:rows] if tensors else result.numpy()[:rows])
        if len(parts) == 1:
            return parts[0]
        return tf.concat(parts, axis=0) if tensors else np.concatenate(parts)

    def _run(self, function: Graph, *chunk: tf.Tensor) -> tf.Tensor:
        """Calls a function of `_function`; a compiled one does not look at shapes itself."""
        if self._is_compiled:
            self._check_shape(chunk[0])
        return function(*chunk)

    def _check_shape(self, x: tf.Tensor) -> None:
        """Refuses images of another shape than the model's, at which TensorFlow may abort.

        Raises:
            InputError: naming both.
        """
        if tuple(x.shape[1:]) != tuple(self.input_shape):
            raise InputError(
                f"images must have the shape (n, {', '.join(map(str, self.input_shape))}). "
                f"Received: {tuple(x.shape)}"
            )

    @property
    def _is_compiled(self) -> bool:
        """Whether all preprocessing is known to work in a graph; else it runs eagerly."""
        steps = self.preprocessing_operations
        simple = all(isinstance(step, StandardisationMeanStdTensorFlow) for step in steps)
        return simple or not self.all_framework_preprocessing

    def _fixed_batch(self) -> int | None:
        entries = getattr(self._model, "inputs", None)
        return entries[0].shape[0] if entries else None

    def _numpy_preprocessing(self) -> bool:
        return bool(self.preprocessing_operations) and not self.all_framework_preprocessing

    def _before_graph(self, x: Array) -> Array:
        """Applies preprocessors that only know NumPy; the others are part of the graph."""
        if not self._numpy_preprocessing():
            return x
        return self._apply_preprocessing(np.asarray(x), y=None, fit=False)[0]

    def _through_preprocessing(self, x: Array, gradients: Array) -> Array:
        """Carries gradients back through preprocessors that only know NumPy."""
        if not self._numpy_preprocessing():
            return gradients
        back = self._apply_preprocessing_gradient(np.asarray(x), as_array(gradients))
        return tf.convert_to_tensor(back) if isinstance(x, tf.Tensor) else back

    def _function(self, kind: Kind, training: bool) -> Graph:
        """The function `kind`, compiled when first asked for."""
        key = (kind, training)
        if key not in self._functions:
            function, takes_labels = self._graph(kind, training)
            if self._is_compiled:
                images = tf.TensorSpec([None, *self.input_shape], tf.float32)
                labels = tf.TensorSpec([None, self.nb_classes], tf.float32)
                signature = [images, labels] if takes_labels else [images]
                compiled = tf.function(function, input_signature=signature)
                function = compiled.get_concrete_function()  # a fifth less time a call
            self._functions[key] = function
        return self._functions[key]

    def _graph(self, kind: Kind, training: bool) -> tuple[Graph, bool]:
        """What `kind` computes, and whether it takes labels."""
        if isinstance(kind, tuple):
            part = models.up_to(self._model, kind[1], self.input_shape)
            return graphs.mean_outputs(self._forward(part, training)), False
        forward, loss = self._forward(self._model, training), self._loss_object
        outputs = graphs.mean_outputs(forward, tf.nn.softmax if self.probabilities else None)
        graph_of = {
            "outputs": lambda: (outputs, False),
            "losses": lambda: (graphs.losses(forward, loss), True),
            "loss_gradient": lambda: (graphs.loss_gradient(forward, loss), True),
            "all_classes": lambda: (graphs.all_classes(outputs, self.nb_classes), False),
            "one_class": lambda: (graphs.one_class(outputs), True),
        }
        return graph_of[kind]()

    def _forward(self, model: Graph, training: bool) -> Graph:
        """`model` with the preprocessors that know TensorFlow, images to float32.

        A preprocessor may make several images of each, in a row (expectation over
        transformation); there are as many outputs then.
        """
        operations = self.preprocessing_operations if self.all_framework_preprocessing else []
        steps = [step for step in operations if step.apply_predict]

        def forward(x: tf.Tensor) -> tf.Tensor:
            for step in steps:
                x, _ = graphs.preprocessed(step, x)
            self._check_shape(x)
            return tf.cast(model(x, training=training), tf.float32)

        return forward


def estimator_for(
    model: Classifier,
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


def _check_batch_size(size: object) -> None:
    """Refuses a batch size that is no whole number above 0."""
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise InputError(f"batch_size must be at least 1, a whole number. Received: {size!r}")


def _pad(tensor: tf.Tensor, rows: int) -> tf.Tensor:
    return tf.pad(tensor, [[0, rows], *([[0, 0]] * (len(tensor.shape) - 1))])


def _padded(rows: int, size: int) -> int:
    """`rows` up to a multiple of an eighth of the next power of two; at most `size`."""
    step = max(1, (1 << max(rows - 1, 0).bit_length()) // 8)
    return min(size, max(1, -(-rows // step) * step))


def _optimizer(optimizer: Optimizer | str | None, model: keras.Model) -> Optimizer | None:
    """An optimizer by name or as it is, else the one the model was compiled with."""
    if optimizer is None:
        return getattr(model, "optimizer", None)
    return keras.optimizers.get(optimizer)
