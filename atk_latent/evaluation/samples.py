"""Some attacked images of a result, small enough to stay in its file."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from PIL import Image

MOST = 8  # examples of one attack


def examples(
    x: np.ndarray,
    x_adv: np.ndarray,
    y: np.ndarray,
    clean_logits: np.ndarray,
    logits: np.ndarray,
    start: int = 0,
) -> list[dict[str, Any]]:
    """Shows the first images that an attack got wrong, then the first others.

    Args:
        x: float32 images (m, height, width, channels) in [0, 1].
        x_adv: the attacked images, same shape.
        y: int64 labels (m,).
        clean_logits: the target's, of `x`: (m, classes).
        logits: the target's, of `x_adv`.
        start: index of the first image among all that are attacked.

    Returns:
        At most `MOST` entries, ready for JSON: index, label, clean_prediction and prediction
        with the confidence of each (softmax), linf and l2 of the change in pixel units, and
        as base64 of 8-bit PNGs `image`, `adversarial` and `perturbation`, the change around
        grey 128, scaled so that the largest one, `perturbation_scale`, is 127.
    """
    before, after = _answers(clean_logits), _answers(logits)
    flipped = (before[0] == y) & (after[0] != y)
    rows = np.argsort(~flipped, kind="stable")[:MOST]
    found = []
    for row in rows:
        change = x_adv[row].astype(np.float64) - x[row].astype(np.float64)
        largest = float(np.abs(change).max())
        grey = 128 + 127 * change / (largest or 1.0)
        found.append(
            {
                "index": start + int(row),
                "label": int(y[row]),
                "clean_prediction": int(before[0][row]),
                "clean_confidence": float(before[1][row]),
                "prediction": int(after[0][row]),
                "confidence": float(after[1][row]),
                "linf": largest,
                "l2": float(np.linalg.norm(change)),
                "image": png(255 * x[row]),
                "adversarial": png(255 * x_adv[row]),
                "perturbation": png(grey),
                "perturbation_scale": largest,
            }
        )
    return found


def first_examples(parts: Iterable[Iterable[Mapping[str, Any]]]) -> list[Mapping[str, Any]]:
    """The examples of all images from those of each chunk, by the rule of `examples`."""
    every = [example for part in parts for example in part]
    return sorted(every, key=lambda example: (not _flipped(example), example["index"]))[:MOST]


def _flipped(example: Mapping[str, Any]) -> bool:
    """Whether the image was right before the attack and wrong after it."""
    return example["clean_prediction"] == example["label"] != example["prediction"]


def _answers(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The class of each row and its probability."""
    logits = logits.astype(np.float64)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return logits.argmax(axis=1), shares.max(axis=1) / shares.sum(axis=1)


def png(image: np.ndarray) -> str:
    """The base64 text of an 8-bit PNG.

    Args:
        image: (height, width, channels), values 0 to 255, rounded here. One channel is grey,
            three are RGB; of any other number their mean is shown.
    """
    pixels = np.rint(np.clip(image, 0, 255))
    if image.shape[-1] != 3:
        pixels = np.rint(pixels.mean(axis=-1))
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")
