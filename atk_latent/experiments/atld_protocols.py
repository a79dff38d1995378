"""ATLD without and with IMT beside vanilla and PGD training, static and adaptive attacks apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from atk_latent.atomic import atomic_file, write_json
from atk_latent.data.dataset import Dataset
from atk_latent.data.loading import load_dataset
from atk_latent.evaluation.result import versions
from atk_latent.evaluation.runner import Deployed, clean_accuracy, evaluate
from atk_latent.experiments.hardening import Request, harden
from atk_latent.inference.loading import has_manifold, imt_for
from atk_latent.models.loading import load_classifier

Progress = Callable[..., None]
# Columns: name, attack, whether it needs the discriminator or IMT, images at most.
Column = tuple[str, str, str, int]
_PACE = "eps={eps},step_size={step}"
COLUMNS: tuple[Column, ...] = (
    ("static: FGSM", "rs-fgsm:eps={eps}", "any", 1000),
    ("static: PGD-20", f"pgd:{_PACE},steps=20,keep=last", "any", 1000),
    ("static: CW-20", f"cw-pgd:{_PACE},steps=20,keep=last", "any", 1000),
    ("static: AutoAttack", "autoattack:eps={eps}", "any", 200),
    ("adaptive: classifier + D, PGD-20", f"atld-joint:{_PACE},steps=20", "imt", 1000),
    ("adaptive: classifier 20, D 1", f"atld-chain:{_PACE},steps=20", "imt", 1000),
    ("adaptive: D 20", f"atld-manifold:{_PACE},steps=20", "imt", 1000),
    ("adaptive: PGD-20 through IMT", f"through-imt:attack=pgd,{_PACE},steps=20", "imt", 1000),
    ("adaptive: AutoAttack through IMT", "through-imt:attack=autoattack,eps={eps}", "imt", 200),
)
INFERENCES = {"ATLD-": "none", "ATLD": "imt", "ATLD+": "imt+"}


@dataclasses.dataclass(frozen=True)
class Scene:
    """What is run on a data set.

    Args:
        data, model: registered names. eps, step: Linf radius and step, as text.
        limit, epochs, test: training images, passes over them and test images of "quick".
    """

    data: str
    model: str
    eps: str
    step: str
    limit: int
    epochs: int
    test: int


MNIST = Scene("mnist", "lenet", "0.3", "0.075", limit=15_000, epochs=8, test=1000)
CIFAR10 = Scene("cifar10", "wrn-10-2", "8/255", "2/255", limit=10_000, epochs=8, test=1000)


def requests(scene: Scene, preset: str, seed: int) -> dict[str, Request]:
    """What is hardened, by the first word of its rows."""
    short = {"epochs": scene.epochs, "decay_epochs": (scene.epochs * 3 // 4,)}
    budget, limit = (short, scene.limit) if preset == "quick" else ({}, None)

    def request(method: str, recipe: str = "paper", **settings: Any) -> Request:
        values = {**({} if method == "natural" else budget), **settings}
        return Request(method, scene.data, recipe, scene.model, values, limit, seed)

    return {
        "vanilla": request("natural", "quick" if preset == "quick" else "paper"),
        "PGD training": request("pgd", eps=scene.eps),
        "paper": request("atld", "paper"),
        "official": request("atld", "official"),
        "stable": request("atld", "stable"),
    }


def run(
    scene: Scene, preset: str, folder: Path, *, seed: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """Hardens, attacks, and leaves `result.json` and `table.md`.

    Args:
        scene: see `Scene`. preset: "quick" or "paper". folder: where everything goes; the
            same call goes on where a stopped one was.
        seed: of training and attacks. progress: told (what, done, in all, logs).

    Returns:
        The content of `result.json`.
    """
    limit = scene.limit if preset == "quick" else None
    dataset = load_dataset(scene.data, limit_train=limit, seed=seed)
    rows: list[dict[str, Any]] = []
    for name, request in requests(scene, preset, seed).items():
        place = folder / "runs" / name
        card = harden(request, dataset, place, resume=True, progress=progress)
        model = load_classifier(place, dataset.image_shape, dataset.num_classes)
        kinds = INFERENCES if has_manifold(place) else {"": "none"}
        for label, inference in kinds.items():
            title = f"{label} ({name})" if label else name
            cells = _cells(scene, model, place, inference, dataset, folder / "chunks", seed)
            metrics = {key: card["metrics"].get(key) for key in ("discriminator_test_accuracy",)}
            rows.append({"label": title, "inference": inference, "cells": cells, **metrics})
    record = {
        "title": f"ATLD on {scene.data} ({scene.model}, Linf {scene.eps}, {preset})",
        "rows": rows,
        "seed": seed,
        "data_fingerprint": dataset.fingerprint(),
        "versions": versions(),
    }
    write_json(folder / "result.json", record)
    with atomic_file(folder / "table.md") as part:
        part.write_text(markdown(record), encoding="utf-8")
    return record


def _cells(
    scene: Scene,
    model: Any,
    place: Path,
    inference: str,
    dataset: Dataset,
    store: Path,
    seed: int,
) -> dict[str, Any]:
    """Accuracies by column; without IMT there is nothing for an adaptive attack to know."""
    imt = imt_for(inference, place, model)
    deployed = None if imt is None else Deployed(inference, imt)
    context = {} if imt is None else {"imt": imt, "manifold": imt.transform.manifold}
    x, y = dataset.x_test[: scene.test], dataset.y_test[: scene.test]
    clean = clean_accuracy(imt or model, x, y)
    cells: dict[str, Any] = {"clean": {"accuracy": clean.value, "n": clean.n, "threat": "none"}}
    for name, spec, needs, most in COLUMNS:
        if needs == "imt" and imt is None:
            continue
        (found,) = evaluate(
            model,
            x[:most],
            y[:most],
            [spec.format(eps=scene.eps, step=scene.step)],
            seed=seed,
            deployed=deployed,
            store=store,
            context={**context, "data": dataset},
        )
        cells[name] = {
            "accuracy": found.robust_accuracy,
            "n": found.n,
            "low": found.low,
            "high": found.high,
            "threat": found.threat,
        }
    return cells


def markdown(record: Mapping[str, Any]) -> str:
    """The record as a Markdown table, accuracies in percent; - where an attack makes no sense."""
    names = ["clean", *(column[0] for column in COLUMNS)]
    lines = [f"# {record['title']}", "", "| | " + " | ".join(names) + " |"]
    lines.append("|---|" + "---|" * len(names))
    for row in record["rows"]:
        cells = [row["cells"].get(name) for name in names]
        texts = [f"{100 * cell['accuracy']:.1f}" if cell else "-" for cell in cells]
        lines.append(f"| {row['label']} | " + " | ".join(texts) + " |")
    lines += [
        "",
        "- static: the attack sees the bare classifier; IMT comes after, where the row has it.",
        "  That is the papers' protocol, and no attack on what is deployed.",
        "- adaptive: the attack knows the discriminator, or goes through IMT itself.",
        "- The lowest number of a row is the one to believe.",
        f"- Seed {record['seed']}, data {record['data_fingerprint']}.",
        "",
    ]
    return "\n".join(lines)


def mnist(
    preset: str, folder: Path, *, seed: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """The comparison on MNIST; `preset` is "quick" or "paper"."""
    return run(MNIST, preset, folder, seed=seed, progress=progress)


def cifar10(
    preset: str, folder: Path, *, seed: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """The comparison on CIFAR-10 with a small WideResNet; `preset` is "quick" or "paper"."""
    return run(CIFAR10, preset, folder, seed=seed, progress=progress)
