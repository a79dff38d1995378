"""What LADDER's tables are measured on: data sets, budgets, defences and attacks."""

from __future__ import annotations

import dataclasses

from atk_latent.reproduction.experiment import (
    GAN,
    Budget,
    ColumnSpec,
    Experiment,
    FixedSet,
    RowSpec,
    Settings,
)
from atk_latent.reproduction.published import published
from atk_latent.results.attack_result import Published

ADVERSARIES = ("FGSM", "JSMA", "PGD", "CW", "Song")  # those that have a row "... adv."
ATTACKS = {
    "FGSM": "fgsm:eps=0.3",
    "JSMA": "jsma",
    "PGD": "pgd:eps=0.3,steps=40,step_size=0.01",
    "CW": "cw-l2:random_target=true,{cw}",
    "Song": "song:gan={gan},{song}",
    # The paper's radius is not printed: 0.3 as of the other two, and the default of the
    # command line of AutoAttack's authors.
    "AutoAttack": "autoattack:eps=0.3",
    "AutoAttack 8/255": "autoattack:eps=8/255",
}
CLEAN = ColumnSpec("clean")
COLUMNS = (
    CLEAN,
    *(
        ColumnSpec(name, attack, "few" if name.startswith("AutoAttack") else "many")
        for name, attack in ATTACKS.items()
    ),
)
VANILLA = RowSpec("Vanilla", "natural")
LADDER = RowSpec("LADDER", "ladder", preset="paper", start=VANILLA)
TRADES = RowSpec("TRADES", "trades", start=VANILLA)


def _variant(label: str, method: str, *helper_files: str) -> RowSpec:
    """A row that takes over what LADDER trained beside the same classifier."""
    return dataclasses.replace(
        LADDER, label=label, method=method, folder=label, helpers=LADDER, helper_files=helper_files
    )


TRADES_LADDER = _variant("TRADES + LADDER", "trades-ladder")
ABLATIONS = (
    _variant("LADDER cavRandom", "ladder-cavrandom"),
    _variant("LADDER Random", "ladder-random"),
)
LADDER_GAN = (_variant("LADDER-GAN", "ladder-gan", "boundaries.npz"),)
FIXED = tuple(
    RowSpec(
        f"{name} adv.",
        "augment",
        {"attack": ATTACKS[name]},
        preset="paper",
        start=VANILLA,
        own_attack=name,  # the paper leaves out what a method was trained on
    )
    for name in ADVERSARIES
)
NOTES = (
    (
        "In brackets: the paper. ± is half the 95% Wilson interval of the images; "
        "{seeds} seed(s), each with its own vanilla classifier and defences."
    ),
    (
        "Accuracy on the attacked set as in the paper: an image that was wrong before counts "
        "if it is right now. Defences: {defences}."
    ),
)


def _budget(defence: Settings, trades: Settings, texts: dict[str, str], **more: int) -> Budget:
    """The budget of all data sets; the network comes later.

    Args:
        defence: settings of every defence that trains on a fixed set.
        trades: those of the row TRADES, which fine-tunes on all training images.
        texts: see `Budget`. **more: `seeds`; test images `many` for sets, and `few` for
            AutoAttack and the white-box table.
    """
    methods = ("augment", "ladder", "ladder-cavrandom", "ladder-random", "ladder-gan")
    named = ", ".join(f"{name} {value}" for name, value in defence.items())
    return Budget(
        model="",
        seeds=more["seeds"],
        own_test=2000,
        images={"many": more["many"], "few": more["few"]},
        settings={**dict.fromkeys((*methods, "trades-ladder"), defence), "trades": trades},
        texts={**texts, "defences": named or "settings Table 6's"},
    )


BUDGETS = {
    "quick": _budget(
        {"examples_per_class": 150, "epochs": 60},
        {"eps": "0.3", "epochs": 2, "decay_epochs": (1,)},
        {"cw": "steps=100,search_steps=4", "song": "steps=60"},
        seeds=1,
        many=1000,
        few=128,
    ),
    "paper": _budget(
        {},
        {"eps": "0.3"},
        {
            "cw": "steps=1000,search_steps=9,learning_rate=0.005,initial_const=0.01",
            "song": "steps=1000",
        },
        seeds=3,
        many=4500,
        few=1000,
    ),
}


def experiment(
    data: str, model: str, table: int, variants: tuple[RowSpec, ...], counts: str = ""
) -> Experiment:
    """Tables 1 to 4: attacks made on another classifier, and the average rank.

    The columns have the attacks; which classifier their images are made on is settled by
    `surrogates`, see `on_fixed_set`.

    Args:
        data, model: registered names. table: its number in the paper.
        variants: the rows between the other defences and LADDER.
        counts: numbers of examples of Figure 8, as text; none leaves it out.
    """
    return Experiment(
        title=f"LADDER Table {table}: {{data}}, transfer attacks",
        data=data,
        budgets={name: dataclasses.replace(b, model=model) for name, b in BUDGETS.items()},
        rows=(VANILLA, *FIXED, *variants, LADDER),
        columns=COLUMNS,
        published=published("ladder", "transfer", data),
        notes=(
            *NOTES,
            (
                "Average rank: over all columns but a row's own attack; smaller is better. "
                "The paper has one AutoAttack column, of unknown radius, set beside that at 0.3."
            ),
        ),
        name="transfer",
        over_seeds=True,
        attack_seed=0,
        runs="seed-{seed}",
        gan=GAN("song-gan", judge=VANILLA, seed=0),
        sweeps={
            "eps": ("0.1", "2", "5", "7", "10", "15", "20"),  # Figure 9
            "search": ("5", "7", "9", "10", "11", "12", "13", "14", "15"),  # Tables 8 and 9
            "examples": tuple(counts.split()),
        },
    )


MNIST = experiment("mnist", "lenet", 2, ABLATIONS)
SVHN = experiment("svhn", "svhnnet", 1, ABLATIONS)
CELEBA = experiment(
    "celeba", "celebanet", 3, (*ABLATIONS, *LADDER_GAN), "100 200 400 800 1200 1600 2000"
)
CIFAR10 = experiment("cifar10", "cifarnet", 4, LADDER_GAN)


def varied(row: RowSpec, name: str, value: object) -> RowSpec:
    """The row with another value of a setting, which its run is named for."""
    label = f"{row.label} {name} {value}"
    helpers = LADDER if row == LADDER else row.helpers
    settings = {**row.settings, name: value}
    return dataclasses.replace(row, label=label, folder=label, settings=settings, helpers=helpers)


def on_fixed_set(experiment: Experiment, fixed_set: FixedSet) -> Experiment:
    """The experiment with the images of a fixed set in place of attacks on each row.

    Images that are crafted on a row's own classifier are one seed's.
    """
    columns = (
        column
        if column.attack is None
        else dataclasses.replace(
            column,
            attack=column.attack.replace("{gan}", experiment.gan.folder),
            fixed_set=fixed_set,
        )
        for column in experiment.columns
    )
    budgets = {
        name: budget if fixed_set.row is None else dataclasses.replace(budget, seeds=1)
        for name, budget in experiment.budgets.items()
    }
    return dataclasses.replace(experiment, columns=tuple(columns), budgets=budgets)


def trades(experiment: Experiment) -> Experiment:
    """Table 5: TRADES, LADDER, and TRADES' loss on LADDER's examples."""
    return dataclasses.replace(
        experiment,
        name="trades",
        title="LADDER Table 5: {data}, transfer attacks",
        rows=(TRADES, LADDER, TRADES_LADDER),
        published=published("ladder", "trades", experiment.data),
        notes=(
            *NOTES,
            (
                "TRADES fine-tunes the vanilla classifier on all training images, with its own "
                "examples at Linf 0.3; the paper's trains on FGSM examples, it says no more."
            ),
        ),
    )


def white_box(experiment: Experiment) -> Experiment:
    """Table 7: attacks with the gradients of the classifier itself; MNIST alone is printed."""
    return dataclasses.replace(
        experiment,
        name="white-box",
        title="LADDER Table 7: {data}, white-box attacks",
        rows=tuple(dataclasses.replace(row, own_attack="") for row in experiment.rows),
        columns=tuple(ColumnSpec(name, ATTACKS[name], "few") for name in ADVERSARIES),
        published=published("ladder", "white_box", experiment.data),
        notes=(
            (
                "In brackets: the paper. An image counts if it is right before and after; "
                "nothing is left out for being a row's own attack."
            ),
            "CW and JSMA look for a random other class, Song for any other class.",
        ),
        over_seeds=False,
    )


def vanilla_sets(experiment: Experiment) -> Experiment:
    """Table 7's numbers beside sets that were made once, on the vanilla classifier.

    The paper calls its Table 7 white-box. Adversarial training on a fixed set of images does
    not give what it prints for PGD; this table shows how much of it one set for all rows does.
    """
    return dataclasses.replace(
        experiment,
        name="vanilla-sets",
        title="LADDER Table 7 again: {data}, sets made on the vanilla classifier",
        columns=tuple(c for c in experiment.columns if c.label in ADVERSARIES),
        published=published("ladder", "white_box", experiment.data),
        notes=(
            "White-box for the vanilla classifier, transfer for the rest; one seed.",
            "In brackets: the paper's Table 7, which calls its numbers white-box.",
            NOTES[1],
        ),
    )


def published_examples(experiment: Experiment) -> dict[str, dict[str, Published]]:
    """What Tables 8 and 9 print for the data set."""
    return published("ladder", "ladder_examples", experiment.data)


def ladder_examples(
    experiment: Experiment, fixed_set: FixedSet, eps: float, notes: tuple[str, ...]
) -> Experiment:
    """Tables 8 and 9: every defence on LADDER examples of the test images.

    Args:
        experiment: of the rows. fixed_set: the examples. eps: their strength.
        notes: lines below the table.
    """
    return dataclasses.replace(
        experiment,
        name="ladder-examples",
        title="LADDER Tables 8 and 9: {data}, LADDER examples of all test images",
        columns=(ColumnSpec("LADDER", f"ladder:eps={eps:g}", fixed_set=fixed_set),),
        published=published_examples(experiment),
        notes=notes,
        is_ranked=False,
        over_seeds=False,
    )
