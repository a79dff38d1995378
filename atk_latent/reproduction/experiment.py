"""What is compared on what, at what cost: experiments as data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Protocol

from atk_latent.config import number, spec
from atk_latent.errors import InputError
from atk_latent.results.threat import Norm, ThreatModel

if TYPE_CHECKING:
    import numpy as np

    from atk_latent.results.attack_result import Published
    from atk_latent.results.comparison import Comparison
    from atk_latent.results.record import Json

Settings = Mapping[str, object]


class Measuring(Protocol):
    """What trains and attacks: `run.Runner`."""

    def measure(self, experiment: Experiment) -> Comparison:
        """The table of an experiment."""


@dataclasses.dataclass(frozen=True)
class Budget:
    """What a preset of `atkl reproduce` costs on a data set.

    Args:
        model: registered name of the network, for rows that name none.
        cost: the budget in words, for titles; `{model}` and `{images}`, the number of training
            images, are filled in.
        limit: int >= 1, training images at most; None for all.
        limit_test: int >= 1, test images at most, classes in proportion; None for all.
        seeds: int >= 1, classifiers that a cell is the mean of, where the experiment says
            `over_seeds`.
        own_test: int >= 1, test images on which a run measures itself for its own card; None
            for all. Tables are measured on those of their columns.
        images: by name, how many of the first test images a column sees.
        settings: by method, on top of its preset; "song-gan" for the GAN.
        texts: by name, what fills `{name}` in attacks, settings, titles and notes. Beside
            these `{unlabelled}` is a file of images without labels, see `Runner.unlabelled`.

    Example:
        >>> Budget("lenet", limit=6000, images={"many": 1000}, texts={"eps": "0.3"}).seeds
        1
    """

    model: str
    cost: str = ""
    limit: int | None = None
    limit_test: int | None = None
    seeds: int = 1
    own_test: int | None = None
    images: Mapping[str, int] = dataclasses.field(default_factory=dict)
    settings: Mapping[str, Settings] = dataclasses.field(default_factory=dict)
    texts: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class RowSpec:
    """One classifier of a comparison, and how it is trained.

    Args:
        label: what the table calls it; `{preset}` is filled in.
        method: registered name.
        settings: on top of the budget's; text is filled in, see `Budget.texts`.
        preset: of the method; None for that of `atkl reproduce`.
        model: registered name of the network, filled in; None for the budget's.
        start: the row whose classifier is trained on; None starts anew.
        data: registered name of the data set to train on, filled in, where that is not the
            experiment's: the row is no row of the table then, but a `start`, whose classifier
            gets a new head.
        helpers: the row with the same start whose boundaries and generator serve this one.
        helper_files: which of its helpers; () for all of LADDER's.
        folder: name of its run; "" for the label. Rows of one folder share the run.
        inference: the defence at prediction time, as for `atkl evaluate`; "" where the table
            does not speak of it.
        own_attack: label of the column with the attack that it was trained on; left out.
        is_timed: whether its training time stands in a table with times.
        seeds: int >= 1, classifiers that its cells are the mean of, where the experiment says
            `over_seeds`; None for the budget's.

    Example:
        >>> RowSpec("PGD, long", "pgd", {"eps": "{eps}", "epochs": 30}).folder
        'PGD, long'
    """

    label: str
    method: str
    settings: Settings = dataclasses.field(default_factory=dict)
    preset: str | None = None
    model: str | None = None
    start: RowSpec | None = None
    data: str = ""
    helpers: RowSpec | None = None
    helper_files: tuple[str, ...] = ()
    folder: str = ""
    inference: str = ""
    own_attack: str = ""
    is_timed: bool = True
    seeds: int | None = None

    def __post_init__(self) -> None:
        """Names the run after the row."""
        object.__setattr__(self, "folder", self.folder or self.label)

    def title(self, preset: str) -> str:
        """The label in a table; `preset` is that of `atkl reproduce`."""
        return self.label.replace("{preset}", self.preset or preset)

    @property
    def has_defence(self) -> bool:
        """Whether something is deployed at prediction time."""
        return self.inference not in ("", "none")


@dataclasses.dataclass(frozen=True)
class FixedSet:
    """Adversarial images that are crafted once, on one model, and shown to every row.

    An image counts if it is classified correctly after the attack, as LADDER counts.

    Args:
        crafted_on: what threat models call that model.
        images: x_adv float32 (n, H, W, C) and labels int64 (n,) of a column.
        row: the row whose classifier that model is, for which the images are white-box; None
            where it is of no row.
        norm: of the change, where all columns share it; None leaves it unsaid.

    Example:
        >>> row = RowSpec("vanilla", "natural")
        >>> str(FixedSet("a CNN", lambda column: (x_adv, y)).threat_model(row, "fgsm:eps=0.3"))
        'transfer from a CNN'
    """

    crafted_on: str
    images: Callable[[ColumnSpec], tuple[np.ndarray, np.ndarray]]
    row: RowSpec | None = None
    norm: Norm | None = None

    def threat_model(self, row: RowSpec, attack: str | None) -> ThreatModel:
        """What the attacker knows of a row's classifier.

        Args:
            row: whose classifier is scored. attack: as for `atkl evaluate`, for the radius.
        """
        radius = spec(attack or "")[1].get("eps")
        eps = None if radius is None else number(radius)
        if self.row is not None and row.folder == self.row.folder:
            return ThreatModel(access="white-box", norm=self.norm, eps=eps)
        return ThreatModel(access="unknown", norm=self.norm, eps=eps, crafted_on=self.crafted_on)


@dataclasses.dataclass(frozen=True)
class ColumnSpec:
    """One attack of a comparison.

    Args:
        label: what the table calls it.
        attack: as for `atkl evaluate`, filled in, see `Budget.texts`; None is no attack.
        images: which of `Budget.images` says how many test images; "" takes all.
        needs_defence: whether it is only for rows with a defence at prediction time.
        told: what IMT is told of the images, as in the published evaluation; see
            `inference.imt.IMTSettings`. "" is nothing, which is what a deployed model knows.
        crafted_on: the row on whose classifier the images are made; None for each row's own.
        fixed_set: images that are made once, in place of an attack on each row.

    Example:
        >>> ColumnSpec("PGD-20", "pgd:eps={eps},steps=20", "many").needs_defence
        False
    """

    label: str
    attack: str | None = None
    images: str = ""
    needs_defence: bool = False
    told: str = ""
    crafted_on: RowSpec | None = None
    fixed_set: FixedSet | None = None

    def is_for(self, row: RowSpec) -> bool:
        """Whether the row has a cell here; on itself a transfer attack would be white-box."""
        on_itself = self.crafted_on is not None and self.crafted_on.folder == row.folder
        missing = self.needs_defence and not row.has_defence
        return not (on_itself or missing or self.label == row.own_attack)


@dataclasses.dataclass(frozen=True)
class GAN:
    """The GAN whose images Song et al.'s attack searches, `{gan}` in attacks.

    Args:
        folder: its run, in the folder of the experiment.
        judge: the row whose classifier judges the drawn images; None for no judge.
        seed: int >= 0; None for that of the experiment.

    Example:
        >>> GAN("song-gan", judge=RowSpec("vanilla", "natural")).folder
        'song-gan'
    """

    folder: str = "runs/song-gan"
    judge: RowSpec | None = None
    seed: int | None = None


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A table: classifiers, attacks on them, and what a paper prints for the same.

    It is called with a `Runner` that trains, attacks and writes; `registry.EXPERIMENTS` names
    such values, and functions of a `Runner` that measure several.

    Args:
        title: heads the table; `{data}`, `{model}`, `{cost}` and `Budget.texts` are filled in.
        data: registered name or path of the data set.
        budgets: by preset of `atkl reproduce`.
        rows: the classifiers. columns: the attacks.
        published: by labels of row and column.
        notes: lines below the table, filled in as the title.
        name: of the files, `NAME.json` and `NAME.md` (`table.md` for "result").
        is_ranked: whether an average over the columns makes sense.
        is_timed: whether rows say how long they were trained.
        over_seeds: whether a cell is the mean over `Budget.seeds` classifiers.
        seeds: of these classifiers; () counts on from the runner's seed.
        attack_seed: int >= 0, of what is drawn by attacks; None for that of the experiment.
        runs: where the rows' runs lie in the folder of the experiment; `{seed}` is filled in.
        gan: for attacks with `{gan}`.
        sweeps: by name, values that figures and searches go through, as text.

    Example:
        >>> budget = Budget("lenet", limit=1000, settings={"natural": {"epochs": 2}})
        >>> Experiment("Plain training", "digits", {"quick": budget},
        ...            (RowSpec("plain", "natural"),), (ColumnSpec("clean"),)).name
        'result'
    """

    title: str
    data: str
    budgets: Mapping[str, Budget]
    rows: tuple[RowSpec, ...]
    columns: tuple[ColumnSpec, ...]
    published: Mapping[str, Mapping[str, Published]] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    name: str = "result"
    is_ranked: bool = True
    is_timed: bool = False
    over_seeds: bool = False
    seeds: tuple[int, ...] = ()
    attack_seed: int | None = None
    runs: str = "runs"
    gan: GAN = GAN()
    sweeps: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    def __call__(self, runner: Measuring) -> Json:
        """Trains, attacks and writes the table; the content of its JSON file."""
        return runner.measure(self).to_json()

    def column(self, label: str) -> ColumnSpec:
        """The column of that label."""
        return next(column for column in self.columns if column.label == label)


def check_rows(name: str, experiment: object, patterns: Sequence[str], preset: str) -> None:
    """Refuses patterns that fit no row of a registered experiment.

    Args:
        name: under which it is registered. experiment: the object, an `Experiment` or a partial
            of a function that measures one. patterns, preset: as for `run.Runner`.

    Raises:
        InputError: naming the rows that there are.
    """
    parts = (experiment, *getattr(experiment, "args", ()))
    rows = [row for part in parts if isinstance(part, Experiment) for row in part.rows]
    labels = [row.title(preset) for row in rows]
    for pattern in patterns:
        if not any(fnmatchcase(label, pattern) for label in labels):
            known = "; ".join(labels) or "none, it is a figure"
            raise InputError(
                f"--rows must fit a row of {name}. Received: {pattern!r}. Its rows: {known}"
            )
