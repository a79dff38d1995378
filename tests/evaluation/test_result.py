import json

import numpy as np
import pytest

from atk_latent import atomic
from atk_latent.errors import InputError
from atk_latent.evaluation.result import AttackResult, Samples, evaluation_record
from atk_latent.results.accuracy import Accuracy, wilson_interval


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
    result = AttackResult(
        *("pgd", "pgd", "pgd:eps=0.3", "white-box, Linf", "none"),
        *(4, 0.5, 0.1, 0.9, np.float64(0.3), 1.5, 2.0),
    )
    record = evaluation_record(
        target="run", data="digits", clean=Accuracy(1.0, 0.5, 1.0, 4), attacks=[result], seed=3
    )
    record = json.loads(atomic.json_text(record))
    assert {"target", "data", "n", "clean_accuracy", "attacks"} <= set(record)
    wanted = {"attack", "threat", "inference", "robust_accuracy", "low", "high", "linf", "l2"}
    assert wanted | {"seconds"} <= set(record["attacks"][0])
    assert record["seed"] == 3 and "tensorflow" in record["versions"]
    assert not {"labels", "clean_predictions", "class_names"} & set(record)
    assert not {"predictions", "examples", "published"} & set(record["attacks"][0])


def test_record_holds_the_single_images_and_what_was_published():
    published = {"value": 0.3, "source": "Paper, Table 2"}
    result = AttackResult(
        *("pgd", "pgd", "pgd:eps=0.3", "white-box, Linf", "none"),
        *(3, 1 / 3, 0.1, 0.9, 0.3, 1.5, 2.0),
        predictions=[0, 1, 0],
        published=published,
    )
    samples = Samples([0, 0, 1], [0, 0, 0], ("a", "b"))
    record = evaluation_record(
        target="run", data="digits", clean=Accuracy(2 / 3, 0.1, 1.0, 3), attacks=[result], seed=3,
        samples=samples, suite="fast",
    )  # fmt: skip
    assert record["suite"] == "fast" and record["class_names"] == ("a", "b")
    assert record["attacks"][0]["published"] == published
    answers = (record["clean_predictions"], record["labels"], record["attacks"][0]["predictions"])
    robust = [before == label == after for before, label, after in zip(*answers, strict=True)]
    assert robust == [True, False, False] and sum(robust) / 3 == result.robust_accuracy
