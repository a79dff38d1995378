"""`atkl doctor`: what this machine can do."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import click

from atk_latent import atomic

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


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def _data() -> dict[str, str]:
    from atk_latent.registry import DATA

    folder = os.environ.get("ATKL_DATA_DIR")
    cache = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "datasets"
    found = {}
    for name in DATA:
        local = Path(folder) / f"{name}.npz" if folder else None
        if local and local.exists():
            found[name] = str(local)
        elif name == "digits":
            found[name] = "in scikit-learn"
        elif list(cache.glob(f"{name.replace('_', '-')}*")) if cache.is_dir() else False:
            found[name] = str(cache)
        else:
            found[name] = "not here; downloaded when asked for"
    return found


def _devices() -> list[str]:
    common.setup_tensorflow("auto")
    import tensorflow as tf

    return [device.name for device in tf.config.list_logical_devices()]


@click.command("doctor")
@common.json_option
def doctor(as_json: bool) -> None:
    """Show versions, devices and the data sets found."""
    found: dict[str, Any] = {
        "versions": _versions(),
        "cores": os.cpu_count(),
        "devices": _devices(),
        "data": _data(),
    }
    if as_json:
        click.echo(atomic.json_text(found))
        return
    for section, value in found.items():
        if isinstance(value, dict):
            click.echo(f"{section}:")
            for name, text in value.items():
                click.echo(f"  {name:<32} {text or 'not installed'}")
        else:
            text = ", ".join(value) if isinstance(value, list) else value
            click.echo(f"{section}: {text}")
