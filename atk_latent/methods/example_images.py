"""Images of a training for TensorBoard: some as they are, some as the method changes them."""

from __future__ import annotations

import keras
import tensorflow as tf

SHOWN = 8


class ExampleImages(keras.callbacks.Callback):
    """Writes the same few training images after each epoch, and what is made of them.

    A model says what that is in `example_images(x, y)`, a dict of image batches by name; one
    without it has none written. No random number of the training is used up.

    Args:
        folder: of TensorBoard's logs. batch: of the training, ``((x, ...), y)`` or ``(x, y)``.
    """

    def __init__(self, folder: str, batch: tuple[tf.Tensor, ...]) -> None:
        super().__init__()
        self.writer = tf.summary.create_file_writer(folder + "/images")
        self.x, self.y = (tf.nest.flatten(part)[0][:SHOWN] for part in batch[:2])

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes the images."""
        make = getattr(self.model, "example_images", None)
        if make is None:
            return
        with self.writer.as_default():
            for name, images in make(self.x, self.y).items():
                shown = tf.clip_by_value(tf.cast(images, tf.float32), 0.0, 1.0)
                tf.summary.image(name, shown, step=epoch, max_outputs=SHOWN)
        self.writer.flush()
