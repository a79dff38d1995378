"""ATLD's Tables I to V and Figures 4 and 5, static and adaptive attacks apart."""

from __future__ import annotations

import dataclasses
import functools

from atk_latent.reproduction.atld.columns import (
    ADAPTIVE,
    AUTOATTACK,
    CLEAN,
    CLEAN_TOLD,
    CW_20,
    CW_40,
    CW_100,
    FGSM,
    FGSM_TOLD,
    PGD_20,
    PGD_40,
    PGD_100,
    STATIC,
    TABLE_FIVE,
    TABLE_FOUR,
)
from atk_latent.reproduction.atld.figures import figure_five, figure_four
from atk_latent.reproduction.atld.rows import (
    AGENTS,
    INFERENCES,
    OFFICIAL,
    PAPER_ROWS,
    PGD_TRAINING,
    RESNETS,
    ROWS,
    SCATTERING,
    TABLE_FOUR_ROWS,
    TRADES,
    VANILLA,
)
from atk_latent.reproduction.experiment import Budget, ColumnSpec, Experiment, Settings
from atk_latent.reproduction.published import published
from atk_latent.reproduction.run import Runner
from atk_latent.results.attack_result import Published
from atk_latent.results.record import Json

NOTES = (
    (
        "static: the attack sees the bare classifier; IMT comes after, where the row has it. "
        "That is the papers' protocol, and no attack on what is deployed."
    ),
    "adaptive: the attack knows the discriminator, or goes through IMT itself.",
    "The lowest number of a row is the one to believe.",
)
TOLD_NOTE = (
    "told: as published, IMT knows which images are clean and which are attacked by FGSM. A "
    "deployed model cannot tell them apart; all other columns are of one that does not."
)
TABLE_FOUR_NOTES = (
    "RayS: {queries} queries an image.",
    "In the paper PGD training, TRADES and feature scattering are other models than in Table I.",
    "pretraining: PGD training on {other}, a new head, {tuning} passes; the paper's: ImageNet.",
    "WAR: TRADES on {wide}, beta {wide_beta}: 6 times the width's factor, a choice of ours.",
    "Gowal et al.: TRADES on {silu}, weights averaged by 0.995.",
    (
        "WAR, RTS and 'more images' learn from images without labels, too: those that the budget "
        "leaves out, where no other file is put in their place."
    ),
)
TABLE_FIVE_NOTE = (
    "The discriminator's loss has weight 1 and the image should look clean, neither of which the "
    "paper states. None of these attacks goes through IMT; the main table has some that do."
)
PAPER_COLUMNS = (  # Tables I and II, and what the paper has elsewhere
    *(CLEAN, FGSM, PGD_20, CW_20, PGD_40, CW_40, PGD_100, CW_100, AUTOATTACK, FGSM_TOLD),
    *ADAPTIVE,
)
_SHORT: Settings = {"epochs": 8, "decay_epochs": (6,)}
_QUICK: dict[str, Settings] = {
    **dict.fromkeys(("pgd", "atld", "trades", "tla", "bilateral", "feature-scattering"), _SHORT),
    "lat": {"epochs": 1, "decay_epochs": None, "adversarial_epochs": 8}
    | {"adversarial_decay_epochs": (6,)},
}


def experiment(
    data: str, *, model: str, paper_model: str, limit: int, eps: tuple[str, str], radii: str
) -> Experiment:
    """Static and adaptive attacks on vanilla, PGD training and every preset of ATLD.

    Args:
        data: registered name.
        model, limit: network and training images of the preset "quick", 8 passes.
        paper_model: network of the preset "paper".
        eps: Linf radius and step, as text. radii: those of Figure 5, as text.
    """
    shared = Budget(
        paper_model,
        "{model}, each recipe in full",
        images={"many": 1000, "few": 200, "curve": 500},
        texts={"eps": eps[0], "step": eps[1], "pace": ""},
    )
    return Experiment(
        title="ATLD on {data} ({cost}, Linf {eps})",
        data=data,
        budgets={
            "quick": dataclasses.replace(
                shared,
                model=model,
                cost="{model}, {images} training images, 8 passes",
                limit=limit,
                settings=_QUICK,
            ),
            "paper": shared,
        },
        rows=ROWS,
        columns=(CLEAN, *STATIC, *ADAPTIVE),
        notes=NOTES,
        is_ranked=False,
        is_timed=True,
        sweeps={"eps": tuple(radii.split())},
    )


def of_paper(data: str, *, limit: int, other: str) -> Experiment:
    """The same on a data set of the paper: Tables I and II, published numbers beside.

    Args:
        data: registered name. limit: training images of the preset "quick".
        other: the data set that Table IV's pretraining takes; the paper's is ImageNet at 32x32.
    """
    plain = experiment(
        data,
        model="wrn-10-2",
        paper_model="wrn-28-10",
        limit=limit,
        eps=("8/255", "2/255"),
        radii="4/255 8/255 12/255 16/255 20/255",
    )
    columns = (*((CLEAN_TOLD,) if data == "svhn" else ()), *PAPER_COLUMNS)
    texts = {"other": other, "pace": ",step_size=2/255"}
    small = {"agent": "resnet20", "wide": "wrn-10-4", "wide_beta": "12"}
    small |= {"silu": "wrn-10-2-silu", "tuning": "8", "queries": "1000"}
    large = {"agent": "cifarnet", "wide": "wrn-34-15", "wide_beta": "9"}
    large |= {"silu": "gowal-wrn-70-16", "tuning": "5", "queries": "10000"}
    return dataclasses.replace(
        plain,
        title="ATLD Tables I and II on {data} ({cost}, Linf {eps})",
        budgets={
            name: dataclasses.replace(budget, texts={**budget.texts, **texts, **own})
            for (name, budget), own in zip(plain.budgets.items(), (small, large), strict=True)
        },
        rows=PAPER_ROWS,
        columns=columns,
        published=_published_beside(data, columns),
        notes=(*NOTES, TOLD_NOTE),
    )


Cells = dict[str, dict[str, Published]]


def _of_code(cells: Cells) -> Cells:
    """The paper's numbers beside the preset of the code that was published with them."""
    return {f"{row} (official)" if row in INFERENCES else row: own for row, own in cells.items()}


def _published_beside(data: str, columns: tuple[ColumnSpec, ...]) -> Cells:
    """Tables I and II; for ATLD, whose model is the same in all tables, IV and V, too."""
    cells = published("atld", "white-box", data)
    recent, adaptive = (published("atld", name, data) for name in ("recent", "adaptive"))
    for row in INFERENCES.keys() & cells.keys():
        own = cells[row]
        told = {CLEAN_TOLD.label: own[CLEAN.label], FGSM_TOLD.label: own[FGSM.label]}
        known = {**adaptive.get(row, {}), **recent.get(row, {}), **told, **own}
        labels = {column.label for column in columns}
        cells[row] = {label: value for label, value in known.items() if label in labels}
    return _of_code(cells)


def transfer(experiment: Experiment) -> Experiment:
    """Table III: images made on a plainly and on a PGD-trained network."""
    agents = RESNETS if experiment.published else AGENTS
    note = "The paper's agents are ResNet-18s; here they are this table's own networks."
    if experiment.published:
        note = "Made on {agent}s of their own; the paper's are ResNet-18s, as cifarnet is."
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
                for agent in agents
                for column in (FGSM, PGD_20, CW_20)
                if column in experiment.columns
            ),
        ),
        published=_of_code(published("atld", "transfer", experiment.data)),
        notes=(note,),
        is_timed=False,
    )


def recent(experiment: Experiment) -> Experiment:
    """Table IV: AutoAttack and RayS on what came after adversarial training."""
    return dataclasses.replace(
        experiment,
        name="recent",
        title="ATLD Table IV on {data} ({cost}, Linf {eps})",
        rows=TABLE_FOUR_ROWS,
        columns=TABLE_FOUR,
        published=_of_code(published("atld", "recent", experiment.data)),
        notes=(
            *NOTES[:1],
            *TABLE_FOUR_NOTES,
        ),
    )


def table_five(experiment: Experiment) -> Experiment:
    """Table V: attacks that know the discriminator."""
    return dataclasses.replace(
        experiment,
        name="adaptive",
        title="ATLD Table V on {data} ({cost}, Linf {eps})",
        rows=tuple(row for row in OFFICIAL if row.has_defence),
        columns=TABLE_FIVE,
        published=_of_code(published("atld", "adaptive", experiment.data)),
        notes=(TABLE_FIVE_NOTE,),
        is_timed=False,
    )


def over_eps(experiment: Experiment) -> Experiment:
    """Figure 5: PGD-20 and CW-20 over eps, static."""
    curves = (VANILLA, PGD_TRAINING, TRADES, SCATTERING, *OFFICIAL)
    return dataclasses.replace(
        experiment,
        name="budgets",
        title="ATLD Figure 5 on {data} ({cost})",
        rows=tuple(row for row in experiment.rows if row in curves),
        columns=tuple(
            ColumnSpec(f"{name} {eps}", f"{attack}:eps={eps}{{pace}},steps=20,keep=last", "curve")
            for name, attack in (("PGD-20", "pgd"), ("CW-20", "cw-pgd"))
            for eps in experiment.sweeps["eps"]
        ),
        published={},
        notes=NOTES[:1],
        is_timed=False,
    )


def reproduce(experiment: Experiment, runner: Runner) -> Json:
    """Leaves `result`, `transfer` and `budgets` as .json and .md, and Figure 5.

    On a data set of the paper Figure 4, and `recent` and `adaptive`, Tables IV and V, too.

    Returns:
        The content of `result.json`.
    """
    table = runner.measure(experiment)
    runner.measure(transfer(experiment))
    curves = runner.measure(over_eps(experiment))
    if curves.rows:
        figure_five(experiment, curves, runner)
    if experiment.published:
        if table.rows:
            figure_four(experiment, table, runner)
        runner.measure(table_five(experiment))
        runner.measure(recent(experiment))
    return table.to_json()


MNIST = experiment(
    "mnist",
    model="lenet",
    paper_model="lenet",
    limit=15_000,
    eps=("0.3", "0.075"),
    radii="0.1 0.2 0.3 0.4",
)
CIFAR10 = of_paper("cifar10", limit=10_000, other="cifar100")
CIFAR100 = of_paper("cifar100", limit=4_000, other="cifar10")
SVHN = of_paper("svhn", limit=7_000, other="cifar10")
mnist, cifar10, cifar100, svhn = (
    functools.partial(reproduce, each) for each in (MNIST, CIFAR10, CIFAR100, SVHN)
)
