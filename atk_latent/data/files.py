"""The user's own data: a `.npz` file, or a folder of class folders of images."""

from __future__ import annotations

import dataclasses
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atk_latent.arrays import open_arrays
from atk_latent.data.dataset import Dataset, stratified
from atk_latent.data.source import ARRAYS, check_memory, one_line
from atk_latent.errors import InputError
from atk_latent.files import GIB, FileKind, check_file

if TYPE_CHECKING:
    from PIL.Image import Image

_IMAGE = FileKind("image", GIB, "Replace or remove it")
_NPZ = FileKind("NumPy archive", 256 * GIB, "Write it with numpy.savez")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
OTHER_IMAGES = (".webp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".jp2")  # not read, but told
TEST_SHARE = 0.2
SPLIT_SEED = 20  # Part of the data: no run trains on what another one tests on.
_log = logging.getLogger(__name__)
GREY_MODES = ("1", "L")
COLOUR_MODES = ("RGB", "P", "CMYK", "YCbCr")
ALPHA_MODES = ("LA", "RGBA", "PA")


def load_npz(path: str | Path, name: str, class_names: tuple[str, ...] | None = None) -> Dataset:
    """Reads `x_train`, `y_train`, `x_test`, `y_test` of a `.npz` file.

    An array `class_names` of strings in the file names the classes.

    Args:
        path: the file. Nothing in it is ever unpickled.
        name: name of the result.
        class_names: used if the file names none and has as many classes.

    Raises:
        InputError: if the file is no `.npz`, is damaged, holds Python objects, misses an
            array, or its arrays are refused by `Dataset.from_arrays`.
    """
    arrays = _npz_arrays(Path(path))
    own = arrays.pop("class_names", None)
    data = Dataset.from_arrays(
        name, **arrays, class_names=None if own is None else own.ravel().tolist(), source=str(path)
    )
    if own is None and class_names and len(class_names) == data.num_classes:
        return dataclasses.replace(data, class_names=class_names)
    return data


def _npz_arrays(path: Path) -> dict[str, np.ndarray]:
    with open_arrays(path, _NPZ) as file:
        missing = [key for key in ARRAYS if key not in file.names]
        if missing:
            raise InputError(
                f"{path} must hold {', '.join(ARRAYS)}. Received: "
                f"{', '.join(file.names) or 'nothing'}. Add {', '.join(missing)}"
            )
        for key in ("x_train", "x_test"):
            length, *shape = file.header(key).shape or (0,)
            check_memory(length, tuple(shape), f"{path}: {key}", "Use fewer or smaller images")
        wanted = [key for key in (*ARRAYS, "class_names") if key in file.names]
        return {key: file.read(key) for key in wanted}


def load_folder(path: str | Path, name: str) -> Dataset:
    """Reads PNG, JPEG and BMP images from one folder a class.

    The class folders lie in `train/` and `test/`, or in `path` itself: then a stratified
    fifth of the images is the test set, the same for every seed. Classes are numbered in
    the order of their names. Everything else in the folders (hidden names, other
    suffixes, deeper folders, EXIF orientation) is ignored; images of other formats are told.

    Grey images among colour ones become RGB. An alpha channel is dropped if nothing is
    transparent, else refused.

    Args:
        path: the folder.
        name: name of the result.

    Raises:
        InputError: if there are fewer than 2 classes, a class has no image, `test/` has a
            class that `train/` has not, an image cannot be read or differs in size, or
            the images do not fit the memory.
    """
    root = Path(path)
    splits = {part: root / part for part in ("train", "test") if (root / part).is_dir()}
    if len(splits) == 1:
        (present,) = splits
        other = {"train": "test", "test": "train"}[present]
        raise InputError(
            f"{root} must hold {other}/ beside {present}/, or only class folders. "
            f"Received: {present}/ alone. Add {other}/"
        )
    train = _listing(splits.get("train", root))
    classes = sorted(train)
    if len(classes) < 2:
        raise InputError(
            f"{splits.get('train', root)} must hold at least 2 class folders of images. "
            f"Received: {', '.join(classes) or 'none'}"
        )
    if splits:
        test = _listing(splits["test"])
        extra = sorted(set(test) - set(classes))
        if extra:
            raise InputError(
                f"{root}/test has the class folder '{extra[0]}', which {root}/train has not. "
                f"Known: {', '.join(classes)}"
            )
        files = {"train": _numbered(train, classes), "test": _numbered(test, classes)}
    else:
        files = _split(root, train, classes)
    x_train, y_train, x_test, y_test = _decode(root, files)
    return Dataset.from_arrays(
        name, x_train, y_train, x_test, y_test, class_names=classes, source=str(root)
    )


def _listing(folder: Path) -> dict[str, list[Path]]:
    """Class name -> its images, sorted."""
    images_of: dict[str, list[Path]] = {}
    skipped: list[Path] = []
    for inner in sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] != "."):
        files = [p for p in inner.iterdir() if p.name[0] != "."]
        images = [p for p in files if p.suffix.lower() in SUFFIXES]
        skipped += [p for p in files if p.suffix.lower() in OTHER_IMAGES]
        if not images:
            raise InputError(
                f"{inner} holds no image and every class folder must. Known: {', '.join(SUFFIXES)}"
            )
        images_of[inner.name] = sorted(images)
    if skipped:
        first, kinds = min(skipped), ", ".join(SUFFIXES)
        _log.warning("%d images are left out, such as %s: %s are read", len(skipped), first, kinds)
    return images_of


def _numbered(images_of: dict[str, list[Path]], classes: list[str]) -> list[tuple[Path, int]]:
    return [(file, label) for label, c in enumerate(classes) for file in images_of.get(c, [])]


def _split(
    root: Path, images_of: dict[str, list[Path]], classes: list[str]
) -> dict[str, list[tuple[Path, int]]]:
    for label in classes:
        if len(images_of[label]) < 2:
            raise InputError(
                f"{root / label} holds 1 image and needs 2, one to train and one to test on. "
                "Add images, or make train/ and test/ folders"
            )
    files = _numbered(images_of, classes)
    labels = np.array([label for _, label in files])
    limit = max(len(classes), round(TEST_SHARE * len(files)))
    test = set(stratified(labels, limit, SPLIT_SEED).tolist())
    return {
        "train": [file for index, file in enumerate(files) if index not in test],
        "test": [file for index, file in enumerate(files) if index in test],
    }


def _decode(root: Path, files: dict[str, list[tuple[Path, int]]]) -> Iterator[np.ndarray]:
    """Yields x_train, y_train, x_test, y_test; images uint8 and of one shape."""
    first, size, colour = None, (0, 0), False
    for file, _ in (*files["train"], *files["test"]):
        with _opened(file) as image:
            if first is None:
                first, size = file, image.size
            if image.size != size:
                raise InputError(
                    f"{root}: images must have one size. Received: {first} is "
                    f"{size[0]}x{size[1]}, {file} is {image.size[0]}x{image.size[1]}. Resize them"
                )
            colour |= image.mode not in (*GREY_MODES, "LA")
    shape = (size[1], size[0], 3 if colour else 1)
    check_memory(sum(map(len, files.values())), shape, str(root), "Use fewer or smaller images")
    for part in ("train", "test"):
        images = np.empty((len(files[part]), *shape), np.uint8)
        for index, (file, _) in enumerate(files[part]):
            images[index] = _pixels(file, "RGB" if colour else "L").reshape(shape)
        yield images
        yield np.array([label for _, label in files[part]], np.int64)


def _pixels(file: Path, mode: str) -> np.ndarray:
    """The decoded image, uint8, as grey (`"L"`) or `"RGB"`."""
    with _opened(file) as image:
        try:
            if image.mode in ALPHA_MODES or "transparency" in image.info:
                lowest = int(np.asarray(image.convert("RGBA"))[..., 3].min())
                if lowest < 255:
                    raise InputError(
                        f"{file} has transparent pixels (alpha {lowest}), so its colours are "
                        "unknown. Save it without an alpha channel"
                    )
            return np.asarray(image.convert(mode))
        except (OSError, SyntaxError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise _unreadable(file, error) from error


def _opened(file: Path) -> Image:
    """The image with its header read, its mode one that converts without loss."""
    from PIL import Image

    check_file(file, _IMAGE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(file, error) from error
    if image.mode not in (*GREY_MODES, *COLOUR_MODES, *ALPHA_MODES):
        image.close()
        raise InputError(
            f"{file} must be an 8-bit grey or RGB image. Received: Pillow mode '{image.mode}'. "
            "Convert it"
        )
    return image


def _unreadable(file: Path, error: BaseException) -> InputError:
    return InputError(
        f"{file} cannot be read as an image ({one_line(error)}). Replace or remove it"
    )
