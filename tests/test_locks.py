"""Two real processes and one folder."""

import os
import subprocess
import sys

import pytest

from atk_latent.errors import InputError
from atk_latent.locks import LOCK, check_unlocked, locked

HOLD = """
import sys
from atk_latent.locks import locked
with locked(sys.argv[1]):
    print("holds", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "holds\n"
    yield child
    child.kill()
    child.communicate()


def test_the_second_process_is_told_who_holds_the_folder(tmp_path, holder):
    for attempt in (check_unlocked, lambda folder: locked(folder).__enter__()):
        with pytest.raises(InputError) as caught:
            attempt(tmp_path)
        words = (
            f"--out {tmp_path} is in use by process {holder.pid} on {os.uname().nodename}",
            "since",
        )
        assert all(word in str(caught.value) for word in words)
    assert (tmp_path / LOCK).exists()


def test_a_killed_process_leaves_no_lock(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert (tmp_path / LOCK).exists()
    check_unlocked(tmp_path)
    with locked(tmp_path):
        assert str(os.getpid()) in (tmp_path / LOCK).read_text()
    assert not (tmp_path / LOCK).exists()


def test_an_ended_process_leaves_nothing(tmp_path, holder):
    holder.communicate("")
    assert list(tmp_path.iterdir()) == []


def test_the_lock_is_let_go_after_an_error_and_kept_from_the_same_process(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        with pytest.raises(InputError, match="in use"), locked(tmp_path):
            pass
        raise ZeroDivisionError
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": 3}'])
def test_a_holder_that_has_not_written_its_name_is_another_process(tmp_path, content):
    with locked(tmp_path):
        (tmp_path / LOCK).write_bytes(content)
        with pytest.raises(InputError, match="in use by another process"):
            check_unlocked(tmp_path)


def test_a_lock_that_cannot_be_made_is_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot"), locked(tmp_path / "none"):
        pass
    (tmp_path / LOCK).mkdir()
    with pytest.raises(InputError, match="cannot"), locked(tmp_path):
        pass
