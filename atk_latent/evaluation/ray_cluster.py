"""A Ray cluster: started here for a while, or one that is running elsewhere."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from atk_latent.errors import InputError, first_line

ANSWERS_WITHIN = 20  # seconds, at most, that an address may take
_PROBE = """
import logging, sys, ray
ray.init(sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)
ray.shutdown()
"""


def import_ray() -> Any:
    """The module `ray`.

    Raises:
        InputError: if it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise InputError(
            "--ray needs Ray, which is not installed. Run: pip install 'atk-latent[ray]'"
        ) from None
    return ray


@contextlib.contextmanager
def connected(address: str, cpus: int | None = None) -> Iterator[Any]:
    """Ray, connected; what was started here is stopped at the end, however it comes.

    Args:
        address: "local" starts Ray on this machine, "auto" finds the cluster that this machine
            belongs to; else "host:port" or "ray://host:port".
        cpus: of a "local" Ray; None takes all.

    Yields:
        The module `ray`.

    Raises:
        InputError: if Ray is not installed, or nothing answers there within 20 seconds.
    """
    ray = import_ray()
    if ray.is_initialized():  # by whoever calls us, who ends it, too
        yield ray
        return
    if address not in ("local", "auto") and not re.fullmatch(r"(ray://)?[^/\s]+:\d{1,5}", address):
        raise InputError(
            f"--ray must be local, auto or the address of a cluster, HOST:PORT or "
            f"ray://HOST:PORT. Received: {address!r}"
        )
    options: dict[str, object] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        options |= {"include_dashboard": False, "num_cpus": cpus}
    else:
        _check_answers(address)
    on_term = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, **options)
        with contextlib.suppress(ValueError):  # not in the main thread, where Ray changes nothing
            signal.signal(signal.SIGTERM, on_term)
        yield ray
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Connects once in a process of its own, which can be ended where Ray would wait for long.

    Raises:
        InputError: if there is no answer.
    """
    command = [sys.executable, "-c", _PROBE, address]
    hint = "Start one (ray start --head), or take --ray local"
    where = "no Ray cluster is known here" if address == "auto" else f"no Ray answers at {address}"
    limit = time.monotonic() + ANSWERS_WITHIN - 1
    try:
        if address != "auto":  # Ray itself would go on trying a closed port
            host, _, port = address.removeprefix("ray://").rpartition(":")
            socket.create_connection((host, int(port)), timeout=ANSWERS_WITHIN / 2).close()
        probe = subprocess.run(
            command, capture_output=True, text=True, timeout=limit - time.monotonic(), check=False
        )
    except (OSError, OverflowError) as error:
        raise InputError(f"{where} ({first_line(error)}). {hint}") from None
    except subprocess.TimeoutExpired:
        raise InputError(f"{where} within {ANSWERS_WITHIN} seconds. {hint}") from None
    if probe.returncode != 0:
        reason = next(iter(reversed(probe.stderr.strip().splitlines())), "no reason")
        raise InputError(f"{where} ({reason[:200]}). {hint}")
