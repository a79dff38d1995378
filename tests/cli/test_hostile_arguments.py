"""Arguments and names that break things elsewhere cost one line here."""

import errno
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from atk_latent.cli import _common
from atk_latent.cli.main import main
from tests.run_cards import CARD

TAGGED = "[red]x[/red] [/red] :smile:"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model and data: dark and bright 8x8 images."""
    folder = tmp_path_factory.mktemp("place")
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    model.set_weights([np.array([[0.0, 1.0]] * 64, np.float32), np.array([0.0, -32], np.float32)])
    model.save(folder / "model.keras")
    y = np.arange(20) % 2
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, (20, 8, 8, 1))
    x = (noise + 0.35 + 0.3 * y[:, None, None, None]).astype("f4")
    names = np.array(["dark", "bright"])
    np.savez(folder / "data.npz", x_train=x, y_train=y, x_test=x, y_test=y, class_names=names)
    return folder


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def evaluate(place, *more, target=None, data=None):
    target, data = target or place / "model.keras", data or place / "data.npz"
    return run("evaluate", target, "--data", data, "-a", "fgsm:eps=0.05", *more)


def one_line(result, *words):
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("Error: ") and "Traceback" not in line
    for word in words:
        assert word in line


LONG = "n" * 300
WRONG = {
    "an exponent": (["-a", "pgd:eps=1e400"], "eps"),
    "a huge exponent": (["-a", "pgd:eps=1e999999999"], "eps"),
    "no value": (["-a", "pgd:eps="], "setting 'eps' of 'pgd:eps=' has no value"),
    "a large seed": (["--seed", str(2**32)], "4294967295"),
    "a NUL byte": (["--surrogate", "a\0b"], "NUL byte: 'a\\x00b'"),
    "an empty out": (["--out", ""], "--out is empty"),
    "an empty out, in one": (["--out="], "--out= is empty"),
    "an empty store": (["--store", ""], "--store is empty"),
    "a place below /proc": (["--out", "/proc/x"], "cannot be written to"),
    "a long out": (["--out", LONG], "300 bytes"),
    "a long surrogate": (["--surrogate", LONG], "too long"),
    "a long suite": (["--suite", LONG + ".yaml"], "File name too long"),
    "a device without number": (["--device", "gpu:"], "--device must be auto, cpu or gpu:N"),
    "a superscript": (["--device", "gpu:²"], "--device must be"),
    "another script's digit": (["--device", "gpu:٣"], "--device must be"),
    "a negative device": (["--device", "gpu:-1"], "--device must be"),
    "an escape": (["--surrogate", "\x1b[31mred"], r"\x1b[31mred"),
    "a tag": (["--surrogate", TAGGED], TAGGED),
    "a limit below the classes": (["--limit", "1"], "--limit must leave one image for each of the"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_hostile_argument_is_one_line(place, kind):
    arguments, words = WRONG[kind]
    one_line(evaluate(place, *arguments), words)


@pytest.mark.parametrize("what", ["target", "data"])
@pytest.mark.parametrize("name", [LONG, f"{LONG}.npz", "/dev/zero", TAGGED, "\x1b]0;x\x07"])
def test_a_hostile_target_or_data_is_one_line(place, what, name):
    one_line(evaluate(place, **{what: name}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "is no JSON"),
        ('{"epochs": 0}', "setting 'epochs' must be at least 1"),
        ('{"epochs": ' + "9" * 5000 + "}", "is no JSON"),
        ('{"weight_decay": -1}', "'weight_decay' must be at least 0"),
        ('{"eps": NaN}', "NaN is no finite number"),
        ('{"eps": 1e400}', "1e400 is no finite number"),
        ('{"model": "a\\u0000b"}', "NUL byte"),
        ("[1]", "one JSON object"),
    ],
)
def test_a_hostile_config_is_one_line(place, tmp_path, text, words):
    (tmp_path / "c.json").write_text(text)
    arguments = ("--method", "pgd", "--data", place / "data.npz", "--out", tmp_path / "run")
    one_line(run("harden", *arguments, "--config", tmp_path / "c.json"), words)
    assert not (tmp_path / "run").exists()


def test_a_config_that_is_a_pipe_is_not_waited_for(place, tmp_path):
    os.mkfifo(tmp_path / "c.json")
    arguments = ("--method", "pgd", "--data", place / "data.npz", "--config", tmp_path / "c.json")
    one_line(run("harden", *arguments), "is a pipe")


def test_names_with_tags_and_escapes_are_printed_as_they_are(place, tmp_path):
    folder = tmp_path / "[red]x[" / "red] :smile:\x1b[31m"
    folder.mkdir(parents=True)
    target = folder / "model.keras"
    target.write_bytes((place / "model.keras").read_bytes())
    found = evaluate(place, "--surrogate", target, target=target)
    assert found.exit_code == 0, found.output
    shown = found.stdout.replace("\n", "")
    assert "[red]x[/red] :smile:\\x1b[31m/model.keras" in shown and "\x1b" not in found.stdout
    out = folder / "new" / "a.npz"
    found = run("attack", target, "--data", place / "data.npz", "-a", "fgsm:eps=0.05", "--out", out)
    assert found.exit_code == 0 and out.is_file(), found.output
    assert "\x1b" not in found.stdout


def test_folders_above_the_result_are_made_and_gone_where_nothing_came(place, tmp_path):
    out = tmp_path / "some" / "where" / "r.json"
    found = evaluate(place, "--out", out)
    assert found.exit_code == 0 and out.is_file()
    exported = tmp_path / "exported" / "model"
    arguments = (place / "model.keras", "--data", place / "data.npz", "--out", exported)
    assert run("export", *arguments).exit_code == 0 and (exported / "saved_model.pb").is_file()
    broken = tmp_path / "broken.keras"
    broken.write_text("no model")
    one_line(evaluate(place, "--out", tmp_path / "no" / "r.json", target=broken), "broken.keras")
    assert not (tmp_path / "no").exists()


def test_results_are_printed_even_if_the_disk_is_full(place, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("atk_latent.atomic.write_json", full)
    found = evaluate(place, "--json", "--out", tmp_path / "some" / "r.json")
    assert found.exit_code == 2 and json.loads(found.stdout)["n"] == 20
    assert found.stderr.strip() == (
        "Error: cannot read or write a file: No space left on device. "
        "Make room there, or choose another place"
    )
    assert not (tmp_path / "some").exists()


def test_a_place_that_may_not_be_written_asks_for_no_room(capsys):
    @_common.run_command
    def denied():
        raise PermissionError(errno.EACCES, "Permission denied", "here")

    with pytest.raises(SystemExit) as end:
        denied()
    assert end.value.code == 2
    assert "Permission denied" in (line := capsys.readouterr().err) and "room" not in line


def test_a_reader_that_leaves_costs_no_result(place, tmp_path):
    """`atkl evaluate ... --out r.json | head -1` is quiet, and the file is written."""
    command = f"{sys.executable} -m atk_latent.cli evaluate {place}/model.keras --data "
    command += f"{place}/data.npz -a fgsm:eps=0.05 --json --out {tmp_path}/r.json"
    shell = f"{command} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "0", done.stderr
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr
    assert json.loads((tmp_path / "r.json").read_text())["n"] == 20


def test_rich_tables_let_their_reader_go(monkeypatch):
    class Gone:
        def isatty(self):
            return False

        def write(self, _):
            raise BrokenPipeError

        def flush(self):
            raise BrokenPipeError

        def fileno(self):
            raise OSError("no number")

    monkeypatch.setattr(sys, "stdout", Gone())
    reached = []
    with _common.reader_may_leave():
        _common.console().print("x")
        reached.append("written")
    assert reached == []


def named(folder, names, place):
    """A run of the model whose card names the classes."""
    (folder / "run").mkdir(parents=True, exist_ok=True)
    (folder / "run" / "model.keras").write_bytes((place / "model.keras").read_bytes())
    card = {**CARD, "method": "natural", "class_names": names}
    (folder / "run" / "card.json").write_text(json.dumps(card))
    return folder / "run"


def swapped(place, folder):
    """The data with their classes in the other order."""
    with np.load(place / "data.npz") as data:
        fields = dict(data)
    for part in ("y_train", "y_test"):
        fields[part] = 1 - fields[part]
    fields["class_names"] = fields["class_names"][::-1]
    np.savez(folder / "swapped.npz", **fields)
    return folder / "swapped.npz"


def test_classes_are_matched_by_name(place, tmp_path):
    target, data = named(tmp_path, ["dark", "bright"], place), swapped(place, tmp_path)
    for one in (place / "data.npz", data):
        found = evaluate(place, "--json", target=target, data=one)
        record = json.loads(found.stdout)
        assert record["clean_accuracy"] == 1.0 and record["class_names"] == ["dark", "bright"]
        assert record["attacks"][0]["robust_accuracy"] == 1.0
    found = run("attack", target, "--data", data, "-a", "fgsm:eps=0.05", "--out",
                tmp_path / "a.npz", "--json")  # fmt: skip
    assert json.loads(found.stdout)["clean_accuracy"] == 1.0


def test_classes_of_other_names_are_refused(place, tmp_path):
    target = named(tmp_path, ["dark", "light"], place)
    one_line(evaluate(place, target=target), "knows the classes dark, light", "dark, bright")
    target = named(tmp_path, ["0", "1"], place)  # numbers are no names
    assert evaluate(place, target=target).exit_code == 0
    surrogate = named(tmp_path / "other", ["bright", "dark"], place)
    target = named(tmp_path, ["dark", "bright"], place)
    one_line(evaluate(place, "--surrogate", surrogate, target=target), "in this order")


def test_images_of_other_formats_are_told(tmp_path, place):
    from PIL import Image

    for name, grey in (("dark", 0), ("bright", 255)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for k in range(5):
            Image.new("L", (8, 8), grey).save(tmp_path / "images" / name / f"{k}.png")
        Image.new("L", (8, 8), grey).save(tmp_path / "images" / name / "more.webp")
    found = evaluate(place, data=tmp_path / "images")
    assert found.exit_code == 0, found.output
    assert "Note: 2 images are left out, such as" in found.stderr and "more.webp" in found.stderr


def test_a_saved_model_that_writes_needs_trust(place, tmp_path):
    import tensorflow as tf

    class Writes(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 1), tf.float32)])
        def serve(self, x):
            tf.io.write_file(str(tmp_path / "written"), "x")
            bright = tf.reduce_sum(x, (1, 2, 3)) - 32
            return tf.stack([tf.zeros_like(bright), bright], 1)

    module = Writes()
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"serve": module.serve})
    one_line(evaluate(place, target=tmp_path / "saved"), "WriteFile", "--trust")
    assert not (tmp_path / "written").exists()
    assert evaluate(place, "--trust", target=tmp_path / "saved").exit_code == 0
    assert (tmp_path / "written").exists()
