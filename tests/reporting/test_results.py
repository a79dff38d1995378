"""What a result file is, and what a wrong one is told."""

import copy
import json
from pathlib import Path

import jsonschema
import pytest

from atk_latent.errors import InputError
from atk_latent.evaluation.result import SCHEMAS
from atk_latent.reporting.results import (
    Audit,
    Comparison,
    Evaluation,
    Run,
    kind_of,
    kinds,
    read_result,
    read_results,
    schema,
)

KINDS = {"evaluation": Evaluation, "audit": Audit, "comparison": Comparison, "card": Run}


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_is_as_its_schema_says_and_is_known_by_it(kind, files):
    jsonschema.Draft202012Validator.check_schema(schema(kind))
    record = json.loads(files[kind].read_text())
    jsonschema.validate(record, schema(kind))
    assert schema(kind)["$id"] == record["schema"] == SCHEMAS[kind]
    assert type(read_result(files[kind])) is KINDS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_an_older_file_is_known_by_its_fields(kind, files, write):
    record = json.loads(files[kind].read_text())
    del record["schema"], record["date"]
    result = read_result(write("older.json", record))
    assert type(result) is KINDS[kind]
    assert len(result.date) == len("2026-01-31")


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
        (("clean_accuracy",), 98.9, "clean_accuracy must be from 0 to 1, not 98.9"),
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


def test_a_missing_field_is_named(evaluation, write):
    del evaluation["attacks"][0]["threat"]
    with pytest.raises(InputError, match=r"attacks\[0\] lacks the field 'threat'"):
        read_result(write("wrong.json", evaluation))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as a JSON result"),
        ('{"n": NaN}', "NaN is no JSON number"),
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
    found = read_result(write("e.json", told_evaluation))
    assert found.measurements[0].predictions == (0, 1, 1, 1, 2, 2)
    assert [e.held for e in found.measurements[0].examples] == [False, True, False]
    assert (found.class_name(2), found.class_name(3)) == ("fox", "3")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("labels",), [0] * 5, "labels must hold one class for each of the 6 images, not 5"),
        (("clean_predictions",), [0] * 7, "clean_predictions must hold one class"),
        (("attacks", 1, "predictions"), [0], r"attacks\[1\]: predictions must hold one class"),
        (("attacks", 0, "predictions"), [10**9] * 6, "predictions must hold classes below 5,000"),
        (("attacks", 0, "examples", 2, "image"), "%%", r"examples\[2\]: image must be a PNG"),
        (("attacks", 0, "examples", 0, "adversarial"), "R0lGODlh", "adversarial must be a PNG"),
    ],
)
def test_images_and_their_classes_must_fit(told_evaluation, write, path, value, message):
    with pytest.raises(InputError, match=message):
        read_result(write("wrong.json", _set(told_evaluation, path, value)))


def test_a_binary_file_a_missing_one_and_an_empty_folder_are_refused(tmp_path):
    (tmp_path / "x.png").write_bytes(b"\x89PNG\xff")
    for path in (tmp_path / "x.png", tmp_path / "none.json"):
        with pytest.raises(InputError, match="cannot be read"):
            read_result(path)
    with pytest.raises(InputError, match="neither card.json"):
        read_result(tmp_path)


def test_a_folder_is_its_card_and_the_request_tells_what_was_asked_for(write, card):
    write("run/card.json", card)
    assert read_result(write("run/card.json", card).parent).overrides is None
    folder = write("run/request.json", {"overrides": {"examples": "fresh"}}).parent
    assert read_result(folder).overrides == {"examples": "fresh"}
    write("run/card.json", {**card, "overrides": {"epochs": 3}})
    assert read_result(folder).overrides == {"epochs": 3}


def test_a_folder_of_a_comparison_is_its_result(write, comparison):
    assert isinstance(read_result(write("c/result.json", comparison).parent), Comparison)


def test_the_same_file_is_read_once(files):
    assert len(read_results([files["audit"], files["audit"], files["card"]])) == 2


@pytest.mark.parametrize(
    ("threat", "name", "direct"),
    [
        ("white-box, Linf", "White-box", True),
        ("white-box on its own latents, unbounded in pixels", "White-box", True),
        ("score-based, L2", "Score-based", True),
        ("decision-based, Linf", "Decision-based", True),
        ("transfer from Runs/A (white-box there, Linf)", "Transfer from Runs/A", False),
        ("static: white-box, Linf, unaware of IMT", "Static, white-box", False),
        ("static: decision-based, Linf, unaware of IMT", "Static, decision-based", False),
        ("adaptive: white-box through IMT (BPDA), Linf", "Adaptive", True),
        ("psychic, Linf", "Psychic, linf", True),
    ],
)
def test_a_threat_model_has_a_kind(threat, name, direct):
    kind = kind_of(threat)
    assert (kind.name, kind.direct) == (name, direct)


def test_kinds_part_what_must_not_be_mixed(files):
    found = dict(kinds(read_result(files["evaluation"]).measurements))
    assert {kind.name: len(ms) for kind, ms in found.items()} == {
        "White-box": 3,
        "Transfer from runs/vanilla": 1,
    }


def test_a_comparison_measures_rows_and_takes_the_radius_from_the_spec(files):
    found = read_result(files["comparison"]).measurements
    assert [(m.target, m.attack, m.eps) for m in found] == [
        ("PGD & Co", "PGD-20", 0.3),
        ("PGD & Co", "moved", 0.3),
        ("Natural", "PGD-20", 0.3),
        ("Natural", "moved", 0.3),
    ]
    assert found[0].clean.value == 0.95
    assert found[0].label == "PGD-20, eps 0.3, steps=20"


def test_every_shipped_card_is_read():
    for path in Path(__file__).parents[2].glob("saved_models/*/card.json"):
        jsonschema.validate(json.loads(path.read_text()), schema("card"))
        assert isinstance(read_result(path.parent), Run)
