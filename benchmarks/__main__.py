"""Runs the benchmarks: all, or those named on the command line."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Each benchmark in a process of its own; prints its JSON line."""
    names = sys.argv[1:] or sorted(
        p.stem for p in HERE.glob("*.py") if not p.stem.startswith("_") and p.stem != "timing"
    )
    return max(subprocess.call([sys.executable, "-m", f"benchmarks.{name}"]) for name in names)


if __name__ == "__main__":
    sys.exit(main())
