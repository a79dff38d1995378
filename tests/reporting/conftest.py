"""Small records of every kind, as the commands write them."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from atk_latent.evaluation.result import AttackResult, evaluation_record, provenance, versions
from atk_latent.results.accuracy import Accuracy, wilson_interval

WHITE, TRANSFER = "white-box, Linf", "transfer from runs/vanilla (white-box there, Linf)"


def attacked(spec, threat, right, n=200, **more):
    name = spec.partition(":")[0]
    return AttackResult(
        *(name, name, spec, threat, more.pop("inference", "none"), n, right / n),
        *wilson_interval(right, n),
        *(0.1, 1.5, 2.0),
        **more,
    )


def evaluation_record_with_published():
    attacks = [
        attacked("pgd:eps=0.1,steps=40", WHITE, 120, eps=0.1),
        attacked("pgd:eps=0.3,steps=40", WHITE, 30, eps=0.3),
        attacked("pgd:eps=0.3,steps=40", TRANSFER, 20, eps=0.3, surrogate="runs/vanilla"),
        attacked("cw-l2", "white-box, L2", 0),
    ]
    clean = Accuracy.of([True] * 198 + [False] * (200 - 198))
    record = evaluation_record(target="runs/a", data="mnist", clean=clean, attacks=attacks, seed=3)
    record["attacks"][1]["published"] = {"value": 0.196, "source": "LADDER, Table 7"}
    return record


def png(array):
    file = io.BytesIO()
    Image.fromarray(np.asarray(array, np.uint8)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")


LABELS, CLEAN = [0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 0]  # the last is wrong before
FIRST, SECOND = [0, 1, 1, 1, 2, 2], [0, 0, 0, 1, 2, 2]  # survivors 0 2 3 4 and 0 1 3 4


def example(index, prediction):
    grey = np.full((4, 4), 60 * index)
    return {
        "index": index,
        "label": LABELS[index],
        "clean_prediction": CLEAN[index],
        "clean_confidence": 0.75,
        "prediction": prediction[index],
        "confidence": 0.5,
        "linf": 0.3,
        "l2": 1.2,
        "image": png(grey),
        "adversarial": png(grey + 1),
        "perturbation": png(np.full((4, 4), 255)),
        "perturbation_scale": 0.3,
    }


def told(spec, threat, predictions, **more):
    """An attack of which the file says what became of each image."""
    pairs = zip(LABELS, CLEAN, predictions, strict=True)
    right = sum(label == clean == found for label, clean, found in pairs)
    result = attacked(spec, threat, right, n=6, **more).to_dict()
    examples = [example(i, predictions) for i in (1, 2, 5)]
    return {**result, "predictions": predictions, "examples": examples}


def told_record():
    attacks = [
        told("fgsm:eps=0.3", WHITE, FIRST, eps=0.3),
        told("pgd:eps=0.3,steps=20", WHITE, SECOND, eps=0.3),
        told("pgd:eps=0.1,steps=20", WHITE, CLEAN, eps=0.1),
        told("pgd:eps=0.3", TRANSFER, [1] * 6, eps=0.3, surrogate="runs/vanilla"),
        told("pgd-l2:eps=0.3", "white-box, L2", [2] * 6, eps=0.3),
        told("cw-l2", WHITE, [2] * 6),
    ]
    clean = Accuracy.of([True] * 5 + [False] * (6 - 5))
    record = evaluation_record(target="runs/b", data="toy", clean=clean, attacks=[], seed=3)
    names = ["cat", "dog", "fox"]
    record |= {"labels": LABELS, "clean_predictions": CLEAN, "class_names": names}
    record |= {"attacks": attacks, "suite": "quick", "skipped": ["no surrogate"]}
    return json.loads(json.dumps(record))


def audit_record():
    checks = [
        {"name": "more-steps", "why": "Why.", "measured": {}, "passed": True, "verdict": "Fine."},
        {"name": "restarts", "why": "Why.", "measured": {}, "passed": False, "verdict": "Bad."},
    ]
    return {
        **provenance("audit"),
        "target": "runs/a",
        "data": "mnist",
        "n": 200,
        "eps": 0.3,
        "passed": False,
        "checks": checks,
        "seed": 0,
        "versions": versions(),
    }


def cell(attack, threat, right, n=200):
    low, high = wilson_interval(right, n)
    return {
        "attack": attack,
        "threat": threat,
        "accuracy": right / n,
        "low": low,
        "high": high,
        "n": n,
        "seconds": 1.0,
    }


def comparison_record():
    def row(label, clean, pgd, moved, rank):
        cells = [
            cell("clean", "none", clean),
            cell("PGD-20", WHITE, pgd),
            cell("moved", TRANSFER, moved),
        ]
        return {"label": label, "run": label, "seconds": 9.0, "cells": cells, "rank": rank} | {
            "epochs": 4,
            "training": 8.0,
        }

    columns = [
        {"label": "clean", "spec": None, "limit": 200},
        {"label": "PGD-20", "spec": "pgd:eps=0.3,steps=20", "limit": 200},
        {"label": "moved", "spec": "pgd:eps=0.3", "limit": 200},
    ]
    return {
        **provenance("comparison"),
        "title": "Defences",
        "data": "mnist",
        "columns": columns,
        "notes": ["A note."],
        "rows": [row("PGD & Co", 190, 100, 150, 1.0), row("Natural", 199, 0, 10, 2.0)],
        "seed": 0,
        "versions": versions(),
    }


def card_record():
    rows = [{"eps": e, "vanilla": 1 - e / 20, "hardened": 1 - e / 40} for e in (0.5, 5, 20)]
    return {
        **provenance("card"),
        "run": "runs/a",
        "method": "ladder",
        "data": "mnist",
        "preset": "paper",
        "seed": 0,
        "settings": {"epochs": 12, "examples": "fresh", "gan": None, "eps": [0.5, 2.0]},
        "metrics": {"generator_test_mse": 0.0075, "accuracy_over_eps": rows},
        "versions": versions(),
        "train_images": 60000,
        "class_names": ["0", "1"],
        "clean_accuracy": 0.99,
        "vanilla_clean_accuracy": 0.985,
    }


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
