import io
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest

from atk_latent import arrays
from atk_latent.arrays import ArraySpec, open_arrays, read_arrays
from atk_latent.errors import InputError
from atk_latent.files import FileKind

KIND = FileKind("set of images", 10**9, "Do this")
F32 = np.dtype("float32")


def refused(path, expected, **options):
    with pytest.raises(InputError) as caught:
        read_arrays(path, KIND, expected, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_arrays_come_back_as_they_were_written(tmp_path):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", x=x, name="softmax", more=np.zeros(3))
        expected = {
            "x": ArraySpec("f", (None, 3), F32),
            "name": ArraySpec("U", ()),
            "y": ArraySpec(),
        }
        stored = read_arrays(tmp_path / "a.npz", KIND, expected, optional=["y"])
        np.testing.assert_array_equal(stored["x"], x)
        assert str(stored["name"]) == "softmax" and set(stored) == {"x", "name"}


@pytest.mark.parametrize(
    ("array", "spec", "message"),
    [
        (np.ones((2, 4)), ArraySpec("f", (None, 3)), "has shape (2, 4), not (any, 3)"),
        (np.ones(3), ArraySpec("f", (3, 1)), "has shape (3,)"),
        (np.ones(3, np.int8), ArraySpec("f"), "is int8, not floats"),
        (np.array(["a"]), ArraySpec("iuf"), "not integers or floats"),
        (np.ones(3), ArraySpec("f", dtype=F32), "is float64, not float32"),
        (np.array([1, np.nan]), ArraySpec(), "NaN or infinity"),
        (np.array([1, np.inf]), ArraySpec(), "NaN or infinity"),
        (np.array([{}]), ArraySpec(), "never unpickled"),
    ],
)
def test_an_array_that_is_not_as_expected_is_named(tmp_path, array, spec, message):
    np.savez(tmp_path / "a.npz", x=array)
    text = refused(tmp_path / "a.npz", {"x": spec})
    assert message in text and "x" in text and "a.npz" in text


def test_missing_and_further_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones(1), z=np.ones(1))
    assert "lacks the array 'y'" in refused(
        tmp_path / "a.npz", {"x": ArraySpec(), "y": ArraySpec()}
    )
    assert "it has 'z'" in refused(tmp_path / "a.npz", {"x": ArraySpec()}, others=False)


RAN = []


class Bomb:
    def __reduce__(self):
        return exec, ("import tests.test_arrays as module; module.RAN.append(1)",)


def member(path, content, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("x.npy", content)


def header(shape, dtype="'<f4'"):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return stream.getvalue().replace(b"'<f4'", dtype.encode())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        pickle.dumps(Bomb()),
        header((10**10,)),
        header((2,)) + b"12345678" * 3,
        header((-1,)),
        header((2**62, 8)),
        header((2,), "'|O8'") + pickle.dumps(Bomb()),
        header((2,), "[('a', '|O')]"),
        b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535,
        b"\x93NUMPY\x09\x00\x10\x00" + b" " * 16,
    ],
)
def test_hostile_members_are_one_line_and_run_nothing(tmp_path, content):
    member(tmp_path / "a.npz", content)
    assert "a.npz" in refused(tmp_path / "a.npz", {"x": ArraySpec()})
    assert not RAN


def test_the_bomb_would_go_off():
    pickle.loads(pickle.dumps(Bomb()))
    assert RAN.pop() == 1


def test_an_array_that_memory_cannot_hold_is_refused_before_it_is_read(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(50 * 2**20, np.uint8))
    assert (tmp_path / "a.npz").stat().st_size < 2**20
    monkeypatch.setattr(arrays, "physical_memory", lambda: 60.0 * 2**20)
    tracemalloc.start()
    assert "does not fit the memory" in refused(tmp_path / "a.npz", {"x": ArraySpec("u")})
    assert "not floats" in refused(tmp_path / "a.npz", {"x": ArraySpec("f")})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * 2**20


def test_two_arrays_of_one_name_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, pytest.warns(UserWarning):
        for _ in range(2):
            archive.writestr("x.npy", header((0,)))
    assert "two arrays of one name" in refused(tmp_path / "a.npz", {"x": ArraySpec()})


def test_one_array_at_a_time(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones((2, 3), np.float32))
    with open_arrays(tmp_path / "a.npz", KIND) as file:
        assert file.names == ("x",) and file.header("x").nbytes == 24
        assert file.read("x").sum() == 6
