"""PyTorch files: what is read, and that nothing in them is ever run."""

import builtins
import io
import os
import pickle
import subprocess
import sys
import time
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from atk_latent.errors import InputError
from atk_latent.models.torch_checkpoint import read_checkpoint
from tests.models.torch_files import Pickle, Raw, Tensor, new_file, old_file

KERNEL = np.arange(24, dtype="f4").reshape(4, 3, 2, 1)
FORMATS = pytest.mark.parametrize("write", [new_file, old_file])


def read(tmp_path, content, key=None):
    file = tmp_path / "weights.pth"
    file.write_bytes(content)
    return read_checkpoint(file).state_dict(key)


def refusal(tmp_path, content):
    with pytest.raises(InputError) as caught:
        read(tmp_path, content)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


@FORMATS
@pytest.mark.parametrize("big", [False, True])
def test_tensors_come_back_by_name_and_in_order(tmp_path, write, big):
    weights = OrderedDict(
        b=np.arange(4, dtype="f8"),
        a=KERNEL,
        half=np.array([0.5, -2], "f2"),
        count=np.array(7, "i8"),
        mask=np.array([True, False]),
        empty=np.zeros(0, "f4"),
    )
    place, state = read(tmp_path, write(weights, big))
    assert place == ""
    assert list(state) == list(weights)
    for name, values in weights.items():
        np.testing.assert_array_equal(state[name], values)
        assert state[name].dtype.kind == values.dtype.kind
        assert not state[name].flags.writeable


@FORMATS
def test_strides_and_offsets_are_followed(tmp_path, write):
    numbers = np.arange(30, dtype="f4")
    turned = Tensor(numbers, (3, 4), (1, 5), 2)
    _, state = read(tmp_path, write({"w": turned}))
    np.testing.assert_array_equal(state["w"], numbers[2:22].reshape(4, 5).T[:3])


def test_views_of_old_files_are_followed(tmp_path):
    numbers = np.arange(30, dtype="f4")
    part = Tensor(numbers, (2, 3), (3, 1), 1, view=("part", 10, 8))
    _, state = read(tmp_path, old_file({"w": part}))
    np.testing.assert_array_equal(state["w"], numbers[11:17].reshape(2, 3))


@FORMATS
@pytest.mark.parametrize("big", [False, True])
def test_bfloat16_becomes_float32(tmp_path, write, big):
    bits = np.array([[0x3F80, 0xC000], [0x3E20, 0x0000]], "u2")  # 1, -2, 0.15625, 0
    tensor = Tensor(bits, storage="BFloat16Storage")
    _, state = read(tmp_path, write({"w": tensor}, big))
    np.testing.assert_array_equal(state["w"], [[1, -2], [0.15625, 0]])
    assert state["w"].dtype == np.float32


def test_parameters_are_read_as_their_tensors(tmp_path):
    _, state = read(tmp_path, new_file({"w": Tensor(KERNEL, parameter=True)}))
    np.testing.assert_array_equal(state["w"], KERNEL)


@FORMATS
def test_prefix_of_data_parallel_is_left_out(tmp_path, write):
    _, state = read(tmp_path, write({"module.conv.weight": KERNEL, "module.conv.bias": KERNEL[0]}))
    assert list(state) == ["conv.weight", "conv.bias"]


NETWORK, OTHER = {"w": KERNEL}, {"w": -KERNEL}
OPTIMIZER = {"state": {0: {"momentum_buffer": KERNEL}}, "param_groups": [{"lr": 0.1}]}


@pytest.mark.parametrize(
    ("content", "key", "place"),
    [
        (
            {"state_dict": NETWORK, "epoch": 3, "best": 91.7, "optimizer": OPTIMIZER},
            None,
            "state_dict",
        ),
        ({"net": NETWORK, "acc": None}, None, "net"),
        ({"model": {"state_dict": NETWORK}}, None, "model.state_dict"),
        ({"ema": OTHER, "state_dict": NETWORK}, None, "state_dict"),
        ({"ema": NETWORK, "state_dict": OTHER}, "ema", "ema"),
        ({"state_dict_ema": NETWORK, "state_dict": OTHER}, "ema", "state_dict_ema"),
        ({"ema": {"shadow": NETWORK}, "model": OTHER}, "ema", "ema.shadow"),
        ({"state_dict": [OTHER, NETWORK]}, "state_dict.1", "state_dict.1"),
        ({"only": NETWORK}, None, "only"),
    ],
)
def test_weights_are_found_where_people_put_them(tmp_path, content, key, place):
    chosen, state = read(tmp_path, new_file(content), key)
    assert chosen == place
    np.testing.assert_array_equal(state["w"], KERNEL)


def test_several_networks_are_listed(tmp_path):
    content = new_file({"state_dict": [NETWORK, OTHER], "epoch": 1})
    assert "weights of 2 networks: state_dict.0, state_dict.1. Choose one" in refusal(
        tmp_path, content
    )
    with pytest.raises(
        InputError, match="no weights under 'ema'. Known: state_dict.0, state_dict.1"
    ):
        read(tmp_path, content, "ema")
    assert "no weights of a network" in refusal(tmp_path, new_file({"epoch": 3}))


class Payload:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def hostile(marker):
    code = f"open({str(marker)!r}, 'w').close()"
    shell = f"touch {marker}"
    return {
        "os.system": Payload(os.system, shell),
        "eval": Payload(builtins.eval, code),
        "exec": Payload(builtins.exec, code),
        "Popen": Payload(subprocess.Popen, ["touch", str(marker)]),
        "getattr": Payload(getattr, Payload(__import__, "os"), "system"),
        "nested": {"state_dict": {"w": [Payload(os.system, shell)]}},
        "in a key": {Payload(os.system, shell): 1},
    }


@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
@pytest.mark.parametrize("name", list(hostile("")))
def test_hostile_pickles_are_refused_and_run_nothing(tmp_path, name, protocol):
    marker = tmp_path / "marker"
    program = pickle.dumps(hostile(marker)[name], protocol)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", program)
    for file in (
        content.getvalue(),
        old_file(Raw(program[2:-1] if protocol > 1 else program[:-1])),
    ):
        assert "names '" in refusal(tmp_path, file)
        time.sleep(0.01)
        assert not marker.exists()


def test_the_hostile_pickles_are_live(tmp_path):
    marker = tmp_path / "marker"
    for payload in ("os.system", "eval"):
        pickle.loads(pickle.dumps(hostile(marker)[payload]))
        assert marker.exists()
        marker.unlink()


@pytest.mark.parametrize(
    "program",
    [
        b"(cos\nsystem\nt",  # a name alone
        b"\x8c\x02os\x8c\x06system\x93",  # STACK_GLOBAL
        b"(X\x04\x00\x00\x00echoios\nsystem\n",  # INST
        b"(cos\nsystem\nX\x04\x00\x00\x00echoo",  # OBJ
        b"ccollections\nOrderedDict\n)\x81",  # NEWOBJ
        b"ccollections\nOrderedDict\n)}\x92",  # NEWOBJ_EX
        b"\x82\x01",  # EXT1
        b"ctorch\nload\n(X\x01\x00\x00\x00atR",
        b"ctorch.hub\nload\n)R",
        b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n)R",
        b"P1\n",  # PERSID
    ],
)
def test_other_instructions_and_names_are_refused(tmp_path, program):
    message = refusal(tmp_path, new_file({"w": Raw(program)}))
    assert "such a name could run any code" in message or "pickle instruction" in message


@pytest.mark.parametrize(
    "program",
    [
        b"ctorch\nFloatStorage\n)R",  # a call of what is only a name
        b"X\x01\x00\x00\x00a)R",
        b"ctorch._utils\n_rebuild_tensor_v2\n)R",
        b"ctorch._utils\n_rebuild_tensor_v2\n(NNNNtR",
        b"NQ",
        b"(.",
        b"h\x07",
        b"}(]Nu",  # a list as a key
        b"}((NtNu",  # a tuple as a key
        b"}(X\x01\x00\x00\x00au",
        b"]NsN",
        b"a",
        b"ccollections\nOrderedDict\n(](NetR",
        b"\x8b\xff\xff\xff\x7f",  # LONG4 of 2 GB
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc",  # text of 2**63 bytes
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc",
        b"\xff",
    ],
)
@FORMATS
def test_broken_programs_are_refused(tmp_path, program, write):
    assert "cannot be read as a PyTorch checkpoint" in refusal(tmp_path, write({"w": Raw(program)}))


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor(KERNEL, (2**31, 2**31), (2**31, 1)),
        Tensor(KERNEL, (2**40,), (0,)),  # one number shown again and again
        Tensor(KERNEL, (24,), (1,), 1),
        Tensor(KERNEL, (2, 2), (100, 1)),
        Tensor(KERNEL, (2, 2), (-1, 1), 4),
        Tensor(KERNEL, (-4,), (1,)),
        Tensor(KERNEL, (2, 2), (1,)),
        Tensor(KERNEL, (1,) * 9, (1,) * 9),
        Tensor(KERNEL, length=2**60),
        Tensor(KERNEL, length=-1),
        Tensor(KERNEL, length=25),
        Tensor(KERNEL, storage="DoubleStorage"),
        Tensor(KERNEL, offset=2**62),
    ],
)
@FORMATS
def test_tensors_outside_their_storage_are_refused(tmp_path, tensor, write):
    assert "cannot be read as a PyTorch checkpoint" in refusal(tmp_path, write({"w": tensor}))


@pytest.mark.parametrize("view", [("a", 20, 5), ("a", -1, 5), ("a", 0), "a"])
def test_views_outside_their_storage_are_refused(tmp_path, view):
    content = old_file({"w": Tensor(KERNEL, (2, 2), view=view)})
    assert "cannot be read" in refusal(tmp_path, content)


@FORMATS
def test_a_file_that_is_cut_short_is_refused(tmp_path, write):
    content = write(OrderedDict(a=KERNEL[:1, :1], b=np.array([1.0], "f4")))
    for end in range(0, len(content), 3):
        refusal(tmp_path, content[:end])


@FORMATS
def test_no_change_of_a_byte_does_harm(tmp_path, write):
    content = write(OrderedDict(a=KERNEL, b=np.array([1.0], "f4")))
    rng = np.random.default_rng(0)
    for _ in range(500):
        changed = bytearray(content)
        for place in rng.integers(len(content), size=rng.integers(1, 4)):
            changed[place] = rng.integers(256)
        try:
            read(tmp_path, bytes(changed))
        except InputError as problem:
            assert "\n" not in str(problem)


def test_values_that_hold_each_other_are_walked_once(tmp_path):
    doubled = b"](]q\x01" + b"](h\x01h\x01eq\x01" * 200 + b"e"  # 2**200 ways to the innermost list
    start = time.perf_counter()
    assert "no weights of a network" in refusal(tmp_path, new_file({"a": Raw(doubled)}))
    assert "no weights" in refusal(
        tmp_path, new_file({"a": Raw(b"}q\x01(X\x01\x00\x00\x00bh\x01u")})
    )
    assert time.perf_counter() - start < 2


def test_endless_programs_are_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("atk_latent.models.torch_pickle.MAX_INSTRUCTIONS", 1000)
    assert "more than 1,000 instructions" in refusal(tmp_path, new_file([None] * 2000))


def test_zips_that_torch_does_not_write_are_refused(tmp_path):
    packed = new_file({"w": np.zeros((1000, 1000), "f4")}, compression=zipfile.ZIP_DEFLATED)
    assert "compressed" in refusal(tmp_path, packed)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a/data.pkl", b"N.")
        archive.writestr("b/data.pkl", b"N.")
    assert "2 members are named data.pkl" in refusal(tmp_path, content.getvalue())
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a/data.pkl", Pickle({"w": KERNEL}).program)
    assert "storage '0' is missing" in refusal(tmp_path, content.getvalue())


def test_other_files_are_refused(tmp_path):
    assert "there is no checkpoint at" in str(
        pytest.raises(InputError, read_checkpoint, tmp_path).value
    )
    assert "does not start as torch.save" in refusal(tmp_path, b"hello")
    assert "torch.save did not write" in refusal(tmp_path, pickle.dumps({"a": 1}, 2))
    assert "cannot be read" in refusal(tmp_path, b"")


def test_no_torch_and_no_pickle_are_imported(tmp_path):
    (tmp_path / "w.pth").write_bytes(new_file({"w": KERNEL}))
    code = (
        "import sys; import atk_latent.models.torch_checkpoint as c;"
        f"c.read_checkpoint({str(tmp_path / 'w.pth')!r}).state_dict();"
        "sys.exit('torch' in sys.modules or 'pickle' in vars(c))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("old", [False, True])
def test_files_of_torch_itself_are_read(tmp_path, old):
    torch = pytest.importorskip("torch")
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).half()
    content = {"state_dict": network.state_dict(), "epoch": 3, "turned": torch.rand(4, 5).T}
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=not old)
    _, state = read_checkpoint(tmp_path / "w.pth").state_dict("state_dict")
    for name, values in network.state_dict().items():
        np.testing.assert_array_equal(state[name], values.numpy())
