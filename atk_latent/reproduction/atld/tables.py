"""ATLD without and with IMT beside vanilla and PGD training, static and adaptive attacks apart."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from atk_latent.art_bridge.context import AttackContext
from atk_latent.atomic import atomic_file
from atk_latent.config import number
from atk_latent.data.dataset import Dataset
from atk_latent.data.loading import load_dataset
from atk_latent.evaluation.runner import (
    Case,
    Deployed,
    Options,
    Surrogate,
    clean_predictions,
    run_attacks,
)
from atk_latent.inference.loading import has_manifold, imt_for
from atk_latent.models.loading import load_classifier
from atk_latent.progress import Progress
from atk_latent.reporting.image_grid import lines
from atk_latent.reproduction.table import table_of, write_table
from atk_latent.results.accuracy import Accuracy
from atk_latent.results.attack_result import Published
from atk_latent.results.comparison import Cell, Column, Comparison, Row
from atk_latent.results.record import Json
from atk_latent.training.pipeline import Request, harden

_PACE = "eps={eps},step_size={step}"
STATIC = (
    Column.of("clean", None, 1000),
    Column.of("static: FGSM", "rs-fgsm:eps={eps}", 1000),
    Column.of("static: PGD-20", f"pgd:{_PACE},steps=20,keep=last", 1000),
    Column.of("static: CW-20", f"cw-pgd:{_PACE},steps=20,keep=last", 1000),
    Column.of("static: AutoAttack", "autoattack:eps={eps}", 200),
)
ADAPTIVE = (  # these need the discriminator or IMT
    Column.of("adaptive: classifier + D, PGD-20", f"atld-joint:{_PACE},steps=20", 1000),
    Column.of("adaptive: classifier 20, D 1", f"atld-chain:{_PACE},steps=20", 1000),
    Column.of("adaptive: D 20", f"atld-manifold:{_PACE},steps=20", 1000),
    Column.of("adaptive: PGD-20 through IMT", f"through-imt:attack=pgd,{_PACE},steps=20", 1000),
    Column.of("adaptive: AutoAttack through IMT", "through-imt:attack=autoattack,eps={eps}", 200),
)
NOTES = (
    (
        "static: the attack sees the bare classifier; IMT comes after, where the row has it. "
        "That is the papers' protocol, and no attack on what is deployed."
    ),
    "adaptive: the attack knows the discriminator, or goes through IMT itself.",
    "The lowest number of a row is the one to believe.",
)
AGENTS = ("vanilla", "PGD training")  # on whom transfer attacks are made
BUDGET_IMAGES = 500
INFERENCES = {"ATLD-": "none", "ATLD": "imt", "ATLD+": "imt+"}


@dataclasses.dataclass(frozen=True)
class Scene:
    """What is run on a data set.

    Args:
        data: registered name. eps, step: Linf radius and step, as text.
        model: registered name, of the preset "quick". full: of the preset "paper".
        limit, epochs, test: training images, passes over them and test images of "quick".
        budgets: radii of Figure 5.
    """

    data: str
    model: str
    full: str
    eps: str
    step: str
    limit: int
    epochs: int
    test: int
    budgets: tuple[str, ...] = ("4/255", "8/255", "12/255", "16/255", "20/255")


MNIST = Scene(
    "mnist", "lenet", "lenet", "0.3", "0.075", limit=15_000, epochs=8, test=1000,
    budgets=("0.1", "0.2", "0.3", "0.4"),
)  # fmt: skip
CIFAR10 = Scene(
    "cifar10", "wrn-10-2", "wrn-28-10", "8/255", "2/255", limit=10_000, epochs=8, test=1000
)
CIFAR100 = dataclasses.replace(CIFAR10, data="cifar100")
SVHN = dataclasses.replace(CIFAR10, data="svhn")


def published() -> dict[str, Any]:
    """The numbers printed in the paper, percent; see `published/atld.yaml`."""
    path = resources.files("atk_latent.reproduction") / "published" / "atld.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def requests(scene: Scene, preset: str, seed: int) -> dict[str, Request]:
    """What is hardened, by the first word of its rows."""
    short = {"epochs": scene.epochs, "decay_epochs": (scene.epochs * 3 // 4,)}
    budget, limit = (short, scene.limit) if preset == "quick" else ({}, None)

    def request(method: str, recipe: str = "paper", **settings: Any) -> Request:
        values = {**({} if method == "natural" else budget), **settings}
        model = scene.model if preset == "quick" else scene.full
        return Request(method, scene.data, recipe, model, values, limit, seed)

    return {
        "vanilla": request("natural", preset),
        "PGD training": request("pgd", preset, eps=scene.eps),
        "paper": request("atld", "paper"),
        "official": request("atld", "official"),
        "stable": request("atld", "stable"),
    }


@dataclasses.dataclass(frozen=True)
class Contender:
    """A row: a trained classifier, bare or behind IMT.

    Args:
        label: of the row. name: of its run. place: the run. inference: "none", "imt", "imt+".
        card: of the run.
    """

    label: str
    name: str
    place: Path
    inference: str
    card: Mapping[str, Any]


def contenders(
    scene: Scene,
    preset: str,
    dataset: Dataset,
    folder: Path,
    seed: int,
    progress: Progress | None,
) -> list[Contender]:
    """Every row, hardened where it was not yet."""
    made = []
    for name, request in requests(scene, preset, seed).items():
        place = folder / "runs" / name
        card = harden(request, dataset, place, resume=True, progress=progress)
        kinds = INFERENCES if has_manifold(place) else {"": "none"}
        made += [
            Contender(f"{kind} ({name})" if kind else name, name, place, inference, card)
            for kind, inference in kinds.items()
        ]
    return made


def run(
    scene: Scene, preset: str, folder: Path, *, seed: int = 0, progress: Progress | None = None
) -> Json:
    """Hardens, attacks, and leaves `result`, `transfer` and `budgets` as .json and .md.

    Args:
        scene: see `Scene`. preset: "quick" or "paper". folder: where everything goes; the
            same call goes on where a stopped one was.
        seed: of training and attacks. progress: told (what, done, in all, logs).

    Returns:
        The content of `result.json`.
    """
    limit = scene.limit if preset == "quick" else None
    dataset = load_dataset(scene.data, limit_train=limit, seed=seed)
    rows = contenders(scene, preset, dataset, folder, seed, progress)
    bench = Bench(scene, dataset, folder / "chunks", seed)
    budget = _budget(scene, preset, dataset)
    table = _main_table(bench, rows, folder, budget)
    _transfer_table(bench, rows, folder, budget)
    _budgets(bench, rows, folder, budget)
    return table.to_json()


def _main_table(bench: Bench, rows: Sequence[Contender], folder: Path, budget: str) -> Comparison:
    """Tables I, II, IV and V: static and adaptive attacks, each under its own name."""
    printed = published()
    known, source = printed.get(bench.scene.data, {}), printed["source"]
    measured = []
    for row in rows:
        values = known.get(row.label.removesuffix(" (official)"), {})
        columns = [*STATIC, *(ADAPTIVE if row.inference != "none" else ())]
        cells = [bench.cell(column, row, (values, source)) for column in columns]
        training = row.card.get("training_seconds") if row.inference != "imt+" else None
        times = {"epochs": row.card["settings"].get("epochs"), "training": training}
        times["seconds"] = row.card["seconds"]
        measured.append(_row(row, cells).model_copy(update=times))
    table = table_of(
        bench.dataset,
        title=f"ATLD on {bench.scene.data} ({budget}, Linf {bench.scene.eps})",
        columns=[_for_scene(column, bench.scene) for column in (*STATIC, *ADAPTIVE)],
        rows=measured,
        notes=NOTES,
        seed=bench.seed,
    )
    return write_table(folder, table, ranked=False)


def _row(row: Contender, cells: Sequence[Cell]) -> Row:
    return Row(label=row.label, run=str(row.place), inference=row.inference, cells=tuple(cells))


def _transfer_table(
    bench: Bench, rows: Sequence[Contender], folder: Path, budget: str
) -> Comparison:
    """Table III: images made on the plainly and on the PGD-trained network."""
    agents = [row for row in rows if row.name in AGENTS]
    columns = {
        agent.name: [
            c.model_copy(update={"label": f"{c.label.removeprefix('static: ')} on {agent.name}"})
            for c in STATIC[1:4]
        ]
        for agent in agents
    }
    measured = []
    for row in rows:
        cells = [bench.cell(STATIC[0], row)]
        for agent in agents:
            if agent.name != row.name:  # on itself it would be white-box
                cells += [bench.cell(c, row, surrogate=agent) for c in columns[agent.name]]
        measured.append(_row(row, cells))
    every = [STATIC[0], *(c for each in columns.values() for c in each)]
    table = table_of(
        bench.dataset,
        title=f"ATLD Table III on {bench.scene.data} ({budget}, Linf {bench.scene.eps})",
        columns=[_for_scene(column, bench.scene) for column in every],
        rows=measured,
        notes=["The paper's agents are ResNet-18s; here they are this table's own networks."],
        seed=bench.seed,
    )
    return write_table(folder, table, name="transfer", ranked=False)


def _budgets(bench: Bench, rows: Sequence[Contender], folder: Path, budget: str) -> None:
    """Figure 5: PGD-20 and CW-20 over eps, static, as table and figure."""
    shown = [row for row in rows if row.name in (*AGENTS, "official")]
    columns = [
        Column.of(f"{name} {eps}", f"{attack}:eps={eps},steps=20,keep=last", BUDGET_IMAGES)
        for name, attack in (("PGD-20", "pgd"), ("CW-20", "cw-pgd"))
        for eps in bench.scene.budgets
    ]
    measured = [_row(row, [bench.cell(column, row) for column in columns]) for row in shown]
    table = table_of(
        bench.dataset,
        title=f"ATLD Figure 5 on {bench.scene.data} ({budget})",
        columns=columns,
        rows=measured,
        notes=NOTES[:1],
        seed=bench.seed,
    )
    write_table(folder, table, name="budgets", ranked=False)
    count = len(bench.scene.budgets)
    series: dict[str, Sequence[float]] = {
        row.label: [cell.accuracy for cell in row.cells[:count]] for row in measured
    }
    with atomic_file(folder / "figure-5.png") as part:
        lines(
            [number(eps, "eps") for eps in bench.scene.budgets],
            series,
            part,
            labels=("eps, Linf", "accuracy under PGD-20 (static), %"),
            title=f"ATLD Figure 5 on {bench.scene.data}",
        )


def _budget(scene: Scene, preset: str, dataset: Dataset) -> str:
    if preset != "quick":
        return f"{scene.full}, each recipe in full"
    images = f"{len(dataset.x_train):,} training images"
    return f"{scene.model}, {images}, {scene.epochs} passes"


def _for_scene(column: Column, scene: Scene) -> Column:
    """The column with the radius and step of a data set."""
    spec = column.spec and column.spec.format(eps=scene.eps, step=scene.step)
    limit = min(column.limit or scene.test, scene.test)
    return Column.of(column.label, spec, limit)


@dataclasses.dataclass(frozen=True)
class Bench:
    """Where rows are attacked.

    Args:
        scene, dataset: on what. store: folder of attacked chunks. seed: of the attacks.
        loaded: classifiers by their run, each loaded once.
    """

    scene: Scene
    dataset: Dataset
    store: Path
    seed: int
    loaded: dict[Path, Any] = dataclasses.field(default_factory=dict)

    def model(self, row: Contender) -> Any:
        """The bare classifier of a row."""
        if row.place not in self.loaded:
            shape, classes = self.dataset.image_shape, self.dataset.num_classes
            self.loaded[row.place] = load_classifier(row.place, shape, classes)
        return self.loaded[row.place]

    def cell(
        self,
        raw: Column,
        row: Contender,
        printed: tuple[Mapping[str, float], str] = ({}, ""),
        *,
        surrogate: Contender | None = None,
    ) -> Cell:
        """What is left of a row under one attack.

        Args:
            raw: the attack. row: who is attacked. printed: percent by column, and where from.
            surrogate: on whom the images are made instead.
        """
        column, model = _for_scene(raw, self.scene), self.model(row)
        imt = imt_for(row.inference, row.place, model)
        value = printed[0].get(column.label)
        published = None if value is None else Published(value=value / 100, source=printed[1])
        x, y = (a[: column.limit] for a in (self.dataset.x_test, self.dataset.y_test))
        if column.spec is None:
            clean = Accuracy.of(clean_predictions(imt or model, x, y) == y)
            return Cell.of(column.label, clean, published=published)
        maker = None if surrogate is None else Surrogate(surrogate.name, self.model(surrogate))
        options = Options(
            seed=self.seed,
            deployed=None if imt is None else Deployed(row.inference, imt),
            store=self.store,
            context=AttackContext(imt=imt, data=self.dataset),
        )
        (result,) = run_attacks(model, x, y, [Case(column.spec, maker)], options)
        return Cell.of_attack(column.label, result, published)


mnist, cifar10, cifar100, svhn = (
    functools.partial(run, scene) for scene in (MNIST, CIFAR10, CIFAR100, SVHN)
)
