"""Rows of a table that are trained at the same time, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from graphlib import TopologicalSorter

from atk_latent.evaluation.executors import Executor, Task
from atk_latent.progress import Progress
from atk_latent.reproduction.experiment import RowSpec

Training = tuple[RowSpec, int]  # a row and its seed


def train_side_by_side(
    trainings: Sequence[Training],
    job: Callable[[RowSpec, int], object],
    prepare: Callable[[RowSpec, int], None],
    executor: Executor,
    progress: Progress | None = None,
) -> None:
    """Trains rows beside each other, and before them the rows that they need.

    Args:
        trainings: rows and seeds.
        job: trains a row, wherever it is called.
        prepare: called here for each row before it is handed out.
        executor: calls the job. progress: told ("trained", rows done, rows in all).
    """
    groups, done = list(generations(trainings)), 0
    total = sum(len(group) for group in groups)
    for group in groups:
        for row, seed in group:
            prepare(row, seed)
        for _ in executor.run([Task((row, seed), job, (row, seed)) for row, seed in group]):
            done += 1
            if progress:
                progress("trained", done, total)


def generations(trainings: Sequence[Training]) -> Iterator[list[Training]]:
    """Rows with seeds, and the rows that they need, in groups that can be trained together.

    Args:
        trainings: rows and seeds; those that share a run are trained once.

    Yields:
        Groups; whoever a row starts from or borrows from is in an earlier one.
    """
    known: dict[tuple[str, int], RowSpec] = {}
    needs: dict[tuple[str, int], set[tuple[str, int]]] = {}
    left = list(trainings)
    while left:
        row, seed = left.pop()
        others = [other for other in (row.start, row.helpers) if other is not None]
        known.setdefault((row.folder, seed), row)
        needs.setdefault((row.folder, seed), set()).update((o.folder, seed) for o in others)
        left += [(other, seed) for other in others]
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    while sorter.is_active():
        ready = sorter.get_ready()
        yield [(known[place], place[1]) for place in sorted(ready)]
        sorter.done(*ready)
