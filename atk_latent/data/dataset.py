"""The one form in which images and labels travel: checked arrays, [0, 1], NHWC."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from atk_latent.errors import InputError

DARKEST = 17  # integers that stay below are no pixels of 0..255, but 0..1 or 0..16
CHANNELS = (1, 3)


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test images with their labels.

    `Dataset.from_arrays` makes one out of whatever arrays there are; the constructor
    itself takes arrays that already keep the contract and looks only at their form.

    Args:
        name: what to call the data in messages and results.
        x_train: float32 in [0, 1], shape `(n, height, width, channels)`.
        y_train: int64 in `0..num_classes - 1`, shape `(n,)`; every class occurs.
        x_test: as `x_train`, with the same image shape.
        y_test: as `y_train`; a class may be missing.
        class_names: one name a class, in label order.

    Raises:
        InputError: if an array has another dtype, rank or length than the above.

    Example:
        >>> import numpy as np
        >>> from atk_latent import Dataset
        >>> x, y = np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1]
        >>> x[1::2] = 255
        >>> data = Dataset.from_arrays("stripes", x, y, x, y)
        >>> data.image_shape, data.num_classes, data.x_train.dtype.name
        ((8, 8, 1), 2, 'float32')
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            images, labels = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            for array, dtype, rank in ((images, np.float32, 4), (labels, np.int64, 1)):
                if getattr(array, "dtype", None) != dtype or array.ndim != rank:
                    raise InputError(
                        f"{self.name}: {part} arrays must be float32 (n, height, width, channels) "
                        f"and int64 (n,). Received: {_form(images)} and {_form(labels)}. "
                        "Dataset.from_arrays converts them"
                    )
            _check_count(self.name, part, images, labels)

    @classmethod
    def from_arrays(
        cls,
        name: str,
        x_train: npt.ArrayLike,
        y_train: npt.ArrayLike,
        x_test: npt.ArrayLike,
        y_test: npt.ArrayLike,
        class_names: Sequence[str] | None = None,
        source: str | None = None,
    ) -> Dataset:
        """Checks and converts any four arrays.

        Images may be integers 0..255 or floats in [0, 1], of shape
        `(n, height, width, channels)` with 1 or 3 channels, or `(n, height, width)`.
        Labels may be `(n,)`, `(n, 1)` or one-hot `(n, classes)`. A float32 image array
        in the right shape is shared, not copied.

        Args:
            name: name of the result.
            x_train: training images.
            y_train: training labels.
            x_test: test images, of the same shape as the training images.
            y_test: test labels.
            class_names: one name a class; `"0"`, `"1"`, ... if None.
            source: what a message calls the data (a path, say); `name` if None.

        Returns:
            The data set: images float32 in [0, 1], labels int64.

        Raises:
            InputError: if anything about the arrays breaks the contract.
        """
        source = source or name
        names = _class_names(class_names, source)
        x = {"train": _images(x_train, f"{source}: x_train")}
        x["test"] = _images(x_test, f"{source}: x_test")
        y, width = _label_pair(y_train, y_test, source)
        for part in ("train", "test"):
            _check_count(source, part, x[part], y[part])
        if x["train"].shape[1:] != x["test"].shape[1:]:
            raise InputError(
                f"{source}: training and test images must have one shape. Received: x_train "
                f"{x['train'].shape[1:]}, x_test {x['test'].shape[1:]}"
            )
        count = len(names) or width or int(y["train"].max()) + 1
        _check_classes(y["train"], y["test"], count, source)
        return cls(
            name=name,
            x_train=x["train"],
            y_train=y["train"],
            x_test=x["test"],
            y_test=y["test"],
            class_names=names or tuple(str(label) for label in range(count)),
        )

    @property
    def num_classes(self) -> int:
        """Number of classes, at least 2."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)` of one image."""
        height, width, channels = self.x_train.shape[1:]
        return height, width, channels

    def fingerprint(self) -> str:
        """16 hex digits that change with any pixel, label, order or class name.

        The name of the data set does not count: the same contents under another name
        have the same fingerprint.
        """
        digest = hashlib.sha256(repr(self.class_names).encode())
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]

    def subset(
        self, limit_train: int | None = None, limit_test: int | None = None, seed: int = 0
    ) -> Dataset:
        """Keeps at most so many images, chosen by `stratified`, in their old order.

        Args:
            limit_train: int >= number of classes, or None for all training images.
            limit_test: the same for the test images.
            seed: int >= 0; the same seed gives the same images.

        Returns:
            The smaller data set; this very object if both limits leave everything.

        Raises:
            InputError: if a limit is below the number of classes.
        """
        arrays = {}
        for part, limit in (("train", limit_train), ("test", limit_test)):
            labels = getattr(self, f"y_{part}")
            chosen = select(labels, limit, seed, f"limit_{part}")
            if len(chosen) < len(labels):
                arrays[f"x_{part}"] = getattr(self, f"x_{part}")[chosen]
                arrays[f"y_{part}"] = labels[chosen]
        return dataclasses.replace(self, **arrays) if arrays else self


def stratified(labels: np.ndarray, limit: int, seed: int) -> np.ndarray:
    """Chooses `limit` of the labels at random with every class in proportion.

    A class gets its exact share rounded down or up (largest remainder), but never
    nothing: where rare classes make it necessary, the commonest classes give way.

    Args:
        labels: integers, shape `(n,)`.
        limit: int >= number of classes in `labels`. `n` or more gives every index.
        seed: int >= 0.

    Returns:
        Indices into `labels`, int64, ascending, `min(limit, n)` of them.

    Raises:
        InputError: if `limit` is no whole number, or below the number of classes, or
            `seed` is negative.
    """
    return select(labels, limit, seed, "limit")


def select(labels: np.ndarray, limit: int | None, seed: int, setting: str) -> np.ndarray:
    """`stratified`, where None means all and messages call the limit `setting`.

    Args:
        labels: integers, shape `(n,)`.
        limit: int >= number of classes, or None.
        seed: int >= 0.
        setting: the name of the limit in a message.

    Returns:
        Indices into `labels`, int64, ascending.

    Raises:
        InputError: as `stratified` does.
    """
    for what, value in ((setting, limit), ("seed", seed)):
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if value is not None and (not whole or value < 0):
            raise InputError(f"{what} must be a whole number of at least 0. Received: {value!r}")
    classes, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if limit is not None and limit < len(classes):
        raise InputError(
            f"{setting} must leave one image for each of the {len(classes)} classes. "
            f"Received: {limit}. Try {len(classes)} or more"
        )
    if limit is None or limit >= len(labels):
        return np.arange(len(labels), dtype=np.int64)
    generator = np.random.default_rng(seed)
    chosen = [
        generator.permutation(np.flatnonzero(inverse == label))[:size]
        for label, size in enumerate(_sizes(counts, limit))
    ]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _sizes(counts: np.ndarray, limit: int) -> np.ndarray:
    """How many of each class: largest remainder, at least one, `limit` together."""
    shares = limit * counts / counts.sum()
    sizes = np.maximum(np.floor(shares).astype(np.int64), 1)
    while sizes.sum() < limit:
        sizes[np.argmax(np.where(sizes < counts, shares - sizes, -np.inf))] += 1
    while sizes.sum() > limit:
        sizes[np.argmax(np.where(sizes > 1, sizes - shares, -np.inf))] -= 1
    return np.asarray(sizes)


def _form(array: object) -> str:
    if not isinstance(array, np.ndarray):
        return type(array).__name__
    return f"{array.dtype} {array.shape}"


def _array(values: npt.ArrayLike, what: str) -> np.ndarray:
    try:
        array = np.asarray(values)
    except (ValueError, TypeError):
        raise InputError(
            f"{what} must be one array of numbers. Received: {type(values).__name__} "
            "of uneven or mixed parts"
        ) from None
    if array.dtype.kind not in "buif":
        raise InputError(
            f"{what} must hold numbers. Received: dtype {array.dtype}. Convert it with astype"
        )
    if array.size == 0:
        raise InputError(f"{what} must not be empty. Received: shape {array.shape}")
    return array


def _images(values: npt.ArrayLike, what: str) -> np.ndarray:
    """Float32 NHWC in [0, 1] out of any legal image array."""
    array = _array(values, what)
    if array.dtype.kind == "b":
        raise InputError(f"{what} must hold pixels. Received: dtype bool. Convert to float32")
    return _scaled(_nhwc(array, what), what)


def _nhwc(array: np.ndarray, what: str) -> np.ndarray:
    wanted = "(n, height, width), or (n, height, width, channels) with 1 or 3 channels"
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4:
        raise InputError(f"{what} must have shape {wanted}. Received: {array.shape}. Reshape it")
    if array.shape[3] not in CHANNELS:
        hint = "Convert the images to grey or RGB"
        if array.shape[1] in CHANNELS:
            hint = "It looks channel-first; move the channels with transpose(0, 2, 3, 1)"
        raise InputError(f"{what} must have shape {wanted}. Received: {array.shape}. {hint}")
    return array


def _scaled(array: np.ndarray, what: str) -> np.ndarray:
    low, high = array.min(), array.max()
    if array.dtype.kind in "ui":
        if low < 0 or high > 255:
            raise InputError(
                f"{what} holds integers and must lie in 0..255. Received: {low}..{high}"
            )
        if high < DARKEST:
            raise InputError(
                f"{what} holds integers, which are read as 0..255, but none exceeds {high}. If "
                "its range is another, rescale it to float32 in [0, 1]"
            )
        return np.asarray(np.divide(array, np.float32(255), dtype=np.float32))
    if not np.isfinite(low) or not np.isfinite(high):
        count = int(array.size - np.count_nonzero(np.isfinite(array)))
        raise InputError(
            f"{what} must hold finite numbers. Received: {count} NaN or infinite of {array.size}"
        )
    if np.float32(low) < 0 or np.float32(high) > 1:
        raise InputError(
            f"{what} holds floats and must lie in [0, 1]. Received: {low:.6g}..{high:.6g}. "
            "Rescale it, or give integers 0..255"
        )
    return np.ascontiguousarray(array, dtype=np.float32)


def _label_pair(
    train: npt.ArrayLike, test: npt.ArrayLike, source: str
) -> tuple[dict[str, np.ndarray], int | None]:
    """Int64 labels of both parts, and the width of those that came one-hot."""
    y_train, train_width = _labels(train, f"{source}: y_train")
    y_test, test_width = _labels(test, f"{source}: y_test")
    if train_width and test_width and train_width != test_width:
        raise InputError(
            f"{source}: one-hot y_train and y_test must have one width. "
            f"Received: {train_width} and {test_width} columns"
        )
    return {"train": y_train, "test": y_test}, train_width or test_width


def _labels(values: npt.ArrayLike, what: str) -> tuple[np.ndarray, int | None]:
    """Int64 labels `(n,)`, and the number of columns if they came one-hot."""
    array, width = _array(values, what), None
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        width = array.shape[1]
        wrong = np.flatnonzero(((array != 0) & (array != 1)).any(1) | (array.sum(1) != 1))
        if len(wrong):
            raise InputError(
                f"{what} has {width} columns and must be one-hot. "
                f"Received: row {wrong[0]} = {_short(array[wrong[0]])}"
            )
        return array.argmax(1).astype(np.int64), width
    if array.ndim != 1:
        raise InputError(
            f"{what} must have shape (n,), (n, 1) or one-hot (n, classes). Received: {array.shape}"
        )
    if array.dtype.kind == "f":
        broken = np.flatnonzero(~np.isfinite(array) | (array != np.floor(array)))
        if len(broken):
            raise InputError(
                f"{what} must hold whole numbers. Received: {array[broken[0]]} at {broken[0]}"
            )
    labels = array.astype(np.int64)
    if labels.min() < 0:
        raise InputError(
            f"{what} must hold labels from 0 up. Received: {array[labels.argmin()]} "
            f"at {labels.argmin()}"
        )
    return labels, None


def _short(row: np.ndarray) -> str:
    return f"[{', '.join(f'{value:g}' for value in row[:4])}{', ...' if len(row) > 4 else ''}]"


def _check_count(source: str, part: str, images: np.ndarray, labels: np.ndarray) -> None:
    if len(images) != len(labels):
        raise InputError(
            f"{source}: x_{part} and y_{part} must be equally long. "
            f"Received: {len(images)} images, {len(labels)} labels"
        )


def _class_names(names: Sequence[str] | None, source: str) -> tuple[str, ...]:
    result = () if names is None else tuple(str(name) for name in names)
    if len(set(result)) < len(result):
        twice = next(name for name in result if result.count(name) > 1)
        raise InputError(f"{source}: class names must differ. Received: {twice!r} twice")
    return result


def _check_classes(train: np.ndarray, test: np.ndarray, count: int, source: str) -> None:
    for part, labels in (("train", train), ("test", test)):
        if labels.max() >= count:
            raise InputError(
                f"{source}: y_{part} must lie in 0..{count - 1}, the {count} classes there are. "
                f"Received: {labels.max()} at {labels.argmax()}"
            )
    present = np.unique(train)
    if count < 2:
        raise InputError(
            f"{source}: there must be at least 2 classes. Received: {count}, label {present[0]}"
        )
    if len(present) < count:
        gaps = np.flatnonzero(present != np.arange(len(present)))
        missing = int(gaps[0]) if len(gaps) else len(present)
        raise InputError(
            f"{source}: y_train has no image of class {missing} of 0..{count - 1}. "
            "Add one, or number the classes without gaps"
        )
