import json

import numpy as np
import pydantic
import pytest

from atk_latent import atomic
from atk_latent.errors import InputError
from atk_latent.results.accuracy import Accuracy, wilson_interval
from atk_latent.results.attack_result import Published
from atk_latent.results.card import Card
from atk_latent.results.comparison import Cell, Column, Comparison, Row
from atk_latent.results.provenance import versions
from atk_latent.results.threat import ThreatModel
from tests.result_files import WHITE, attacked, ball, evaluated


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [  # R: prop.test(correct, n, correct = FALSE)
        (0, 10, 0.0, 0.2775328),
        (5, 10, 0.2365931, 0.7634069),
        (10, 10, 0.7224672, 1.0),
        (81, 263, 0.2552855, 0.3661994),  # Newcombe 1998, table I
    ],
)
def test_wilson_interval_has_the_published_values(correct, n, low, high):
    assert wilson_interval(correct, n) == pytest.approx((low, high), abs=2e-5)


@pytest.mark.parametrize(("correct", "n"), [(0, 1), (1, 1), (3, 7), (499, 500), (9999, 10000)])
def test_wilson_interval_agrees_with_scipy(correct, n):
    stats = pytest.importorskip("scipy.stats")
    wanted = stats.binomtest(correct, n).proportion_ci(method="wilson")
    assert wilson_interval(correct, n) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_no_image_has_no_interval():
    with pytest.raises(InputError, match="0 came"):
        Accuracy.of([])


def test_accuracy_counts():
    accuracy = Accuracy.of(np.array([True, False, True, True]))
    assert (accuracy.value, accuracy.n) == (0.75, 4)
    assert accuracy.low < 0.75 < accuracy.high


def test_record_has_the_fields_of_the_design_page():
    record = evaluated("run", "digits", (2, 4), [attacked("pgd:eps=0.3", ball(WHITE, 0.3), 2, n=4)])
    record = json.loads(atomic.json_text(record))
    assert {"target", "data", "n", "clean_accuracy", "attacks"} <= set(record)
    wanted = {"attack", "threat", "inference", "robust_accuracy", "low", "high", "linf", "l2"}
    (attack,) = record["attacks"]
    assert wanted | {"seconds"} <= set(attack)
    assert (attack["threat"], attack["eps"], attack["surrogate"]) == ("white-box, Linf", 0.3, None)
    assert record["seed"] == 3 and "tensorflow" in record["versions"]
    assert not {"labels", "clean_predictions", "class_names"} & set(record)
    assert not {"predictions", "examples", "published"} & set(attack)


def test_record_holds_the_single_images_and_what_was_published():
    published = Published(value=0.3, source="Paper, Table 2")
    result = attacked("pgd", WHITE, 1, n=3, predictions=(0, 1, 0), published=published)
    record = evaluated(
        "run", "digits", (2, 3), [result], labels=(0, 0, 1), clean_predictions=(0, 0, 0),
        suite="fast", class_names=("a", "b"),
    )  # fmt: skip
    assert record["suite"] == "fast" and record["class_names"] == ["a", "b"]
    assert record["attacks"][0]["published"] == {"value": 0.3, "source": "Paper, Table 2"}
    answers = (record["clean_predictions"], record["labels"], record["attacks"][0]["predictions"])
    robust = [before == label == after for before, label, after in zip(*answers, strict=True)]
    assert robust == [True, False, False] and sum(robust) / 3 == result.robust_accuracy
    assert "predictions" not in result.without_images().to_json()


def test_a_record_does_not_change_and_refuses_wrong_types():
    result = attacked("pgd", WHITE, 1, n=3)
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        result.n = 4
    for wrong in ({"n": "3"}, {"n": True}, {"robust_accuracy": float("nan")}, {"attack": 3}):
        with pytest.raises(pydantic.ValidationError):
            type(result)(**{**dict(result), **wrong})


def test_settings_and_metrics_are_what_json_has():
    settings = {"eps": np.float32(0.5), "steps": np.int64(3), "path": (1, None), "bad": np.inf}
    card = Card(
        date="2026-01-31", seed=0, versions=versions(), method="pgd", data="d", preset="paper",
        settings=settings, metrics={"rows": [{"a": 1}], "numbers": [1, 2], "none": []},
    )  # fmt: skip
    assert card.settings == {"eps": 0.5, "steps": 3, "path": [1, None], "bad": None}
    assert card.metric_rows == {"rows": ({"a": 1},)}
    assert not card.is_classifier and card.to_json()["clean_accuracy"] is None


def test_a_comparison_gives_the_results_of_a_row():
    clean = Cell.of("clean", Accuracy.of([True]), published=Published(value=0.9, source="T"))
    pgd = Cell.of_attack("PGD", attacked("pgd:eps=0.3", ball(WHITE, 0.3), 1, n=3))
    row = Row(label="a", cells=(clean, pgd), inference="imt", training=6.0, epochs=3)
    columns = (Column.of("clean", None), Column.of("PGD", "pgd:eps=0.3", 3))
    table = Comparison(
        date="2026-01-31", seed=0, versions={}, title="t", data="d", columns=columns,
        rows=(row,), notes=(),
    )  # fmt: skip
    assert row.clean is clean and row.cell("PGD") is pgd and row.cell("CW") is None
    assert row.seconds_per_epoch == 2.0
    (result,) = table.results(row)
    assert (result.spec, result.inference, result.eps) == ("pgd:eps=0.3", "imt", 0.3)
    assert result.accuracy == pgd.measured
    cell = table.to_json()["rows"][0]["cells"][0]
    assert (cell["threat"], cell["published"]["value"]) == ("none", 0.9)
    assert table.to_json()["rows"][0]["cells"][1]["threat_model"] == {
        "access": "white-box", "norm": "linf", "eps": 0.3, "crafted_on": None,
        "knows_defence": "no defence", "defence": "",
    }  # fmt: skip


def test_no_attack_is_a_threat_model_too():
    assert Cell.of("clean", Accuracy.of([True])).threat_model == ThreatModel(access="none")
