"""A grid of methods, settings and seeds: every cell a run, one table, one figure."""

from __future__ import annotations

import hashlib
import itertools
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from atk_latent.art_bridge.context import AttackContext
from atk_latent.art_bridge.estimator import estimator_for
from atk_latent.art_bridge.factory import attack_spec, make_attack
from atk_latent.atomic import atomic_file
from atk_latent.config import spec
from atk_latent.data.dataset import Dataset
from atk_latent.errors import InputError
from atk_latent.methods.presets import resolve
from atk_latent.registry import METHODS
from atk_latent.reporting.sweep_chart import sweep_chart
from atk_latent.reporting.tables import Table, TableCell, csv_text, markdown
from atk_latent.reproduction.experiment import Budget, ColumnSpec, Experiment, RowSpec
from atk_latent.reproduction.run import Runner
from atk_latent.results.comparison import Comparison, Row
from atk_latent.results.files import write_result
from atk_latent.training.starting_model import StartingModel, default_model

CLEAN = "clean"
_LONGEST = 150  # letters of a folder's name


@dataclass(frozen=True)
class Axis:
    """A setting and the values it takes.

    Args:
        name: of the setting. values: as text.
        method: the only method that it is for; "" is all of the sweep's.

    Example:
        >>> Axis.parse("trades:beta=1,3"), Axis.parse("eps=[0.1,0.2],0.3").values
        (Axis(name='beta', values=('1', '3'), method='trades'), ('0.1,0.2', '0.3'))
    """

    name: str
    values: tuple[str, ...]
    method: str = ""

    @classmethod
    def parse(cls, text: str) -> Axis:
        """Reads ``KEY=A,B,C`` or ``METHOD:KEY=A,B,C``; ``[A,B]`` is one value, a list.

        Raises:
            InputError: if it reads otherwise, or a value comes twice.
        """
        key, _, values = text.partition("=")
        method, _, name = key.strip().rpartition(":")
        item = r"(?:\[[^\[\]]*\]|[^\[\],]+)"
        found = tuple(v.strip().strip("[]").strip() for v in re.findall(item, values))
        if not name or not re.fullmatch(f"\\s*{item}\\s*(,\\s*{item}\\s*)*", values) or "" in found:
            raise InputError(
                "--set must read KEY=A,B,C, or METHOD:KEY=A,B,C, with [A,B] for a value that is a "
                f"list. Received: {text!r}"
            )
        twice = next((value for value in found if found.count(value) > 1), None)
        if twice is not None:
            raise InputError(f"--set {text} has the value {twice!r} twice; leave one out")
        return cls(name.replace("-", "_"), found, method)


@dataclass(frozen=True)
class Sweep:
    """What is compared.

    Args:
        data: registered name or path of the data set.
        methods: registered names.
        axes: the settings that vary, or are set to one value.
        seeds: of the trainings, a classifier each.
        attacks: as for `atkl evaluate`.
        preset: of the methods. model: registered name or path; None takes the data set's own.
        limit_train, limit_test: images at most, classes in proportion.

    Example:
        >>> sweep = Sweep("digits", ("trades",), (Axis("beta", ("1", "6")),))
        >>> [row.label for row in sweep.rows()]
        ['trades beta=1', 'trades beta=6']
    """

    data: str
    methods: tuple[str, ...]
    axes: tuple[Axis, ...] = ()
    seeds: tuple[int, ...] = (0,)
    attacks: tuple[str, ...] = ("pgd",)
    preset: str = "paper"
    model: str | None = None
    limit_train: int | None = None
    limit_test: int | None = None

    def __post_init__(self) -> None:
        """Refuses names that are not registered, and what comes twice."""
        for method in self.methods:
            METHODS.entry(method)
        for axis in self.axes:
            if axis.method and axis.method not in self.methods:
                raise InputError(
                    f"--set {axis.method}:{axis.name} is for a method that the sweep does not "
                    f"have; add --method {axis.method}"
                )
        places = [f"{m}:{a.name}" for m in self.methods for a in self.axes if a.method in ("", m)]
        _check_each_once("--method", self.methods)
        _check_each_once("--seeds", self.seeds)
        _check_each_once("--attack", self.attacks)
        _check_each_once("--set", places)

    def rows(self) -> tuple[RowSpec, ...]:
        """One for each method and choice of values."""
        return tuple(
            RowSpec(label, method, settings, folder=_folder_name(label))
            for method in self.methods
            for settings in self._choices(method)
            for label in [" ".join([method, *(f"{k}={v}" for k, v in settings.items())])]
        )

    def _choices(self, method: str) -> list[dict[str, str]]:
        axes = [axis for axis in self.axes if axis.method in ("", method)]
        names = [axis.name for axis in axes]
        return [
            dict(zip(names, values, strict=True))
            for values in itertools.product(*(axis.values for axis in axes))
        ]

    def experiment(self, model: str) -> Experiment:
        """The sweep as an experiment.

        Args:
            model: what `model` stands for on the data.
        """
        rows = [
            RowSpec(row.label, row.method, _literal(row.settings), folder=row.folder)
            for row in self.rows()
        ]
        budget = Budget(model, limit=self.limit_train, limit_test=self.limit_test)
        attacks = [ColumnSpec(attack, attack.replace("{", "{{").replace("}", "}}"))
                   for attack in self.attacks]  # fmt: skip
        return Experiment(
            title=f"{', '.join(self.methods)} over {len(self.seeds)} seeds",
            data=self.data,
            budgets={self.preset: budget},
            rows=tuple(rows),
            columns=(ColumnSpec(CLEAN), *attacks),
            is_ranked=False,
            over_seeds=True,
            seeds=self.seeds,
            runs="runs/seed-{seed}",
        )

    def check(self, dataset: Dataset, model: str) -> None:
        """Reads every setting and attack before anything is trained.

        Raises:
            InputError: on the first that will not do.
        """
        for row in self.rows():
            resolved = resolve(row.method, dataset.name, self.preset, model, dict(row.settings))
            resolved.settings.check_files()
            resolved.settings.check_contents(dataset.image_shape, dataset.num_classes)
        untrained = StartingModel(model, dataset, 0).load()
        estimator = estimator_for(untrained, image_shape=dataset.image_shape)
        for attack in self.attacks:
            if not attack_spec(spec(attack)[0]).needs:
                make_attack(attack, estimator, AttackContext(data=dataset))


def _check_each_once(option: str, values: Sequence[object]) -> None:
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise InputError(f"{option} names {twice} twice; leave one out")


def run_sweep(sweep: Sweep, runner: Runner) -> Comparison:
    """Trains and attacks every cell and writes `result.json`, `table.md`, `table.csv`, figures.

    Args:
        sweep: what is compared. runner: with the sweep's preset; what its folder holds already
            is not made again.

    Raises:
        InputError: on data, a setting or an attack that will not do.
    """
    dataset = runner.dataset(sweep.experiment(""))
    model = sweep.model or default_model(dataset)
    sweep.check(dataset, model)
    experiment = sweep.experiment(model)
    runner.train_all(experiment, experiment.rows)
    rows: list[Row] = []
    for row in experiment.rows:
        rows.append(runner.row(experiment, row))
        table = runner.table(experiment, rows)
        write_sweep(runner.folder, sweep, table)
    return table


def write_sweep(folder: Path, sweep: Sweep, table: Comparison) -> None:
    """Writes what was measured: the record, the table as Markdown and CSV, the figure."""
    write_result(folder / "result.json", table)
    shown, chart = sweep_table(sweep, table), sweep_chart(table)
    for name, content in (
        ("table.md", markdown(shown).encode()),
        ("table.csv", csv_text(shown).encode()),
        ("figure.svg", chart.svg(alone=True).encode()),
        ("figure.png", chart.image("png")),
    ):
        with atomic_file(folder / name) as part:
            part.write_bytes(content)


def sweep_table(sweep: Sweep, table: Comparison) -> Table:
    """A row a cell: its settings, and mean and standard deviation over seeds in percent."""
    names = list(dict.fromkeys(axis.name for axis in sweep.axes))
    specs = {row.label: row for row in sweep.rows()}
    heads = [f"{c.label}{ending}" for c in table.columns for ending in (", %", " sd, %")]
    body: list[tuple[TableCell, ...]] = []
    for row in table.rows:
        settings = specs[row.label].settings
        cells: list[TableCell] = [specs[row.label].method]
        cells += [str(settings.get(name, "")) for name in names]
        for column in table.columns:
            cell = row.cell(column.label)
            values = [] if cell is None else [100 * value for value in cell.seeds or ()]
            cells += [round(statistics.fmean(values), 2) if values else None, spread(values)]
        body.append(tuple(cells))
    images = "all" if sweep.limit_test is None else f"{sweep.limit_test}"
    note = (
        f"Means and standard deviations (sd) over the seeds {', '.join(map(str, sweep.seeds))}, on "
        f"{images} test images; preset {sweep.preset}."
    )
    return Table(
        name="sweep",
        caption=f"{table.title}, data {table.data}",
        headings=("method", *names, *heads),
        rows=tuple(body),
        notes=(note,),
    )


def spread(values: Sequence[float]) -> float | None:
    """The sample's standard deviation, to two places; None for fewer than two values."""
    return round(statistics.stdev(values), 2) if len(values) > 1 else None


def _literal(settings: Mapping[str, object]) -> dict[str, object]:
    """Settings in which no brace stands for something to be filled in."""
    return {
        name: str(value).replace("{", "{{").replace("}", "}}") for name, value in settings.items()
    }


def _folder_name(label: str) -> str:
    """A name that every file system takes, another one for each label."""
    name = quote(label.replace(" ", ","), safe=",=+")
    if len(name) <= _LONGEST:
        return name
    return f"{name[:_LONGEST]}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"
