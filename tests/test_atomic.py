import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from atk_latent import atomic
from atk_latent.errors import InputError


def test_atomic_file_replaces_in_one_step_and_keeps_the_suffix(tmp_path):
    target = tmp_path / "a.npz"
    target.write_text("old")
    with atomic.atomic_file(target) as temporary:
        assert temporary.suffix == ".npz" and temporary.parent == tmp_path
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_atomic_file_interrupted_leaves_the_old_file_alone(tmp_path, error):
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(error), atomic.atomic_file(target) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("exists", [False, True])
def test_atomic_folder_appears_whole(tmp_path, exists):
    target = tmp_path / "run"
    if exists:
        target.mkdir()
    with atomic.atomic_folder(target) as temporary:
        (temporary / "a").write_text("1")
        assert not target.exists() or not list(target.iterdir())
    assert (target / "a").read_text() == "1"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_atomic_folder_interrupted_leaves_nothing(tmp_path, error):
    with pytest.raises(error), atomic.atomic_folder(tmp_path / "run") as temporary:
        (temporary / "a").write_text("1")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_atomic_folder_filled_by_someone_else_meanwhile_is_refused(tmp_path):
    target = tmp_path / "run"
    with pytest.raises(InputError, match="not empty"), atomic.atomic_folder(target) as temporary:
        (temporary / "a").write_text("ours")
        target.mkdir()
        (target / "b").write_text("theirs")
    assert [p.name for p in target.iterdir()] == ["b"]


def test_new_file_refuses_folder_existing_and_missing_parent(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a folder"):
        atomic.check_new_file(tmp_path)
    with pytest.raises(InputError, match="exists already"):
        atomic.check_new_file(tmp_path / "file")
    with pytest.raises(InputError, match="does not exist"):
        atomic.check_new_file(tmp_path / "no" / "file")
    assert atomic.check_new_file(tmp_path / "file", replace=True) == tmp_path / "file"


def test_new_folder_refuses_file_and_full_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="exists already"):
        atomic.check_new_folder(tmp_path / "file")
    with pytest.raises(InputError, match="not empty"):
        atomic.check_new_folder(tmp_path)


def test_json_text_takes_numpy_paths_and_nan():
    value = {"a": np.float32(0.5), 1: (np.int64(2), float("nan")), "p": Path("x"), "b": np.eye(2)}
    assert json.loads(atomic.json_text(value)) == {
        "a": 0.5,
        "1": [2, None],
        "p": "x",
        "b": [[1.0, 0.0], [0.0, 1.0]],
    }


def test_json_text_keeps_numbers_on_one_line_and_strings_as_they_are():
    value = {"a": [1, -2.5e-7], "b": [[1, 2], []], "c": ["[\n1\n]", None], "d": [True, 3]}
    text = atomic.json_text(value)
    assert json.loads(text) == value
    assert '"a": [1, -2.5e-07]' in text
    assert "    [1, 2],\n" in text


def test_write_json_of_something_without_a_json_form_writes_nothing(tmp_path):
    with pytest.raises(TypeError, match="object"):
        atomic.write_json(tmp_path / "a.json", {"a": object()})
    assert list(tmp_path.iterdir()) == []


def test_new_file_has_ordinary_permissions(tmp_path):
    with atomic.atomic_folder(tmp_path / "run") as temporary:
        (temporary / "a").write_text("1")
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "run").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "Make room"),
        (errno.EDQUOT, "Make room"),
        (errno.EACCES, "permissions"),
        (errno.EROFS, "read-only"),
    ],
)
def test_a_refused_write_is_one_line_with_the_name_and_the_right_advice(tmp_path, number, advice):
    for error in (
        OSError(number, os.strerror(number)),
        OSError(f"Can't write data (file write failed: errno = {number}, error message = ...)"),
    ):
        with pytest.raises(InputError) as caught, atomic.atomic_file(tmp_path / "a.json"):
            raise error
        assert str(caught.value).startswith(f"cannot write {tmp_path / 'a.json'}: ")
        assert advice in str(caught.value)
    assert ("room" in str(caught.value)) == (advice == "Make room")
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_is_not_about_the_place_stays_what_it_is(tmp_path):
    with pytest.raises(OSError, match="odd") as caught, atomic.atomic_file(tmp_path / "a"):
        raise OSError("odd")
    assert not isinstance(caught.value, InputError)


FULL = """
import resource, signal, sys
import numpy as np
from atk_latent.atomic import atomic_file
from atk_latent.errors import InputError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with atomic_file(sys.argv[1]) as part:
        np.savez(part, x=np.zeros(10**6))
except InputError as error:
    print(error)
"""


def test_a_write_that_really_fails_half_way_leaves_nothing(tmp_path):
    child = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "a.npz")], capture_output=True, text=True
    )
    assert child.stdout.startswith(f"cannot write {tmp_path / 'a.npz'}: File too large.")
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from atk_latent.atomic import atomic_file, atomic_folder, scratch_folder
run = sys.argv[1] + "/run"
with atomic_folder(run) as folder, scratch_folder(run) as scratch:
    (folder / "a").write_text("half")
    with atomic_file(sys.argv[1] + "/b.json") as part:
        part.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_removed_by_the_next_run(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    left = list(tmp_path.iterdir())
    assert len(left) == 3
    (tmp_path / ".mine.0badcafe.tmp").write_text("of another program")
    with atomic.atomic_file(tmp_path / "c.json") as part:
        (part).write_text("new")
        assert part.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".mine.0badcafe.tmp", "c.json"]


def test_what_a_living_process_is_writing_stays(tmp_path):
    with atomic.atomic_file(tmp_path / "a.json") as part:
        part.write_text("mine")
        atomic.remove_leftovers(tmp_path)
        assert part.exists()
        other = part.with_name(part.name.replace(f"-{os.getpid()}-", f"-{os.getppid()}-"))
        other.write_text("of my parent, who lives")
        far = part.with_name(part.name.replace(atomic._host(), "abcdef"))
        far.write_text("of another machine")
        atomic.remove_leftovers(tmp_path)
        assert other.exists() and far.exists()
        os.utime(far, (0, 0))
        atomic.remove_leftovers(tmp_path)
        assert other.exists() and not far.exists()
