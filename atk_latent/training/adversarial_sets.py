"""Sets of adversarial images that are made once and used again and again."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from atk_latent.arrays import ArraySpec, read_arrays
from atk_latent.art_bridge.context import AttackContext
from atk_latent.art_bridge.estimator import estimator_for
from atk_latent.art_bridge.factory import make_attack
from atk_latent.checksums import noted_helper
from atk_latent.evaluation import runner
from atk_latent.files import GIB, FileKind
from atk_latent.progress import Progress

_SET = FileKind("set of adversarial images", 256 * GIB, "Remove it to make it again")


def adversarial_set(
    path: Path,
    spec: str,
    model: keras.Model,
    x: np.ndarray,
    y: np.ndarray,
    context: AttackContext,
    progress: Progress | None = None,
) -> np.ndarray:
    """Attacks `x` on `model`, or reads the images where they were made before.

    Args:
        path: the .npz file with `x`, `x_adv` and `y`, as `atkl attack --out` writes it.
        spec: the attack, as for `atkl evaluate`. model: ends in logits.
        x: float32 (n, H, W, C) in [0, 1]. y: int64 (n,), the true classes.
        context: the data set they come from, and the seed of the attack.
        progress: told ("examples", done, in all, logs).

    Returns:
        float32, the shape of `x`.

    Raises:
        InputError: if the file is damaged or was made from other images.
    """
    if path.exists():
        same = {"x": ArraySpec("f", x.shape), "y": ArraySpec("iu", y.shape)}
        stored = read_arrays(path, _SET, {**same, "x_adv": ArraySpec("f", x.shape)})
        if not (np.array_equal(stored["x"], x) and np.array_equal(stored["y"], y)):
            raise _SET.wrong(path, "was made from other images")
        return stored["x_adv"]
    estimator = estimator_for(model, image_shape=x.shape[1:])
    attack = make_attack(spec, estimator, context)
    options, chunks = runner.Options(seed=context.seed), list[np.ndarray]()
    for chunk in runner.attack_chunks(attack, estimator, x, y, spec, options):
        chunks.append(np.asarray(chunk.x_adv))
        if progress:
            progress("examples", chunk.start + len(chunks[-1]), len(x), {})
    x_adv = np.concatenate(chunks)
    path.parent.mkdir(parents=True, exist_ok=True)
    with noted_helper(path) as part, part.open("wb") as file:
        np.savez_compressed(file, x=x, x_adv=x_adv, y=y)
    return x_adv
