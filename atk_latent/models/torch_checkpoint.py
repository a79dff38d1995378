"""PyTorch checkpoints from disk as NumPy arrays, without PyTorch and without running code."""

from __future__ import annotations

import functools
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from atk_latent.errors import InputError
from atk_latent.models.torch_pickle import (
    HOW_TO_SAVE,
    DamagedError,
    Storage,
    TensorPlace,
    read_pickle,
)

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of a file written before PyTorch 1.6
_PROTOCOL = 1001
_DEPTH = 4  # of dictionaries and lists around a state dict
_NAMES_SHOWN = 8
# Under these names people keep the weights beside an optimizer and averaged weights.
PREFERRED = ("state_dict", "model_state_dict", "net", "model", "network", "classifier", "params")
_NO_WEIGHTS = ("optim", "sched", "scaler")

StateDict = dict[str, np.ndarray]
_Place = tuple[str, ...]


class _Network(NamedTuple):
    """The weights of a network, and the keys on the way to them."""

    place: _Place
    values: dict[object, object]


@dataclass(frozen=True)
class Checkpoint:
    """What a PyTorch file holds.

    Args:
        path: the file.
        content: its value: dictionaries, lists, numbers, text, and a `TensorPlace` for every
            tensor.
        blocks: the storages as one-dimensional arrays, by key.
    """

    path: Path
    content: object
    blocks: Mapping[str, np.ndarray]

    def state_dict(self, key: str | None = None) -> tuple[str, StateDict]:
        """The weights of one network.

        Args:
            key: which one, where there are several: its place ("ema", "state_dict.0"), or a part
                of a name on the way to it. None takes what lies under "state_dict", "net",
                "model" or the like before anything else, and never an optimizer.

        Returns:
            Its place in the file, "" for the file itself, and read-only arrays by PyTorch's
            names, in PyTorch's order and layout; the prefix "module." of DataParallel is left
            out.

        Raises:
            InputError: if there is none, or several that fit.
        """
        place, values = self._chosen(list(_networks(self.content, (), set())), key)
        state = {
            name.removeprefix("module."): self._array(value)
            for name, value in values.items()
            if isinstance(name, str) and isinstance(value, TensorPlace)
        }
        return ".".join(place), state

    def _chosen(self, networks: list[_Network], key: str | None) -> _Network:
        fitting = _fitting(networks, key)
        if len(fitting) == 1:
            return fitting[0]
        names = [".".join(place) or "the whole file" for place, _ in fitting or networks]
        listed = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
        if not networks:
            raise InputError(f"'{self.path}' holds no weights of a network. {HOW_TO_SAVE}")
        if not fitting:
            raise InputError(f"'{self.path}' has no weights under '{key}'. Known: {listed}")
        raise InputError(
            f"'{self.path}' holds the weights of {len(fitting)} networks: {listed}. "
            "Choose one with --key"
        )

    def _array(self, place: TensorPlace) -> np.ndarray:
        block = self.blocks[place.storage.key]
        width = block.itemsize
        strides = [step * width for step in place.strides]
        # Unlike `as_strided`, this looks itself whether the tensor lies inside the block.
        return np.ndarray(place.shape, block.dtype, block, place.offset * width, strides)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Reads a file that `torch.save` wrote, in the format of PyTorch 1.6 or the one before.

    As with `torch.load(weights_only=True)`, a file that names anything but tensors and plain
    values is refused; here nothing that it names is even imported.

    Args:
        path: a file such as `weights.pth`.

    Returns:
        The checkpoint. Numbers keep their type, but bfloat16 becomes float32.

    Raises:
        InputError: one line, if there is no such file, it is damaged, cut short, another kind
            of file, or needs more than tensors and plain values.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise InputError(f"there is no checkpoint at '{file}'. Give a file that torch.save wrote")
    try:
        stored = file.read_bytes()  # in memory no length in the file can ask for more than there is
        read = _read_zip if stored.startswith(b"PK\x03\x04") else _read_stream
        content, blocks = read(io.BytesIO(stored), len(stored))
    except DamagedError as problem:
        raise InputError(
            f"'{file}' cannot be read as a PyTorch checkpoint: {problem}. It is damaged, cut "
            f"short or another kind of file. {HOW_TO_SAVE}"
        ) from None
    except InputError as problem:
        raise InputError(f"'{file}': {problem}") from None
    return Checkpoint(file, content, blocks)


_Content = tuple[object, dict[str, np.ndarray]]


def _read_zip(stream: io.BytesIO, size: int) -> _Content:
    """The format since PyTorch 1.6: a pickle and one member for each storage, uncompressed."""
    try:
        with zipfile.ZipFile(stream) as archive:
            members = {member.filename: member for member in archive.infolist()}
            if any(member.compress_type != zipfile.ZIP_STORED for member in members.values()):
                raise DamagedError("its members are compressed, which torch.save never does")
            if sum(member.file_size for member in members.values()) > size:
                raise DamagedError("its members are longer than the file")
            programs = [name for name in members if name.rpartition("/")[2] == "data.pkl"]
            if len(programs) != 1:
                raise DamagedError(f"{len(programs)} members are named data.pkl, one is needed")
            folder = programs[0].removesuffix("data.pkl")
            order = "<"
            if f"{folder}byteorder" in members:
                order = _byte_order(archive.read(f"{folder}byteorder") == b"little")
            content, storages = read_pickle(io.BytesIO(archive.read(programs[0])))
            blocks = {}
            for key, storage in storages.items():
                if f"{folder}data/{key}" not in members:
                    raise DamagedError(f"the storage {key[:40]!r} is missing")
                blocks[key] = _block(archive.read(f"{folder}data/{key}"), storage, order)
            return content, blocks
    except (InputError, DamagedError):
        raise
    except (zipfile.BadZipFile, RuntimeError, EOFError, ValueError) as problem:
        raise DamagedError(str(problem)) from None


def _read_stream(stream: io.BytesIO, size: int) -> _Content:
    """The format before PyTorch 1.6: pickles, then the storages one after the other."""
    if stream.read(2) != b"\x80\x02":
        raise DamagedError("it does not start as torch.save starts a file")
    stream.seek(0)
    if read_pickle(stream)[0] != MAGIC:
        raise DamagedError("it is a pickle that torch.save did not write")
    if read_pickle(stream)[0] != _PROTOCOL:
        raise DamagedError("it has another version of the format")
    system = read_pickle(stream)[0]
    if not isinstance(system, dict):
        raise DamagedError("it does not say its byte order")
    order = _byte_order(system.get("little_endian", True) is True)
    content, storages = read_pickle(stream)
    keys = read_pickle(stream)[0]
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise DamagedError("its list of storages cannot be read")
    if sorted(keys) != sorted(storages):
        raise DamagedError("its list of storages is not that of its tensors")
    blocks = {}
    for key in keys:
        storage = storages[key]
        length = int.from_bytes(stream.read(8), "little" if order == "<" else "big")
        if length != storage.length:
            raise DamagedError(
                f"the storage {key[:40]!r} has {length} numbers, not {storage.length}"
            )
        wanted = length * _number(storage, order).itemsize
        if wanted > size - stream.tell():
            raise DamagedError(f"it ends before its storage {key[:40]!r} does")
        blocks[key] = _block(stream.read(wanted), storage, order)
    return content, blocks


def _byte_order(little: bool) -> str:
    return "<" if little else ">"


def _number(storage: Storage, order: str) -> np.dtype:
    return np.dtype(order + ("u2" if storage.dtype == "bfloat16" else storage.dtype))


def _block(content: bytes, storage: Storage, order: str) -> np.ndarray:
    number = _number(storage, order)
    if len(content) < storage.length * number.itemsize:
        raise DamagedError(f"its storage {storage.key[:40]!r} is too short")
    block = np.frombuffer(content, number, count=storage.length)
    if storage.dtype != "bfloat16":
        return block
    wide = (block.astype(np.uint32) << 16).view(np.float32)
    wide.flags.writeable = False
    return wide


def _networks(value: object, place: _Place, seen: set[int]) -> Iterator[_Network]:
    """Every dictionary of weights, with the keys on the way to it."""
    if not isinstance(value, dict | list | tuple) or id(value) in seen or len(place) > _DEPTH:
        return
    seen.add(id(value))  # a file may hold one value in several places, or inside itself
    if isinstance(value, dict) and any(_is_kernel(item) for item in value.values()):
        yield _Network(place, value)
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if not any(word in str(key).lower() for word in _NO_WEIGHTS):
            yield from _networks(item, (*place, str(key)), seen)


def _is_kernel(value: object) -> bool:
    return isinstance(value, TensorPlace) and len(value.shape) >= 2


def _fitting(networks: list[_Network], key: str | None) -> list[_Network]:
    """Those under `key`, its exact place first; without one those under the preferred names."""
    parts = tuple(key.split(".")) if key else ()
    tests: list[Callable[[_Place], bool]] = [
        lambda place: place == parts,
        lambda place: bool(key) and place[: len(parts)] == parts,
        lambda place: bool(key) and key in place,
        lambda place: bool(key) and any(str(key) in name for name in place),
    ]
    if key is None:
        tests += [functools.partial(_starts_with, name=name) for name in PREFERRED]
        tests.append(lambda place: True)
    chosen = ([n for n in networks if test(n.place)] for test in tests)
    return next((fitting for fitting in chosen if fitting), [])


def _starts_with(place: _Place, name: str) -> bool:
    return place[:1] == (name,)
