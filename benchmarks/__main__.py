"""Runs the benchmarks: all of them, which also writes RESULTS.md, or those named."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TABLE = HERE / "RESULTS.md"
HELPERS = {"timing", "peers", "torch_twin"}
PACKAGES = (
    "tensorflow",
    "keras",
    "adversarial-robustness-toolbox",
    "numpy",
    "torch",
    "torchattacks",
    "foolbox",
)


def lines_of(name: str) -> Iterator[dict[str, Any]]:
    """Runs one benchmark in a process of its own; yields its JSON lines and shows them.

    Raises:
        RuntimeError: if it crashes: it ends badly without having printed a line.
    """
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    found = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            if line.startswith("{"):
                print(line, end="", flush=True)
                found += 1
                yield json.loads(line)
    if process.returncode and not found:
        raise RuntimeError(f"benchmark '{name}' failed with exit code {process.returncode}")


def machine() -> str:
    """What the figures were measured on."""
    import tensorflow as tf

    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [n for n in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in n]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    gpus = [device.name for device in tf.config.list_physical_devices("GPU")]
    return f"{cpu}, {os.cpu_count()} cores; GPU: {', '.join(gpus) or 'none'}"


def versions() -> str:
    """Python and the packages that matter, those that are installed."""
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def table(rows: list[dict[str, Any]]) -> str:
    """The results as Markdown: one row a benchmark, ratio = peer / ours."""
    head = [
        "# Benchmarks",
        "",
        f"Written by `make bench` on {date.today().isoformat()}. {machine()}. {versions()}.",
        "",
        "Ratio: what the peer needs over what this package needs, both in one run in turn;",
        "medians, in seconds unless the name says otherwise.",
        "",
        "| benchmark | ours | peer | ratio | goal | met |",
        "|---|---|---|---|---|---|",
    ]
    body = []
    for row in rows:
        if "skipped" in row:
            body.append(f"| {row['name']} | | | | | not run: {row['skipped']} |")
            continue
        keys = ("ours", "peer", "ratio", "goal")
        figures = " | ".join(f"{row[key]:.4g}" if key in row else "" for key in keys)
        met = {True: "yes", False: "**no**", None: ""}[row.get("ok")]
        body.append(f"| {row['name']} | {figures} | {met} |")
    return "\n".join([*head, *body]) + "\n"


def main() -> int:
    """Runs the benchmarks; 0 if every goal is met."""
    names = sys.argv[1:]
    every = sorted(
        p.stem for p in HERE.glob("*.py") if not p.stem.startswith("_") and p.stem not in HELPERS
    )
    rows = [row for name in names or every for row in lines_of(name)]
    if not names:
        TABLE.write_text(table(rows), encoding="utf-8")
        print(f"Written: {TABLE}", file=sys.stderr)
    return 0 if all(row.get("ok", True) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
