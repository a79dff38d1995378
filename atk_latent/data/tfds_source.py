"""Data sets that tensorflow-datasets downloads and keeps as TFRecord files."""

from __future__ import annotations

import dataclasses
import functools
import operator
import os
from typing import TYPE_CHECKING

import numpy as np

from atk_latent.data.dataset import Dataset, select
from atk_latent.data.source import (
    DATA_DIR,
    Limits,
    Source,
    check_memory,
    data_dir,
    one_line,
    quiet_stdout,
)
from atk_latent.errors import InputError

SPLITS = ("train", "test")


if TYPE_CHECKING:
    import tensorflow as tf
    from tensorflow_datasets.core import DatasetBuilder


@dataclasses.dataclass(frozen=True)
class TfdsSource(Source):
    """Reads the splits `train` and `test` of one tensorflow-datasets builder.

    Labels are read first, the limits applied to them, and only the images that stay are
    decoded. Looks in `ATKL_DATA_DIR/tensorflow_datasets` if `ATKL_DATA_DIR` is set, else
    where tensorflow-datasets always looks, and downloads what is not there.

    Args:
        name: the registered name.
        class_names: one name a class, in label order.
        builder: the builder's name in tensorflow-datasets.
        label: where an example keeps its label: a key and the keys below it.
        crop: side in pixels of the square cut from the centre, or None for the whole
            image. An odd pixel goes to the right and to the bottom.
        size: side in pixels to which the crop is then resized (bilinear, antialiased).
    """

    builder: str
    label: tuple[str, ...]
    crop: int | None = None
    size: int | None = None

    def read(self, limits: Limits) -> Dataset:
        """Reads the labels, and the images that the limits leave.

        Raises:
            InputError: if tensorflow-datasets is not installed, the data can neither be
                read nor downloaded, are damaged, or do not fit the memory.
        """
        with quiet_stdout():
            builder = self._prepared()
            try:
                return self._read(builder, limits)
            except InputError:
                raise
            except Exception as error:
                if not _damage(error):
                    raise
                raise InputError(
                    f"{self.name}: {builder.data_dir} is damaged ({one_line(error)}). "
                    "Delete that folder and try again"
                ) from error

    def remedy(self) -> str:
        """What to do when the data cannot be downloaded, for the end of a message."""
        return (
            f"put the prepared tensorflow-datasets folder '{self.builder}' into "
            f"FOLDER/tensorflow_datasets and set {DATA_DIR} to FOLDER, or {super().remedy()}"
        )

    def _prepared(self) -> DatasetBuilder:
        """The builder, with its data on the disk."""
        try:
            import tensorflow_datasets as tfds
        except ImportError as error:
            raise InputError(
                f"{self.name} is read with tensorflow-datasets, which cannot be imported "
                f"({one_line(error)}). Try pip install 'atk-latent[datasets]'"
            ) from error
        folder = data_dir()
        where = folder and os.path.join(folder, "tensorflow_datasets")
        try:
            builder = tfds.builder(self.builder, data_dir=where)
            if not builder.is_prepared():
                builder.download_and_prepare()
        except ImportError as error:
            raise InputError(
                f"{self.name}: tensorflow-datasets misses the package '{error.name}' to "
                f"download it. Try pip install {error.name}, or {self.remedy()}"
            ) from error
        except Exception as error:  # Each host fails in its own way.
            raise InputError(
                f"{self.name}: tensorflow-datasets found nothing in "
                f"{where or 'its own data folder'} and could not download the data "
                f"({one_line(error)}). Without network, {self.remedy()}"
            ) from error
        return builder

    def _read(self, builder: DatasetBuilder, limits: Limits) -> Dataset:
        labels, chosen = {}, {}
        for split, limit in zip(SPLITS, limits[:2], strict=True):
            labels[split] = self._labels(builder, split)
            chosen[split] = select(labels[split], limit, limits.seed, f"limit_{split}")
        shape = builder.info.features["image"].shape
        if self.crop:
            shape = (self.size or self.crop, self.size or self.crop, shape[2])
        count = sum(len(indices) for indices in chosen.values())
        check_memory(count, shape, self.name, "Take fewer with --limit")
        images = {
            split: self._images(builder, split, indices, shape) for split, indices in chosen.items()
        }
        return Dataset.from_arrays(
            self.name,
            images["train"],
            labels["train"][chosen["train"]],
            images["test"],
            labels["test"][chosen["test"]],
            class_names=self.class_names,
        )

    def _labels(self, builder: DatasetBuilder, split: str) -> np.ndarray:
        wanted: object = True
        for key in reversed(self.label):
            wanted = {key: wanted}
        parts = []
        for batch in _examples(builder, split, wanted).batch(4096).as_numpy_iterator():
            values = functools.reduce(operator.getitem, self.label, batch)
            parts.append(np.asarray(values).astype(np.int64))
        return np.concatenate(parts)

    def _images(
        self, builder: DatasetBuilder, split: str, indices: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray:
        """Float32 in [0, 1] of the examples at the ascending `indices`."""
        import tensorflow as tf
        import tensorflow_datasets as tfds

        selected = np.zeros(int(indices[-1]) + 1, bool)
        selected[indices] = True
        decode = builder.info.features["image"].decode_example
        encoded = _examples(builder, split, {"image": True}, {"image": tfds.decode.SkipDecoding()})
        examples = (
            encoded.take(len(selected))
            .enumerate()
            .filter(lambda index, _: tf.gather(selected, index))
            .map(
                lambda _, example: self._pixels(decode(example["image"])),
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
        )
        images = np.empty((len(indices), *shape), np.float32)
        for index, image in enumerate(examples.as_numpy_iterator()):
            images[index] = image
        return images

    def _pixels(self, image: tf.Tensor) -> tf.Tensor:
        """A uint8 image tensor, cropped, resized, as float32 in [0, 1]."""
        import tensorflow as tf

        if self.crop:
            height, width = image.shape[:2]
            top, left = (height - self.crop) // 2, (width - self.crop) // 2
            image = image[top : top + self.crop, left : left + self.crop]
        pixels = tf.cast(image, tf.float32) / 255
        if self.crop and self.size:
            pixels = tf.image.resize(pixels, (self.size, self.size), antialias=True)
        return tf.clip_by_value(pixels, 0, 1)


def _examples(
    builder: DatasetBuilder, split: str, wanted: object, decoders: object = None
) -> tf.data.Dataset:
    """The `wanted` features of every example, each time in the same order."""
    import tensorflow_datasets as tfds

    return builder.as_dataset(
        split=split,
        shuffle_files=False,
        decoders=tfds.decode.PartialDecoding(wanted, decoders=decoders),
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
    )


def _damage(error: Exception) -> bool:
    """Whether reading failed because of the files, not because of the program."""
    import tensorflow as tf

    return isinstance(error, (OSError, tf.errors.OpError))
