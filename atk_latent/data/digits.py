"""The 1,797 handwritten digits that come with scikit-learn: data without a network."""

from __future__ import annotations

import dataclasses

import numpy as np

from atk_latent.data.dataset import Dataset, stratified
from atk_latent.data.source import DIGITS, Limits, Source

SIZE = 28
TEST_IMAGES = 360
SPLIT_SEED = 20  # Part of the data: every run sees the same test images.


@dataclasses.dataclass(frozen=True)
class DigitsSource(Source):
    """Reads scikit-learn's 8x8 digits and enlarges them to 28x28.

    Pixels 0..16 are divided by 16, enlarged with Pillow's bicubic filter and clipped to
    [0, 1]. The split into 1,437 training and 360 test images is stratified and fixed;
    no seed of a run changes it.
    """

    def read(self, limits: Limits) -> Dataset:
        """Reads everything; `limits` save nothing here."""
        from sklearn.datasets import load_digits

        bunch = load_digits()
        images = enlarge(bunch.images.astype(np.float32) / 16, SIZE)[..., None]
        test = stratified(bunch.target, TEST_IMAGES, SPLIT_SEED)
        train = np.setdiff1d(np.arange(len(images)), test)
        return Dataset.from_arrays(
            self.name,
            images[train],
            bunch.target[train],
            images[test],
            bunch.target[test],
            class_names=self.class_names,
        )


def enlarge(images: np.ndarray, size: int) -> np.ndarray:
    """Resizes grey images with Pillow's bicubic filter and clips to [0, 1].

    Args:
        images: float32 in [0, 1], shape `(n, height, width)`.
        size: int >= 1, side of the result in pixels.

    Returns:
        Float32 in [0, 1], shape `(n, size, size)`.
    """
    from PIL import Image

    large = np.empty((len(images), size, size), np.float32)
    for index, image in enumerate(images):
        picture = Image.fromarray(image)
        large[index] = np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC))
    return np.clip(large, 0, 1, out=large)


load = DigitsSource(name="digits", class_names=DIGITS)
"""scikit-learn's digits, the default of every command."""
