"""Every method beside every other: the same data, network, training images and epochs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atk_latent.data.loading import load_dataset
from atk_latent.progress import Progress
from atk_latent.reproduction.comparison import Comparison, Row, run_comparison
from atk_latent.reproduction.table import Column
from atk_latent.results.record import Json
from atk_latent.training.gan_training import METHOD, train_gan
from atk_latent.training.pipeline import Request


@dataclasses.dataclass(frozen=True)
class Scene:
    """What is particular to a data set.

    Args:
        data, model: registered names. paper_model: that of the paper preset, whose rates and
            weights some methods choose for a network with batch normalisation.
        eps: Linf radius, as text. quick_eps: that of the quick preset, whose budget is too
            short for some methods to leave chance at a larger one.
        limit, epochs: training images and passes over them of the quick preset.
        test: test images that the cheap attacks see; AutoAttack sees 500.
        rate: settings of the optimizer in the quick preset, for all that do not fine-tune;
            none leaves each method its own.
        ladder: settings of the two rows with LADDER, in the quick preset. gan: those of the
            GAN that draws Song et al.'s images, in the quick preset.
    """

    data: str
    model: str
    paper_model: str
    eps: str
    quick_eps: str
    limit: int
    epochs: int
    test: int
    rate: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    ladder: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    gan: Mapping[str, Any] = dataclasses.field(default_factory=dict)


MNIST = Scene(
    data="mnist",
    model="lenet",
    paper_model="lenet",
    eps="0.3",
    quick_eps="0.2",
    limit=6_000,
    epochs=8,
    test=1_000,
)
# The presets' rates are for networks with batch normalisation, which LeNet has not.
LENET_RATE = {"learning_rate": 0.01, "momentum": 0.9}
CIFAR10 = Scene(
    data="cifar10",
    model="lenet",
    paper_model="cifarnet",
    eps="8/255",
    quick_eps="8/255",
    limit=5_000,
    epochs=8,
    test=1_000,
    rate=LENET_RATE,
    ladder={"generator": "svhn"},  # Table 11's: Table 13's takes five times as long
    gan={"architecture": "mnist", "steps": 1000},  # a quarter as wide as CIFAR-10's
)
ATTACKERS = ("fgsm", "jsma", "pgd", "cw-l2", "song")  # whose examples a fixed set is made of


def columns(scene: Scene) -> tuple[Column, ...]:
    """Clean accuracy and four white-box attacks, weakest first."""
    ball = f"eps={scene.eps}"
    return (
        Column.of("clean", None, scene.test),
        Column.of("FGSM", f"fgsm:{ball}", scene.test),
        Column.of("PGD-20", f"pgd:{ball},steps=20", scene.test),
        Column.of("CW-20", f"cw-pgd:{ball},steps=20", scene.test),
        Column.of("AutoAttack", f"autoattack:{ball}", 500),
    )


def rows(scene: Scene, preset: str, gan: Path) -> tuple[Row, ...]:
    """Every method; those that train in a ball share its radius, all share the epochs.

    Args:
        scene: what they run on. preset: "quick" or "paper".
        gan: the run folder of the GAN for Song et al.'s examples.
    """
    ball = {"eps": scene.eps}
    passes: dict[str, Any] = {"epochs": scene.epochs, "decay_epochs": (scene.epochs * 3 // 4,)}
    budget: dict[str, Any] = {**passes, **scene.rate} if preset == "quick" else {}
    first = {f"adversarial_{name}": value for name, value in budget.items() if name != "momentum"}
    lat = {**first, "epochs": 1, "decay_epochs": None} if preset == "quick" else {}
    plain = {"epochs": scene.epochs, **scene.rate} if preset == "quick" else {}
    ladder = scene.ladder if preset == "quick" else {}
    in_ball: dict[str, tuple[str, dict[str, Any]]] = {
        "FGSM, random start": ("fgsm", plain),
        "Free": ("free", plain),
        "PGD (Madry)": ("pgd", budget),
        "PGD + AWP": ("pgd", {**budget, "awp_gamma": 0.005}),
        "TRADES": ("trades", budget),
        "TRADES + AWP": ("trades", {**budget, "awp_gamma": 0.005}),
        "MART": ("mart", budget),
        "Feature Scattering": ("feature-scattering", budget),
        "TLA": ("tla", budget),
        "LAT": ("lat", lat),
        "Bilateral": ("bilateral", budget),
        "ATLD-": ("atld", budget),
    }
    return (
        Row("Natural", "natural", plain, preset),
        *(Row(name, kind, {**ball, **more}, preset) for name, (kind, more) in in_ball.items()),
        *(
            Row(
                f"{name} adv.",
                "augment",
                {"attack": _maker(name, scene, preset, gan)},
                preset,
                "Natural",
            )
            for name in ATTACKERS
        ),
        Row("LADDER", "ladder", ladder, preset, "Natural"),
        Row("TRADES + LADDER", "trades-ladder", ladder, preset, "Natural", "LADDER"),
    )


def _maker(name: str, scene: Scene, preset: str, gan: Path) -> str:
    if name == "song":
        return f"song:gan={gan}" + (",steps=60" if preset == "quick" else "")
    return f"{name}:eps={scene.eps}" if name in ("fgsm", "pgd") else name


def compare(
    scene: Scene, preset: str, folder: Path, *, seed: int, progress: Progress | None = None
) -> Json:
    """Runs the comparison of a scene; see `run_comparison`."""
    limit = None
    if preset == "quick":
        scene, limit = dataclasses.replace(scene, eps=scene.quick_eps), scene.limit
    else:
        scene = dataclasses.replace(scene, model=scene.paper_model)
    dataset = load_dataset(scene.data, limit_train=limit, seed=seed)
    gan = folder / "runs" / "song-gan"
    more = dict(scene.gan) if preset == "quick" else {}
    asked = Request(METHOD, scene.data, preset, None, more, limit, seed)
    train_gan(asked, dataset, gan, resume=True, progress=progress)
    what = f"{len(dataset.x_train):,} training images"
    what += f", {scene.epochs} passes" if preset == "quick" else ", each paper's own recipe"
    comparison = Comparison(
        title=f"Defences on {scene.data} ({scene.model}, Linf {scene.eps}, {what})",
        data=scene.data,
        rows=rows(scene, preset, gan),
        columns=columns(scene),
        model=scene.model,
        limit=limit,
        notes=(
            "White-box on the bare classifier; ATLD- is ATLD without its inference step.",
            "AutoAttack is the official standard suite. ± is half the 95% Wilson interval.",
            "Average rank as in the LADDER paper: over all columns, smaller is better.",
            "Rows named after an attack and the two with LADDER fine-tune Natural's classifier.",
        ),
    )
    return run_comparison(comparison, dataset, folder, seed=seed, progress=progress)


def mnist(preset: str, folder: Path, *, seed: int = 0, progress: Progress | None = None) -> Json:
    """All methods on MNIST; `preset` is "quick" or "paper"."""
    return compare(MNIST, preset, folder, seed=seed, progress=progress)


def cifar10(preset: str, folder: Path, *, seed: int = 0, progress: Progress | None = None) -> Json:
    """All methods on CIFAR-10 with a small network; `preset` is "quick" or "paper"."""
    return compare(CIFAR10, preset, folder, seed=seed, progress=progress)
