import os
import stat

import numpy as np
import pytest

from atk_latent import files
from atk_latent.checksums import note_files, noted_file
from atk_latent.errors import InputError
from atk_latent.files import FileKind, check_file, read_json, read_text

KIND = FileKind("run card", 100, "Do this")


def refused(reader, *arguments):
    with pytest.raises(InputError) as caught:
        reader(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_read_and_a_link_followed(tmp_path):
    (tmp_path / "a").write_text('{"b": [1, 2.5, null]}')
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert read_json(tmp_path / "link", KIND) == {"b": [1, 2.5, None]}


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "a pipe" in refused(check_file, tmp_path / "pipe", KIND)
    assert "a device" in refused(check_file, "/dev/zero", KIND)
    assert "is a folder, not a run card. Do this" in refused(check_file, tmp_path, KIND)
    assert "does not exist. Do this" in refused(check_file, tmp_path / "none", KIND)
    assert "does not exist" in refused(check_file, tmp_path / "pipe" / "x", KIND)
    assert "cannot be opened" in refused(check_file, tmp_path / "loop", KIND)
    assert "cannot be opened" in refused(check_file, tmp_path / ("x" * 300), KIND)
    assert "cannot be opened" in refused(check_file, "a\0b", KIND)


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.os, "open", denied)
    message = refused(check_file, tmp_path / "a", KIND)
    assert "permission denied" in message and "damaged" not in message and "room" not in message


def test_a_file_over_the_limit_is_not_read(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 101)
    assert "has 101 bytes; a run card has 100 at most" in refused(read_text, tmp_path / "a", KIND)


@pytest.mark.parametrize(
    "text", ["", "{", '{"a": NaN}', '{"a": 1e999}', "[" * 90, b"\xff\xfe", "9" * 99 + "e9999999"]
)
def test_what_is_no_finite_json_is_one_line(tmp_path, text):
    (tmp_path / "a").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert str(tmp_path / "a") in refused(read_json, tmp_path / "a", KIND)


def test_a_deep_json_file_is_no_recursion_error(tmp_path):
    (tmp_path / "a").write_text("[" * 100_000 + "]" * 100_000)
    assert "is no JSON" in refused(read_json, tmp_path / "a", FileKind("card", 10**6))


@pytest.mark.parametrize("name", ["a.json", "helpers/a.json"])
def test_a_noted_file_that_changed_is_refused(tmp_path, name):
    (tmp_path / "helpers").mkdir()
    for content in ("{}", "[]"):
        with noted_file(tmp_path, name) as part:
            part.write_text(content)
        assert read_text(tmp_path / name, KIND) == content
    (tmp_path / name).write_text("{}")
    assert "is damaged or was changed" in refused(read_text, tmp_path / name, KIND)
    (tmp_path / files.CHECKSUMS).unlink()
    assert read_text(tmp_path / name, KIND) == "{}"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "atk_latent/checksums/1"}'])
def test_a_damaged_list_of_checksums_is_no_reason_to_believe_a_file(tmp_path, text):
    (tmp_path / "a").write_text("{}")
    (tmp_path / files.CHECKSUMS).write_text(text)
    assert "checksums.json" in refused(read_text, tmp_path / "a", KIND)


def test_a_kill_between_file_and_note_leaves_a_file_that_can_be_read(tmp_path, monkeypatch):
    with noted_file(tmp_path, "a") as part:
        part.write_text("old")

    def killed(folder, sums):
        write(folder, sums)
        raise KeyboardInterrupt

    from atk_latent import checksums

    write = checksums._write
    monkeypatch.setattr(checksums, "_write", killed)
    with pytest.raises(KeyboardInterrupt), noted_file(tmp_path, "a") as part:
        part.write_text("new")
    assert read_text(tmp_path / "a", KIND) == "old"
    monkeypatch.setattr(checksums, "_write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt), noted_file(tmp_path, "a") as part:
        part.write_text("newer")
    assert read_text(tmp_path / "a", KIND) == "newer"


def test_noting_files_lists_them_alone(tmp_path):
    np.savez(tmp_path / "a.npz", x=1)
    note_files(tmp_path, ["a.npz"])
    assert list(files.read_checksums(tmp_path)) == ["a.npz"]
    assert stat.S_IMODE((tmp_path / files.CHECKSUMS).stat().st_mode) & 0o400
