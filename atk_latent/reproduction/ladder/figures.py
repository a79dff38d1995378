"""LADDER's figures: what its generator and its examples look like, and what eps does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from atk_latent.atomic import atomic_file, write_json
from atk_latent.methods.ladder import LADDER
from atk_latent.methods.ladder_run import load_ladder
from atk_latent.reporting.image_grid import image_grid, lines, scatter
from atk_latent.reproduction.ladder.scenes import rows_of
from atk_latent.reproduction.ladder.study import Study, is_correct
from atk_latent.reproduction.ladder.surrogates import ITSELF

SWEEP = tuple(float(e) for e in (0.5, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 27, 30))
NEAR = tuple(float(e) for e in range(1, 16))  # Figure 7 looks closer at the boundary
SHOWN = ("FGSM", "JSMA", "PGD", "Song")


def draw(study: Study) -> dict[str, Any]:
    """Figures 4, 6, 7, 8 (where a scene has it), 9 and 10; each is a .png in the study's folder.

    Returns:
        Figure 9's numbers and the generator's errors, also in `figures.json`.
    """
    ladder = load_ladder(study.casts[0].defence("LADDER"))
    generator = reconstructions(study, ladder)
    diversity(study, ladder)
    near_boundary(study, ladder)
    over_eps(study, ladder)
    record = {"generator": generator, "effect_of_eps": effect_of_eps(study)}
    if study.scene.counts:
        record["trade_off"] = trade_off(study)
    write_json(study.folder / "figures.json", record)
    return record


def _save(study: Study, name: str, made: Callable[[Path], None]) -> None:
    with atomic_file(study.folder / f"{name}.png") as part:
        made(part)


def one_of_each(labels: np.ndarray, count: int) -> np.ndarray:
    """The first image of each class, then the second of each, and so on: `count` indices."""
    places = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    by_turn = [rows[i] for i in range(count) for rows in places if i < len(rows)]
    return np.array(by_turn[:count])


def reconstructions(study: Study, ladder: LADDER, count: int = 10) -> dict[str, float]:
    """Figure 4: training and test images beside what the generator makes of their latents."""
    adversary, errors, rows = ladder.adversary(seed=1), {}, []
    for part in ("train", "test"):
        x, y = getattr(study.dataset, f"x_{part}"), getattr(study.dataset, f"y_{part}")
        latents = ladder.features.predict(x, batch_size=500, verbose=0)
        made = adversary.generator.predict(latents, batch_size=500, verbose=0)
        errors[f"{part}_mse"] = float(np.mean(np.square(made - x)))
        chosen = one_of_each(y, count)
        rows += [x[chosen], made[chosen]]
    names = [f"{part}, {what}" for part in ("training", "test") for what in ("image", "decoded")]
    title = "Figure 4: images and what the generator makes of their latents. MSE {:.5f} and {:.5f}"
    title = title.format(errors["train_mse"], errors["test_mse"])
    _save(study, "figure-4", lambda path: image_grid(rows, path, names=names, title=title))
    return errors


def _predicted(study: Study, images: np.ndarray) -> np.ndarray:
    return np.argmax(study.vanilla.predict(images, verbose=0), axis=1)


def diversity(study: Study, ladder: LADDER, count: int = 10) -> None:
    """Figure 6: examples of five attacks on the vanilla classifier, and what it sees in them."""
    x, y = study.first(study.size.attacked)
    made = {name: study.crafted(ITSELF, study.vanilla, name)[0] for name in SHOWN}
    made["LADDER"] = ladder.adversary(seed=1).craft_all(x, y, eps=12.0)["x_adv"]
    chosen = one_of_each(y, count)
    rows = [x[chosen], *(images[chosen] for images in made.values())]
    seen = [_predicted(study, np.asarray(row)) for row in rows]
    title = "Figure 6: above each image the class that the vanilla classifier sees"
    _save(
        study,
        "figure-6",
        lambda path: image_grid(
            rows,
            path,
            names=["image", *made],
            captions=[[study.dataset.class_names[label] for label in row] for row in seen],
            marked=[list(row != y[chosen]) for row in seen],
            title=title,
        ),
    )


def _moved(
    ladder: LADDER, x: np.ndarray, y: np.ndarray, target: np.ndarray, eps: Sequence[float]
) -> np.ndarray:
    """Images decoded along the normal, (n, E, H, W, C)."""
    z = tf.cast(ladder.features(x, training=False), tf.float32)
    adversary = ladder.adversary(seed=1)
    move = adversary.move(z, tf.constant(y, tf.int32), tf.constant(target, tf.int32))
    return np.stack([np.asarray(adversary.decode(z + e * move)) for e in eps], axis=1)


def _captions(eps: Sequence[float], seen: Sequence[int]) -> list[str]:
    return [f"{e:g}: {label}" for e, label in zip(eps, seen, strict=True)]


def near_boundary(study: Study, ladder: LADDER, count: int = 4) -> None:
    """Figure 7: the images on both sides of where the vanilla classifier changes its mind.

    First those that end in the target class; with a poor generator there may be few or none,
    and any that change class, or do not, fill the rows.
    """
    x, y = study.first(200)
    rng = np.random.default_rng(7)
    target = (y + rng.integers(1, study.dataset.num_classes, len(y))) % study.dataset.num_classes
    images = _moved(ladder, x, y, target, NEAR)
    seen = _predicted(study, images.reshape(-1, *x.shape[1:])).reshape(len(x), -1)
    crossing = np.argmax(seen != y[:, None], axis=1)
    ends = (seen == target[:, None]).any(axis=1) & (crossing >= 3) & (seen[:, 0] == y)
    rows, captions, marked, names = [], [], [], []
    best = 2 * ends + (seen != y[:, None]).any(axis=1)
    for i in np.argsort(-best, kind="stable")[:count]:
        span = slice(max(0, crossing[i] - 5), crossing[i] + 4)
        rows.append([x[i], *images[i, span]])
        captions.append(
            ["image", *(f"{e:g}: {s}" for e, s in zip(NEAR[span], seen[i, span], strict=False))]
        )
        marked.append([False, *(seen[i, span] != y[i])])
        names.append(f"{y[i]} to {target[i]}")
    title = "Figure 7: eps and the class that is seen; an orange frame where it is another class"
    _save(
        study,
        "figure-7",
        lambda path: image_grid(
            rows, path, names=names, captions=captions, marked=marked, title=title
        ),
    )


def over_eps(study: Study, ladder: LADDER, count: int = 10) -> None:
    """Figure 10: eps from 0.5 to 30, between an image and one of the target class."""
    x, y = study.first(500)
    chosen = one_of_each(y, count)
    rng = np.random.default_rng(10)
    classes = study.dataset.num_classes
    target = (y[chosen] + rng.integers(1, classes, len(chosen))) % classes
    ends = [x[np.flatnonzero(y == label)[1]] for label in target]
    images = _moved(ladder, x[chosen], y[chosen], target, SWEEP)
    seen = _predicted(study, images.reshape(-1, *x.shape[1:])).reshape(len(chosen), -1)
    rows = [[a, *line, b] for a, line, b in zip(x[chosen], images, ends, strict=True)]
    captions = [
        ["image", *(f"{e:g}: {s}" for e, s in zip(SWEEP, line, strict=False)), "target"]
        for line in seen
    ]
    marked = [
        [False, *(line != label), False] for line, label in zip(seen, y[chosen], strict=False)
    ]
    _save(
        study,
        "figure-10",
        lambda path: image_grid(
            rows,
            path,
            captions=captions,
            marked=marked,
            title="Figure 10: eps and the class seen; right, an image of the target class",
        ),
    )


def effect_of_eps(study: Study) -> dict[str, Any]:
    """Figure 9: clean accuracy, and accuracy on Song's images, over the eps trained on."""
    x, y = study.dataset.x_test, study.dataset.y_test
    song, classes = study.crafted(ITSELF, study.vanilla, "Song")
    clean, attacked = [], []
    for eps in study.scene.eps:
        model = study.model(study.casts[0].defence("LADDER", eps=f"{eps:g}"))
        clean.append(float(np.mean(is_correct(model, x, y))))
        attacked.append(float(np.mean(is_correct(model, song, classes))))
    level = {"clean images, vanilla": float(np.mean(is_correct(study.vanilla, x, y)))}
    before = float(np.mean(is_correct(study.vanilla, song, classes)))
    title = f"Figure 9: Song's images are made on vanilla, which keeps {100 * before:.1f}%"
    _save(
        study,
        "figure-9",
        lambda path: lines(
            study.scene.eps,
            {"clean images": clean, "Song's images": attacked},
            path,
            labels=("eps of the examples trained on", "accuracy, %"),
            level=level,
            title=title,
        ),
    )
    return {
        "eps": list(study.scene.eps),
        "clean": clean,
        "song": attacked,
        "vanilla_clean": level["clean images, vanilla"],
        "vanilla_song": before,
    }


def trade_off(study: Study) -> dict[str, list[list[float]]]:
    """Figure 8: clean accuracy against that on Song's images, by the number of examples.

    Returns:
        Row to one [Song, clean] a count, fractions.
    """
    x, y = study.dataset.x_test, study.dataset.y_test
    song, labels = study.crafted(ITSELF, study.vanilla, "Song")
    points: dict[str, list[list[float]]] = {}
    for label in rows_of(study.scene)[1:]:
        for count in study.scene.counts:
            each = count // study.dataset.num_classes
            model = study.model(study.casts[0].defence(label, examples_per_class=each))
            both = [float(np.mean(is_correct(model, *on))) for on in ((song, labels), (x, y))]
            points.setdefault(label, []).append(both)
    _save(
        study,
        "figure-8",
        lambda path: scatter(
            points,
            path,
            labels=("accuracy on Song's images, %", "accuracy on clean images, %"),
            title=f"Figure 8: {study.scene.counts[0]} to {study.scene.counts[-1]} examples",
        ),
    )
    return points
