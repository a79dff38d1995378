"""Files as torch.save writes them, made byte by byte: PyTorch is not needed to test its reader."""

import io
import struct
import zipfile
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

CLASSES = {"f4": "Float", "f8": "Double", "f2": "Half", "i8": "Long", "u1": "Byte", "b1": "Bool"}


@dataclass
class Tensor:
    """A tensor of given numbers; `shape`, `strides` and `offset` look into them in another way."""

    values: np.ndarray
    shape: tuple | None = None
    strides: tuple | None = None
    offset: int = 0
    storage: str = ""  # another class than that of the numbers
    parameter: bool = False
    length: int | None = None  # what the file says of the storage
    view: tuple | None = None  # of a storage, in old files


class Raw(bytes):
    """Instructions that are put in as they are."""


class Pickle:
    """Instructions for a value, and the tensors in it."""

    def __init__(self, value, old=False):
        self.tensors, self.old = [], old
        self.program = b"\x80\x02" + self.of(value) + b"."

    def of(self, value):
        if isinstance(value, Raw):
            return bytes(value)
        if isinstance(value, np.ndarray):
            value = Tensor(value)
        name = type(value).__name__
        return getattr(self, f"of_{name}")(value)

    def of_str(self, value):
        text = value.encode()
        return b"X" + struct.pack("<I", len(text)) + text

    def of_int(self, value):
        number = value.to_bytes(16, "little", signed=True)
        return b"\x8a\x10" + number

    def of_float(self, value):
        return b"G" + struct.pack(">d", value)

    def of_bool(self, value):
        return b"\x88" if value else b"\x89"

    def of_NoneType(self, _):
        return b"N"

    def of_tuple(self, value):
        return b"(" + b"".join(map(self.of, value)) + b"t"

    def of_list(self, value):
        return b"](" + b"".join(map(self.of, value)) + b"e"

    def of_dict(self, value):
        return b"}(" + b"".join(self.of(k) + self.of(v) for k, v in value.items()) + b"u"

    def of_OrderedDict(self, value):
        """With the `_metadata` that state dicts carry as an attribute."""
        items = b"".join(self.of(k) + self.of(v) for k, v in value.items())
        metadata = self.of({"_metadata": {"": {"version": 1}}})
        return b"ccollections\nOrderedDict\n)R(" + items + b"u" + metadata + b"b"

    def of_Tensor(self, tensor):
        values = np.asarray(tensor.values)
        key = str(len(self.tensors))
        self.tensors.append(values)
        shape = values.shape if tensor.shape is None else tensor.shape
        strides = tensor.strides
        if strides is None:
            strides = tuple(n // values.itemsize for n in np.empty(shape, values.dtype).strides)
        kind = tensor.storage or CLASSES[values.dtype.str[1:]] + "Storage"
        length = values.size if tensor.length is None else tensor.length
        place = b"(" + self.of("storage") + f"ctorch\n{kind}\n".encode()
        place += b"".join(map(self.of, (key, "cuda:0", length)))
        place += (self.of(tensor.view) if self.old else b"") + b"tQ"
        call = "_rebuild_tensor" if self.old else "_rebuild_tensor_v2"
        parts = place + b"".join(map(self.of, (tensor.offset, tuple(shape), tuple(strides))))
        if not self.old:
            parts += b"\x89ccollections\nOrderedDict\n)R"
        whole = f"ctorch._utils\n{call}\n(".encode() + parts + b"tR"
        if tensor.parameter:
            hooks = b"ccollections\nOrderedDict\n)R"
            whole = b"ctorch._utils\n_rebuild_parameter\n(" + whole + b"\x88" + hooks + b"tR"
        return whole


def new_file(value, big=False, compression=zipfile.ZIP_STORED):
    """The bytes of a file of PyTorch 1.6 or later."""
    pickle = Pickle(value)
    members = {"data.pkl": pickle.program, "byteorder": b"big" if big else b"little"}
    for number, values in enumerate(pickle.tensors):
        members[f"data/{number}"] = _bytes(values, big)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, part in {**members, "version": b"3\n"}.items():
            archive.writestr(f"archive/{name}", part)
    return content.getvalue()


def old_file(value, big=False):
    """The bytes of a file of an earlier PyTorch."""
    pickle = Pickle(value, old=True)
    order = ">" if big else "<"
    system = {"protocol_version": 1001, "little_endian": not big, "type_sizes": {"int": 4}}
    keys = sorted(map(str, range(len(pickle.tensors))))
    parts = [Pickle(part).program for part in (0x1950A86A20F9469CFC6C, 1001, system)]
    parts += [pickle.program, Pickle(keys).program]
    for key in keys:
        values = pickle.tensors[int(key)]
        parts += [struct.pack(f"{order}q", values.size), _bytes(values, big)]
    return b"".join(parts)


def _bytes(values, big):
    return values.astype(values.dtype.newbyteorder(">" if big else "<")).tobytes()


def state(shapes, seed=0):
    """A state dict of normal numbers, in the order of `shapes`; variances are above 0."""
    rng = np.random.default_rng(seed)
    made = OrderedDict()
    for name, shape in shapes.items():
        values = rng.normal(size=shape).astype(np.float32)
        made[name] = np.abs(values) + 0.5 if name.endswith("running_var") else values
    return made
