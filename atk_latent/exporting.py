"""A classifier as a SavedModel that anything with TensorFlow can serve."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from atk_latent.atomic import atomic_folder, check_new_folder, scratch_folder
from atk_latent.errors import InputError

CARD, SERVED = "card.json", "serving_default"
_RELOAD = """
import sys
import numpy as np
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
served = model.signatures[sys.argv[4]]
(name,) = served.structured_input_signature[1]
images = np.load(sys.argv[2])
parts = [
    list(served(**{name: tf.constant(images[i : i + 256])}).values())[0].numpy()
    for i in range(0, len(images), 256)
]
np.save(sys.argv[3], np.concatenate(parts))
"""


@dataclasses.dataclass(frozen=True)
class Export:
    """What was exported, and how far it is from the Keras models it was made of.

    Args:
        out: the folder. signature: what serves logits.
        signatures: every signature, and the largest difference of one of its logits.
        image_shape: (height, width, channels). num_classes: K.
        checked: how many images it was checked with.
        max_difference: that of `signature`. tolerance: what was let through.
        card: whether a `card.json` lies beside the model.
    """

    out: str
    signature: str
    signatures: dict[str, float]
    image_shape: tuple[int, ...]
    num_classes: int
    checked: int
    max_difference: float
    tolerance: float
    card: bool


def export_saved_model(
    model: keras.Model,
    out: str | Path,
    x_check: np.ndarray,
    *,
    tolerance: float = 1e-4,
    card: str | Path | None = None,
    endpoints: Mapping[str, keras.Model] | None = None,
) -> Export:
    """Writes `model` as a SavedModel and proves that it still says the same.

    The folder is written under a temporary name, loaded by a fresh Python process that
    knows TensorFlow only, and run on `x_check` on the CPU; only if its logits agree with
    the Keras model's is it moved to `out`. Its signature `serving_default` takes float32
    images (batch, height, width, channels) in [0, 1] and gives float32 logits
    (batch, classes).

    Args:
        model: ends in logits; run in inference mode.
        out: the folder to be; absent or empty, in a folder that exists.
        x_check: real images, float32 (n >= 1, height, width, channels) in [0, 1].
        tolerance: largest difference of a logit that is let through.
        card: a `card.json` to put beside the model, if it exists.
        endpoints: further signatures by name, models of the same images such as IMT, checked
            in the same way.

    Raises:
        InputError: if `out` is taken, or `x_check` is empty or of the wrong shape.
        RuntimeError: if the model cannot be loaded again or says something else; nothing
            is left behind.
    """
    out = check_new_folder(out)
    images = _images(x_check)
    models = {SERVED: model, **(endpoints or {})}
    has_card = card is not None and Path(card).is_file()
    with atomic_folder(out) as folder, scratch_folder(out) as scratch:
        _write(models, folder, images.shape[1:])
        differences = {}
        for name, endpoint in models.items():
            logits = _logits(endpoint, images)
            differences[name] = _largest_difference(
                logits, _fresh_logits(folder, images, name, scratch)
            )
            _check(differences[name], tolerance, out)
        if has_card:
            shutil.copyfile(str(card), folder / CARD)
    return Export(
        out=str(out),
        signature=SERVED,
        signatures=differences,
        image_shape=images.shape[1:],
        num_classes=int(logits.shape[1]),
        checked=len(images),
        max_difference=differences[SERVED],
        tolerance=tolerance,
        card=has_card,
    )


def _images(x_check: np.ndarray) -> np.ndarray:
    images = np.ascontiguousarray(x_check, np.float32)
    if images.ndim != 4 or len(images) == 0:
        raise InputError(
            f"the check needs images of shape (n, height, width, channels), n >= 1. "
            f"Received: {images.shape}"
        )
    return images


def _logits(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Logits of the compiled model on the CPU, where the reloaded model will run too."""
    answer = tf.function(_served(model), reduce_retracing=True)
    with tf.device("/CPU:0"):
        parts = [answer(images[i : i + 256]).numpy() for i in range(0, len(images), 256)]
    return np.concatenate(parts)


def _served(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    return lambda images: tf.cast(model(images, training=False), tf.float32)


def _write(models: Mapping[str, keras.Model], folder: Path, image_shape: tuple[int, ...]) -> None:
    archive = keras.export.ExportArchive()
    for name, endpoint in models.items():
        archive.track(endpoint)
        archive.add_endpoint(
            "serve" if name == SERVED else name,
            _served(endpoint),
            input_signature=[tf.TensorSpec([None, *image_shape], tf.float32, name="images")],
        )
    archive.write_out(str(folder), verbose=False)


def _fresh_logits(folder: Path, images: np.ndarray, signature: str, scratch: Path) -> np.ndarray:
    """What a new process with TensorFlow only makes of the SavedModel in `folder`."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    images_file, logits_file = scratch.absolute() / "images.npy", scratch.absolute() / "logits.npy"
    np.save(images_file, images)
    arguments = [str(folder), str(images_file), str(logits_file), signature]
    run = subprocess.run(
        [sys.executable, "-c", _RELOAD, *arguments],
        env={**os.environ, **quiet},
        cwd=scratch,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise RuntimeError(f"the exported model could not be run: {run.stderr.strip()[-2000:]}")
    return np.asarray(np.load(logits_file))


def _check(difference: float, tolerance: float, out: Path) -> None:
    if not difference <= tolerance:
        raise RuntimeError(
            f"the exported model differs from the Keras model by {difference:.3g} in a logit, "
            f"more than {tolerance:g}; nothing was written to {out}"
        )


def _largest_difference(logits: np.ndarray, reloaded: np.ndarray) -> float:
    if logits.shape != reloaded.shape:
        return float("inf")
    difference = float(np.max(np.abs(logits.astype(np.float64) - reloaded)))
    return difference if np.isfinite(difference) else float("inf")
