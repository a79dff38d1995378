"""What a result file is, and what a wrong one is told."""

import copy
import dataclasses
import json
import os
from pathlib import Path

import jsonschema
import pytest

import atk_latent.results.files as files_module
from atk_latent.atomic import write_json
from atk_latent.errors import InputError
from atk_latent.results.audit import Audit
from atk_latent.results.card import Card
from atk_latent.results.comparison import Comparison
from atk_latent.results.evaluation import Evaluation
from atk_latent.results.files import KINDS, read_result, read_results, write_result
from atk_latent.results.schemas import schema, schema_files
from tests.result_files import version_1

TYPES = {"evaluation": Evaluation, "audit": Audit, "comparison": Comparison, "card": Card}


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_is_as_its_schema_says_and_is_known_by_it(kind, files):
    jsonschema.Draft202012Validator.check_schema(schema(kind))
    record = json.loads(files[kind].read_text())
    jsonschema.validate(record, schema(kind))
    assert schema(kind)["$id"] == record["schema"] == KINDS[kind].schema
    assert type(read_result(files[kind]).result) is TYPES[kind]


def test_the_schemas_beside_the_code_are_current():
    """Write them again with `python -m atk_latent.results.schemas`."""
    written = {path: path.read_text() for path in next(iter(schema_files())).parent.iterdir()}
    assert written == schema_files()


@pytest.mark.parametrize("kind", KINDS)
def test_an_older_file_is_known_by_its_fields(kind, files, write):
    record = version_1(json.loads(files[kind].read_text()))
    del record["schema"], record["date"]
    result = read_result(write("older.json", record)).result
    assert type(result) is TYPES[kind]
    assert len(result.date) == len("2026-01-31")


@pytest.mark.parametrize("kind", [*KINDS, "told"])
def test_a_file_is_written_as_it_was_read_whatever_its_version(kind, files, write, tmp_path):
    record = json.loads(files[kind].read_text())
    for content in (record, version_1(record)):
        read = read_result(write("in.json", content)).result
        write_result(tmp_path / "out.json", read)
        assert json.loads((tmp_path / "out.json").read_text()) == record


def _set(record, path, value):
    changed = copy.deepcopy(record)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("n",), "many", "n must be of type integer, not 'many'"),
        (("n",), True, "n must be of type integer, not True"),
        (("n",), 0, "n must be at least 1, not 0"),
        (("clean_accuracy",), 98.9, "clean_accuracy must be at most 1, not 98.9"),
        (("attacks", 1, "low"), None, r"attacks\[1\]: low must be of type number, not None"),
        (("attacks", 0), 5, r"attacks\[0\] must be of type object, not 5"),
        (("versions", "keras"), 3, "keras must be of type string"),
        (("schema",), "atk_latent/evaluation/9", "schema 'atk_latent/evaluation/9' is not known"),
        (("schema",), [], r"schema \[\] is not known"),
    ],
)
def test_a_wrong_field_is_named_and_jsonschema_agrees(evaluation, write, path, value, message):
    wrong = _set(evaluation, path, value)
    with pytest.raises(InputError, match=message):
        read_result(write("wrong.json", wrong))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema("evaluation"))


def test_a_missing_field_is_named(evaluation, comparison, write):
    old = version_1(comparison)
    del old["rows"][1]["cells"][2]["threat"]
    with pytest.raises(InputError, match=r"rows\[1\]: cells\[2\] lacks the field 'threat'$"):
        read_result(write("wrong.json", old))
    old = version_1(evaluation)
    del old["attacks"][0]["threat"]
    with pytest.raises(InputError, match=r"attacks\[0\] lacks the field 'threat'$"):
        read_result(write("wrong.json", old))
    del evaluation["attacks"][0]["threat_model"]
    with pytest.raises(InputError, match=r"attacks\[0\] lacks the field 'threat_model'"):
        read_result(write("wrong.json", evaluation))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("rows", 0), 5, r"rows\[0\] must be of type object, not 5"),
        (("rows",), "x", "rows must be of type array, not 'x'"),
        (("rows", 1, "cells"), {}, r"rows\[1\]: cells must be of type array, not {}"),
        (("rows", 1, "cells", 0), [], r"cells\[0\] must be of type object, not \[\]"),
        (("rows", 1, "cells", 0, "threat"), 3, r"cells\[0\]: threat must be of type string, not 3"),
        (("columns", 0), None, r"columns\[0\] must be of type object, not None"),
    ],
)
def test_a_wrong_file_of_version_1_is_told_where(comparison, write, path, value, message):
    with pytest.raises(InputError, match=message):
        read_result(write("wrong.json", _set(version_1(comparison), path, value)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ('{"n": NaN}', "NaN is no finite number"),
        ("[1]", r"one JSON object .* not \[1\]"),
        ('{"colour": 1}', r"no result. Expected: .*It has \['colour'\]"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path, text, message):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_result(tmp_path / "x.json")


def test_a_record_that_tells_each_image_is_as_its_schema_says(told_evaluation, write):
    jsonschema.validate(told_evaluation, schema("evaluation"))
    found = read_result(write("e.json", told_evaluation)).result
    assert found.attacks[0].predictions == (0, 1, 1, 1, 2, 2)
    assert [e.is_robust for e in found.attacks[0].examples] == [False, True, False]
    assert [e.is_flipped for e in found.attacks[0].examples] == [True, False, False]
    assert (found.class_name(2), found.class_name(3)) == ("fox", "3")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("labels",), [0] * 5, "labels must hold one class for each of the 6 images, not 5"),
        (("clean_predictions",), [0] * 7, "clean_predictions must hold one class"),
        (("attacks", 1, "predictions"), [0], r"attacks\[1\]: predictions must hold one class"),
        (
            ("attacks", 0, "predictions"),
            [10**9] * 6,
            r"predictions\[0\] must be below 5,000, not 1000000000",
        ),
        (("attacks", 0, "examples", 2, "image"), "%%", r"examples\[2\]: image must be a PNG"),
        (("attacks", 0, "examples", 0, "adversarial"), "R0lGODlh", "adversarial must be a PNG"),
    ],
)
def test_images_and_their_classes_must_fit(told_evaluation, write, path, value, message):
    with pytest.raises(InputError, match=message):
        read_result(write("wrong.json", _set(told_evaluation, path, value)))


@pytest.mark.parametrize(
    ("kind", "path", "value", "message"),
    [
        ("told", ("clean_accuracy",), 0.6, "clean_accuracy must be that of the predictions"),
        ("told", ("attacks", 1, "robust_accuracy"), 0.8, r"attacks\[1\]: robust_accuracy must be"),
        (
            "told",
            ("attacks", 0, "predictions"),
            [0] * 6,
            "robust_accuracy must be that of the pred",
        ),
        (
            "told",
            ("labels",),
            [2] * 6,
            "clean_accuracy must be that of the predictions in the file, 0",
        ),
        ("told", ("attacks", 0, "n"), 7, r"attacks\[0\]: n must be the 6 of the file, not 7"),
        ("told", ("attacks", 0, "examples", 0, "index"), 6, r"examples\[0\] shows none of the"),
        ("told", ("attacks", 0, "examples", 0, "label"), 2, r"examples\[0\] shows none of the"),
        ("evaluation", ("attacks", 0, "low"), 0.9, r"robust_accuracy 0.6 must lie in its interval"),
        ("evaluation", ("clean_high",), 0.1, "clean_accuracy 0.99 must lie in its interval"),
        (
            "comparison",
            ("rows", 0, "cells", 0, "high"),
            0.1,
            "accuracy 0.95 must lie in its interval",
        ),
        ("audit", ("passed",), True, "passed must be false, as its parts say, not True"),
    ],
)
def test_numbers_that_contradict_each_other_are_refused(files, write, kind, path, value, message):
    wrong = _set(json.loads(files[kind].read_text()), path, value)
    with pytest.raises(InputError, match=message) as refused:
        read_result(write("wrong.json", wrong))
    assert "\n" not in str(refused.value)


def test_what_has_no_end_is_not_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "run").mkdir()
    for path in (tmp_path / "pipe.json", Path("/dev/zero")):
        with pytest.raises(InputError, match="is a pipe, a device"):
            read_result(path)
    small = dataclasses.replace(files_module.RESULT, limit=10)
    monkeypatch.setattr(files_module, "RESULT", small)
    (tmp_path / "large.json").write_text("{}" + " " * 20)
    with pytest.raises(InputError, match="has 22 bytes; a JSON result has 10 at most"):
        read_result(tmp_path / "large.json")


@pytest.mark.parametrize("number", ["1e400", "-1e999", "1" * 5000])
def test_a_number_that_no_float_holds_is_refused(tmp_path, number):
    (tmp_path / "x.json").write_text(f'{{"n": {number}}}')
    with pytest.raises(InputError, match="is no JSON"):
        read_result(tmp_path / "x.json")


def test_a_name_that_is_no_utf_8_is_written_and_read(evaluation, tmp_path):
    """A file name may hold any byte; Python has lone surrogates for those."""
    named = Evaluation.from_json({**evaluation, "target": "runs/\udcff\x1b[31m"}, "here")
    assert named.target == "runs/\\udcff\x1b[31m"
    write_json(tmp_path / "e.json", {**evaluation, "target": "runs/\udcff"})
    assert read_result(tmp_path / "e.json").result.target == "runs/\\udcff"


def _mutations(record):
    """Values of a JSON record, each changed to a few others, and each field left out."""

    def places(value, path=()):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in inner:
            yield (*path, key)
            if isinstance(part, dict | list):
                yield from places(part, (*path, key))

    others = (None, "x", -1, 1e308, True, [], {}, [[]], 10**30, "\ud800", "=1+1")
    for path in places(record):
        for value in others:
            yield path, value


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, "told"])
def test_every_value_changed_is_one_line_or_a_sound_record(kind, files, write):
    """Thousands of records with one value of another kind: refused in a line, or read."""
    record, cases = json.loads(files[kind].read_text()), 0
    for path, value in _mutations(record):
        cases += 1
        try:
            result = read_result(write("m.json", _set(record, path, value))).result
        except InputError as error:
            assert "\n" not in str(error) and "m.json" in str(error)
        else:
            write_result(write("m.json", {}), result)
    assert cases > 250


def test_a_binary_file_a_missing_one_and_an_empty_folder_are_refused(tmp_path):
    (tmp_path / "x.png").write_bytes(b"\x89PNG\xff")
    for name, problem in (("x.png", "is no JSON result"), ("none.json", "does not exist")):
        with pytest.raises(InputError, match=f"{name} {problem}"):
            read_result(tmp_path / name)
    with pytest.raises(InputError, match="neither card.json"):
        read_result(tmp_path)


def test_a_folder_is_its_card_and_the_request_tells_what_was_asked_for(write, card):
    write("run/card.json", card)
    assert read_result(write("run/card.json", card).parent).result.overrides is None
    folder = write("run/request.json", {"overrides": {"examples": "fresh"}}).parent
    assert read_result(folder).result.overrides == {"examples": "fresh"}
    write("run/card.json", {**card, "overrides": {"epochs": 3}})
    assert read_result(folder).result.overrides == {"epochs": 3}


def test_a_folder_of_a_comparison_is_its_result(write, comparison):
    assert isinstance(read_result(write("c/result.json", comparison).parent).result, Comparison)


def test_the_same_file_is_read_once(files):
    assert len(read_results([files["audit"], files["audit"], files["card"]])) == 2


SHIPPED = [
    path
    for pattern in ("saved_models/*/card.json", "reproduced/*/*.json")
    for path in Path(__file__).parents[2].glob(pattern)
    if path.name != "figures.json"
]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_shipped_file_is_read_and_nothing_of_it_is_lost(path):
    """Only the words of LADDER's threat models changed since version 1."""
    before, after = json.loads(path.read_text()), read_result(path).result.to_json()
    jsonschema.validate(after, schema(after["schema"].split("/")[1]))
    assert lost(before, after) == set()


def lost(before, after, place=""):
    """The places whose value in `before` is not that of `after`."""
    if isinstance(before, dict):
        return {p for k, v in before.items() for p in lost(v, after.get(k, ...), f"{place}.{k}")}
    if isinstance(before, list):
        pairs = zip(before, after, strict=True)
        return {p for b, a in pairs for p in lost(b, a, place)}
    reworded = isinstance(before, str) and before.endswith("LADDER examples")
    return set() if before == after or place == ".schema" or reworded else {place}
