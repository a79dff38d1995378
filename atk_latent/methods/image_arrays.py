"""Images and labels out of the user's `.npz` files, checked before anything is trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atk_latent.arrays import ArrayFile, ArraySpec, open_arrays
from atk_latent.errors import InputError
from atk_latent.files import GIB, FileKind
from atk_latent.labels import integer_labels

Arrays = dict[str, np.ndarray]


def read_image_arrays(
    path: str,
    setting: str,
    names: Sequence[str],
    image_shape: Sequence[int] | None = None,
    *,
    optional: Sequence[str] = (),
) -> Arrays:
    """Arrays of images of one length, and the labels `y` where they are asked for.

    Args:
        path: of an `.npz` file. setting: that names the file, for messages.
        names: of the arrays; "y" is one of labels, all others hold images.
        image_shape: (H, W, C) that images must have; None for any.
        optional: of those, the ones that may be missing.

    Returns:
        Images float32 (n, H, W, C) in [0, 1]; `y` as it is in the file, numbers.

    Raises:
        InputError: if the file or one of its arrays will not do.
    """
    wanted = ", ".join(f"'{name}'" for name in names if name not in optional)
    remedy = f"{setting} must name an .npz file with {wanted}: images in [0, 1] or bytes"
    kind = FileKind(f"file of {setting}", 256 * GIB, remedy)
    with open_arrays(Path(path).expanduser(), kind) as file:
        names = [name for name in names if name in file.names or name not in optional]
        arrays = {
            name: file.read(name, ArraySpec("iuf"))
            if name == "y"
            else _images(file, name, image_shape)
            for name in names
        }
    lengths = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(lengths.values())) > 1 or not min(lengths.values()):
        counts = ", ".join(f"{length} in '{name}'" for name, length in lengths.items())
        raise kind.wrong(Path(path), f"must hold as many of each, one at least. Received: {counts}")
    return arrays


def _images(file: ArrayFile, name: str, image_shape: Sequence[int] | None) -> np.ndarray:
    sides = (None, None, None) if image_shape is None else tuple(image_shape)
    x = file.read(name, ArraySpec("fu", (None, *sides)))
    if x.dtype.kind == "u":
        x = x / np.float32(255)
    if x.size and (x.min() < 0 or x.max() > 1):
        problem = f"must hold pixels in [0, 1] in '{name}'. Received: {x.min():g}..{x.max():g}"
        raise file.kind.wrong(file.path, problem)
    return x.astype(np.float32)


def whole_labels(y: np.ndarray, num_classes: int, source: str) -> np.ndarray:
    """Class labels as int64 (n,), from whole numbers (n,), (n, 1) or one-hot (n, K).

    Args:
        y: any array. num_classes: K. source: begins the message.

    Raises:
        InputError: on text, fractions, NaN, another shape, or labels outside 0..K-1.
    """
    y = np.asarray(y)
    if y.dtype.kind not in "iuf" or not np.isfinite(y).all() or (y != np.floor(y)).any():
        raise InputError(f"{source}: labels must be whole numbers. Received: {y.dtype}, {y.shape}")
    if y.ndim == 2 and y.shape[1] > 1 and ((y.sum(1) != 1).any() or (y < 0).any()):
        raise InputError(f"{source}: labels of shape {y.shape} must be one-hot, a 1 in each row")
    try:
        return integer_labels(y, num_classes)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
