"""The devices and processes that train one model together, and that they were told the same."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras
import tensorflow as tf

from atk_latent.errors import InputError
from atk_latent.methods import distribution
from atk_latent.methods.fit import LoopOptions, loop_options
from atk_latent.progress import Progress
from atk_latent.results.card import Card
from atk_latent.results.provenance import versions
from atk_latent.training.request import FLOAT32, Execution, Request, request_json

REFUSED = bytes(32)
# What collectives raise when a process they wait for is gone.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.InternalError,
    tf.errors.DeadlineExceededError,
    tf.errors.CancelledError,
)


def strategy_for(name: str) -> tf.distribute.Strategy:
    """The strategy of that name, the same object each time it is asked for in a process.

    Args:
        name: as in `Execution`. "multiworker" must be asked for before TensorFlow has computed
            anything.

    Raises:
        InputError: if there are no such devices, or the processes are not named as they must be.
    """
    if name == "multiworker":
        return _multi_worker()
    if name == "none":
        return _single()
    gpus, cpus = (
        tuple(device.name for device in tf.config.list_logical_devices(kind))
        for kind in ("GPU", "CPU")
    )
    if name == "auto":
        return _mirrored(gpus) if len(gpus) > 1 else _single()
    if len(gpus or cpus) < 2:
        raise InputError(
            f"--strategy mirrored needs two devices, TensorFlow sees {len(gpus or cpus)} here. "
            "Take auto, which uses what there is"
        )
    return _mirrored(gpus or cpus)


# A second strategy object of a process would take the first one's collectives for its own.
@functools.cache
def _mirrored(devices: Sequence[str]) -> tf.distribute.Strategy:
    return tf.distribute.MirroredStrategy(list(devices))


@functools.cache
def _single() -> tf.distribute.Strategy:
    return tf.distribute.get_strategy()


@functools.cache
def _multi_worker() -> tf.distribute.Strategy:
    resolver = _cluster()
    jobs = resolver.cluster_spec().as_dict()
    if sum(map(len, jobs.values())) < 2:
        return strategy_for("auto")
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(resolver)
    except RuntimeError as problem:
        raise InputError(
            "--strategy multiworker must be set up before TensorFlow computes anything in a "
            f"process; start a new one: {problem}"
        ) from None


def _cluster() -> tf.distribute.cluster_resolver.ClusterResolver:
    """Who takes part, from TF_CONFIG or else from Slurm."""
    if "TF_CONFIG" in os.environ:
        check_tf_config(os.environ["TF_CONFIG"])
        return tf.distribute.cluster_resolver.TFConfigClusterResolver()
    try:
        return tf.distribute.cluster_resolver.SlurmClusterResolver()
    except (KeyError, ValueError, RuntimeError, OSError) as problem:
        raise InputError(
            "--strategy multiworker needs TF_CONFIG, or a job step of Slurm (srun), to know the "
            f"other processes; neither is there: {type(problem).__name__} {problem}"
        ) from None


def check_tf_config(text: str) -> None:
    """Refuses a value of TF_CONFIG that names no cluster of workers and no place in it.

    Raises:
        InputError: saying what is wrong and how it must look.
    """
    problem = None
    try:
        content = json.loads(text)
        jobs, task = content["cluster"], content["task"]
        if not set(jobs) <= {"chief", "worker"} or not jobs:
            problem = f"its cluster has the jobs {sorted(jobs)}, only chief and worker train"
        elif not all(_is_address(one) for job in jobs.values() for one in job):
            problem = "an address of its cluster is not host:port"
        elif not 0 <= int(task["index"]) < len(jobs[task["type"]]):
            problem = f"its task {task['type']} {task['index']} is not in its cluster"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"{type(error).__name__} {error}"
    if problem is not None:
        raise InputError(
            f"TF_CONFIG is malformed: {problem}. It must look like "
            '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, '
            '"task": {"type": "worker", "index": 0}}'
        )


def _is_address(text: object) -> bool:
    host, _, port = str(text).rpartition(":")
    return bool(host) and port.isdigit()


@dataclasses.dataclass(frozen=True)
class Job:
    """What every process of a training is told, and what it does then.

    Args:
        request, fingerprint: what is trained, and on which data. folder: the run folder.
        check: refuses what is wrong, or returns the card of a run that is finished.
        work: trains in a folder, told of its progress, and returns the card; a process
            that does not write returns None.
    """

    request: Request
    fingerprint: str
    folder: Path
    check: Callable[[], Card | None]
    work: Callable[[Path, Progress | None], Card | None]


@dataclasses.dataclass(frozen=True)
class Team:
    """The devices, and perhaps processes, of a training.

    Args:
        strategy: under which models are made.
    """

    strategy: tf.distribute.Strategy

    @property
    def replicas(self) -> int:
        """How many devices train together."""
        return int(self.strategy.num_replicas_in_sync)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes."""
        return distribution.is_chief(self.strategy)

    def check_batch(self, batch_size: int) -> None:
        """Refuses global batches that leave a replica without a row.

        Raises:
            InputError: naming both numbers.
        """
        if batch_size < self.replicas:
            raise InputError(
                f"batch_size must be at least the number of replicas, {self.replicas}, which "
                f"share each batch. Received: {batch_size}"
            )

    def note(self) -> dict[str, object]:
        """What a card says of the devices; nothing of a single one in float32."""
        policy = keras.config.dtype_policy().name
        return {
            "precision": None if policy == FLOAT32 else policy,
            "replicas": self.replicas if self.replicas > 1 else None,
        }

    def run(self, job: Job, progress: Progress | None) -> Card:
        """Does the work in every process, after all have been told the same.

        One process writes into the folder; the others train in a temporary one, for which
        they take what was prepared before from the folder, and return the card of the first.

        Raises:
            InputError: by the job's functions; if another process was told something else, has
                refused, or is gone.
        """
        if not distribution.is_multi_worker(self.strategy):
            card = job.check() or job.work(job.folder, progress)
        else:
            with _lost_workers_in_one_line():
                card = self._run_together(job, progress)
        if card is None:
            raise InputError("the process that writes left no card; see its message")
        return card

    def _run_together(self, job: Job, progress: Progress | None) -> Card | None:
        card = self._agree(job)
        known = {"finished": card is not None, "files": _prepared(job.folder)}
        known = json.loads(distribution.from_chief(self.strategy, json.dumps(known).encode()))
        if self.is_chief:
            card = card or job.work(job.folder, progress)
        elif not known["finished"]:
            with tempfile.TemporaryDirectory(prefix="atkl-worker-") as place:
                _copy(job.folder, known["files"], Path(place) / "run")
                job.work(Path(place) / "run", None)
        text = json.dumps(card.to_json() if card else None).encode()
        sent = distribution.from_chief(self.strategy, text)
        return Card.from_json(json.loads(sent), "the card of the run")

    def _agree(self, job: Job) -> Card | None:
        """The card of a finished run, in the process that writes; refuses what differs."""
        told = [request_json(job.request), job.fingerprint, versions()]
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).digest()
        card = problem = None
        try:
            card = job.check() if self.is_chief else None
        except InputError as error:
            digest, problem = REFUSED, error
        digests = distribution.from_all(self.strategy, digest)
        if problem is not None:
            raise problem
        if REFUSED in digests:
            raise InputError("another worker of this training refused to start; see its message")
        if len(set(digests)) > 1:
            raise InputError(
                "the workers were started with different arguments, data or versions of packages. "
                "Start all of them with the same command and the same packages"
            )
        return card


def _prepared(folder: Path) -> list[str]:
    """What a stopped run has prepared for its training, as paths inside its folder."""
    files = [folder / "request.json", folder / "checksums.json", *folder.glob("helpers/*.*")]
    return [str(file.relative_to(folder)) for file in files if file.is_file()]


def _copy(folder: Path, names: list[str], place: Path) -> None:
    try:
        for name in names:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, place / name)
    except OSError as problem:
        raise InputError(
            f"--out {folder} must be a folder that all workers see, to go on with the run in it: "
            f"{problem}"
        ) from None


@contextlib.contextmanager
def _lost_workers_in_one_line() -> Iterator[None]:
    try:
        yield
    except LOST as problem:
        first = (str(problem).strip().splitlines() or [""])[0]
        raise InputError(
            "another worker of this training is gone. Start all of them again, with --resume. "
            f"({type(problem).__name__}: {first:.120})"
        ) from None


@contextlib.contextmanager
def team_for(execution: Execution) -> Iterator[Team]:
    """A context in which models are made and trained as `execution` says.

    Yields:
        Who trains them.

    Raises:
        InputError: if that cannot be here.
    """
    if execution.tensorboard is not None and importlib.util.find_spec("tensorboard") is None:
        raise InputError(
            "--tensorboard needs the package tensorboard: pip install 'atk_latent[tensorboard]'"
        )
    strategy, policy = strategy_for(execution.strategy), keras.config.dtype_policy()
    if execution.jit == "on" and strategy.num_replicas_in_sync > 1:
        raise InputError(
            f"--jit on is for one device, here are {strategy.num_replicas_in_sync} replicas, whose "
            "sums XLA does not compile. Take --jit auto"
        )
    jit = None if execution.jit == "auto" else execution.jit == "on"
    keras.config.set_dtype_policy(execution.precision)
    try:
        with loop_options(LoopOptions(jit, execution.tensorboard, execution.checkpoint_minutes)):
            yield Team(strategy)
    finally:
        keras.config.set_dtype_policy(policy)
