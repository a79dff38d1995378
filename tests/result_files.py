"""Small result files of every kind, as the commands write them."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from atk_latent.results.accuracy import Accuracy, wilson_interval
from atk_latent.results.attack_result import AttackResult, Example, Published
from atk_latent.results.audit import Audit, Check
from atk_latent.results.card import Card
from atk_latent.results.comparison import Cell, Column, Comparison, Row
from atk_latent.results.evaluation import Evaluation
from atk_latent.results.provenance import today, versions
from atk_latent.results.threat import ThreatModel

WHITE = ThreatModel(access="white-box", norm="linf")
TRANSFER = WHITE.model_copy(update={"crafted_on": "runs/vanilla"})
L2 = ThreatModel(access="white-box", norm="l2")


def ball(threat, eps):
    return threat.model_copy(update={"eps": eps})


def attacked(spec, threat, right, n=200, **more):
    name = spec.partition(":")[0]
    low, high = wilson_interval(right, n)
    return AttackResult(
        attack=name, name=name, spec=spec, threat_model=threat, inference="none", n=n,
        robust_accuracy=right / n, low=low, high=high, linf=0.1, l2=1.5, seconds=2.0, **more,
    )  # fmt: skip


def evaluated(target, data, right, attacks, **more):
    clean = Accuracy.of([True] * right[0] + [False] * (right[1] - right[0]))
    return Evaluation(
        date=today(), seed=3, versions=versions(), target=target, data=data, n=clean.n,
        clean_accuracy=clean.value, clean_low=clean.low, clean_high=clean.high,
        attacks=tuple(attacks), **more,
    ).to_json()  # fmt: skip


def evaluation_record_with_published():
    attacks = [
        attacked("pgd:eps=0.1,steps=40", ball(WHITE, 0.1), 120),
        attacked(
            "pgd:eps=0.3,steps=40", ball(WHITE, 0.3), 30,
            published=Published(value=0.196, source="LADDER, Table 7"),
        ),
        attacked("pgd:eps=0.3,steps=40", ball(TRANSFER, 0.3), 20),
        attacked("cw-l2", L2, 0),
    ]  # fmt: skip
    return evaluated("runs/a", "mnist", (198, 200), attacks)


def png(array):
    file = io.BytesIO()
    Image.fromarray(np.asarray(array, np.uint8)).save(file, "PNG")
    return file.getvalue()


LABELS, CLEAN = [0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 0]  # the last is wrong before
FIRST, SECOND = [0, 1, 1, 1, 2, 2], [0, 0, 0, 1, 2, 2]  # survivors 0 2 3 4 and 0 1 3 4


def example(index, prediction):
    grey = np.full((4, 4), 60 * index)
    return Example(
        index=index,
        label=LABELS[index],
        clean_prediction=CLEAN[index],
        clean_confidence=0.75,
        prediction=prediction[index],
        confidence=0.5,
        linf=0.3,
        l2=1.2,
        image=png(grey),
        adversarial=png(grey + 1),
        perturbation=png(np.full((4, 4), 255)),
        perturbation_scale=0.3,
    )


def told(spec, threat, predictions):
    """An attack of which the file says what became of each image."""
    pairs = zip(LABELS, CLEAN, predictions, strict=True)
    right = sum(label == clean == found for label, clean, found in pairs)
    examples = tuple(example(i, predictions) for i in (1, 2, 5))
    return attacked(spec, threat, right, n=6, predictions=tuple(predictions), examples=examples)


def told_record():
    attacks = [
        told("fgsm:eps=0.3", ball(WHITE, 0.3), FIRST),
        told("pgd:eps=0.3,steps=20", ball(WHITE, 0.3), SECOND),
        told("pgd:eps=0.1,steps=20", ball(WHITE, 0.1), CLEAN),
        told("pgd:eps=0.3", ball(TRANSFER, 0.3), [1] * 6),
        told("pgd-l2:eps=0.3", ball(L2, 0.3), [2] * 6),
        told("cw-l2", WHITE, [2] * 6),
    ]
    return evaluated(
        "runs/b", "toy", (5, 6), attacks, labels=tuple(LABELS), clean_predictions=tuple(CLEAN),
        class_names=("cat", "dog", "fox"), suite="quick", skipped=("no surrogate",),
    )  # fmt: skip


def audit_record():
    checks = (
        Check(name="more-steps", why="Why.", measured={}, passed=True, verdict="Fine."),
        Check(name="restarts", why="Why.", measured={}, passed=False, verdict="Bad."),
    )
    return Audit(
        date=today(), seed=0, versions=versions(), target="runs/a", data="mnist", n=200,
        eps=0.3, checks=checks,
    ).to_json()  # fmt: skip


def cell(attack, threat, right, n=200):
    accuracy = Accuracy.of([True] * right + [False] * (n - right))
    return Cell.of(attack, accuracy, threat, seconds=1.0)


def comparison_record():
    def row(label, clean, pgd, moved, rank):
        cells = (
            cell("clean", None, clean),
            cell("PGD-20", ball(WHITE, 0.3), pgd),
            cell("moved", ball(TRANSFER, 0.3), moved),
        )
        return Row(
            label=label, run=label, seconds=9.0, cells=cells, rank=rank, epochs=4, training=8.0
        )

    columns = (
        Column.of("clean", None, 200),
        Column.of("PGD-20", "pgd:eps=0.3,steps=20", 200),
        Column.of("moved", "pgd:eps=0.3", 200),
    )
    rows = (row("PGD & Co", 190, 100, 150, 1.0), row("Natural", 199, 0, 10, 2.0))
    return Comparison(
        date=today(), seed=0, versions=versions(), title="Defences", data="mnist",
        columns=columns, notes=("A note.",), rows=rows,
    ).to_json()  # fmt: skip


def card_record():
    rows = [{"eps": e, "vanilla": 1 - e / 20, "hardened": 1 - e / 40} for e in (0.5, 5, 20)]
    return Card(
        date=today(),
        seed=0,
        versions=versions(),
        run="runs/a",
        method="ladder",
        data="mnist",
        preset="paper",
        settings={"epochs": 12, "examples": "fresh", "gan": None, "eps": [0.5, 2.0]},
        metrics={"generator_test_mse": 0.0075, "accuracy_over_eps": rows},
        train_images=60000,
        class_names=("0", "1"),
        clean_accuracy=0.99,
        vanilla_clean_accuracy=0.985,
    ).to_json()


def version_1(record, **more):
    """The file as version 1 had it: threat models are sentences alone."""
    record = {**json.loads(json.dumps(record)), **more}
    record["schema"] = record["schema"].replace("/2", "/1")
    entries = [*record.get("attacks", ()), *(c for r in record.get("rows", ()) for c in r["cells"])]
    for entry in entries:
        del entry["threat_model"]
    return record


RECORDS = {
    "evaluation": evaluation_record_with_published,
    "audit": audit_record,
    "comparison": comparison_record,
    "card": card_record,
    "told": told_record,
}


@pytest.fixture
def evaluation():
    return evaluation_record_with_published()


@pytest.fixture
def told_evaluation():
    return told_record()


@pytest.fixture
def audit():
    return audit_record()


@pytest.fixture
def comparison():
    return comparison_record()


@pytest.fixture
def card():
    return card_record()


@pytest.fixture
def write(tmp_path):
    """Writes a record to a file, and gives its path."""

    def written(name, record):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record), encoding="utf-8")
        return path

    return written


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """One file of each kind, to be read only."""
    folder = tmp_path_factory.mktemp("results")
    for name, record in RECORDS.items():
        (folder / f"{name}.json").write_text(json.dumps(record()), encoding="utf-8")
    return {name: folder / f"{name}.json" for name in RECORDS}
