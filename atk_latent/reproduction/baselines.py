"""Every method beside every other: the same data, network, training images and epochs."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from atk_latent.atomic import atomic_file
from atk_latent.reporting.plots import trade_offs
from atk_latent.reproduction.experiment import Budget, ColumnSpec, Experiment, RowSpec, Settings
from atk_latent.reproduction.run import Runner
from atk_latent.results.record import Json

IN_BALL: dict[str, tuple[str, Settings]] = {  # these share the radius
    "FGSM, random start": ("fgsm", {}),
    "Free": ("free", {}),
    "PGD (Madry)": ("pgd", {}),
    "PGD + AWP": ("pgd", {"awp_gamma": 0.005}),
    "TRADES": ("trades", {}),
    "TRADES + AWP": ("trades", {"awp_gamma": 0.005}),
    "MART": ("mart", {}),
    "Feature Scattering": ("feature-scattering", {}),
    "TLA": ("tla", {}),
    "LAT": ("lat", {}),
    "Bilateral": ("bilateral", {}),
}
GAMES: dict[str, tuple[str | None, Settings]] = {  # ATLD: preset, and what differs from it
    "ATLD-, no divergence term": ("official", {"theta_term": "none"}),
    "ATLD-, the code's term": ("official", {}),
    "ATLD-, the paper's term": (None, {}),
}
FOLDERS = {"ATLD-, the paper's term": "ATLD-"}  # of runs with another name than their row
ADVERSARIES = {  # whose examples a fixed set is made of
    "fgsm": "fgsm:eps={eps}",
    "jsma": "jsma",
    "pgd": "pgd:eps={eps}",
    "cw-l2": "cw-l2",
    "song": "song:gan={gan}{song}",
}


def _row(
    name: str,
    method: str,
    settings: Settings | None = None,
    *,
    preset: str | None = None,
    start: RowSpec | None = None,
    helpers: RowSpec | None = None,
) -> RowSpec:
    """A row whose label says its preset; its run is named without."""
    return RowSpec(
        f"{name} ({{preset}})",
        method,
        settings or {},
        preset=preset,
        start=start,
        helpers=helpers,
        folder=FOLDERS.get(name, name),
    )


NATURAL = _row("Natural", "natural")
LADDER = _row("LADDER", "ladder", start=NATURAL)
UNCHANGED = "fgsm:eps=1e-9"  # an attack that leaves images as they are
# What the rows that fine-tune gain by their passes alone, over clean images of the same number.
LONGER = _row("Natural, fine-tuned", "augment", {"attack": UNCHANGED}, start=NATURAL)
AUGMENTED = _row(
    "Natural, fine-tuned, crops and flips",
    "augment",
    {"attack": UNCHANGED, "augment": "crop-flip"},
    start=NATURAL,
)
ROWS = (
    NATURAL,
    *(_row(name, kind, {"eps": "{eps}", **own}) for name, (kind, own) in IN_BALL.items()),
    *(
        _row(name, "atld", {"eps": "{eps}", **own}, preset=preset)
        for name, (preset, own) in GAMES.items()
    ),
    LONGER,
    *(
        _row(f"{name} adv.", "augment", {"attack": attack}, start=NATURAL)
        for name, attack in ADVERSARIES.items()
    ),
    LADDER,
    _row("TRADES + LADDER", "trades-ladder", start=NATURAL, helpers=LADDER),
)
COLUMNS = (  # weakest first
    ColumnSpec("clean", None, "many"),
    ColumnSpec("FGSM", "fgsm:eps={eps}", "many"),
    ColumnSpec("PGD-20", "pgd:eps={eps},steps=20", "many"),
    ColumnSpec("CW-20", "cw-pgd:eps={eps},steps=20", "many"),
    ColumnSpec("AutoAttack", "autoattack:eps={eps}", "few"),
)
NOTES = (
    "White-box on the bare classifier; ATLD- is ATLD without its inference step.",
    "AutoAttack is the official standard suite. ± is half the 95% Wilson interval.",
    "Average rank as in the LADDER paper: over all columns, smaller is better.",
    "Rows named after an attack and the two with LADDER fine-tune Natural's classifier.",
    (
        "'Natural, fine-tuned' makes the same passes over as many images that nobody attacked: "
        "what a row that fine-tunes has more is its images' doing."
    ),
    (
        "In brackets after a name: its preset. Without the divergence term ATLD- is the best known "
        "on LeNet; with the code's and with the paper's it is known to fail there."
    ),
)
IMAGES = {"many": 1000, "few": 500}


def quick(
    *,
    eps: str,
    limit: int,
    epochs: int,
    rate: Settings | None = None,
    ladder: Settings | None = None,
    gan: Settings | None = None,
) -> Budget:
    """The budget of the preset "quick" on LeNet: the same number of epochs for all.

    Args:
        eps: Linf radius, as text. limit, epochs: training images and passes over them.
        rate: settings of the optimizer, for all that do not fine-tune; none leaves each
            method its own. ladder: settings of the two rows with LADDER.
        gan: those of the GAN that draws Song et al.'s images.
    """
    plain: Settings = {"epochs": epochs, **(rate or {})}
    decayed = {**plain, "decay_epochs": (epochs * 3 // 4,)}
    first = {f"adversarial_{name}": v for name, v in decayed.items() if name != "momentum"}
    return Budget(
        model="lenet",
        cost=f"{{images}} training images, {epochs} passes",
        limit=limit,
        images=IMAGES,
        settings={
            **_each((*(kind for kind, _ in IN_BALL.values()), "atld"), decayed),
            **_each(("natural", "fgsm", "free"), plain),
            "lat": {**first, "epochs": 1, "decay_epochs": None},
            **_each(("ladder", "trades-ladder"), ladder or {}),
            "song-gan": gan or {},
        },
        texts={"eps": eps, "song": ",steps=60"},
    )


def _each(methods: Iterable[str], settings: Settings) -> dict[str, Settings]:
    return dict.fromkeys(methods, settings)


def experiment(
    data: str, quick: Budget, *, model: str, eps: str, rows: tuple[RowSpec, ...] = ROWS
) -> Experiment:
    """Every method on a data set.

    Args:
        data: registered name. quick: budget of that preset.
        rows: the classifiers.
        model, eps: network, whose rates and weights some methods choose, and Linf radius of
            the preset "paper".
    """
    cost, texts = "{images} training images, each paper's own recipe", {"eps": eps, "song": ""}
    return Experiment(
        title="Defences on {data} ({model}, Linf {eps}, {cost})",
        data=data,
        budgets={"quick": quick, "paper": Budget(model, cost, images=IMAGES, texts=texts)},
        rows=rows,
        columns=COLUMNS,
        notes=NOTES,
        is_timed=True,
    )


# At the larger radius some methods do not leave chance in so few epochs.
MNIST = experiment("mnist", quick(eps="0.2", limit=6_000, epochs=8), model="lenet", eps="0.3")
CIFAR10 = experiment(
    "cifar10",
    quick(
        eps="8/255",
        limit=5_000,
        epochs=8,
        # The presets' rates are for networks with batch normalisation, which LeNet has not.
        rate={"learning_rate": 0.01, "momentum": 0.9},
        ladder={"generator": "svhn"},  # Table 11's: Table 13's takes five times as long
        gan={"architecture": "mnist", "steps": 1000},  # a quarter as wide as CIFAR-10's
    ),
    model="cifarnet",
    eps="8/255",
    rows=(*ROWS, AUGMENTED),
)


def reproduce(experiment: Experiment, runner: Runner) -> Json:
    """The table, and a figure, clean against robust accuracy, for each threat model."""
    table = runner.measure(experiment)
    for chart in trade_offs([table]):
        with atomic_file(runner.folder / f"{chart.name}.png") as part:
            part.write_bytes(chart.image("png"))
    return table.to_json()


mnist, cifar10 = (functools.partial(reproduce, each) for each in (MNIST, CIFAR10))
