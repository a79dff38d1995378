"""What every result file says of itself: the day, the seed, the versions."""

from __future__ import annotations

import datetime
from importlib import metadata

import atk_latent
from atk_latent.results.record import Count, Record

_PACKAGES = ("tensorflow", "keras", "adversarial-robustness-toolbox", "numpy")


def versions() -> dict[str, str]:
    """The versions that a number depends on, by package."""
    known = {"atk_latent": atk_latent.__version__}
    for package in _PACKAGES:
        try:
            known[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return known


def today() -> str:
    """The day, ISO 8601."""
    return datetime.date.today().isoformat()


class Measured(Record):
    """The base of the records that are files of their own.

    Args:
        date: day of the measurement, ISO 8601.
        seed: what every random draw came from.
        versions: of the packages that the numbers depend on.
    """

    date: str
    seed: Count
    versions: dict[str, str]
