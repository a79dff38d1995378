"""One loop for every method: make adversarial images, then train on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from atk_latent.methods.fitting import Progress, batches, jit_compile, run_fit
from atk_latent.methods.optimizers import SGDSettings

# From the step to start at to an endless stream of batches.
Stream = Callable[[int], tf.data.Dataset]


def correct(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """1.0 where the largest logit is the label, float32 (B,); integer or one-hot labels."""
    labels = tf.argmax(y, axis=-1) if len(y.shape) == 2 and y.shape[-1] != 1 else y
    labels = tf.reshape(tf.cast(labels, tf.int64), (-1,))
    return tf.cast(tf.argmax(logits, axis=-1) == labels, tf.float32)


class Method(keras.Model):
    """A classifier and the way it is trained.

    What differs between methods is `perturb`, or `training_batches` where adversarial
    images are made beforehand (and `compute_loss` where the loss is not a mixture of two
    terms). `fit`, callbacks, `tf.data`, mixed precision, `jit_compile` and
    `tf.distribute` are Keras' own. The trained `classifier` is taken out and used bare.

    Data may be ``(x, y)``; then `perturb` makes the adversarial half of each batch. Or
    ``((x, x_adv), y)`` with images made beforehand; or ``((x, x_adv), (y, y_adv))`` where
    the two halves show different images.

    Args:
        classifier: Keras model, images (B, H, W, C) in [0, 1] to logits (B, K).
        settings: how `harden` updates the weights; a method's own settings extend these.
        seed: int, of the order of the data and of everything drawn.
        alpha: float in [0, 1], weight of the clean loss; 1 - alpha is the adversarial one.

    Metrics: `loss`, `accuracy` (when compiled with it), `adversarial_accuracy`.
    """

    def __init__(
        self,
        classifier: keras.Model,
        settings: SGDSettings | None = None,
        *,
        seed: int = 0,
        alpha: float = 0.5,
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.settings, self.seed, self.alpha = settings or SGDSettings(), seed, alpha
        self.adversarial_accuracy = keras.metrics.Mean(name="adversarial_accuracy")

    def perturb(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor | None:
        """Adversarial images of a batch, or None to train on clean ones only."""
        del x, y
        return None  # noqa: RET501

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Logits of images, or of each member of a tuple of image batches."""
        if isinstance(inputs, tuple | list):
            return tuple(self.classifier(images, training=training) for images in inputs)
        return self.classifier(inputs, training=training)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Crafts, then takes one optimizer step."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        if not isinstance(x, tuple | list):
            x_adv = self.perturb(x, y)
            x = x if x_adv is None else (x, tf.stop_gradient(x_adv))
        return super().train_step((x, y, weight))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """Alpha * J(x, y) + (1 - alpha) * J(x_adv, y) with the compiled loss J."""

        def loss(labels: tf.Tensor, logits: tf.Tensor, weight: Any) -> tf.Tensor:
            return super(Method, self).compute_loss(
                y=labels, y_pred=logits, sample_weight=weight, training=training
            )

        if not isinstance(y_pred, tuple | list):
            return loss(y, y_pred, sample_weight)
        labels = y if isinstance(y, tuple | list) else (y, y)
        weights = sample_weight if isinstance(sample_weight, tuple | list) else 2 * [sample_weight]
        clean, adversarial = (loss(*part) for part in zip(labels, y_pred, weights, strict=True))
        return self.alpha * clean + (1 - self.alpha) * adversarial

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, tf.Tensor]:
        """Compiled metrics on the clean half, `adversarial_accuracy` on the other."""
        if isinstance(y_pred, tuple | list):
            labels = y if isinstance(y, tuple | list) else (y, y)
            self.adversarial_accuracy.update_state(correct(labels[1], y_pred[1]))
            x, y, y_pred = x[0], labels[0], y_pred[0]
            if isinstance(sample_weight, tuple | list):
                sample_weight = sample_weight[0]
            return super().compute_metrics(x, y, y_pred, sample_weight)
        logs = super().compute_metrics(x, y, y_pred, sample_weight)
        logs.pop(self.adversarial_accuracy.name, None)
        return logs

    def prepare(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Trains what the method needs before the classifier; nothing by default.

        Args:
            x: float32 (n, H, W, C) in [0, 1]; y: int64 (n,).
            folder: where helpers and states are kept, and found again by a resumed run.
            progress: told (stage, done, in all, logs).
        """

    def harden(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        folder: Path | None = None,
        progress: Progress | None = None,
        validation_data: tuple[np.ndarray, np.ndarray] | None = None,
        callbacks: list[keras.callbacks.Callback] | None = None,
    ) -> list[dict[str, float]]:
        """Trains the classifier by the method's own recipe.

        Args:
            x, y, folder, progress: as for `prepare`, which has run before.
            validation_data: images and labels to score after each epoch.
            callbacks: Keras callbacks, passed to `fit`.

        Returns:
            The logs of every epoch.
        """
        stream, rows = self.training_batches(x, y, progress=progress)
        self.compile(
            optimizer=self.settings.optimizer(),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            jit_compile=jit_compile(),
        )
        return run_fit(
            self,
            stream,
            epochs=self.settings.epochs,
            steps_per_epoch=-(-rows // self.settings.batch_size),
            stage="classifier",
            checkpoint=folder,
            progress=progress,
            validation_data=validation_data,
            callbacks=callbacks,
        )

    def training_batches(
        self, x: np.ndarray, y: np.ndarray, *, progress: Progress | None = None
    ) -> tuple[Stream, int]:
        """What `harden` trains on: the images themselves, unless a method makes more of them.

        Returns:
            The stream, in one of the forms above, and the rows of an epoch.
        """
        del progress

        def stream(step: int) -> tf.data.Dataset:
            return batches((x, y), self.settings.batch_size, seed=self.seed, start_step=step)

        return stream, len(x)

    def measure(self, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
        """Numbers of the method's own on test data, for the card; none by default."""
        del x, y
        return {}


def clean_accuracy(
    model: keras.Model, x: np.ndarray, y: np.ndarray, batch_size: int = 500
) -> float:
    """Share of images whose largest logit is the label, in [0, 1]."""
    logits = model.predict(x, batch_size=batch_size, verbose=0)
    return float(np.mean(np.argmax(logits, axis=1) == y))
