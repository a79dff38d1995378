"""The road of every experiment: rows are trained, columns are attacked, a table is written."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from atk_latent.art_bridge.context import AttackContext
from atk_latent.art_bridge.estimator import CompiledKerasClassifier, estimator_for
from atk_latent.atomic import atomic_file
from atk_latent.data.dataset import Dataset, select
from atk_latent.data.loading import load_dataset
from atk_latent.errors import InputError
from atk_latent.evaluation.executors import Executor, SerialExecutor
from atk_latent.evaluation.runner import (
    Case,
    Deployed,
    Options,
    Surrogate,
    clean_predictions,
    run_attacks,
)
from atk_latent.inference.imt import IMTClassifier
from atk_latent.inference.loading import imt_for
from atk_latent.methods.ladder import HELPERS
from atk_latent.models.loading import load_classifier
from atk_latent.models.new_head import with_new_head
from atk_latent.progress import Progress, renamed
from atk_latent.reproduction.experiment import Budget, ColumnSpec, Experiment, RowSpec, Settings
from atk_latent.reproduction.side_by_side import train_side_by_side
from atk_latent.reproduction.table import with_ranks, write_table
from atk_latent.results.accuracy import Accuracy, wilson_interval
from atk_latent.results.comparison import Cell, Column, Comparison, Row
from atk_latent.results.files import read_result
from atk_latent.results.provenance import today, versions
from atk_latent.training.gan_training import train_gan
from atk_latent.training.pipeline import harden
from atk_latent.training.request import Execution, GANRequest, HardenRequest, RunOptions
from atk_latent.training.run_folder import RunFolder

LOADED_AT_ONCE = 4  # classifiers in memory


@dataclasses.dataclass(frozen=True)
class Trained:
    """A row's finished run.

    Args:
        folder: the run folder. seconds: all of it. training: seconds of its epochs alone.
        epochs: how many; None where the method counts otherwise.
    """

    folder: Path
    seconds: float | None = None
    training: float | None = None
    epochs: int | None = None


class Target(NamedTuple):
    """A trained classifier, ready to be attacked.

    Args:
        model: the bare classifier, and its estimator.
        imt: the classifier behind its defence at prediction time; None where there is none.
        scored: the estimator of what is deployed.
    """

    model: keras.Model
    estimator: CompiledKerasClassifier
    imt: IMTClassifier | None
    scored: CompiledKerasClassifier


class Runner:
    """Runs experiments in a folder; what was trained or attacked there before is found again.

    Runs, attacked chunks (`chunks/`) and tables lie in the folder, so the same call goes on
    where a stopped one was.

    Args:
        preset: the budget, "quick" or "paper".
        folder: where everything goes.
        seed: int >= 0, of training and attacks; means over seeds count on from it.
        rows: patterns, as "wrn*", of the labels of the rows to measure; () for all. The tables
            hold the rows of earlier calls, too, and are written after each row.
        progress: told (stage, done, in all, logs).
        execution: on what its classifiers are trained, and how.
        executor: where rows are trained and chunks attacked; one that is parallel trains the
            rows of a table side by side, each in a process of its own.

    Example:
        >>> Runner("quick", Path("reproduced/atld-mnist")).seed
        0
    """

    def __init__(
        self,
        preset: str,
        folder: Path,
        *,
        seed: int = 0,
        rows: Sequence[str] = (),
        progress: Progress | None = None,
        execution: Execution | None = None,
        executor: Executor | None = None,
    ) -> None:
        self.execution = execution or Execution()
        self.preset, self.folder, self.seed, self.progress = preset, folder, seed, progress
        self.rows, self.executor = tuple(rows), executor or SerialExecutor()
        self._data = functools.lru_cache(maxsize=2)(
            lambda name, limit, limit_test=None: load_dataset(
                name, limit_train=limit, limit_test=limit_test, seed=seed
            )
        )
        self._target = functools.lru_cache(maxsize=LOADED_AT_ONCE)(_load)
        self._trained: dict[Path, tuple[HardenRequest, Trained]] = {}

    def measure(self, experiment: Experiment) -> Comparison:
        """Trains every row, attacks it with every column, and writes the table.

        Raises:
            InputError: naming the row that cannot be trained as the experiment says.
        """
        patterns = self.rows or ("*",)
        chosen = [
            row
            for row in experiment.rows
            if any(fnmatchcase(row.title(self.preset), pattern) for pattern in patterns)
        ]
        self.train_all(experiment, chosen)
        if not self.rows:
            return self.write(experiment, [self.row(experiment, row) for row in chosen])
        table = self.table(experiment, self._earlier(experiment))
        for row in chosen:
            measured = {r.label: r for r in (*table.rows, self.row(experiment, row))}
            labels = [r.title(self.preset) for r in experiment.rows]
            table = self.write(experiment, [measured[x] for x in labels if x in measured])
        return table

    def _earlier(self, experiment: Experiment) -> Sequence[Row]:
        """The rows of a table that an earlier call left, if it was the same in all else."""
        file = self.folder / f"{experiment.name}.json"
        if not file.is_file():
            return ()
        table, known = read_result(file).result, self.table(experiment, ())
        names = {"columns", "data_fingerprint", "seed", "title"}
        same = isinstance(table, Comparison) and table.model_dump(
            include=names
        ) == known.model_dump(include=names)
        return table.rows if isinstance(table, Comparison) and same else ()

    def write(self, experiment: Experiment, rows: Sequence[Row]) -> Comparison:
        """Writes the table of rows that were measured; the record, with ranks."""
        table = self.table(experiment, rows)
        write_table(self.folder, table, experiment.name)
        return table

    def table(self, experiment: Experiment, rows: Sequence[Row]) -> Comparison:
        """The record of rows that were measured, with ranks where they make sense."""
        dataset = self.dataset(experiment)
        table = Comparison(
            date=today(),
            seed=self.seed,
            versions=versions(),
            title=self.text(experiment, experiment.title),
            data=dataset.name,
            data_fingerprint=dataset.fingerprint(),
            columns=tuple(self._column(experiment, column) for column in experiment.columns),
            rows=tuple(rows),
            notes=tuple(self.text(experiment, note) for note in experiment.notes),
        )
        return with_ranks(table) if experiment.is_ranked else table

    def budget(self, experiment: Experiment) -> Budget:
        """What the preset costs."""
        return experiment.budgets[self.preset]

    def dataset(self, experiment: Experiment) -> Dataset:
        """The data set, with as many training images as the budget has."""
        budget = self.budget(experiment)
        return self._data(experiment.data, budget.limit, budget.limit_test)

    def images(self, experiment: Experiment, column: ColumnSpec) -> tuple[np.ndarray, np.ndarray]:
        """The test images that a column sees, and their labels."""
        dataset, limit = self.dataset(experiment), self._limit(experiment, column)
        return dataset.x_test[:limit], dataset.y_test[:limit]

    def text(self, experiment: Experiment, template: str) -> str:
        """The template with what the budget fills in; a GAN that it names is trained first."""
        if "{" not in template:
            return template
        budget, data = self.budget(experiment), experiment.data
        words = {"data": data, "model": budget.model, "seeds": budget.seeds, **budget.texts}
        if "{cost}" in template:
            images = f"{len(self.dataset(experiment).x_train):,}"
            words["cost"] = budget.cost.format(model=budget.model, images=images)
        if "{gan}" in template:
            words["gan"] = self.gan(experiment)
        if "{unlabelled}" in template:
            words["unlabelled"] = self.unlabelled(experiment)
        return template.format_map(words)

    def unlabelled(self, experiment: Experiment) -> Path:
        """The images without labels, `unlabelled-DATA.npz` in the folder of the experiment.

        Where there is no such file, it is made of the training images beyond the budget's.

        Raises:
            InputError: if there is no such file and no image is left over.
        """
        file = self.folder / f"unlabelled-{experiment.data}.npz"
        if file.exists():
            return file
        limit, whole = self.budget(experiment).limit, self._data(experiment.data, None)
        left = np.ones(len(whole.x_train), bool)
        left[select(whole.y_train, limit, self.seed, "limit")] = False
        if not left.any():
            raise InputError(
                f"images without labels are needed, and the preset {self.preset} trains on all "
                f"there are; put some into {file}: an array 'x' (n, H, W, C)"
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(file) as part:
            np.savez_compressed(part, x=np.round(255 * whole.x_train[left]).astype(np.uint8))
        return file

    def gan(self, experiment: Experiment) -> Path:
        """The run of the GAN for Song et al.'s attack; trained where it is not there yet."""
        gan, settings = experiment.gan, self._settings(experiment, GANRequest.method, {})
        seed = self.seed if gan.seed is None else gan.seed
        judge = None if gan.judge is None else self._classifier_file(experiment, gan.judge)
        limit = self.budget(experiment).limit
        request = GANRequest(
            RunOptions(experiment.data, self.preset, settings, limit, seed, self.execution), judge
        )
        folder, data = self.folder / gan.folder, self.dataset(experiment)
        train_gan(request, data, folder, resume=True, progress=self.progress)
        return folder

    def train_all(self, experiment: Experiment, rows: Sequence[RowSpec]) -> None:
        """Trains rows, and those that they need, side by side, if the executor can."""
        if not self.executor.is_parallel:
            return
        trainings = [(row, seed) for row in rows for seed in self.seeds(experiment, row)]
        sources = [c.crafted_on for c in experiment.columns if c.crafted_on is not None]
        trainings += [(row, seed) for row in sources for seed in {seed for _, seed in trainings}]
        # What is measured stays here: images that are made once may hang on this runner.
        without_columns = dataclasses.replace(experiment, columns=())
        job = TrainRow(self.preset, self.folder, self.seed, without_columns, self.execution)

        def prepare(row: RowSpec, seed: int) -> None:
            self._request(experiment, row, seed)  # a GAN, images without labels: made once, here

        train_side_by_side(trainings, job, prepare, self.executor, self.progress)

    def train(self, experiment: Experiment, row: RowSpec, seed: int | None = None) -> Trained:
        """A row's run, and those that it starts from; trained where they are not there yet.

        Args:
            experiment: of the row. row: which. seed: of its training; None for the runner's.

        Raises:
            InputError: naming the row, if it cannot be trained so.
        """
        seed = self.seed if seed is None else seed
        if row.data:
            experiment = dataclasses.replace(experiment, data=self.text(experiment, row.data))
        folder = self.folder / experiment.runs.format(seed=seed) / row.folder
        request = self._request(experiment, row, seed)
        known, trained = self._trained.get(folder, (None, None))
        if trained is not None and known == request:
            return trained
        others = None if row.helpers is None else self.train(experiment, row.helpers, seed)
        dataset, own_test = self.dataset(experiment), self.budget(experiment).own_test
        if own_test is not None:
            dataset = dataset.subset(None, min(own_test, len(dataset.x_test)), seed)
        try:
            run = RunFolder(folder, request, resume=True)
            if others is not None and not run.finished:
                run.adopt(others.folder / "helpers", row.helper_files or HELPERS)
            card = harden(request, dataset, folder, resume=True, progress=self.progress)
        except InputError as error:
            raise InputError(f"row '{row.title(self.preset)}': {error}") from None
        trained = Trained(folder, card.seconds, card.training_seconds, card.epochs)
        self._trained[folder] = request, trained
        return trained

    def _request(self, experiment: Experiment, row: RowSpec, seed: int) -> HardenRequest:
        budget = self.budget(experiment)
        model = self.text(experiment, row.model) if row.model else budget.model
        if row.start is not None:
            model = self._classifier_file(experiment, row.start, seed)
        settings = self._settings(experiment, row.method, row.settings)
        preset = row.preset or self.preset
        options = RunOptions(experiment.data, preset, settings, budget.limit, seed, self.execution)
        return HardenRequest(row.method, options, model)

    def _settings(self, experiment: Experiment, method: str, own: Settings) -> Settings:
        """The budget's settings of a method with a row's own on top, texts filled in."""
        settings = {**self.budget(experiment).settings.get(method, {}), **own}
        return {
            name: self.text(experiment, value) if isinstance(value, str) else value
            for name, value in settings.items()
        }

    def _classifier_file(
        self, experiment: Experiment, row: RowSpec, seed: int | None = None
    ) -> str:
        folder, seed = self.train(experiment, row, seed).folder, self.seed if seed is None else seed
        if not row.data:
            return str(folder / "model.keras")
        file = folder / f"for-{experiment.data}.keras"
        if not file.exists():
            body = keras.models.load_model(folder / "model.keras", compile=False)
            with atomic_file(file) as part:
                with_new_head(body, self.dataset(experiment).num_classes, seed).save(part)
        return str(file)

    def target(
        self, experiment: Experiment, row: RowSpec, seed: int | None = None, told: str = ""
    ) -> Target:
        """A row's classifier, trained and loaded; `seed` as for `train`, `told` of a column."""
        dataset, run = self.dataset(experiment), self.train(experiment, row, seed)
        return self._target(
            run.folder, _inference(row, told), dataset.image_shape, dataset.num_classes
        )

    def seeds(self, experiment: Experiment, row: RowSpec) -> Sequence[int]:
        """The seeds of the classifiers that a row's cells are measured on."""
        if not experiment.over_seeds:
            return (self.seed,)
        count = row.seeds or self.budget(experiment).seeds
        return experiment.seeds or range(self.seed, self.seed + count)

    def cell(self, experiment: Experiment, column: ColumnSpec, row: RowSpec) -> Cell:
        """What a column leaves of a row's accuracy, beside what is published for it."""
        if experiment.over_seeds:
            seeds = self.seeds(experiment, row)
            cell = mean_cell([self._cell(experiment, column, row, seed) for seed in seeds])
        else:
            cell = self._cell(experiment, column, row, self.seed)
        published = experiment.published.get(row.label, {}).get(column.label)
        return cell.model_copy(update={"published": published})

    def row(self, experiment: Experiment, row: RowSpec) -> Row:
        """A row of the table: trained, where it is not yet, and attacked with every column."""
        run = self.train(experiment, row, self.seeds(experiment, row)[0])
        cells = [self.cell(experiment, c, row) for c in experiment.columns if c.is_for(row)]
        measured = Row(
            label=row.title(self.preset),
            cells=tuple(cells),
            run=str(run.folder),
            inference=row.inference or None,
        )
        if not experiment.is_timed:
            return measured
        times = {"seconds": run.seconds, "epochs": run.epochs}
        times["training"] = run.training if row.is_timed else None
        return measured.model_copy(update=times)

    def _cell(self, experiment: Experiment, column: ColumnSpec, row: RowSpec, seed: int) -> Cell:
        target = self.target(experiment, row, seed, column.told)
        spec = self._column(experiment, column).spec
        if column.fixed_set is not None:
            x_adv, y = column.fixed_set.images(column)
            threat = column.fixed_set.threat_model(row, spec)
            return Cell.of(column.label, Accuracy.of(is_correct(target.scored, x_adv, y)), threat)
        x, y = self.images(experiment, column)
        if spec is None:
            return Cell.of(column.label, Accuracy.of(is_correct(target.scored, x, y)))
        surrogate = None
        if column.crafted_on is not None:
            other = self.target(experiment, column.crafted_on, seed)
            surrogate = Surrogate(column.crafted_on.label, other.estimator)
        attack_seed = experiment.attack_seed
        options = Options(
            seed=self.seed if attack_seed is None else attack_seed,
            deployed=Deployed(_inference(row, column.told), target.scored) if target.imt else None,
            context=AttackContext(imt=target.imt, data=self.dataset(experiment)),
            progress=renamed(self.progress, row.title(self.preset)),
            store=self.folder / "chunks",
            executor=self.executor,
        )
        (result,) = run_attacks(target.estimator, x, y, [Case(spec, surrogate)], options)
        return Cell.of_attack(column.label, result)

    def _column(self, experiment: Experiment, column: ColumnSpec) -> Column:
        attack = None if column.attack is None else self.text(experiment, column.attack)
        return Column.of(column.label, attack, self._limit(experiment, column))

    def _limit(self, experiment: Experiment, column: ColumnSpec) -> int | None:
        return self.budget(experiment).images[column.images] if column.images else None


@dataclasses.dataclass(frozen=True)
class TrainRow:
    """Trains a row, in the process that it is sent to.

    Args:
        preset, folder, seed, execution: of the runner that sends it. experiment: of the row.
    """

    preset: str
    folder: Path
    seed: int
    experiment: Experiment
    execution: Execution = Execution()

    def __call__(self, row: RowSpec, seed: int) -> Trained:
        """The row's run, as `Runner.train` leaves it."""
        runner = Runner(self.preset, self.folder, seed=self.seed, execution=self.execution)
        return runner.train(self.experiment, row, seed)


def _inference(row: RowSpec, told: str = "") -> str:
    """What a row deploys, as for ``--inference``."""
    return f"{row.inference}:told={told}" if told else row.inference or "none"


def _load(folder: Path, inference: str, shape: tuple[int, int, int], classes: int) -> Target:
    model = load_classifier(folder, shape, classes)
    estimator, imt = estimator_for(model, image_shape=shape), imt_for(inference, folder, model)
    scored = estimator if imt is None else estimator_for(imt, classes, shape)
    return Target(model, estimator, imt, scored)


def is_correct(
    model: keras.Model | CompiledKerasClassifier, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Which images are classified correctly, bool (n,)."""
    return np.asarray(clean_predictions(model, x, y) == y)


def mean_cell(cells: list[Cell]) -> Cell:
    """The mean over classifiers, with the interval of one that has it on these images."""
    n, first = cells[0].n, cells[0]
    mean = sum(round(cell.accuracy * n) for cell in cells) / (n * len(cells))
    low, high = wilson_interval(round(mean * n), n)
    return first.model_copy(
        update={
            "accuracy": mean,
            "low": low,
            "high": high,
            "seconds": sum(cell.seconds or 0.0 for cell in cells),
            "seeds": tuple(cell.accuracy for cell in cells),
        }
    )
