"""Two Ray workers against one, a thread each: PGD-20 on 4,096 images, without start-up."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

import numpy as np

from atk_latent.evaluation.executors import Executor
from benchmarks.timing import compare

IMAGES, BATCH, GOAL, REPEATS = 4096, 128, 1.8, 3
ATTACK = "pgd:eps=0.3,steps=20"


def ray_workers() -> bool:
    """Prints one line, ours two workers and the peer one; whether the goal is met."""
    import ray

    from atk_latent.evaluation.ray_executor import RayExecutor
    from atk_latent.evaluation.runner import Options, run_attacks
    from atk_latent.registry import MODELS

    model = MODELS["lenet"]((28, 28, 1), 10, seed=0)
    x = np.random.default_rng(0).random((IMAGES, 28, 28, 1), np.float32)
    y = np.arange(IMAGES) % 10

    def side(executor: Executor) -> Callable[[], object]:
        options = Options(batch_size=BATCH, executor=executor)
        return lambda: run_attacks(model, x, y, [ATTACK], options)

    ray.init("local", num_cpus=3, include_dashboard=False, log_to_driver=False)
    with contextlib.ExitStack() as stack:
        stack.callback(ray.shutdown)
        one, two = (stack.enter_context(RayExecutor(workers=n)) for n in (1, 2))
        name = f"PGD-20 on {IMAGES} images, two Ray workers against one"
        return compare(name, side(two), side(one), goal=GOAL, repeats=REPEATS)


if __name__ == "__main__":
    sys.exit(not ray_workers())
