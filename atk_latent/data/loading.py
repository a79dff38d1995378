"""From what the user typed after `--data` to a `Dataset`."""

from __future__ import annotations

from pathlib import Path

from atk_latent.data.dataset import Dataset
from atk_latent.data.files import load_folder, load_npz
from atk_latent.data.source import Source, data_dir
from atk_latent.errors import InputError
from atk_latent.registry import DATA


def load_dataset(
    name: str, *, limit_train: int | None = None, limit_test: int | None = None, seed: int = 0
) -> Dataset:
    """Reads a registered data set, or the user's own file or folder.

    Args:
        name: a name in `registry.DATA`; or a path to a `.npz` file, or to a folder of
            class folders of images, perhaps in `train/` and `test/`. A registered name
            wins over a file of that name; write `./mnist` for the file. With
            `ATKL_DATA_DIR` set, `NAME.npz` there stands in for the registered `NAME`.
        limit_train: int >= number of classes. Keeps so many training images, classes in
            proportion; None keeps all.
        limit_test: the same for the test images.
        seed: int >= 0 for the choice of images.

    Returns:
        Images float32 in [0, 1], shape `(n, height, width, channels)`, labels int64.

    Raises:
        InputError: if there is no such name or path, the data cannot be read or
            downloaded, or a limit is below the number of classes.
    """
    if name not in DATA and _is_path(name):
        return _from_path(name).subset(limit_train, limit_test, seed)
    source: Source = DATA[name]
    folder = data_dir()
    stored = Path(folder, f"{name}.npz") if folder else None
    if stored and stored.is_file():
        data = load_npz(stored, name, source.class_names)
        return data.subset(limit_train, limit_test, seed)
    return source(limit_train=limit_train, limit_test=limit_test, seed=seed)


def _is_path(name: str) -> bool:
    return any(mark in name for mark in "/\\.~") or Path(name).exists()


def _from_path(name: str) -> Dataset:
    path = Path(name).expanduser()
    if path.is_dir():
        return load_folder(path, path.resolve().name)
    if path.is_file() and path.suffix.lower() == ".npz":
        return load_npz(path, path.stem)
    if path.exists():
        raise InputError(
            f"data '{name}' must be a .npz file or a folder of class folders. "
            f"Received: a file with suffix '{path.suffix}'"
        )
    raise InputError(
        f"data '{name}' does not exist. Give a .npz file, a folder of class folders, "
        f"or one of: {', '.join(DATA)}"
    )
