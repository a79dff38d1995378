"""The pickle language of PyTorch checkpoints, read without running any of it.

A pickle is a program: unpickling a file may call any function that is installed. `pickle` is
therefore not used here. `pickletools` splits the bytes into instructions, and `read_pickle`
follows only those that build plain values (numbers, text, lists, tuples, dictionaries) and
descriptions of tensors. No name of the file is ever imported and nothing is ever called, so a
hostile file can be refused but has no way to act.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

from atk_latent.errors import InputError

HOW_TO_SAVE = "Save the weights alone: torch.save(model.state_dict(), 'weights.pth')"
MAX_INSTRUCTIONS = 5_000_000  # a network of a thousand layers needs about 200,000
_MAX_DIMENSIONS = 8

# PyTorch's storage classes and the NumPy types of their numbers. bfloat16 is the upper half of
# a float32; NumPy has no such type, so its bits are read as uint16.
STORAGES = {
    "torch.DoubleStorage": "f8",
    "torch.FloatStorage": "f4",
    "torch.HalfStorage": "f2",
    "torch.BFloat16Storage": "bfloat16",
    "torch.LongStorage": "i8",
    "torch.IntStorage": "i4",
    "torch.ShortStorage": "i2",
    "torch.CharStorage": "i1",
    "torch.ByteStorage": "u1",
    "torch.BoolStorage": "?",
}


_T = TypeVar("_T")


class DamagedError(ValueError):
    """The pickle breaks the rules of its own format."""


@dataclass(frozen=True)
class Storage:
    """A block of numbers that tensors look into.

    Args:
        key: its name in the file.
        dtype: a NumPy type without byte order ("f4"), or "bfloat16".
        length: numbers in the block.
    """

    key: str
    dtype: str
    length: int


@dataclass(frozen=True)
class TensorPlace:
    """Where the numbers of a tensor lie.

    Args:
        storage: the block. offset: of the first number in it.
        shape, strides: in numbers, as PyTorch has them. All of it lies inside the block; a
            tensor without numbers has the shape (0,).
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Name:
    """A global of the allow-list, such as "torch.FloatStorage". It is never imported."""

    full: str


@dataclass(frozen=True)
class _View:
    """A part of a storage, as PyTorch before 0.4 saved it."""

    storage: Storage
    offset: int
    length: int


class _Mark:
    """Where on the stack the items of a list, tuple or dictionary begin."""


def read_pickle(stream: BinaryIO) -> tuple[object, dict[str, Storage]]:
    """Reads one pickle and leaves `stream` behind its end.

    Args:
        stream: a binary file or `io.BytesIO`.

    Returns:
        The value, with a `TensorPlace` for every tensor, and the storages they use by key.

    Raises:
        InputError: if the pickle names anything that is not on the allow-list.
        DamagedError: if it is cut short or no pickle.
    """
    reader = _Reader()
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count > MAX_INSTRUCTIONS:
                raise DamagedError(f"more than {MAX_INSTRUCTIONS:,} instructions")
            if opcode.name == "STOP":
                return reader.pop(), reader.storages
            reader.follow(opcode.name, argument)
    except (InputError, DamagedError):
        raise
    except (ValueError, IndexError, OverflowError) as problem:
        raise DamagedError(str(problem)) from None
    raise DamagedError("it has no end")


class _Reader:
    """The stack, the memo and the storages while one pickle is read."""

    def __init__(self) -> None:
        self.stack: list[object] = []
        self.memo: dict[int, object] = {}
        self.storages: dict[str, Storage] = {}

    def follow(self, instruction: str, argument: object) -> None:
        """One instruction.

        Raises:
            InputError: on one that could only serve to make objects of other classes.
        """
        if instruction in _PUSHED:
            self.stack.append(argument)
        elif instruction in _CONSTANTS:
            self.stack.append(_CONSTANTS[instruction])
        elif instruction in _FOLLOWED:
            _FOLLOWED[instruction](self, argument)
        elif instruction not in _WITHOUT_EFFECT:
            raise InputError(
                f"the checkpoint uses the pickle instruction {instruction}, which tensors do not "
                f"need. {HOW_TO_SAVE}"
            )

    def pop(self) -> object:
        """The uppermost value, which must not be a mark."""
        value = self.stack.pop()
        if isinstance(value, _Mark):
            raise DamagedError("a mark in the place of a value")
        return value

    def pop_to_mark(self) -> list[object]:
        """The values above the last mark, which goes, too."""
        items: list[object] = []
        while not isinstance(value := self.stack.pop(), _Mark):
            items.append(value)
        return items[::-1]

    def top(self, kind: type[_T]) -> _T:
        """The uppermost value, which stays and must be a list or a dictionary."""
        value = self.stack[-1]
        if not isinstance(value, kind):
            raise DamagedError(f"a {type(value).__name__} in the place of a {kind.__name__}")
        return value

    def dictionary(self, _: object) -> None:
        """A dictionary of the keys and values above the last mark."""
        items = self.pop_to_mark()
        self.stack.append({})
        self.set_items(items)

    def set_items(self, items: list[object]) -> None:
        """Keys and values in turn, into the dictionary on top."""
        _fill(self.top(dict), items[::2], items[1::2])

    def remember(self, index: object) -> None:
        """Keeps the uppermost value under a number."""
        self.memo[_whole(index)] = self.stack[-1]

    def recall(self, index: object) -> None:
        """Puts a value that was kept on top."""
        if _whole(index) not in self.memo:
            raise DamagedError("a value that was never stored")
        self.stack.append(self.memo[_whole(index)])

    def name(self, module: str, name: str) -> None:
        """A global, if it is on the allow-list."""
        full = f"{module}.{name}"
        if full not in _CALLS and full not in STORAGES:
            raise InputError(
                f"the checkpoint names {full[:100]!r}, and only tensors and plain values are read: "
                f"such a name could run any code. {HOW_TO_SAVE}"
            )
        self.stack.append(_Name(full))

    def call(self, _: object) -> None:
        """What PyTorch would get from calling a global of the allow-list."""
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise DamagedError("a call of something that is no function")
        if function.full not in _CALLS:
            raise DamagedError(f"a call of {function.full}")
        make, count = _CALLS[function.full]
        try:
            self.stack.append(make(*arguments[:count]))
        except TypeError:  # too few arguments
            raise DamagedError(f"a call of {function.full} without its arguments") from None

    def storage(self, _: object) -> None:
        """The storage that a tuple of PyTorch describes."""
        place = self.pop()
        if not isinstance(place, tuple) or len(place) not in (5, 6) or place[0] != "storage":
            raise DamagedError("a persistent object that is no storage")
        kind, key, length = place[1], place[2], _whole(place[4])
        if not isinstance(kind, _Name) or kind.full not in STORAGES or not isinstance(key, str):
            raise DamagedError("a storage of unknown type")
        storage = Storage(key, STORAGES[kind.full], length)
        if self.storages.setdefault(key, storage) != storage:
            raise DamagedError(f"two storages of the name {key[:40]!r}")
        view = place[5] if len(place) == 6 else None
        if view is None:
            self.stack.append(_View(storage, 0, length))
            return
        if not isinstance(view, tuple) or len(view) != 3:
            raise DamagedError("a view of a storage that cannot be read")
        offset, part = _whole(view[1]), _whole(view[2])
        if offset + part > length:
            raise DamagedError("a view that ends behind its storage")
        self.stack.append(_View(storage, offset, part))

    def build(self, _: object) -> None:
        """Attributes of a dictionary, as `_metadata` of a state dict: not needed."""
        self.pop()
        self.top(dict)

    def global_on_stack(self, _: object) -> None:
        """A global whose module and name lie on the stack."""
        name, module = self.pop(), self.pop()
        if not isinstance(module, str) or not isinstance(name, str):
            raise DamagedError("a global without a name")
        self.name(module, name)

    def tuple_of(self, count: int) -> None:
        """The last `count` values as one tuple."""
        self.stack.append(tuple(self.pop() for _ in range(count))[::-1])

    def append(self, items: list[object]) -> None:
        """Items for the list on top."""
        self.top(list).extend(items)


def _fill(target: dict[object, object], keys: list[object], values: list[object]) -> None:
    if len(keys) != len(values):
        raise DamagedError("a key without a value")
    for key in keys:
        small = key is None or isinstance(key, str | bytes | float)
        if not small and not (isinstance(key, int) and key.bit_length() < 64):
            raise DamagedError("a key that is neither text nor a number")
    target.update(zip(keys, values, strict=True))


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise DamagedError(f"a whole number >= 0 is needed. Received: a {type(value).__name__}")
    return value


def _wholes(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple) or len(values) > _MAX_DIMENSIONS:
        raise DamagedError(f"a shape of at most {_MAX_DIMENSIONS} dimensions is needed")
    return tuple(_whole(value) for value in values)


def _dictionary(items: object = None) -> dict[object, object]:
    """What OrderedDict() or OrderedDict([[key, value], ...]) is: a dict keeps its order, too."""
    pairs = [] if items is None else items
    if not isinstance(pairs, list) or any(
        not isinstance(pair, list | tuple) or len(pair) != 2 for pair in pairs
    ):
        raise DamagedError("a dictionary that is not made of keys and values")
    result: dict[object, object] = {}
    _fill(result, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return result


def _tensor(view: object, offset: object, shape: object, strides: object) -> TensorPlace:
    """A tensor, once it is sure to lie inside its storage."""
    if not isinstance(view, _View):
        raise DamagedError("a tensor without storage")
    start, sizes, steps = _whole(offset), _wholes(shape), _wholes(strides)
    count = math.prod(sizes)
    last = start + sum((n - 1) * step for n, step in zip(sizes, steps, strict=False))
    if len(sizes) != len(steps) or count > view.length or (count and last >= view.length):
        raise DamagedError(
            f"a tensor of shape {sizes} that does not lie inside its storage of {view.length}"
        )
    if not count:
        return TensorPlace(view.storage, 0, (0,), (0,))
    steps = tuple(step if n > 1 else 0 for n, step in zip(sizes, steps, strict=True))
    return TensorPlace(view.storage, view.offset + start, sizes, steps)


def _parameter(tensor: object) -> object:
    return tensor


# What PyTorch calls to make its objects, and how many of the arguments matter here; behind
# them come requires_grad, hooks and metadata.
_Call = Callable[..., object]
_CALLS: dict[str, tuple[_Call, int]] = {
    "collections.OrderedDict": (_dictionary, 1),
    "torch._utils._rebuild_tensor": (_tensor, 4),
    "torch._utils._rebuild_tensor_v2": (_tensor, 4),
    "torch._utils._rebuild_parameter": (_parameter, 1),
}
_WITHOUT_EFFECT = {"PROTO", "FRAME"}
_PUSHED = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_CONSTANTS: dict[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_FOLLOWED: dict[str, Callable[[_Reader, object], None]] = {
    "MARK": lambda reader, _: reader.stack.append(_Mark()),
    "EMPTY_TUPLE": lambda reader, _: reader.stack.append(()),
    "EMPTY_LIST": lambda reader, _: reader.stack.append([]),
    "EMPTY_DICT": lambda reader, _: reader.stack.append({}),
    "TUPLE": lambda reader, _: reader.stack.append(tuple(reader.pop_to_mark())),
    "LIST": lambda reader, _: reader.stack.append(reader.pop_to_mark()),
    "DICT": _Reader.dictionary,
    "TUPLE1": lambda reader, _: reader.tuple_of(1),
    "TUPLE2": lambda reader, _: reader.tuple_of(2),
    "TUPLE3": lambda reader, _: reader.tuple_of(3),
    "APPEND": lambda reader, _: reader.append([reader.pop()]),
    "APPENDS": lambda reader, _: reader.append(reader.pop_to_mark()),
    "SETITEM": lambda reader, _: reader.set_items([reader.pop(), reader.pop()][::-1]),
    "SETITEMS": lambda reader, _: reader.set_items(reader.pop_to_mark()),
    "PUT": _Reader.remember,
    "BINPUT": _Reader.remember,
    "LONG_BINPUT": _Reader.remember,
    "MEMOIZE": lambda reader, _: reader.remember(len(reader.memo)),
    "GET": _Reader.recall,
    "BINGET": _Reader.recall,
    "LONG_BINGET": _Reader.recall,
    "GLOBAL": lambda reader, name: reader.name(*str(name).split(" ", 1)),
    "STACK_GLOBAL": _Reader.global_on_stack,
    "REDUCE": _Reader.call,
    "BINPERSID": _Reader.storage,
    "BUILD": _Reader.build,
}
