"""ATLD without and with IMT beside vanilla and PGD training, static and adaptive attacks apart."""

from __future__ import annotations

import dataclasses
import functools

from atk_latent.atomic import atomic_file
from atk_latent.config import number
from atk_latent.reporting.image_grid import lines
from atk_latent.reproduction.experiment import Budget, ColumnSpec, Experiment, RowSpec
from atk_latent.reproduction.published import published
from atk_latent.reproduction.run import Runner
from atk_latent.results.comparison import Comparison
from atk_latent.results.record import Json

_PACE = "eps={eps},step_size={step}"
CLEAN = ColumnSpec("clean", None, "many")
STATIC = (
    ColumnSpec("static: FGSM", "rs-fgsm:eps={eps}", "many"),
    ColumnSpec("static: PGD-20", f"pgd:{_PACE},steps=20,keep=last", "many"),
    ColumnSpec("static: CW-20", f"cw-pgd:{_PACE},steps=20,keep=last", "many"),
    ColumnSpec("static: AutoAttack", "autoattack:eps={eps}", "few"),
)
ADAPTIVE = tuple(  # these need the discriminator or IMT
    ColumnSpec(f"adaptive: {label}", attack, images, needs_defence=True)
    for label, attack, images in (
        ("classifier + D, PGD-20", f"atld-joint:{_PACE},steps=20", "many"),
        ("classifier 20, D 1", f"atld-chain:{_PACE},steps=20", "many"),
        ("D 20", f"atld-manifold:{_PACE},steps=20", "many"),
        ("PGD-20 through IMT", f"through-imt:attack=pgd,{_PACE},steps=20", "many"),
        ("AutoAttack through IMT", "through-imt:attack=autoattack,eps={eps}", "few"),
    )
)
NOTES = (
    (
        "static: the attack sees the bare classifier; IMT comes after, where the row has it. "
        "That is the papers' protocol, and no attack on what is deployed."
    ),
    "adaptive: the attack knows the discriminator, or goes through IMT itself.",
    "The lowest number of a row is the one to believe.",
)
VANILLA = RowSpec("vanilla", "natural", inference="none")
PGD_TRAINING = RowSpec("PGD training", "pgd", {"eps": "{eps}"}, inference="none")
AGENTS = (VANILLA, PGD_TRAINING)  # on whom transfer attacks are made
INFERENCES = {"ATLD-": "none", "ATLD": "imt", "ATLD+": "imt+"}
ROWS = (
    *AGENTS,
    *(
        RowSpec(
            f"{name} ({preset})",
            "atld",
            preset=preset,
            folder=preset,
            inference=inference,
            is_timed=inference != "imt+",
        )
        for preset in ("paper", "official", "stable")
        for name, inference in INFERENCES.items()
    ),
)


def experiment(
    data: str, *, model: str, paper_model: str, limit: int, eps: tuple[str, str], radii: str
) -> Experiment:
    """Tables I, II, IV and V on a data set: static and adaptive attacks, each under its own name.

    Args:
        data: registered name.
        model, limit: network and training images of the preset "quick", 8 passes.
        paper_model: network of the preset "paper".
        eps: Linf radius and step, as text. radii: those of Figure 5, as text.
    """
    short = {"epochs": 8, "decay_epochs": (6,)}
    texts = {"eps": eps[0], "step": eps[1]}
    images = {"many": 1000, "few": 200, "curve": 500}
    of_paper = published("atld", "main", data)
    return Experiment(
        title="ATLD on {data} ({cost}, Linf {eps})",
        data=data,
        budgets={
            "quick": Budget(
                model,
                "{model}, {images} training images, 8 passes",
                limit=limit,
                images=images,
                settings={"pgd": short, "atld": short},
                texts=texts,
            ),
            "paper": Budget(
                paper_model, "{model}, each recipe in full", images=images, texts=texts
            ),
        },
        rows=ROWS,
        columns=(CLEAN, *STATIC, *ADAPTIVE),
        # The code that was published with the paper is what its numbers are set beside.
        published={
            f"{row} (official)" if row in INFERENCES else row: cells
            for row, cells in of_paper.items()
        },
        notes=NOTES,
        is_ranked=False,
        is_timed=True,
        sweeps={"eps": tuple(radii.split())},
    )


def transfer(experiment: Experiment) -> Experiment:
    """Table III: images made on the plainly and on the PGD-trained network."""
    static = [c for c in experiment.columns if c in STATIC[:3]]
    return dataclasses.replace(
        experiment,
        name="transfer",
        title="ATLD Table III on {data} ({cost}, Linf {eps})",
        columns=(
            CLEAN,
            *(
                dataclasses.replace(
                    column,
                    label=f"{column.label.removeprefix('static: ')} on {agent.label}",
                    crafted_on=agent,
                )
                for agent in AGENTS
                for column in static
            ),
        ),
        published={},
        notes=("The paper's agents are ResNet-18s; here they are this table's own networks.",),
        is_timed=False,
    )


def over_eps(experiment: Experiment) -> Experiment:
    """Figure 5: PGD-20 and CW-20 over eps, static."""
    folders = (*(agent.folder for agent in AGENTS), "official")
    return dataclasses.replace(
        experiment,
        name="budgets",
        title="ATLD Figure 5 on {data} ({cost})",
        rows=tuple(row for row in experiment.rows if row.folder in folders),
        columns=tuple(
            ColumnSpec(f"{name} {eps}", f"{attack}:eps={eps},steps=20,keep=last", "curve")
            for name, attack in (("PGD-20", "pgd"), ("CW-20", "cw-pgd"))
            for eps in experiment.sweeps["eps"]
        ),
        published={},
        notes=NOTES[:1],
        is_timed=False,
    )


def figure_five(experiment: Experiment, table: Comparison, runner: Runner) -> None:
    """Draws the accuracy under PGD-20 over eps as `figure-5.png`."""
    radii = experiment.sweeps["eps"]
    with atomic_file(runner.folder / "figure-5.png") as part:
        lines(
            [number(eps, "eps") for eps in radii],
            {row.label: [c.accuracy for c in row.cells[: len(radii)]] for row in table.rows},
            part,
            labels=("eps, Linf", "accuracy under PGD-20 (static), %"),
            title=f"ATLD Figure 5 on {experiment.data}",
        )


def reproduce(experiment: Experiment, runner: Runner) -> Json:
    """Leaves `result`, `transfer` and `budgets` as .json and .md, and Figure 5.

    Returns:
        The content of `result.json`.
    """
    table = runner.measure(experiment)
    runner.measure(transfer(experiment))
    figure_five(experiment, runner.measure(over_eps(experiment)), runner)
    return table.to_json()


_colour = functools.partial(
    experiment,
    model="wrn-10-2",
    paper_model="wrn-28-10",
    limit=10_000,
    eps=("8/255", "2/255"),
    radii="4/255 8/255 12/255 16/255 20/255",
)
MNIST = experiment(
    "mnist",
    model="lenet",
    paper_model="lenet",
    limit=15_000,
    eps=("0.3", "0.075"),
    radii="0.1 0.2 0.3 0.4",
)
CIFAR10, CIFAR100, SVHN = _colour("cifar10"), _colour("cifar100"), _colour("svhn")
mnist, cifar10, cifar100, svhn = (
    functools.partial(reproduce, each) for each in (MNIST, CIFAR10, CIFAR100, SVHN)
)
