"""ATLD's Figures 1 and 3: what perturbations and training do to two-dimensional data."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from atk_latent.adversaries.base import Adversary
from atk_latent.adversaries.factory import make_adversary
from atk_latent.adversaries.feature_scattering import FeatureScatter, ScatteringSettings
from atk_latent.adversaries.kl_ascent import KLAscent, KLSettings
from atk_latent.atomic import atomic_file, write_json
from atk_latent.inference.imt import IMT, IMTSettings
from atk_latent.methods.atld import ATLD
from atk_latent.methods.base import Method
from atk_latent.models.initialising import Seeds, dense, logits
from atk_latent.models.scoring import clean_accuracy
from atk_latent.registry import METHODS
from atk_latent.reproduction.experiment import Settings
from atk_latent.reproduction.run import Runner
from atk_latent.results.record import Json

EPS, POINTS, GRID = 0.07, 600, 160
EPOCHS = {"quick": 40, "paper": 400}
_BALL = {"eps": EPS, "steps": 10, "step_size": EPS / 4}
_SGD = {"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0.0, "batch_size": 50}
ADVERSARIES: dict[str, Callable[..., Adversary]] = {
    "pgd": functools.partial(make_adversary, "pgd"),
    "kl-pgd": lambda **settings: KLAscent(KLSettings(**settings)),
    "feature-scattering": lambda **settings: FeatureScatter(ScatteringSettings(**settings)),
}
# Method, its own settings, and the adversary that shows what it trains on.
ROWS: dict[str, tuple[str, Settings, str | None]] = {
    "standard": ("natural", {}, None),
    "PGD": ("pgd", _BALL, "pgd"),
    "TRADES": ("trades", {**_BALL, "beta": 6.0}, "kl-pgd"),
    "feature scattering": (
        "feature-scattering",
        {"eps": EPS, "label_smoothing": 0.1},
        "feature-scattering",
    ),
    "ATLD": (  # the "stable" recipe's term: in 40 epochs the paper's is still at its floor
        "atld",
        {"eps": EPS, "label_smoothing": 0.1, "discriminator": "small", "theta_term": "mse"},
        None,
    ),
}


def moons(count: int = POINTS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two interleaved half circles, a class each.

    Returns:
        x float32 (count, 1, 2, 1), two coordinates in [0, 1]; y int64 (count,).
    """
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 2
    angle = rng.uniform(0, np.pi, count) + np.pi * y
    centre = np.where(y[:, None] == 0, [0.37, 0.43], [0.63, 0.57])
    points = centre + 0.3 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points += rng.normal(0, 0.02, (count, 2))
    return np.clip(points, 0, 1).reshape(-1, 1, 2, 1).astype(np.float32), y.astype(np.int64)


def network(seed: int = 0) -> keras.Model:
    """Two hidden layers of 64: points (B, 1, 2, 1) to logits (B, 2)."""
    seeds = Seeds(seed)
    x = inputs = keras.Input((1, 2, 1), name="image")
    x = layers.Rescaling(4.0, -2.0)(layers.Flatten()(x))
    for name, width in (("hidden", 2), ("latent", 64)):
        x = layers.ReLU(name=name)(dense(64, width, seeds)(x))
    return keras.Model(inputs, logits(2, 64, seeds)(x), name="toy")


def _settings(key: str, own: Settings, preset: str) -> Any:
    """A method's settings with the toy's optimizer, at a constant rate."""
    values = {**_SGD, **own, "epochs": EPOCHS[preset], "decay_epochs": None}
    return METHODS[key].settings_for("", "mnist", "paper", values)


def trained(name: str, x: np.ndarray, y: np.ndarray, preset: str, seed: int) -> Method:
    """A row's method after its training."""
    key, own, _ = ROWS[name]
    method: Method = METHODS[key](network(seed), _settings(key, own, preset), seed=seed)
    method.prepare(x, y)
    method.harden(x, y)
    return method


def perturbed(
    vanilla: keras.Model, x: np.ndarray, y: np.ndarray, preset: str, seed: int
) -> dict[str, np.ndarray]:
    """The points as each row's adversary moves them on the vanilla network."""
    moved = {}
    for name, (_, own, adversary) in ROWS.items():
        if adversary:
            chosen = {key: own[key] for key in ("eps", "steps", "step_size") if key in own}
            craft = ADVERSARIES[adversary](**chosen).craft_all
            moved[name] = craft(vanilla, x, y, batch_size=len(x), seed=seed)
    game = watcher(vanilla, x, y, preset, seed)
    lmae = game.adversary.craft_all(game.manifold.verdict, x, y, batch_size=len(x), seed=seed)
    return {"standard": x, **moved, "ATLD": lmae}


def watcher(vanilla: keras.Model, x: np.ndarray, y: np.ndarray, preset: str, seed: int) -> ATLD:
    """A game whose discriminator learns while the classifier stands still."""
    still = {"learning_rate": 1e-12, "clean_latents": "inference", "theta_term": "none"}
    game = ATLD(vanilla, _settings("atld", {**ROWS["ATLD"][1], **still}, preset), seed=seed)
    game.harden(x, y)
    return game


def figure_one(runner: Runner) -> Json:
    """Figure 1: perturbed points on the vanilla boundary, and the boundary of each training.

    Args:
        runner: its preset decides about the epochs, its seed about everything drawn;
            `atld-fig1.png` and `.json` go into its folder.

    Returns:
        Clean and PGD accuracy of each network, as in the `.json`.
    """
    preset, seed = runner.preset, runner.seed
    x, y = moons(seed=seed)
    nets: dict[str, keras.Model] = {}
    for done, name in enumerate(ROWS):
        if runner.progress:
            runner.progress("training", done, len(ROWS))
        nets[name] = trained(name, x, y, preset, seed).classifier
    moved = perturbed(nets["standard"], x, y, preset, seed)
    panels = [
        [(f"{name}: perturbed", nets["standard"], moved[name]) for name in ROWS],
        [(f"{name}: trained", nets[name], x) for name in ROWS],
    ]
    record: Json = {"experiment": "atld-fig1", "preset": preset, "seed": seed, "eps": EPS}
    record["networks"] = {
        name: {**accuracies(net, *moons(seed=seed + 1))} for name, net in nets.items()
    }
    _write(record, panels, y, runner.folder / "atld-fig1")
    return record


def figure_three(runner: Runner) -> Json:
    """Figure 3: clean and attacked points, and the attacked ones after IMT; see `figure_one`."""
    preset, seed = runner.preset, runner.seed
    x, y = moons(seed=seed)
    if runner.progress:
        runner.progress("training", 0, 1)
    game = trained("ATLD", x, y, preset, seed)
    net = game.classifier
    x, y = moons(seed=seed + 1)
    attacked = make_adversary("pgd", **_BALL).craft_all(net, x, y, seed=seed)
    imt = IMT(game.manifold, IMTSettings(**game.imt_settings()))
    stages = {"clean": x, "PGD": attacked, "PGD, then IMT": imt(tf.constant(attacked)).numpy()}
    record: Json = {"experiment": "atld-fig3", "preset": preset, "seed": seed, "eps": EPS}
    record["accuracy"] = {
        name: clean_accuracy(net, points, y).value for name, points in stages.items()
    }
    record["mean_margin"] = {name: mean_margin(net, points, y) for name, points in stages.items()}
    panels = [[(name, net, points) for name, points in stages.items()]]
    _write(record, panels, y, runner.folder / "atld-fig3")
    return record


def accuracies(net: keras.Model, x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Clean, and under PGD with the training's radius."""
    attacked = make_adversary("pgd", **_BALL).craft_all(net, x, y, seed=0)
    return {"clean": clean_accuracy(net, x, y).value, "pgd": clean_accuracy(net, attacked, y).value}


def mean_margin(net: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    """How far the own logit leads on average; negative on the wrong side of the boundary."""
    scores = np.asarray(net.predict(x, verbose=0))
    own = scores[np.arange(len(y)), y]
    return float(np.mean(own - scores[np.arange(len(y)), 1 - y]))


def _write(record: Json, panels: list[list[Any]], y: np.ndarray, stem: Path) -> None:
    from matplotlib.figure import Figure

    stem.parent.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(2.6 * len(panels[0]), 2.7 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), len(panels[0]), squeeze=False)
    for row, line in zip(axes, panels, strict=True):
        for place, (title, net, points) in zip(row, line, strict=True):
            _draw(place, net, points.reshape(-1, 2), y)
            place.set_title(title, fontsize=9)
    with atomic_file(stem.with_suffix(".png")) as part:
        figure.savefig(part, dpi=110, format="png")
    write_json(stem.with_suffix(".json"), record)


def _draw(place: Any, net: keras.Model, points: np.ndarray, y: np.ndarray) -> None:
    """Points of two classes over the network's decision regions."""
    side = np.linspace(0, 1, GRID, dtype=np.float32)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 1, 2, 1)
    scores = net.predict(grid, batch_size=len(grid), verbose=0)
    lead = (scores[:, 1] - scores[:, 0]).reshape(GRID, GRID)
    place.contourf(side, side, lead, levels=[-1e9, 0, 1e9], colors=["#cfe3f5", "#fbdcc4"])
    place.contour(side, side, lead, levels=[0], colors="black", linewidths=1)
    for label, colour in ((0, "#1f5f99"), (1, "#c4570e")):
        place.scatter(*points[y == label].T, s=4, color=colour, linewidths=0)
    place.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[], aspect="equal")
