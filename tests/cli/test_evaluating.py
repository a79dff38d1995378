"""`atkl evaluate`, `atkl attack`, `atkl export`: what a user sees."""

import json
import subprocess
import sys

import jsonschema
import keras
import numpy as np
import pytest
from click.testing import CliRunner

from atk_latent.cli import _common
from atk_latent.cli.attack import attack_command
from atk_latent.cli.evaluate import evaluate_command
from atk_latent.cli.export import export_command
from atk_latent.cli.list import list_names
from atk_latent.errors import InputError
from atk_latent.evaluation import runner
from atk_latent.results.schemas import schema
from tests.run_cards import write_card

COMMANDS = {"evaluate": evaluate_command, "attack": attack_command, "export": export_command}


def call(command, *arguments):
    return CliRunner().invoke(COMMANDS[command], [str(a) for a in arguments])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a run, a model file and data: dark and bright 8x8 images."""
    folder = tmp_path_factory.mktemp("place")
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    model.set_weights([np.array([[0.0, 1.0]] * 64, np.float32), np.array([0.0, -32], np.float32)])
    model.save(folder / "model.keras")
    (folder / "run").mkdir()
    model.save(folder / "run" / "model.keras")
    write_card(folder / "run", "natural")
    rng = np.random.default_rng(0)
    y = np.arange(20) % 2
    x = (rng.uniform(-0.1, 0.1, (20, 8, 8, 1)) + 0.35 + 0.3 * y[:, None, None, None]).astype("f4")
    np.savez(folder / "data.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    return folder


def test_evaluate_prints_one_json_object_with_the_fields(place, tmp_path):
    out = tmp_path / "r.json"
    found = call(
        *("evaluate", place / "run", "--data", place / "data.npz", "--json", "--out", out),
        *("--attack", "fgsm:eps=0.05", "--attack", "pgd:eps=0.2,steps=3", "--limit", 10),
    )
    assert found.exit_code == 0, found.output
    record = json.loads(found.stdout)
    assert record == json.loads(out.read_text())
    assert (record["n"], record["clean_accuracy"]) == (10, 1.0)
    assert [a["robust_accuracy"] for a in record["attacks"]] == [1.0, 0.0]
    assert [a["threat"] for a in record["attacks"]] == ["white-box, Linf"] * 2


def test_evaluate_prints_tables_and_keeps_transfer_apart(place):
    found = call(
        *("evaluate", place / "model.keras", "--data", place / "data.npz", "--limit", 4),
        *("--attack", "fgsm:eps=0.05", "--surrogate", place / "run"),
    )
    assert found.exit_code == 0, found.output
    assert "Transfer from" in found.stdout and "Attacks on the model itself" not in found.stdout
    assert "clean accuracy 1.0000" in found.stdout and "[" in found.stdout


def test_gate_not_met_exits_with_three_and_writes_the_result(place, tmp_path):
    out = tmp_path / "r.json"
    arguments = ("evaluate", place / "run", "--data", place / "data.npz", "--limit", 4)
    found = call(*arguments, "-a", "fgsm:eps=0.2", "--fail-under", "fgsm=0.5", "--out", out)
    assert found.exit_code == 3
    assert "gate not met: fgsm" in found.stderr and out.exists()
    found = call(*arguments, "-a", "fgsm:eps=0.05", "--fail-under", "fgsm=0.5")
    assert found.exit_code == 0


def test_a_gate_is_on_the_interval_or_on_the_accuracy_alone(place):
    """4 of 4: the interval begins at 0.51."""
    arguments = ("evaluate", place / "run", "--data", place / "data.npz", "--limit", 4)
    gate = (*arguments, "-a", "fgsm:eps=0.05", "--fail-under", "fgsm=0.9")
    found = call(*gate)
    assert found.exit_code == 3
    assert "the accuracy reaches 0.9" in found.stderr and "more images narrow it" in found.stderr
    assert call(*gate, "--gate-on", "accuracy").exit_code == 0


SUITE = """
description: what the tests need
variables: {eps: {28x28x1: 0.3, other: 0.05}, gan: }
source: Paper, Table 2
attacks:
  - {attack: clean, published: 0.98}
  - {attack: "fgsm:eps={eps}", published: {place: 0.5, other: 0.6}}
  - {attack: "fgsm:eps=0.2", surrogate: none}
  - {attack: "song:gan={gan}", optional: true}
"""


@pytest.fixture
def suite(tmp_path):
    (tmp_path / "mine.yaml").write_text(SUITE.replace("place:", "data:"))
    return tmp_path / "mine.yaml"


def test_a_suite_of_ones_own_on_several_surrogates(place, suite):
    surrogates = ("--surrogate", place / "run", "--surrogate", place / "model.keras")
    arguments = ("evaluate", place / "run", "--data", place / "data.npz", "--suite", suite)
    found = call(*arguments, *surrogates, "--json")
    assert found.exit_code == 0, found.output
    assert found.stderr.strip() == (
        "song:gan={gan} is left out: it needs 'gan', give it with --set gan=..."
    )
    record = json.loads(found.stdout)
    jsonschema.validate(record, schema("evaluation"))
    assert (record["suite"], record["skipped"]) == ("mine", found.stderr.splitlines())
    assert record["clean_published"] == {"value": 0.98, "source": "Paper, Table 2"}
    attacks = record["attacks"]
    assert [(a["spec"], a["surrogate"]) for a in attacks] == [
        ("fgsm:eps=0.05", str(place / "run")),
        ("fgsm:eps=0.05", str(place / "model.keras")),
        ("fgsm:eps=0.2", None),
    ]
    assert [a.get("published", {}).get("value") for a in attacks] == [0.5, 0.5, None]
    found = call(*arguments, *surrogates, "--set", "eps=0.01")
    assert found.exit_code == 0, found.output
    assert "published: Paper, Table 2" in found.stdout and "0.01" in found.stdout
    assert found.stdout.count("Transfer from") == 2


def test_the_record_says_what_became_of_every_image(place, tmp_path):
    out = tmp_path / "r.json"
    found = call(
        *("evaluate", place / "run", "--data", place / "data.npz", "--out", out),
        *("-a", "fgsm:eps=0.15", "-a", "fgsm:eps=0.05", "--limit", 10, "--batch-size", 4),
    )
    assert found.exit_code == 0, found.output
    record = json.loads(out.read_text())
    jsonschema.validate(record, schema("evaluation"))
    assert record["suite"] is None and record["class_names"] == ["0", "1"]
    clean, labels = record["clean_predictions"], record["labels"]
    for attack in record["attacks"]:
        robust = [a == b == c for a, b, c in zip(clean, labels, attack["predictions"], strict=True)]
        assert sum(robust) / 10 == attack["robust_accuracy"]
        broken = [index for index, right in enumerate(robust) if not right]
        rest = [index for index, right in enumerate(robust) if right]
        assert [e["index"] for e in attack["examples"]] == (broken + rest)[:8]
    assert len(record["attacks"][1]["examples"]) == 8  # of robust images


def test_suites_are_listed():
    names = json.loads(CliRunner().invoke(list_names, ["suites", "--json"]).stdout)["suites"]
    assert {"atld-static", "ladder", "transfer", "budgets", "fast", "full"} <= set(names)
    assert "LADDER's Tables" in CliRunner().invoke(list_names, ["suites"]).stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("attacks: [pgdd]", "Did you mean 'pgd'"),
        ("attacks: fgsm", "attacks must be a list of attacks. Received: 'fgsm'"),
        ("attacks: [", "is not YAML"),
        ("needs: [surrogate]\nattacks: [fgsm]", "--surrogate RUN"),
        ("attacks: ['pgd:epz=1']", "Did you mean 'eps'"),
    ],
)
def test_a_wrong_suite_is_one_line(place, tmp_path, text, message):
    (tmp_path / "mine.yaml").write_text(text)
    arguments = ("--data", place / "data.npz", "--suite", tmp_path / "mine.yaml")
    found = call("evaluate", place / "run", *arguments)
    assert found.exit_code == 2 and found.stdout == ""
    assert message in found.stderr and len(found.stderr.strip().splitlines()) == 1


def test_attack_writes_the_arrays(place, tmp_path):
    out = tmp_path / "a.npz"
    found = call(
        *("attack", place / "run", "--data", place / "data.npz", "--limit", 6, "--json"),
        *("--attack", "fgsm:eps=0.2", "--out", out, "--split", "train", "--batch-size", 4),
    )
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["robust_accuracy"] == 0.0
    with np.load(out) as arrays, np.load(place / "data.npz") as data:
        assert set(arrays) == {"x_adv", "x", "y", "index", "predictions"}
        np.testing.assert_array_equal(arrays["x"], data["x_train"][arrays["index"]])
        np.testing.assert_array_equal(arrays["y"], data["y_train"][arrays["index"]])
        assert (arrays["predictions"] != arrays["y"]).all() and len(arrays["y"]) == 6
        assert np.abs(arrays["x_adv"] - arrays["x"]).max() == pytest.approx(0.2, abs=1e-5)


def test_export_then_evaluate_the_saved_model(place, tmp_path):
    out = tmp_path / "sm"
    found = call("export", place / "run", "--data", place / "data.npz", "--out", out, "--json")
    assert found.exit_code == 0, found.output
    record = json.loads(found.stdout)
    assert record["max_difference"] <= 1e-4 and (out / "card.json").is_file()
    found = call(
        *("evaluate", out, "--data", place / "data.npz", "--limit", 4, "--json"),
        *("--attack", "fgsm:eps=0.2"),
    )
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["attacks"][0]["robust_accuracy"] == 0.0


WRONG = {
    "unknown attack": (("--attack", "pgdd"), "Did you mean 'pgd'"),
    "unknown setting": (("--attack", "pgd:epz=1"), "Did you mean 'eps'"),
    "negative eps": (("--attack", "pgd:eps=-1"), "greater than 0"),
    "gate not run": (("--attack", "fgsm", "--fail-under", "pgd=0.1"), "not run"),
    "gate not a number": (("--fail-under", "pgd=x"), "must be a number"),
    "out is a folder": (("--out", "."), "is a folder"),
    "out in a file": (("--out", "setup.py/r.json"), "cannot be written to"),
    "out exists": (("--out", "setup.py"), "exists already"),
    "device": (("--device", "tpu"), "auto, cpu or gpu:N"),
    "limit": (("--limit", "1"), "one image for each"),
    "suite": (("--suite", "lader"), "Did you mean 'ladder'"),
    "suite file": (("--suite", "no.yaml"), "does not exist"),
    "suite needs": (("--suite", "transfer"), "needs surrogate"),
    "variable": (("--suite", "fast", "--set", "epz=1"), "no such variable. Known: eps"),
    "set without suite": (("--set", "eps=1"), "name one with --suite"),
}


@pytest.mark.parametrize("case", WRONG)
def test_evaluate_says_what_is_wrong_in_one_line(place, tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "setup.py").write_text("")
    arguments, message = WRONG[case]
    found = call("evaluate", place / "run", "--data", place / "data.npz", *arguments)
    assert found.exit_code == 2
    assert message in found.stderr and found.stdout == ""
    assert len(found.stderr.strip().splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["setup.py"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate", "nothing.keras", "--data", "digits"), "no model"),
        (("evaluate", "run", "--data", "nothing"), "nothing"),
        (("attack", "run", "--data", "data.npz", "-a", "fgsm", "--out", "a.txt"), ".npz"),
        (("attack", "run", "--data", "data.npz", "-a", "fgsn", "--out", "a.npz"), "'fgsm'"),
        (("export", "run", "--data", "data.npz", "--out", "."), "not empty"),
        (("export", "run", "--data", "data.npz", "--out", "model.keras"), "exists already"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(place, monkeypatch, arguments, message):
    monkeypatch.chdir(place)
    before = sorted(place.iterdir())
    found = call(*arguments)
    assert found.exit_code == 2, found.output
    assert message in found.stderr and len(found.stderr.strip().splitlines()) == 1
    assert sorted(place.iterdir()) == before


def test_force_replaces_the_file(place, tmp_path):
    out = tmp_path / "r.json"
    out.write_text("old")
    found = call(
        *("evaluate", place / "run", "--data", place / "data.npz", "--limit", 2, "--force"),
        *("-a", "fgsm:eps=0.1", "--out", out),
    )
    assert found.exit_code == 0, found.output
    assert json.loads(out.read_text())["n"] == 2


@pytest.mark.parametrize(
    ("error", "code"), [(InputError("two\nlines"), 2), (KeyboardInterrupt(), 130)]
)
def test_run_command_ends_with_one_line(error, code, capsys):
    @_common.run_command
    def command():
        raise error

    with pytest.raises(SystemExit) as end:
        command()
    assert end.value.code == code
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.strip().splitlines()) == 1


def test_run_command_lets_a_bug_through():
    @_common.run_command
    def command():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        command()


def test_default_attacks_are_in_the_help():
    assert "0.3" in call("evaluate", "--help").output
    assert "8/255" in call("evaluate", "--help").output


def test_a_process_of_its_own_keeps_stdout_and_stderr_clean(place):
    code = (
        "from atk_latent.cli.evaluate import evaluate_command as c;"
        f"c(['{place}/run','--data','{place}/data.npz','--json','-a','fgsm:eps=0.1'])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["n"] == 20
    assert found.stderr == ""


def test_a_wrong_attack_is_refused_without_importing_tensorflow(place):
    code = (
        "import sys; from click.testing import CliRunner;"
        "from atk_latent.cli.evaluate import evaluate_command as c;"
        f"r = CliRunner().invoke(c, ['{place}/run','--data','{place}/data.npz','-a','x']);"
        "sys.exit(0 if r.exit_code == 2 and 'tensorflow' not in sys.modules else 1)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_store_keeps_what_was_attacked_and_gives_it_again(place, tmp_path, monkeypatch):
    arguments = (
        *("evaluate", place / "model.keras", "--data", place / "data.npz", "--json"),
        *("--attack", "fgsm:eps=0.2", "--store", tmp_path / "store"),
    )
    first = call(*arguments)
    assert first.exit_code == 0, first.output
    assert list((tmp_path / "store").glob("*/*.npz"))
    monkeypatch.setattr(runner, "_attacked", lambda *_: pytest.fail("attacked again"))
    assert json.loads(call(*arguments).stdout)["attacks"] == json.loads(first.stdout)["attacks"]
