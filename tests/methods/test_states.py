"""States of a training: two are there, the damaged one is passed over, nothing else is believed."""

import json
import shutil

import numpy as np
import pytest

from atk_latent.arrays import ArraySpec
from atk_latent.errors import InputError
from atk_latent.files import CHECKSUMS
from atk_latent.methods.states import LOGS, VARIABLES, DamagedStateWarning, States

F32 = np.dtype("float32")
EXPECTED = {"w": ArraySpec("f", (2,), F32), "n": ArraySpec("i", (), np.dtype("int64"))}


def arrays(epoch):
    return {"w": np.full(2, epoch, np.float32), "n": np.int64(epoch)}


@pytest.fixture
def states(tmp_path):
    states = States(tmp_path / "states")
    for epoch in (1, 2, 3):
        states.save(arrays(epoch), [{"loss": 0.5}] * epoch)
    return states


def newest(states):
    return states.folder / "epoch-000003"


def test_the_newest_two_are_kept_and_the_newest_is_restored(states):
    assert sorted(p.name for p in states.folder.iterdir()) == ["epoch-000002", "epoch-000003"]
    state = states.restore(EXPECTED)
    assert state.variables["w"].tolist() == [3, 3] and state.logs == [{"loss": 0.5}] * 3


def test_no_state_is_none(tmp_path):
    assert States(tmp_path).restore(EXPECTED) is None and not States(tmp_path / "x").exist()


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


DAMAGE = {
    "flipped": lambda folder: flip(folder / VARIABLES),
    "cut": lambda folder: (folder / VARIABLES).write_bytes(b"PK"),
    "gone": lambda folder: (folder / VARIABLES).unlink(),
    "log": lambda folder: flip(folder / LOGS),
    "no log": lambda folder: (folder / LOGS).unlink(),
    "sums": lambda folder: (folder / CHECKSUMS).write_text("{"),
    "file": lambda folder: (shutil.rmtree(folder), folder.write_text("x")),
    "older": lambda folder: (
        shutil.rmtree(folder),
        shutil.copytree(folder.with_name("epoch-000002"), folder),
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_state_falls_back_to_the_one_before_and_says_so(states, damage):
    DAMAGE[damage](newest(states))
    with pytest.warns(DamagedStateWarning, match="going on from the state before it, epoch-000002"):
        state = states.restore(EXPECTED)
    assert state.variables["w"].tolist() == [2, 2] and len(state.logs) == 2
    if damage != "file":
        states.save(arrays(3), [{}] * 3)  # the training goes on over it
        assert states.restore(EXPECTED).variables["w"].tolist() == [3, 3]


def test_where_all_are_damaged_one_line_says_what_to_do(states):
    for folder in states.folder.iterdir():
        flip(folder / VARIABLES)
    with pytest.raises(InputError) as caught:
        states.restore(EXPECTED)
    text = str(caught.value)
    assert "\n" not in text and f"remove {states.folder} to repeat" in text and "1 more" in text


OTHERS = {
    "NaN": {"w": np.array([1, np.nan], np.float32), "n": np.int64(3)},
    "shape": {"w": np.ones(3, np.float32), "n": np.int64(3)},
    "dtype": {"w": np.ones(2), "n": np.int64(3)},
    "objects": {"w": np.array([{}, 1], object), "n": np.int64(3)},
    "missing": {"w": np.ones(2, np.float32)},
    "further": {**arrays(3), "v": np.ones(2)},
}


@pytest.mark.parametrize("content", OTHERS)
@pytest.mark.parametrize("noted", [True, False])
def test_variables_that_cannot_be_are_never_taken(states, content, noted):
    shutil.rmtree(states.folder)
    states.save(OTHERS[content], [{}] * 3)
    if not noted:  # as a state of an earlier version
        (newest(states) / CHECKSUMS).unlink()
    with pytest.raises(InputError, match="no state to go on from"):
        states.restore(EXPECTED)


@pytest.mark.parametrize(
    "logs",
    ["{}", "[1, 2, 3]", '[{}, {}, {"a": "b"}]', "[{}, {}]", '[{}, {}, {"a": NaN}]', "[null]"],
)
def test_logs_of_another_type_are_refused(states, logs):
    shutil.rmtree(newest(states).with_name("epoch-000002"))
    (newest(states) / CHECKSUMS).unlink()
    (newest(states) / LOGS).write_text(logs)
    with pytest.raises(InputError, match=r"logs\.json"):
        states.restore(EXPECTED)


def test_a_state_of_the_version_before_is_read(tmp_path):
    folder = tmp_path / "epoch-000002"
    folder.mkdir()
    np.savez(folder / VARIABLES, **arrays(2))
    (folder / LOGS).write_text(json.dumps([{"loss": 1.0}, {"loss": 0.5}]))
    assert States(tmp_path).restore(EXPECTED).logs[1] == {"loss": 0.5}


def test_a_log_that_we_wrote_may_be_nan(tmp_path):
    states = States(tmp_path)
    states.save(arrays(1), [{"val_loss": float("nan")}])
    assert np.isnan(states.restore(EXPECTED).logs[0]["val_loss"])


def test_a_full_disk_is_one_line_and_the_last_state_stays(states, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("atk_latent.methods.states.np.savez", full)
    with pytest.raises(InputError, match=r"cannot write .*epoch-000004: No space .*Make room"):
        states.save(arrays(4), [{}] * 4)
    assert len(states.restore(EXPECTED).logs) == 3
