"""Images without labels beside the training set: a part of the settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from atk_latent.config import check_range, known_as
from atk_latent.data.streams import Stream, batches
from atk_latent.errors import InputError
from atk_latent.methods.image_arrays import read_image_arrays
from atk_latent.models.loading import load_classifier

Arrays = tuple[np.ndarray, np.ndarray]


def read_images(path: str, image_shape: Sequence[int]) -> np.ndarray:
    """The images of an .npz file, float32 (n, H, W, C) in [0, 1].

    Raises:
        InputError: if there is no such file, or its `x` is no such array.
    """
    return read_image_arrays(path, "extra_data", ["x"], image_shape)["x"]


@dataclasses.dataclass(frozen=True)
class ExtraData:
    """Images without labels that are mixed into the batches: robust self-training.

    Args:
        path: of an .npz with images without labels, `x` (n, H, W, C) in [0, 1]; None mixes
            in none.
        share: float in (0, 1), share of each batch that is drawn from them.
        teacher: path of the model whose predictions become their labels; None is the
            classifier as it comes.

    Raises:
        InputError: for values out of range.

    Reference: Carmon et al. 2019, "Unlabeled data improves adversarial robustness".

    Example:
        >>> from atk_latent.methods import ExtraData, PGDSettings
        >>> PGDSettings(extra_data=ExtraData("images.npz", share=0.25)).extra_data.share
        0.25
    """

    path: str | None = known_as("extra_data", None)
    share: float = known_as("extra_share", 0.5)
    teacher: str | None = None

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        check_range("extra_share", self.share, 1e-6, 0.999999)

    def check_files(self) -> None:
        """Looks whether the files that are named are there.

        Raises:
            InputError: for one that is not.
        """
        check_file("extra_data", self.path)
        check_file("teacher", self.teacher)

    def check_contents(self, image_shape: Sequence[int], num_classes: int) -> None:
        """Reads the files that are named, as the training will.

        Args:
            image_shape: (H, W, C) of the data. num_classes: K.

        Raises:
            InputError: for one that will not do.
        """
        if self.path is not None:
            read_images(self.path, image_shape)
            if self.teacher is not None:
                load_classifier(self.teacher, image_shape, num_classes)

    def refuse(self) -> None:
        """For a method whose adversarial images are crafted before training.

        Raises:
            InputError: if there are extra images.
        """
        if self.path is not None:
            raise InputError(
                "setting 'extra_data' needs a method that attacks each batch; here the "
                f"adversarial images are a fixed set. Received: {self.path!r}"
            )

    def labelled(self, classifier: keras.Model, image_shape: Sequence[int]) -> Arrays:
        """The extra images and the labels that the teacher gives them.

        Args:
            classifier: the teacher where none is named. image_shape: (H, W, C).

        Returns:
            float32 (n, H, W, C) in [0, 1] and int64 (n,).

        Raises:
            InputError: if the file or the teacher will not do.
        """
        x, teacher = read_images(self.path or "", image_shape), classifier
        if self.teacher is not None:
            teacher = load_classifier(self.teacher, image_shape, classifier.output_shape[-1])
        return x, np.argmax(teacher.predict(x, batch_size=500, verbose=0), axis=1).astype(np.int64)

    def mixed(self, data: Arrays, extra: Arrays, batch_size: int, seed: int) -> tuple[Stream, int]:
        """Batches of `data` of which `share` are extra images.

        Returns:
            The stream, and the rows of an epoch: one pass over `data`.
        """
        drawn = min(max(round(self.share * batch_size), 1), batch_size - 1)
        if not 0 < drawn < batch_size:
            raise InputError(f"extra_data needs a batch_size of at least 2. Received: {batch_size}")

        def start(step: int) -> tf.data.Dataset:
            first = batches(data, batch_size - drawn, seed=seed, start_step=step)
            second = batches(extra, drawn, seed=seed + 1, start_step=step)
            return tf.data.Dataset.zip(first, second).map(
                lambda one, two: tf.nest.map_structure(lambda a, b: tf.concat([a, b], 0), one, two)
            )

        return start, -(-len(data[0]) // (batch_size - drawn)) * batch_size


def check_file(name: str, path: str | None) -> None:
    """Refuses a setting that names a file which is not there.

    Raises:
        InputError: naming the setting and the path.
    """
    if path is not None and not Path(path).expanduser().exists():
        raise InputError(f"setting '{name}': there is nothing at {path!r}")
