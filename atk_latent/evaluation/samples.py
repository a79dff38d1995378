"""Some attacked images of a result, small enough to stay in its file."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
from PIL import Image

from atk_latent.results.attack_result import Example

MOST = 8  # examples of one attack


def examples(
    x: np.ndarray,
    x_adv: np.ndarray,
    y: np.ndarray,
    clean_logits: np.ndarray,
    logits: np.ndarray,
    start: int = 0,
) -> tuple[Example, ...]:
    """Shows the first images that an attack got wrong, then the first others.

    Args:
        x: float32 images (m, height, width, channels) in [0, 1].
        x_adv: the attacked images, same shape.
        y: int64 labels (m,).
        clean_logits: the target's, of `x`: (m, classes).
        logits: the target's, of `x_adv`.
        start: index of the first image among all that are attacked.

    Returns:
        At most `MOST` of them; the picture of the change is scaled so that its largest value,
        `perturbation_scale`, is 127 grey levels from 128.
    """
    before, after = _answers(clean_logits), _answers(logits)
    flipped = (before[0] == y) & (after[0] != y)
    rows = np.argsort(~flipped, kind="stable")[:MOST]
    return tuple(_example(int(row), x, x_adv, y, (before, after), start) for row in rows)


def _example(
    row: int,
    x: np.ndarray,
    x_adv: np.ndarray,
    y: np.ndarray,
    answers: tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    start: int,
) -> Example:
    """One row; `answers` are classes and probabilities before and after the attack."""
    (clean_classes, clean_shares), (classes, shares) = answers
    change = x_adv[row].astype(np.float64) - x[row].astype(np.float64)
    largest = float(np.abs(change).max())
    return Example(
        index=start + row,
        label=int(y[row]),
        clean_prediction=int(clean_classes[row]),
        clean_confidence=_known(clean_shares[row]),
        prediction=int(classes[row]),
        confidence=_known(shares[row]),
        linf=largest,
        l2=float(np.linalg.norm(change)),
        image=png(255 * x[row]),
        adversarial=png(255 * x_adv[row]),
        perturbation=png(128 + 127 * change / (largest or 1.0)),
        perturbation_scale=largest,
    )


def _known(share: float) -> float | None:
    """A probability; None for the NaN of a model that gives none."""
    return None if np.isnan(share) else float(share)


def first_examples(chunks: Iterable[Iterable[Example]]) -> tuple[Example, ...]:
    """The examples of all images from those of each chunk, by the rule of `examples`."""
    every = [example for chunk in chunks for example in chunk]
    return tuple(sorted(every, key=lambda example: (not example.is_flipped, example.index))[:MOST])


def _answers(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The class of each row and its probability."""
    logits = logits.astype(np.float64)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return logits.argmax(axis=1), shares.max(axis=1) / shares.sum(axis=1)


def png(image: np.ndarray) -> bytes:
    """An image as an 8-bit PNG file.

    Args:
        image: (height, width, channels), values 0 to 255, rounded here. One channel is grey,
            three are RGB; of any other number their mean is shown.
    """
    pixels = np.rint(np.clip(image, 0, 255))
    if image.shape[-1] != 3:
        pixels = np.rint(pixels.mean(axis=-1))
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, format="PNG")
    return file.getvalue()
