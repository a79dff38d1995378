"""`atkl doctor`: what this machine can do."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

import click

from . import _common as common

PACKAGES = (
    "tensorflow",
    "keras",
    "adversarial-robustness-toolbox",
    "numpy",
    "scikit-learn",
    "matplotlib",
    "tensorflow-datasets",
)


@dataclasses.dataclass(frozen=True)
class GPU:
    """A GPU that TensorFlow sees.

    Args:
        name: of its kind. memory_mb: what it has, in MiB; None where the driver does not say.
    """

    name: str
    memory_mb: int | None


@dataclasses.dataclass(frozen=True)
class Machine:
    """What a machine has.

    Args:
        versions: of Python and of each package, None where it is not installed.
        cores: of the CPU. devices: TensorFlow's names for them.
        gpus: of each GPU its name and, where TensorFlow knows it, its memory in MiB.
        strategy: what `--strategy auto` would take.
        data: where each registered data set is.
    """

    versions: dict[str, str | None]
    cores: int | None
    devices: list[str]
    gpus: list[GPU]
    strategy: str
    data: dict[str, str]


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return versions


def _place(name: str) -> str:
    """Where a registered data set is."""
    folder = os.environ.get("ATKL_DATA_DIR")
    local = Path(folder) / f"{name}.npz" if folder else None
    if local and local.exists():
        return str(local)
    if name == "digits":
        return "in scikit-learn"
    cache = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "datasets"
    if any(cache.glob(f"{name.replace('_', '-')}*")):
        return str(cache)
    return "not here; downloaded when asked for"


def _devices() -> list[str]:
    common.setup_tensorflow("auto")
    import tensorflow as tf

    return [device.name for device in tf.config.list_logical_devices()]


def _gpus() -> list[GPU]:
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(device) for device in devices]
    memory = _memory(len(devices))
    return [
        GPU(details.get("device_name", device.name), megabytes)
        for device, details, megabytes in zip(devices, names, memory, strict=True)
    ]


def _memory(count: int) -> list[int | None]:
    """MiB of each of so many GPUs, from NVIDIA's own tool, which comes with the driver."""
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
        run = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20)
        numbers = [int(line) for line in run.stdout.split()]
        if len(numbers) == count:
            return [*numbers]
    return [None] * count


@click.command("doctor")
@common.json_option
@common.run_command
def doctor(as_json: bool) -> None:
    """Show versions, devices and the data sets that are here."""
    from atk_latent.registry import DATA

    data = {name: _place(name) for name in DATA}
    devices, gpus = _devices(), _gpus()
    strategy = f"mirrored over {len(gpus)} GPUs" if len(gpus) > 1 else "none (one device)"
    machine = Machine(_versions(), os.cpu_count(), devices, gpus, strategy, data)
    if as_json:
        common.print_json(dataclasses.asdict(machine))
        return
    _section("versions", machine.versions)
    click.echo(f"cores: {machine.cores}")
    click.echo(f"devices: {', '.join(machine.devices)}")
    for gpu in machine.gpus:
        memory = "memory unknown" if gpu.memory_mb is None else f"{gpu.memory_mb} MiB"
        click.echo(f"  {gpu.name}: {memory}")
    click.echo(f"--strategy auto: {machine.strategy}")
    _section("data", machine.data)


def _section(title: str, values: Mapping[str, str | None]) -> None:
    click.echo(f"{title}:")
    for name, text in values.items():
        click.echo(f"  {name:<32} {text or 'not installed'}")
