"""Where independent tasks run: here one after the other, or elsewhere side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Task:
    """A piece of work that depends on nothing but itself.

    Args:
        key: tells it from the other tasks of the same call.
        job: what is called. Tasks of one job share it: it is sent to another process once.
        arguments: of the call.
        is_local: it must run in the process that hands it out.

    Example:
        >>> Task("sum", sum, ([1, 2],)).is_local
        False
    """

    key: Any
    job: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    is_local: bool = False


class Executor(Protocol):
    """Runs tasks, in any order and anywhere; their results do not depend on where."""

    is_parallel: bool

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Any]]:
        """Runs tasks, each taken from `tasks` when there is room for it.

        Yields:
            Each task with what its job returned, as they are done.

        Raises:
            Exception: what a job raised; the other tasks are given up.
        """


class SerialExecutor:
    """Runs tasks in this process, one after the other, in their order.

    Example:
        >>> [result for _, result in SerialExecutor().run([Task(0, sum, ([1, 2],))])]
        [3]
    """

    is_parallel: bool = False

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Any]]:
        """The tasks with their results, each run when it is asked for."""
        for task in tasks:
            yield task, task.job(*task.arguments)
