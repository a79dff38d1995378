"""What ATLD's divergence term adds, and on which networks: every term on three networks.

Rows share the optimizer, label smoothing, images and passes; they differ in the method alone. A
row needs no other, so each can be run by itself and is found again.
"""

from __future__ import annotations

import functools
from pathlib import Path

from atk_latent.reproduction.atld.columns import ADAPTIVE, CLEAN, STATIC
from atk_latent.reproduction.experiment import Budget, Experiment, RowSpec, Settings
from atk_latent.reproduction.run import Runner
from atk_latent.reproduction.table import write_table
from atk_latent.results.comparison import Comparison
from atk_latent.results.files import read_card
from atk_latent.results.record import Json

NETWORKS = ("lenet", "lenet-bn", "wrn-10-2")
WITH_SEEDS = ("PGD", "feature scattering", "ATLD- mse_ratio", "ATLD- none")  # on batch norm
SEEDS = 3
_BALL = {"eps": "{eps}", "steps": 10, "step_size": "{step}"}
BASELINES: dict[str, tuple[str, Settings]] = {
    "natural": ("natural", {}),
    "PGD": ("pgd", _BALL),
    "TRADES": ("trades", _BALL),
    "feature scattering": ("feature-scattering", {"eps": "{eps}"}),
}
TERMS: dict[str, tuple[str, Settings]] = {  # preset, and what differs from it
    "mse_ratio": ("official", {}),
    "none": ("official", {"theta_term": "none"}),
    "mse": ("official", {"theta_term": "mse", "coefficient": 1.0}),
    "manifold": ("paper", {"discriminator_learning_rate": 0.01}),
}
NOTES = (
    "static: the attack sees the bare classifier; IMT, in the rows ATLD, comes after.",
    "adaptive: the attack goes through IMT. The lowest number of a row is the one to believe.",
    (
        "All rows: SGD 0.01, momentum 0.9, weight decay 2e-4, batches of 50, labels smoothed by "
        "0.5, the same images and passes; PGD and TRADES craft in 10 steps of eps / 4."
    ),
    (
        "mse_ratio is the preset official, none and mse (coefficient 1) differ from it in the "
        "term alone; manifold is the preset paper, L_d0 through the discriminator."
    ),
    (
        f"Means of {SEEDS} seeds, with the interval of one, on networks with batch norm: "
        f"{', '.join(WITH_SEEDS)}. All else is one seed."
    ),
)


def _rows(network: str) -> tuple[RowSpec, ...]:
    """All rows of a network; ATLD- and ATLD of a term share a run."""

    def seeds(name: str) -> int | None:
        return SEEDS if network != "lenet" and name in WITH_SEEDS else None

    baselines = (
        RowSpec(
            f"{network}: {name}",
            method,
            settings,
            model=network,
            folder=f"{network} {name}",
            inference="none",
            seeds=seeds(name),
        )
        for name, (method, settings) in BASELINES.items()
    )
    games = (
        RowSpec(
            f"{network}: {name} {term}",
            "atld",
            {"eps": "{eps}", **settings},
            preset=preset,
            model=network,
            folder=f"{network} ATLD {term}",
            inference=inference,
            is_timed=inference == "none",
            seeds=seeds(f"{name} {term}"),
        )
        for term, (preset, settings) in TERMS.items()
        for name, inference in (("ATLD-", "none"), ("ATLD", "imt"))
    )
    return (*baselines, *games)


ROWS = tuple(row for network in NETWORKS for row in _rows(network))


def _budget(settings: Settings, cost: str, limit: int | None, eps: tuple[str, str]) -> Budget:
    methods = dict.fromkeys(row.method for row in ROWS)
    return Budget(
        "wrn-10-2",
        cost,
        limit=limit,
        own_test=1000,
        images={"many": 1000, "few": 200},
        settings=dict.fromkeys(methods, settings),
        texts={"eps": eps[0], "step": eps[1]},
    )


def experiment(
    data: str, *, augment: str, eps: tuple[str, str], quick: tuple[int, int]
) -> Experiment:
    """The matrix on a data set.

    Args:
        data: registered name. augment: of all rows.
        eps: Linf radius, and the step of attacks in training and test, as text.
        quick: training images and passes of the preset "quick"; "paper" has all images and
            100 passes, with the paper's decay.
    """
    shared: Settings = {
        "algorithm": "sgd",
        "schedule": "steps",
        "batch_size": 50,
        "learning_rate": 0.01,
        "momentum": 0.9,
        "weight_decay": 2e-4,
        "label_smoothing": 0.5,
        "augment": augment,
    }
    limit, epochs = quick
    short = {**shared, "epochs": epochs, "decay_epochs": (epochs * 3 // 4,)}
    long = {**shared, "epochs": 100, "decay_epochs": (60, 90)}
    return Experiment(
        title="ATLD's divergence terms on {data} ({cost}, Linf {eps})",
        data=data,
        budgets={
            "quick": _budget(short, f"{{images}} training images, {epochs} passes", limit, eps),
            "paper": _budget(long, "{images} training images, 100 passes", None, eps),
        },
        rows=ROWS,
        columns=(CLEAN, *STATIC[1:], *ADAPTIVE[3:]),
        notes=NOTES,
        is_ranked=False,
        is_timed=True,
        over_seeds=True,
        runs="runs/seed-{seed}",
    )


def reproduce(experiment: Experiment, runner: Runner) -> Json:
    """The table, with what each game warned of below it."""
    table = runner.measure(experiment)
    table = table.model_copy(update={"notes": (*table.notes, *warnings(table))})
    write_table(runner.folder, table, experiment.name)
    return table.to_json()


def warnings(table: Comparison) -> tuple[str, ...]:
    """A line for each run whose game died, by its card."""
    cards = {row.run: read_card(Path(row.run)) for row in table.rows if row.run}
    return tuple(
        f"{Path(run).name}: {card.metrics['warning']}."
        for run, card in cards.items()
        if "warning" in card.metrics
    )


MNIST = experiment("mnist", augment="none", eps=("0.2", "0.05"), quick=(6_000, 10))
CIFAR10 = experiment("cifar10", augment="crop-flip", eps=("8/255", "2/255"), quick=(10_000, 15))
mnist, cifar10 = (functools.partial(reproduce, each) for each in (MNIST, CIFAR10))
