"""The chunks of several attacks, from a store or from an executor."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from atk_latent.evaluation.executors import Executor, Task
from atk_latent.evaluation.store import Chunk, ChunkStore
from atk_latent.progress import Progress

Job = Callable[[int, np.ndarray, np.ndarray], Chunk]  # first row, images, labels


@dataclass(frozen=True, eq=False)
class Series:
    """All chunks of one attack.

    Args:
        name: of the attack, for progress.
        job: attacks and scores one chunk.
        x: float32 images (n, height, width, channels) in [0, 1]. y: int64 labels (n,).
        size: int >= 1, images of a chunk.
        store: where chunks are looked up and stored.
        progress: told (name, images done, n).
        is_local: its chunks must be made in this process.
    """

    name: str
    job: Job
    x: np.ndarray
    y: np.ndarray
    size: int
    store: ChunkStore
    progress: Progress | None = None
    is_local: bool = False

    @property
    def starts(self) -> range:
        """The first row of each chunk."""
        return range(0, len(self.x), self.size)

    def task(self, start: int) -> Task:
        """The chunk that begins at `start`, as a task."""
        rows = slice(start, start + self.size)
        return Task((self, start), self.job, (start, self.x[rows], self.y[rows]), self.is_local)

    def tell(self, done: int) -> None:
        """Says how many images are done."""
        if self.progress:
            self.progress(self.name, done, len(self.x))


def all_chunks(series: Sequence[Series], executor: Executor) -> Iterator[tuple[Series, Chunk]]:
    """Every chunk of every attack; new ones are stored as they come.

    Yields:
        The attack and one of its chunks; those that another evaluation was at come last.

    Raises:
        Exception: what an attack raised.
    """
    done = {id(one): 0 for one in series}
    for one, chunk in _each(series, executor):
        done[id(one)] += len(chunk.robust)
        yield one, chunk
        one.tell(done[id(one)])


def _each(series: Sequence[Series], executor: Executor) -> Iterator[tuple[Series, Chunk]]:
    elsewhere: list[tuple[Series, int]] = []  # claimed by other evaluations with this store
    places = [(one, start) for one in series for start in one.starts]
    yield from _Pass(executor).run(places, elsewhere)
    for place in elsewhere:  # one at a time: who waits holds no claim that others wait for
        yield from _Pass(executor, waits=True).run([place], [])


class _Pass:
    """Goes through chunks once, holding the claim of each that is being made.

    Args:
        executor: runs what no store has. waits: for chunks that another evaluation is at.
    """

    def __init__(self, executor: Executor, *, waits: bool = False) -> None:
        self.executor, self.waits = executor, waits
        self.claims: dict[tuple[Series, int], contextlib.ExitStack] = {}
        self.stored: deque[tuple[Series, Chunk]] = deque()

    def run(
        self, places: Sequence[tuple[Series, int]], elsewhere: list[tuple[Series, int]]
    ) -> Iterator[tuple[Series, Chunk]]:
        """The chunks at `places`; those that others are at are added to `elsewhere`."""
        try:
            for task, chunk in self.executor.run(self._missing(places, elsewhere)):
                one, start = task.key
                one.store.save(chunk)
                self.claims.pop((one, start)).close()
                yield from self._drained()
                yield one, chunk
            yield from self._drained()
        finally:
            for claim in self.claims.values():
                claim.close()

    def _drained(self) -> Iterator[tuple[Series, Chunk]]:
        while self.stored:
            yield self.stored.popleft()

    def _missing(
        self, places: Sequence[tuple[Series, int]], elsewhere: list[tuple[Series, int]]
    ) -> Iterator[Task]:
        """A task for each chunk that is not stored; it is claimed when it is handed out."""
        for one, start in places:
            if start == 0 and not self.waits:
                one.tell(0)
            count = min(one.size, len(one.x) - start)
            chunk = one.store.load(start, count)
            if chunk is None:
                claim = contextlib.ExitStack()
                if not claim.enter_context(one.store.claim(start, wait=self.waits)):
                    claim.close()
                    elsewhere.append((one, start))
                    continue
                self.claims[one, start] = claim
                chunk = one.store.load(start, count)  # made since
                if chunk is None:
                    yield one.task(start)
                    continue
                self.claims.pop((one, start)).close()
            self.stored.append((one, chunk))
