"""Every kind of file that a training reads, damaged in every way: one line, or the same result.

What comes out is an `InputError` of one line or exactly what came out before, never another
exception, never other numbers. A few cases run always, a corpus of them with `--run-slow`.
"""

import collections
import dataclasses
import json
import os
import random
import resource
import shutil
import time
import warnings
from collections.abc import Callable

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from atk_latent.arrays import ArraySpec
from atk_latent.checksums import noted_file
from atk_latent.data.loading import load_dataset
from atk_latent.errors import InputError
from atk_latent.methods.atld import load_settings
from atk_latent.methods.augment import read_examples
from atk_latent.methods.boundaries import BoundarySettings, fit_boundaries
from atk_latent.methods.extra_data import read_images
from atk_latent.methods.states import States
from atk_latent.models.attention_svm import AttentionSVM
from atk_latent.models.loading import load_classifier, load_network
from atk_latent.results.card import Card
from atk_latent.training.adversarial_sets import adversarial_set
from atk_latent.training.request import HardenRequest, RunOptions
from atk_latent.training.run_folder import RunFolder
from tests import run_cards

REQUEST = HardenRequest("ladder", RunOptions("digits", "quick", {"epochs": "2"}), "lenet")
CARD = Card.from_json({**run_cards.CARD, "method": "ladder", "clean_accuracy": 0.5}, "card")
SHAPE, CLASSES, CORPUS, SECONDS = (4, 4, 1), 3, 1500, 20.0
X = np.random.default_rng(0).random((6, *SHAPE), np.float32)
Y = np.arange(6) % CLASSES
ARRAYS = {"w": np.ones((3, 2), np.float32), "n": np.int64(4)}
STATE = "run/checkpoint/classifier/epoch-000002"


def network(width, *shape):
    layers = [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(width)]
    return keras.Sequential(layers)


def state(folder):
    specs = {n: ArraySpec(a.dtype.kind, a.shape, a.dtype) for n, a in ARRAYS.items()}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stored = States(folder / "run" / "checkpoint" / "classifier").restore(specs)
    told = ["the one before" for warning in caught if "state before it" in str(warning.message)]
    # The older state holds the same numbers: which one it was must have been said.
    number = len(stored.logs) + len(told)
    return [number, *stored.variables.values(), [row["loss"] for row in stored.logs[:1]]]


def request_(folder):
    return [RunFolder(folder / "run", REQUEST, resume=True, data_fingerprint="1234").resumed]


def card(folder):
    return [RunFolder(folder / "run", REQUEST, resume=True).finished_card().model_dump_json()]


def data(folder):
    dataset = load_dataset(str(folder / "data.npz"))
    return [dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test]


def crafted(folder):
    return [adversarial_set(folder / "run/helpers/examples.npz", "fgsm", None, X, Y, None)]


def boundaries(folder):
    svm = AttentionSVM.load(folder / "run/helpers/boundaries.npz")
    return [*svm.arrays.values(), svm.num_classes, svm.gain, svm.attention, svm.normal]


def network_of(name):
    return lambda folder: load_network(folder / "run/helpers" / name).get_weights()


# Reads that must end in one line or in the same numbers, by the file that is damaged.
READERS: dict[str, Callable] = {
    "run/request.json": request_,
    "run/card.json": card,
    "run/model.keras": lambda folder: load_classifier(folder / "run", SHAPE, CLASSES).get_weights(),
    "run/helpers/boundaries.npz": boundaries,
    "run/helpers/generator.keras": network_of("generator.keras"),
    "run/helpers/discriminator.keras": network_of("discriminator.keras"),
    "run/helpers/manifold.json": lambda folder: [str(load_settings(folder / "run/helpers"))],
    "run/helpers/examples.npz": crafted,
    f"{STATE}/variables.npz": state,
    f"{STATE}/logs.json": state,
    f"{STATE}/checksums.json": state,
    "extra.npz": lambda folder: [read_images(str(folder / "extra.npz"), SHAPE)],
    "made.npz": lambda folder: [*read_examples(str(folder / "made.npz"), SHAPE, CLASSES)[1:]],
    "data.npz": data,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with every kind of file, all of them sound, and what each reader makes of it."""
    folder = tmp_path_factory.mktemp("whole")
    run = RunFolder(folder / "run", REQUEST, data_fingerprint="1234")
    with run.locked():
        run.open()
        run.save_model(network(CLASSES, *SHAPE), "model.keras")
        run.save_model(network(4, 2), "helpers/generator.keras")
        run.save_model(network(1, 2), "helpers/discriminator.keras")
        svm_settings = BoundarySettings(epochs=1, images=2, test_images=1)
        svm = fit_boundaries(X.reshape(6, -1)[:, :3], Y, CLASSES, svm_settings)
        with noted_file(run.folder, "helpers/boundaries.npz") as part:
            svm.save(part)
        manifold = {"latent": "features", "latent_layer": None, "imt": {"step_size": 0.1}}
        run._write_json("helpers/manifold.json", manifold)
        with noted_file(run.folder, "helpers/examples.npz") as part:
            np.savez(part, x=X, x_adv=X, y=Y)
        run.finish(CARD)
    states = States(folder / "run" / "checkpoint" / "classifier")
    for epochs in (1, 2):
        states.save(ARRAYS, [{"loss": 0.5}] * epochs)
    np.savez(folder / "extra.npz", x=X)
    np.savez(folder / "made.npz", x_adv=X, y=Y)
    np.savez(folder / "data.npz", x_train=X, y_train=Y, x_test=X, y_test=Y)
    return folder, {name: read(folder) for name, read in READERS.items()}


def flipped(content, rng):
    changed = bytearray(content)
    for _ in range(rng.choice((1, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(content, rng):
    return content[: rng.randrange(len(content))]


def spliced(content, rng):
    place = rng.randrange(len(content))
    return content[:place] + rng.randbytes(rng.randrange(1, 64)) + content[place:]


def noise(content, rng):
    return rng.randbytes(rng.choice((0, 1, 100, len(content))))


VALUES = (None, True, -1, 0, 1e308, 10**400, "", "x", "\0", [], {}, [[]], {"a": {}}, float("nan"))


def other_json(content, rng):
    """The document with one value of another type, somewhere."""
    document = json.loads(content)
    place, key = {"": document}, ""
    while isinstance(place[key], dict | list) and place[key] and rng.random() < 0.8:
        place = place[key]
        key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
    holder = {"": None} if key == "" else None
    value = rng.choice(VALUES)
    if holder is not None:
        document = value
    elif isinstance(place, dict) and rng.random() < 0.3:
        del place[key]
    else:
        place[key] = value
    return json.dumps(document).encode()


def other_arrays(content, rng):
    """The archive with one array of another form, or without it."""
    import io

    with np.load(io.BytesIO(content)) as stored:
        arrays = dict(stored)
    name = rng.choice(list(arrays))
    array = arrays[name]
    forms = (
        lambda: arrays.pop(name),
        lambda: arrays.update({name: array.astype(object)}),
        lambda: arrays.update({name: array.astype(str)}),
        lambda: arrays.update({name: np.full(array.shape, np.nan)}),
        lambda: arrays.update({name: array[None, None]}),
        lambda: arrays.update({name: array.ravel()[:-1]}),
        lambda: arrays.update({name: array.ravel()[:0]}),
        lambda: arrays.update({name: np.zeros(array.shape, complex)}),
        lambda: arrays.update({"more": np.ones(3)}),
    )
    rng.choice(forms)()
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


BYTES = (flipped, cut, spliced, noise)


def damage(path, rng):
    """Changes a file, or what lies at its place."""
    content = path.read_bytes()
    form = rng.random()
    if form < 0.12:
        path.unlink()
        kind = rng.choice(("missing", "folder", "pipe", "loop", "device"))
        if kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "loop":
            path.symlink_to(path)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        return kind
    change = rng.choice(BYTES)
    if form > 0.5:
        change = {".json": other_json, ".npz": other_arrays}.get(path.suffix, change)
    path.write_bytes(change(content, rng))
    return change.__name__


def same(one, two):
    return len(one) == len(two) and all(
        np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(one, two, strict=True)
    )


@dataclasses.dataclass
class Outcome:
    kind: str  # "refused", "same", "other", "traceback", "slow"
    case: str


def trial(whole, folder, name, seed):
    """Damages a copy and reads it."""
    sound, expected = whole
    shutil.copytree(sound, folder)
    rng = random.Random(seed)
    is_noted = name.startswith("run/") and rng.random() < 0.6
    if not is_noted and not name.endswith("checksums.json"):
        for path in folder.rglob("checksums.json"):
            path.unlink()
    case = f"{name} {seed} {damage(folder / name, rng)} {'noted' if is_noted else ''}"
    started = time.monotonic()
    try:
        result = READERS[name](folder)
    except InputError as error:
        kind = "traceback" if "\n" in str(error) or len(str(error)) > 2000 else "refused"
        case += f": {error}"
    except Exception as error:  # noqa: BLE001
        kind, case = "traceback", f"{case}: {error!r}"
    else:
        # Without a checksum a JSON value of the right type cannot be told from the one before.
        is_typed = name.endswith(".json") and not is_noted
        kind = "same" if same(result, expected[name]) or is_typed else "other"
    slow = time.monotonic() - started > SECONDS
    shutil.rmtree(folder)
    return Outcome("slow" if slow else kind, case)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(name=st.sampled_from(list(READERS)), seed=st.integers(0, 2**32))
def test_a_damaged_file_is_one_line_or_changes_nothing(whole, tmp_path, name, seed):
    outcome = trial(whole, tmp_path / "copy", name, seed)
    assert outcome.kind in ("refused", "same"), outcome.case


def test_the_trial_sees_a_change_that_it_should_see(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "copy")
    np.savez(tmp_path / "copy" / "extra.npz", x=X / 2)
    assert not same(READERS["extra.npz"](tmp_path / "copy"), whole[1]["extra.npz"])


@pytest.mark.slow
def test_a_corpus_of_damaged_files(whole, tmp_path):
    counts = collections.Counter()
    started, wrong = time.monotonic(), []
    for seed in range(CORPUS):
        outcome = trial(whole, tmp_path / "copy", list(READERS)[seed % len(READERS)], seed)
        counts[outcome.kind] += 1
        if outcome.kind not in ("refused", "same"):
            wrong.append(outcome.case)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    seconds = time.monotonic() - started
    print(f"{dict(counts)} of {CORPUS}, {seconds:.0f} s, {peak:.0f} MB at most")  # noqa: T201
    assert not wrong, "\n".join(wrong[:20])
