"""What runs in a Ray worker: a process that keeps the models and jobs it was sent."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from atk_latent.errors import InputError, first_line

MOST_KEPT = 8  # models, and jobs, of a process
PACKAGES = ("atk-latent", "tensorflow", "keras", "numpy")  # which decide what a chunk's numbers are


class Latest(OrderedDict[str, Any]):
    """A mapping of the `MOST_KEPT` values that were set or used last.

    Example:
        >>> latest = Latest()
        >>> latest.put("a", 1), latest.use("a"), latest.use("b")
        (1, 1, None)
    """

    def put(self, key: str, value: Any) -> Any:
        """Keeps a value, and hands it back."""
        self[key] = value
        while len(self) > MOST_KEPT:
            self.popitem(last=False)
        return value

    def use(self, key: str) -> Any:
        """A value, which counts as used; None where it is not kept."""
        if key in self:
            self.move_to_end(key)
        return self.get(key)


class RayWorker:
    """The actor: runs tasks whose jobs and models come through Ray's object store, once each.

    Args:
        folder: where relative paths begin, as in the process that hands out the tasks.
    """

    def __init__(self, folder: str) -> None:
        self.jobs, self.models = Latest(), Latest()
        with contextlib.suppress(OSError):  # another machine may have no such folder
            os.chdir(folder)

    def versions(self) -> Mapping[str, str]:
        """The versions of what computes here, by package."""
        return versions()

    def run(self, job: str, content: Sequence[Any], models: Mapping[str, Any], *task: Any) -> Any:
        """What a job returns.

        Args:
            job: its key. content: one reference to the pickled job.
            models: references to pickled models, by the keys that the job has for them.
            *task: the arguments of the call.

        Raises:
            InputError: if the job or a model cannot be read here.
        """
        call = self.jobs.use(job) or self.jobs.put(job, self._job(content[0], models))
        return call(*task)

    def _job(self, content: Any, models: Mapping[str, Any]) -> Any:
        import ray

        def model(key: str) -> Any:
            known = self.models.use(key)
            return known or self.models.put(key, pickle.loads(ray.get(models[key])))

        try:
            reader = pickle.Unpickler(io.BytesIO(ray.get(content)))
            reader.persistent_load = model  # type: ignore[method-assign]
            return reader.load()
        except InputError:
            raise
        except Exception as problem:  # whatever Keras and pickle raise for classes they do not know
            raise InputError(
                f"a Ray worker cannot read the model or the attack ({first_line(problem)}). Run "
                "without --ray"
            ) from None


def versions() -> dict[str, str]:
    """The versions of what a chunk's numbers depend on, by package; "" for none."""
    result = dict.fromkeys(PACKAGES, "")
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            result[name] = metadata.version(name)
    return result
