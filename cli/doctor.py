"""`atkl doctor`: what this machine can do."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
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
class Machine:
    """What a machine has.

    Args:
        versions: of Python and of each package, None where it is not installed.
        cores: of the CPU. devices: TensorFlow's names for them.
        data: where each registered data set is.
    """

    versions: dict[str, str | None]
    cores: int | None
    devices: list[str]
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


@click.command("doctor")
@common.json_option
@common.run_command
def doctor(as_json: bool) -> None:
    """Show versions, devices and the data sets that are here."""
    from atk_latent.registry import DATA

    data = {name: _place(name) for name in DATA}
    machine = Machine(_versions(), os.cpu_count(), _devices(), data)
    if as_json:
        common.print_json(dataclasses.asdict(machine))
        return
    _section("versions", machine.versions)
    click.echo(f"cores: {machine.cores}")
    click.echo(f"devices: {', '.join(machine.devices)}")
    _section("data", machine.data)


def _section(title: str, values: Mapping[str, str | None]) -> None:
    click.echo(f"{title}:")
    for name, text in values.items():
        click.echo(f"  {name:<32} {text or 'not installed'}")
