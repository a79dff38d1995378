"""A classifier in a format of other programs, checked before it is put in place."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from atk_latent.atomic import atomic_file, atomic_folder, check_new_file, scratch_folder
from atk_latent.errors import InputError
from atk_latent.exporting.formats import SERVED, Format, format_named, served

CARD = "card.json"


@dataclasses.dataclass(frozen=True)
class Export:
    """What was exported, and how far it is from the Keras models it was made of.

    Args:
        out: the folder or file. format: what it is written in.
        signature: what serves the classifier.
        signatures: every signature, and the largest difference of one of its outputs.
        image_shape: (height, width, channels). num_classes: K.
        checked: how many images it was checked with.
        max_difference: that of `signature`. tolerance: what was let through.
        card: whether the card lies beside the model.
    """

    out: str
    format: str
    signature: str
    signatures: dict[str, float]
    image_shape: tuple[int, ...]
    num_classes: int
    checked: int
    max_difference: float
    tolerance: float
    card: bool


def export_classifier(
    model: keras.Model,
    out: str | Path,
    x_check: np.ndarray,
    *,
    format: str = "savedmodel",
    tolerance: float = 1e-4,
    card: str | Path | None = None,
    endpoints: Mapping[str, keras.Model] | None = None,
) -> Export:
    """Writes `model` in another format and proves that it still says the same.

    It is written under a temporary name, loaded by a fresh Python process without Keras, and
    run on `x_check` on the CPU; only if its outputs agree with the Keras model's is it moved to
    `out`. It takes float32 images (batch, height, width, channels) in [0, 1] and gives what
    `model` ends in, float32 (batch, classes). A SavedModel's signature is `serving_default`.

    Args:
        model: a classifier; run in inference mode.
        out: the folder to be, absent or empty; for ONNX and TFLite the file to be.
        x_check: real images, float32 (n >= 1, height, width, channels) in [0, 1].
        format: "savedmodel", "onnx" or "tflite".
        tolerance: largest difference of an output that is let through.
        card: a `card.json` to put beside the model, if it exists: into the folder, or as
            `NAME.card.json`.
        endpoints: further signatures of a SavedModel by name, such as IMT, checked alike.

    Raises:
        InputError: if `out` is taken, `x_check` is empty or of the wrong shape, or the format
            cannot hold this model here.
        RuntimeError: if the model cannot be loaded again or says something else; nothing
            is left behind.
    """
    form, models = format_named(format), {SERVED: model, **(endpoints or {})}
    out, images = form.checked_place(out, len(models)), _images(x_check)
    card_place = check_new_file(out.with_suffix(".card.json")) if form.suffix else None
    has_card = card is not None and Path(card).is_file()
    outcome = atomic_file if form.suffix else atomic_folder
    with outcome(out) as place, scratch_folder(out) as scratch:
        form.write(models, place, images.shape[1:])
        differences = {}
        for name, endpoint in models.items():
            outputs = _outputs(endpoint, images)
            reloaded = _fresh_outputs(form, place, images, name, scratch)
            differences[name] = _largest_difference(outputs, reloaded)
            _check(differences[name], tolerance, out)
        if has_card:
            shutil.copyfile(str(card), card_place or place / CARD)
    return Export(
        out=str(out),
        format=format,
        signature=SERVED,
        signatures=differences,
        image_shape=images.shape[1:],
        num_classes=max(int(outputs.shape[1]), 2),
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


def _outputs(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Outputs of the compiled model on the CPU, where the reloaded model will run too."""
    answer = tf.function(served(model), reduce_retracing=True)
    with tf.device("/CPU:0"):
        parts = [answer(images[i : i + 256]).numpy() for i in range(0, len(images), 256)]
    return np.concatenate(parts)


def _fresh_outputs(
    form: Format, place: Path, images: np.ndarray, signature: str, scratch: Path
) -> np.ndarray:
    """What a new process without Keras makes of the exported model at `place`."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    scratch = scratch.absolute()
    images_file, outputs_file = scratch / "images.npy", scratch / "outputs.npy"
    np.save(images_file, images)
    arguments = [str(place.absolute()), str(images_file), str(outputs_file), signature]
    run = subprocess.run(
        [sys.executable, "-c", form.reload, *arguments],
        env={**os.environ, **quiet},
        cwd=scratch,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise RuntimeError(f"the exported model could not be run: {run.stderr.strip()[-2000:]}")
    return np.asarray(np.load(outputs_file))


def _check(difference: float, tolerance: float, out: Path) -> None:
    if not difference <= tolerance:
        raise RuntimeError(
            f"the exported model differs from the Keras model by {difference:.3g} in an output, "
            f"more than {tolerance:g}; nothing was written to {out}"
        )


def _largest_difference(outputs: np.ndarray, reloaded: np.ndarray) -> float:
    if outputs.shape != reloaded.shape:
        return float("inf")
    difference = float(np.max(np.abs(outputs.astype(np.float64) - reloaded)))
    return difference if np.isfinite(difference) else float("inf")
