"""Files written together with their checksums, which `files.open_file` compares them with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from atk_latent.atomic import atomic_file, write_json
from atk_latent.files import CHECKSUMS, CHECKSUMS_SCHEMA, checksum, read_checksums


@contextlib.contextmanager
def noted_file(folder: Path, name: str) -> Iterator[Path]:
    """As `atomic_file`, for a file whose checksum is noted in the folder's `checksums.json`.

    A kill at any moment leaves a file that is noted rightly or not at all: an old note is taken
    out before the file is replaced.

    Args:
        folder: that holds `checksums.json`. name: relative path of the file, "helpers/a.npz".

    Raises:
        InputError: as `atomic_file`, or if `checksums.json` is damaged.
    """
    sums = read_checksums(folder)
    with atomic_file(folder / name) as part:
        yield part
        with part.open("rb") as file:
            new = checksum(file)
        if sums.pop(name, new) != new:
            _write(folder, sums)
    _write(folder, {**sums, name: new})


def noted_helper(path: Path) -> contextlib.AbstractContextManager[Path]:
    """`noted_file` for a file in a folder of a run, `helpers/NAME`: noted in the run's list.

    Where the folder above is no run, which has a `request.json`, the list lies beside the file.
    """
    run = path.parent.parent
    if (run / "request.json").exists():
        return noted_file(run, f"{path.parent.name}/{path.name}")
    return noted_file(path.parent, path.name)


def note_files(folder: Path, names: Sequence[str]) -> None:
    """Notes the checksums of files that lie in a folder, and of no others."""
    sums = {}
    for name in names:
        with (folder / name).open("rb") as file:
            sums[name] = checksum(file)
    _write(folder, sums)


def _write(folder: Path, sums: dict[str, str]) -> None:
    write_json(folder / CHECKSUMS, {"schema": CHECKSUMS_SCHEMA, "sha256": sums})
