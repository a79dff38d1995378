"""An evaluation that is killed (SIGKILL) again and again ends as one left in peace."""

import json
import random
import subprocess
import sys
import time

import keras
import pytest

IMAGES, BATCH, KILLS = 200, 5, 10
SUITE = """
description: small attacks in many chunks
variables:
  eps: {28x28x1: 0.1, other: 8/255}
attacks:
  - fgsm:eps={eps}
  - pgd:eps={eps},steps=300
  - square:eps={eps},queries=300
"""
ATTACKS = 3


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
    )
    model.save(folder / "model.keras")
    (folder / "mine.yaml").write_text(SUITE)
    return folder


def started(place, name):
    arguments = [
        *("evaluate", place / "model.keras", "--data", "digits", "--limit", IMAGES),
        *("--suite", place / "mine.yaml", "--batch-size", BATCH, "--device", "cpu"),
        *("--store", place / f"{name}-store", "--out", place / f"{name}.json"),
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "atk_latent.cli", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finished(process, place, name):
    _, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors.decode()
    return without_time(json.loads((place / f"{name}.json").read_text()))


def without_time(value):
    if isinstance(value, dict):
        skipped = ("seconds", "date")
        return {k: without_time(v) for k, v in value.items() if k not in skipped}
    return [without_time(item) for item in value] if isinstance(value, list) else value


def kept(place, name):
    """Every chunk that is kept, and when it was made."""
    paths = (place / f"{name}-store").glob("*/[0-9]*.npz")
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in paths}


def killed_after_a_new_chunk(place, name, delay):
    """Starts, waits for a chunk that was not there, then `delay` seconds, and kills."""
    before = kept(place, name)
    process = started(place, name)
    end = time.monotonic() + 300
    while kept(place, name).keys() == before.keys():
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < end
        time.sleep(0.005)
    time.sleep(delay)
    was_running = process.poll() is None
    process.kill()
    process.communicate()
    return was_running, before


@pytest.mark.slow
def test_ten_kills_change_nothing_and_no_chunk_is_made_twice(place):
    undisturbed = finished(started(place, "whole"), place, "whole")
    rng = random.Random(0)
    made = {}
    for _ in range(KILLS):
        was_running, before = killed_after_a_new_chunk(place, "killed", rng.uniform(0, 0.4))
        assert was_running, "it was done before it could be killed"
        assert before == made  # nothing changes between two runs
        now = kept(place, "killed")
        assert made.items() < now.items()  # it went on, and remade nothing
        assert not (place / "killed.json").exists()
        made = now
    assert len(made) < ATTACKS * IMAGES // BATCH
    assert finished(started(place, "killed"), place, "killed") == undisturbed
    whole = kept(place, "killed")
    assert made.items() < whole.items()
    assert len(whole) == len(kept(place, "whole")) == ATTACKS * IMAGES // BATCH
    print(f"kept after {KILLS} kills: {len(made)} of {len(whole)} chunks")  # noqa: T201
