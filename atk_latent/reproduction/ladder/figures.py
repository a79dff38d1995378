"""LADDER's figures: what its generator and its examples look like, and what eps does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from atk_latent.atomic import atomic_file, write_json
from atk_latent.methods.ladder_run import load_ladder
from atk_latent.reporting.image_grid import image_grid, lines, scatter
from atk_latent.reproduction.experiment import Experiment, RowSpec
from atk_latent.reproduction.ladder import experiments
from atk_latent.reproduction.ladder.surrogates import ITSELF, transfer_set
from atk_latent.reproduction.run import Runner, is_correct
from atk_latent.results.record import Json

SWEEP = tuple(float(e) for e in (0.5, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 27, 30))
NEAR = tuple(float(e) for e in range(1, 16))  # Figure 7 looks closer at the boundary
SHOWN = ("FGSM", "JSMA", "PGD", "Song")


def draw(experiment: Experiment, runner: Runner) -> Json:
    """Figures 4, 6, 7, 8 (where there are counts for it), 9 and 10, each a .png.

    Args:
        experiment: the transfer table of a data set. runner: knows where everything goes.

    Returns:
        Figure 9's numbers and the generator's errors, also in `figures.json`.
    """
    figures = Figures(experiment, runner)
    generator = figures.reconstructions()
    figures.diversity()
    figures.near_boundary()
    figures.over_eps()
    record: Json = {"generator": {**generator}, "effect_of_eps": figures.effect_of_eps()}
    if experiment.sweeps["examples"]:
        record["trade_off"] = figures.trade_off()
    write_json(runner.folder / "figures.json", record)
    return record


def one_of_each(labels: np.ndarray, count: int) -> np.ndarray:
    """The first image of each class, then the second of each, and so on: `count` indices."""
    places = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    by_turn = [rows[i] for i in range(count) for rows in places if i < len(rows)]
    return np.array(by_turn[:count])


class Figures:
    """What the figures of a data set share.

    Args:
        experiment: the transfer table. runner: of it.
    """

    def __init__(self, experiment: Experiment, runner: Runner) -> None:
        self.experiment, self.runner = experiment, runner
        self.dataset = runner.dataset(experiment)
        self.vanilla: keras.Model = runner.target(experiment, experiments.VANILLA).model
        self.ladder = load_ladder(runner.train(experiment, experiments.LADDER).folder)
        self.fixed_set = transfer_set(ITSELF, experiment, runner)

    def _save(self, name: str, draw_to: Callable[[Path], None]) -> None:
        with atomic_file(self.runner.folder / f"{name}.png") as part:
            draw_to(part)

    def _crafted(self, label: str) -> tuple[np.ndarray, np.ndarray]:
        """Adversarial images of a column, made on the vanilla classifier, and their classes."""
        return self.fixed_set.images(self.experiment.column(label))

    def _predicted(self, images: np.ndarray) -> np.ndarray:
        return np.asarray(np.argmax(self.vanilla.predict(images, verbose=0), axis=1))

    def _accuracies(self, row: RowSpec) -> tuple[float, float]:
        """A row's accuracy on clean test images and on Song's, fractions."""
        model = self.runner.target(self.experiment, row).scored
        clean = self.dataset.x_test, self.dataset.y_test
        first, second = (np.mean(is_correct(model, *on)) for on in (clean, self._crafted("Song")))
        return float(first), float(second)

    def reconstructions(self, count: int = 10) -> dict[str, float]:
        """Figure 4: training and test images beside what the generator makes of their latents."""
        adversary, errors, rows = self.ladder.adversary(seed=1), {}, []
        for part in ("train", "test"):
            x, y = getattr(self.dataset, f"x_{part}"), getattr(self.dataset, f"y_{part}")
            latents = self.ladder.features.predict(x, batch_size=500, verbose=0)
            decoded = adversary.generator.predict(latents, batch_size=500, verbose=0)
            errors[f"{part}_mse"] = float(np.mean(np.square(decoded - x)))
            chosen = one_of_each(y, count)
            rows += [x[chosen], decoded[chosen]]
        names = [f"{p}, {what}" for p in ("training", "test") for what in ("image", "decoded")]
        title = (
            "Figure 4: images and what the generator makes of their latents. "
            f"MSE {errors['train_mse']:.5f} and {errors['test_mse']:.5f}"
        )
        self._save("figure-4", lambda path: image_grid(rows, path, names=names, title=title))
        return errors

    def diversity(self, count: int = 10) -> None:
        """Figure 6: examples of five attacks on the vanilla classifier, and what it sees."""
        x, y = self.runner.images(self.experiment, self.experiment.column(SHOWN[0]))
        adversarial = {name: self._crafted(name)[0] for name in SHOWN}
        adversarial["LADDER"] = self.ladder.adversary(seed=1).craft_all(x, y, eps=12.0)["x_adv"]
        chosen = one_of_each(y, count)
        rows = [x[chosen], *(images[chosen] for images in adversarial.values())]
        seen = [self._predicted(np.asarray(row)) for row in rows]
        self._save(
            "figure-6",
            lambda path: image_grid(
                rows,
                path,
                names=["image", *adversarial],
                captions=[[self.dataset.class_names[label] for label in row] for row in seen],
                marked=[list(row != y[chosen]) for row in seen],
                title="Figure 6: above each image the class that the vanilla classifier sees",
            ),
        )

    def _moved(
        self, x: np.ndarray, y: np.ndarray, target: np.ndarray, eps: Sequence[float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Images decoded along the normal, (n, E, H, W, C), and the classes seen, (n, E)."""
        z = tf.cast(self.ladder.features(x, training=False), tf.float32)
        adversary = self.ladder.adversary(seed=1)
        move = adversary.move(z, tf.constant(y, tf.int32), tf.constant(target, tf.int32))
        images = np.stack([np.asarray(adversary.decode(z + e * move)) for e in eps], axis=1)
        seen = self._predicted(images.reshape(-1, *x.shape[1:]))
        return images, seen.reshape(len(x), -1)

    def near_boundary(self, count: int = 4) -> None:
        """Figure 7: the images on both sides of where the vanilla classifier changes its mind.

        First those that end in the target class; with a poor generator there may be few or
        none, and any that change class, or do not, fill the rows.
        """
        x, y = self.dataset.x_test[:200], self.dataset.y_test[:200]
        rng, classes = np.random.default_rng(7), self.dataset.num_classes
        target = (y + rng.integers(1, classes, len(y))) % classes
        images, seen = self._moved(x, y, target, NEAR)
        crossing = np.argmax(seen != y[:, None], axis=1)
        ends = (seen == target[:, None]).any(axis=1) & (crossing >= 3) & (seen[:, 0] == y)
        rows, captions, marked, names = [], [], [], []
        best = 2 * ends + (seen != y[:, None]).any(axis=1)
        for i in np.argsort(-best, kind="stable")[:count]:
            span = slice(max(0, crossing[i] - 5), crossing[i] + 4)
            rows.append([x[i], *images[i, span]])
            captions.append(["image", *_captions(NEAR[span], seen[i, span])])
            marked.append([False, *(seen[i, span] != y[i])])
            names.append(f"{y[i]} to {target[i]}")
        title = (
            "Figure 7: eps and the class that is seen; an orange frame where it is another class"
        )
        self._save(
            "figure-7",
            lambda path: image_grid(
                rows, path, names=names, captions=captions, marked=marked, title=title
            ),
        )

    def over_eps(self, count: int = 10) -> None:
        """Figure 10: eps from 0.5 to 30, between an image and one of the target class."""
        x, y = self.dataset.x_test[:500], self.dataset.y_test[:500]
        chosen = one_of_each(y, count)
        rng, classes = np.random.default_rng(10), self.dataset.num_classes
        target = (y[chosen] + rng.integers(1, classes, len(chosen))) % classes
        ends = [x[np.flatnonzero(y == label)[1]] for label in target]
        images, seen = self._moved(x[chosen], y[chosen], target, SWEEP)
        rows = [[a, *line, b] for a, line, b in zip(x[chosen], images, ends, strict=True)]
        captions = [["image", *_captions(SWEEP, line), "target"] for line in seen]
        marked = [
            [False, *(line != label), False] for line, label in zip(seen, y[chosen], strict=False)
        ]
        title = "Figure 10: eps and the class seen; right, an image of the target class"
        self._save(
            "figure-10",
            lambda path: image_grid(rows, path, captions=captions, marked=marked, title=title),
        )

    def effect_of_eps(self) -> Json:
        """Figure 9: clean accuracy, and accuracy on Song's images, over the eps trained on."""
        texts = self.experiment.sweeps["eps"]
        rows = (experiments.varied(experiments.LADDER, "eps", eps) for eps in texts)
        clean, song = zip(*map(self._accuracies, rows), strict=True)
        vanilla_clean, vanilla_song = self._accuracies(experiments.VANILLA)
        eps = [float(text) for text in texts]
        title = (
            f"Figure 9: Song's images are made on vanilla, which keeps {100 * vanilla_song:.1f}%"
        )
        self._save(
            "figure-9",
            lambda path: lines(
                eps,
                {"clean images": clean, "Song's images": song},
                path,
                labels=("eps of the examples trained on", "accuracy, %"),
                level={"clean images, vanilla": vanilla_clean},
                title=title,
            ),
        )
        return {
            "eps": [*eps],
            "clean": [*clean],
            "song": [*song],
            "vanilla_clean": vanilla_clean,
            "vanilla_song": vanilla_song,
        }

    def trade_off(self) -> Json:
        """Figure 8: clean accuracy against that on Song's images, by the number of examples.

        Returns:
            Row to one [Song, clean] a count, fractions.
        """
        counts = [int(count) for count in self.experiment.sweeps["examples"]]
        points: dict[str, list[list[float]]] = {}
        for row in self.experiment.rows[1:]:
            for count in counts:
                each = count // self.dataset.num_classes
                clean, song = self._accuracies(experiments.varied(row, "examples_per_class", each))
                points.setdefault(row.label, []).append([song, clean])
        self._save(
            "figure-8",
            lambda path: scatter(
                points,
                path,
                labels=("accuracy on Song's images, %", "accuracy on clean images, %"),
                title=f"Figure 8: {counts[0]} to {counts[-1]} examples",
            ),
        )
        return {label: [[*pair] for pair in pairs] for label, pairs in points.items()}


def _captions(eps: Sequence[float], seen: np.ndarray) -> list[str]:
    return [f"{e:g}: {label}" for e, label in zip(eps, seen, strict=False)]
