"""Where a command computes: here, or on Ray."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from atk_latent.errors import InputError

if TYPE_CHECKING:
    from atk_latent.evaluation.executors import Executor
    from atk_latent.progress import Progress


@dataclass(frozen=True)
class Cluster:
    """What --ray and its companions say.

    Args:
        ray: None computes here. workers, gpus_per_worker: as of `RayExecutor`.
    """

    ray: str | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None

    @contextlib.contextmanager
    def executor(self, progress: Progress | None = None) -> Iterator[Executor]:
        """What runs the tasks; a Ray that it starts ends with it.

        Raises:
            InputError: if Ray is not there, or --workers is given without --ray.
        """
        if self.ray is None:
            from atk_latent.evaluation.executors import SerialExecutor

            for option, value in (
                ("--workers", self.workers),
                ("--gpus-per-worker", self.gpus_per_worker),
            ):
                if value is not None:
                    raise InputError(f"{option} is for --ray; add --ray local or leave it out")
            yield SerialExecutor()
            return
        from atk_latent.evaluation.ray_cluster import import_ray

        import_ray()
        from atk_latent.evaluation.ray_executor import RayExecutor

        with RayExecutor(
            self.ray,
            workers=self.workers,
            gpus_per_worker=self.gpus_per_worker or 0.0,
            progress=progress,
        ) as executor:
            yield executor


_OPTIONS = (
    click.option(
        "--ray",
        metavar="local|auto|ADDRESS",
        help="Share the work among Ray workers: on this machine, on the cluster it belongs to, or "
        "on that of HOST:PORT. The numbers stay the same.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        metavar="N",
        help="Ray workers, a process and a core each; default: as many as have room.",
    ),
    click.option(
        "--gpus-per-worker",
        type=click.FloatRange(min=0),
        metavar="F",
        help="Of each Ray worker, such as 1, or 0.5 where two share a GPU; default 0, the CPU.",
    ),
)


def ray_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds --ray, --workers and --gpus-per-worker; the command gets them as one `cluster`."""

    @functools.wraps(command)
    def wrapped(
        ray: str | None, workers: int | None, gpus_per_worker: float | None, **options: Any
    ) -> None:
        command(cluster=Cluster(ray, workers, gpus_per_worker), **options)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped
