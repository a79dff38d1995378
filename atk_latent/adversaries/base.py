"""What every inner maximisation promises, and how it is compiled and fed."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from atk_latent.adversaries.loop_watch import LoopWatch
from atk_latent.adversaries.noise import RowNoise
from atk_latent.config import check_range
from atk_latent.errors import InputError
from atk_latent.labels import label_tensor
from atk_latent.progress import Progress, part_of
from atk_latent.results.diagnostics import Diagnostics

Classifier = Callable[[tf.Tensor], tf.Tensor]
Compiled = Callable[..., tf.Tensor]  # images, labels, seed, first row -> images
_CLASSIFIERS_KEPT = 4


class Adversary(abc.ABC):
    """Changes images so that a classifier errs: tensors in, tensors out.

    What holds for every adversary: the result lies in its ball and in its bounds and keeps
    the dtype of `x`; gradients are float32, of the input only; a Keras classifier is called
    with ``training=False``, so crafting leaves batch-norm statistics alone (a function is
    called as it is: ``lambda x: model(x, training=True)`` says otherwise).

    Graphs: called eagerly it runs one compiled function for each classifier and image
    shape, whatever the batch size; the latest four classifiers are remembered, so hand in
    the same object each time. Called inside a ``tf.function`` (a `train_step`) it becomes
    part of that graph.

    Seeds: each call takes the next seed of the generator, so a second adversary of the same
    seed makes the same images call by call. Within a seed the random numbers of an image
    depend only on its index, not on the batch it is in; what is left between different
    batch splits is the rounding of the classifier's own kernels, which a sign can magnify.

    Args:
        seed: int >= 0, or a `keras.random.SeedGenerator` that a trainer keeps with its state.
    """

    def __init__(self, *, seed: int | keras.random.SeedGenerator = 0) -> None:
        if isinstance(seed, int):
            check_range("seed", seed, 0)
            seed = keras.random.SeedGenerator(seed)
        self.seeds = seed
        self.watch = LoopWatch()
        self._compiled: dict[tuple[int, tuple[int, ...]], tuple[Classifier, Compiled]] = {}

    @abc.abstractmethod
    def craft(
        self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor, noise: RowNoise
    ) -> tf.Tensor:
        """Adversarial images of a batch; runs inside a graph.

        Args:
            classifier: float32 images to float32 logits (B, K), in inference mode.
            x: float32 (B, H, W, C) inside the bounds. y: int32 (B,).
            noise: the only source of random numbers.

        Returns:
            float32, the shape of `x`.
        """

    def __call__(self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Adversarial images of a batch.

        Args:
            classifier: Keras model, or function of images, to logits (B, K).
            x: floating (B, H, W, C) inside the bounds.
            y: labels, integer (B,) or (B, 1) or one-hot (B, K); the wanted classes where
                the adversary is targeted.

        Returns:
            Shape and dtype of `x`. No gradient flows back through it.
        """
        x = tf.convert_to_tensor(x)
        if not x.dtype.is_floating:
            raise InputError(f"images must be floating-point numbers. Received: {x.dtype.name}")
        pixels, labels = tf.cast(x, tf.float32), label_tensor(y)
        seed = tf.cast(self.seeds.next(), tf.int64)
        if tf.executing_eagerly():
            crafted = self._function(classifier, pixels.shape[1:])(pixels, labels, seed, 0)
        else:
            crafted = self.craft(inference(classifier), pixels, labels, RowNoise(seed))
        return tf.stop_gradient(tf.cast(crafted, x.dtype))

    def craft_all(
        self,
        classifier: Classifier,
        x: np.ndarray,
        y: np.ndarray,
        *,
        batch_size: int = 256,
        seed: int | None = None,
        on_batch: Callable[[int, int], None] | None = None,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Adversarial images of whole arrays, batch by batch; the last batch is padded.

        Args:
            classifier, x, y: as for a call, but (n, H, W, C) and any n >= 0.
            batch_size: images at once, int >= 1; a model of a fixed batch size keeps to its own.
            seed: int >= 0, of this result alone; None takes the generator's next.
            on_batch: called with (images done, images in all).
            progress: told ("steps", done, in all, {"standing": images}) a few times a second
                by an attack that loops.

        Returns:
            float32 (n, H, W, C).

        Raises:
            InputError: for a batch size below 1, or lengths that differ.
        """
        pixels, labels = checked_arrays(x, y, batch_size)
        drawn = self.seeds.next() if seed is None else [seed, 0]
        seeds, function = tf.cast(drawn, tf.int64), self._function(classifier, pixels.shape[1:])
        result = np.empty_like(pixels)
        for start, count, images, targets in padded_batches(classifier, pixels, labels, batch_size):
            part = part_of(progress, start // len(targets), -(-len(x) // len(targets)))
            with self.watch.heard(part, count):
                x_adv = function(images, targets, seeds, tf.constant(start, tf.int64))
            result[start : start + count] = x_adv.numpy()[:count]
            if on_batch:
                on_batch(start + count, len(x))
        return result

    def diagnostics(self) -> Diagnostics | None:
        """What there is to say of the last `craft_all` beside its images; mostly nothing."""
        return None

    def _function(self, classifier: Classifier, image_shape: Sequence[int]) -> Compiled:
        """The compiled `craft` for a classifier and an image shape."""
        key = (id(classifier), tuple(image_shape))
        if key not in self._compiled:
            batch, call = fixed_batch(classifier), inference(classifier)

            def body(
                x: tf.Tensor, y: tf.Tensor, seed: tf.Tensor, first_row: tf.Tensor
            ) -> tf.Tensor:
                return self.craft(call, x, y, RowNoise(seed, first_row))

            signature = [
                tf.TensorSpec([batch, *image_shape], tf.float32),
                tf.TensorSpec([batch], tf.int32),
                tf.TensorSpec([2], tf.int64),
                tf.TensorSpec([], tf.int64),
            ]
            function = self.watch.compiled(body, signature)
            while len(self._compiled) >= _CLASSIFIERS_KEPT:
                self._compiled.pop(next(iter(self._compiled)))
            self._compiled[key] = (classifier, function)  # the classifier: its id stays its own
        return self._compiled[key][1]

    def __getstate__(self) -> dict[str, object]:
        """The state without the compiled functions, which are made again when needed."""
        return {**self.__dict__, "_compiled": {}}


def inference(classifier: Classifier) -> Classifier:
    """`classifier` as a function of images to float32 logits, a Keras one in inference mode."""
    options = {"training": False} if isinstance(classifier, keras.Layer) else {}
    return lambda x: tf.cast(classifier(x, **options), tf.float32)


def fixed_batch(classifier: Classifier) -> int | None:
    """The batch size that a Keras model was built for, None where any will do."""
    shape = getattr(classifier, "input_shape", None) if _is_graph(classifier) else None
    return shape[0] if isinstance(shape, tuple) else None


def _is_graph(classifier: Classifier) -> bool:
    return isinstance(classifier, keras.Model) and bool(getattr(classifier, "inputs", None))


def checked_arrays(x: np.ndarray, y: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Images as float32 and labels as int32 (n,), as many of each.

    Raises:
        InputError: for a batch size below 1, or lengths that differ.
    """
    check_range("batch_size", batch_size, 1)
    if len(x) != len(y):
        raise InputError(f"images and labels must be as many. Received: {len(x)} and {len(y)}")
    return np.asarray(x, np.float32), label_tensor(y).numpy()


def padded_batches(
    classifier: Classifier, x: np.ndarray, y: np.ndarray, batch_size: int
) -> Iterator[tuple[int, int, tf.Tensor, tf.Tensor]]:
    """Batches of one size, the last one filled up with its last row.

    Args:
        classifier: a model of a fixed batch size keeps to its own.
        x: images (n, H, W, C). y: labels (n,). batch_size: int >= 1.

    Yields:
        The first row, how many rows count, the images and the labels.
    """
    size = fixed_batch(classifier) or min(batch_size, max(len(x), 1))
    for start in range(0, len(x), size):
        rows = slice(start, start + size)
        images, labels = (tf.constant(_repeat_last(part[rows], size)) for part in (x, y))
        yield start, min(size, len(x) - start), images, labels


def _repeat_last(rows: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])
