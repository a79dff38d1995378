"""Data sets that `keras.datasets` downloads and keeps under `~/.keras/datasets`."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import os
import tempfile
from collections.abc import Mapping
from typing import cast

import numpy as np

from atk_latent.data.dataset import Dataset
from atk_latent.data.source import Limits, Source, one_line, quiet_stdout
from atk_latent.errors import InputError

_Part = tuple[np.ndarray, np.ndarray]  # images and labels


@dataclasses.dataclass(frozen=True)
class KerasSource(Source):
    """Reads one module of `keras.datasets`; whatever Keras prints goes to stderr.

    Args:
        name: the registered name and the module's name (`"mnist"`).
        class_names: one name a class, in label order.
        files: the files that Keras looks at, under its `datasets` folder -> the SHA-256
            to hold them against, or None where Keras itself verifies the file.
    """

    files: Mapping[str, str | None]

    def read(self, limits: Limits) -> Dataset:
        """Reads everything; `limits` save nothing here.

        Raises:
            InputError: if the data can neither be read nor downloaded, or are damaged.
        """
        paths = {os.path.join(cache_folder(), file): sha for file, sha in self.files.items()}
        present = [path for path in paths if os.path.exists(path)]
        self._verify({path: paths[path] for path in present})
        (x_train, y_train), (x_test, y_test) = self._load(list(paths), present)
        self._verify({path: sha for path, sha in paths.items() if path not in present})
        return Dataset.from_arrays(
            self.name, x_train, y_train, x_test, y_test, class_names=self.class_names
        )

    def _load(self, paths: list[str], present: list[str]) -> tuple[_Part, _Part]:
        module = importlib.import_module(f"keras.datasets.{self.name}")
        try:
            with quiet_stdout():
                return cast(tuple[_Part, _Part], module.load_data())
        except Exception as error:  # Keras raises a bare Exception when a download fails.
            missing = ", ".join(path for path in paths if path not in present)
            problem = f"the download failed; Keras looks for {missing}"
            if not missing:
                problem = f"{', '.join(present)} is damaged and was not replaced by a good copy"
            raise InputError(
                f"{self.name}: {problem} ({one_line(error)}). Without network, {self.remedy()}"
            ) from error

    def _verify(self, hashes: Mapping[str, str | None]) -> None:
        for path, sha256 in hashes.items():
            if sha256 is not None and (received := _sha256(path)) != sha256:
                raise InputError(
                    f"{self.name}: {path} is not the published file. Received: SHA-256 "
                    f"{received[:12]}..., expected {sha256[:12]}.... Delete it and try again, "
                    f"or {self.remedy()}"
                )


def cache_folder() -> str:
    """The folder in which `keras.utils.get_file` looks, determined as Keras does."""
    home = os.path.expanduser(os.environ.get("KERAS_HOME") or os.path.join("~", ".keras"))
    # Keras makes the folder when it is imported, so look at the nearest that exists.
    present = home
    while not os.path.exists(present) and os.path.dirname(present) != present:
        present = os.path.dirname(present)
    if not os.access(present, os.W_OK):
        home = os.path.join("/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir(), ".keras")
    return os.path.join(home, "datasets")


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
