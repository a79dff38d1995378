"""Random crops and mirror images in the stream of batches: a part of the settings."""

from __future__ import annotations

import dataclasses
from typing import Literal

import tensorflow as tf

from atk_latent.config import known_as
from atk_latent.data.streams import Stream

PADDING = 4


def crop_flip(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Each image padded with 4 zeros, cropped to its size at random and mirrored or not.

    Args:
        images: (B, H, W, C). seed: int64 (2,); the same seed moves row i in the same way.

    Returns:
        Shape and dtype of `images`.
    """
    rows, (height, width) = tf.shape(images)[0], images.shape[1:3]
    offsets = tf.random.stateless_uniform((2, rows, 1), seed, 0, 2 * PADDING + 1, tf.int32)
    mirrored = tf.random.stateless_uniform((rows, 1), seed + 1, 0, 2, tf.int32)
    down = offsets[0] + tf.range(height)
    across = tf.where(mirrored == 1, tf.range(width - 1, -1, -1), tf.range(width))
    padded = tf.pad(images, [[0, 0], [PADDING, PADDING], [PADDING, PADDING], [0, 0]])
    cropped = tf.gather(padded, down, axis=1, batch_dims=1)
    cropped = tf.gather(cropped, offsets[1] + across, axis=2, batch_dims=1)
    return tf.ensure_shape(cropped, images.shape)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What changes the images of each batch before they are trained on.

    Args:
        kind: "crop-flip" pads with 4 zeros, crops at random and mirrors half of the images.

    Example:
        >>> from atk_latent.methods import Augmentation, PGDSettings
        >>> PGDSettings(augmentation=Augmentation("crop-flip")).augmentation.kind
        'crop-flip'
    """

    kind: Literal["none", "crop-flip"] = known_as("augment", "none")

    def apply(self, stream: Stream, seed: int) -> Stream:
        """The stream with its images changed.

        Members of a pair of image batches are changed alike. The changes of a batch depend on
        the seed and its step alone, so a resumed run sees the same ones.

        Args:
            stream: batches (x, y), x being images or a tuple of image batches. seed: int.
        """
        if self.kind == "none":
            return stream

        def changed(step: tf.Tensor, batch: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
            key = tf.stack([tf.constant(2 * seed + 1, tf.int64), 2 * step])
            x = tf.nest.map_structure(lambda images: crop_flip(images, key), batch[0])
            return (x, *batch[1:])

        def start(step: int) -> tf.data.Dataset:
            steps = tf.data.Dataset.counter(step)
            return tf.data.Dataset.zip(steps, stream(step)).map(changed).prefetch(2)

        return start
