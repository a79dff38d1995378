"""Tasks on Ray: workers on this machine or a cluster, each with the models in its memory."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from typing_extensions import Self

from atk_latent.errors import InputError, first_line
from atk_latent.evaluation.executors import Task
from atk_latent.evaluation.ray_cluster import connected
from atk_latent.evaluation.ray_worker import Latest, RayWorker, versions
from atk_latent.progress import Progress

_MOST_LOSSES = 10  # workers that die without a task being done between
_PASSED_ON = ("ATKL_DATA_DIR", "KERAS_HOME", "TFDS_DATA_DIR")
_ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}


class RayExecutor:
    """Runs tasks in Ray workers, each a process of one thread that keeps what it was sent.

    A task goes to the next free worker. Where a worker or its machine dies, its task goes back
    to the front and another worker is started: that costs the one task. The models of a job
    travel once, through Ray's object store. Used as a context; at the end, Ctrl-C included, its
    workers, and a Ray that was started here, are gone.

    Args:
        address: "local", "auto", "host:port" or "ray://host:port".
        workers: int >= 1; None takes one a core, or with `gpus_per_worker` as many as have room.
        gpus_per_worker: float >= 0; 0.5 lets two share a GPU, 0 computes on the CPU.
        progress: told ("Ray workers", running, in all).

    Raises:
        InputError: if Ray is not installed, does not answer within 20 seconds or has too few
            GPUs.

    Example:
        >>> with RayExecutor("local", workers=2) as executor:  # doctest: +SKIP
        ...     results = [result for _, result in executor.run(tasks)]
    """

    is_parallel: bool = True

    def __init__(
        self,
        address: str = "local",
        *,
        workers: int | None = None,
        gpus_per_worker: float = 0.0,
        progress: Progress | None = None,
    ) -> None:
        self.address, self.gpus, self.progress = address, gpus_per_worker, progress
        self.workers = workers or 0
        self._idle: list[Any] = []
        self._starting: dict[Any, Any] = {}  # first answer -> actor
        self._sent = Latest()  # models: key -> (model, reference)
        self._losses = 0
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Connects, and starts the workers without waiting for them."""
        cpus = self.workers or None
        with contextlib.ExitStack() as stack:
            self.ray = stack.enter_context(connected(self.address, cpus))
            self.workers = self.workers or self._room()
            self._start_workers(0)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the workers, and the connection."""
        with self._stack:
            for actor in (*self._idle, *self._starting.values()):
                self.ray.kill(actor)

    def _room(self) -> int:
        """How many workers the cluster has room for.

        Raises:
            InputError: if there is none for one.
        """
        has = self.ray.cluster_resources()
        if self.gpus:
            count, what = int(has.get("GPU", 0) / self.gpus), f"{self.gpus:g} GPUs"
        else:
            count, what = int(has.get("CPU", 0)), "1 CPU"
        if count < 1:
            raise InputError(
                f"no worker with {what} has room in Ray '{self.address}', which has "
                f"{has.get('CPU', 0):g} CPUs and {has.get('GPU', 0):g} GPUs. Change "
                "--gpus-per-worker"
            )
        return count

    def _start_workers(self, busy: int) -> None:
        """Starts as many as are missing beside those that are `busy`."""
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        kind = self.ray.remote(RayWorker).options(
            num_cpus=1,
            num_gpus=self.gpus,
            runtime_env={"env_vars": {**_ENVIRONMENT, **passed_on}},
        )
        for _ in range(self.workers - busy - len(self._idle) - len(self._starting)):
            actor = kind.remote(os.getcwd())
            self._starting[actor.versions.remote()] = actor

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Any]]:
        """Runs tasks, each taken from `tasks` when a worker is free.

        Yields:
            Each task with what its job returned, as they are done.

        Raises:
            InputError: if workers die again and again, have other versions, or cannot read a job.
            Exception: what a job raised; the other tasks are given up.
        """
        source, jobs = iter(tasks), dict[int, tuple[Task, tuple[Any, ...]]]()
        running: dict[Any, tuple[Any, Task]] = {}
        done: deque[tuple[Task, Any]] = deque()
        returned: deque[Task] = deque()  # by workers that died
        self._start_workers(0)
        try:
            while True:
                is_over = False
                while self._idle and not is_over:
                    task = returned.popleft() if returned else next(source, None)
                    if task is None:
                        is_over = True
                    elif task.is_local:
                        yield task, task.job(*task.arguments)
                    else:
                        sent = self._job(task, jobs)
                        actor = self._idle.pop()
                        running[actor.run.remote(*sent, *task.arguments)] = actor, task
                while done:
                    yield done.popleft()
                if is_over and not running:
                    return
                ready, _ = self.ray.wait([*running, *self._starting], num_returns=1)
                if ready[0] in self._starting:
                    self._join(ready[0], len(running))
                    continue
                actor, task = running.pop(ready[0])
                if self._collect(ready[0], actor, task, done):
                    continue
                returned.append(task)
                self._start_workers(len(running))
        finally:
            for actor, _ in running.values():
                self.ray.kill(actor)

    def _collect(
        self, reference: Any, actor: Any, task: Task, done: deque[tuple[Task, Any]]
    ) -> bool:
        """Takes in the result of a task; whether there is one: not where its worker died."""
        errors = self.ray.exceptions
        try:
            done.append((task, self.ray.get(reference)))
        except errors.RayTaskError as error:
            self._idle.append(actor)
            raise (error.cause or RuntimeError(str(error))) from None
        except errors.RayError as error:
            self._lost(actor, error)
            return False
        self._idle.append(actor)
        self._losses = 0
        return True

    def _join(self, reference: Any, busy: int) -> None:
        """Takes in a worker that has answered, or starts another where it died.

        Raises:
            InputError: if it has other versions.
        """
        actor = self._starting.pop(reference)
        try:
            theirs: Mapping[str, str] = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            self._lost(actor, error)
            self._start_workers(busy)
            return
        self._idle.append(actor)
        for name, version in versions().items():
            if theirs[name] != version:
                raise InputError(
                    f"a Ray worker has {name} {theirs[name] or 'not installed'}, this process has "
                    f"{version}. Install the same versions everywhere"
                )
        if self.progress:
            self.progress("Ray workers", busy + len(self._idle), self.workers)

    def _lost(self, actor: Any, error: Exception) -> None:
        """Counts a worker that died.

        Raises:
            InputError: if too many do.
        """
        self.ray.kill(actor)
        self._losses += 1
        if self._losses > _MOST_LOSSES:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise InputError(
                f"{self._losses} Ray workers died one after the other (the last: {lines[-1][:200]})"
                ". See Ray's logs; fewer --workers need less memory"
            )

    def _job(self, task: Task, jobs: dict[int, tuple[Task, tuple[Any, ...]]]) -> tuple[Any, ...]:
        """What a worker is told of a task's job: its key, its content, its models."""
        if id(task.job) not in jobs:
            content, models = self._pickled(task.job)
            key = hashlib.sha256(content).hexdigest()
            jobs[id(task.job)] = task, (key, [self.ray.put(content)], models)
        return jobs[id(task.job)][1]

    def _pickled(self, job: Any) -> tuple[bytes, dict[str, Any]]:
        """A job without its models, and references to these by the keys it has for them.

        Raises:
            InputError: if something in it cannot be pickled.
        """
        import keras
        from ray import cloudpickle

        models: dict[str, Any] = {}

        class Pickler(cloudpickle.CloudPickler):
            def persistent_id(_, thing: Any) -> str | None:
                if not isinstance(thing, keras.Model):
                    return None
                key = _model_key(thing)
                sent = self._sent.use(key)
                if sent is None:
                    sent = thing, self.ray.put(cloudpickle.dumps(thing))
                    self._sent.put(key, sent)
                models[key] = sent[1]
                return key

        file = io.BytesIO()
        try:
            Pickler(file).dump(job)
        except Exception as problem:  # whatever the parts of a user's model raise
            raise InputError(
                f"the model or the attack cannot be sent to Ray ({first_line(problem)}). Run "
                "without --ray"
            ) from None
        return file.getvalue(), models


def _model_key(model: Any) -> str:
    """Tells a model, as its weights are now, from all others of this process."""
    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(np.ascontiguousarray(weight).tobytes())
    return f"{id(model)}-{digest.hexdigest()[:24]}"
