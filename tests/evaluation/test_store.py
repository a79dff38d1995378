"""A stopped evaluation goes on: same numbers, nothing attacked twice, nothing mixed up."""

import dataclasses
import hashlib
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest

from atk_latent.art_bridge.bound_attack import BoundAttack
from atk_latent.art_bridge.context import AttackContext
from atk_latent.errors import InputError
from atk_latent.evaluation import runner
from atk_latent.evaluation.chunks import Series, all_chunks
from atk_latent.evaluation.executors import SerialExecutor
from atk_latent.evaluation.store import ChunkStore
from atk_latent.models.fingerprint import fingerprint
from atk_latent.results.threat import ThreatModel

ROOT = Path(__file__).resolve().parents[2]
SPEC = "pgd:eps=0.2,steps=3"


def model_of(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])


X = np.random.default_rng(0).random((10, 2, 2, 1), np.float32)
Y = np.arange(10) % 3


class Stop(Exception):
    pass


def evaluate(store, *, seed=0, stop_at=None, model=None, x=X):
    def progress(name, done, total, logs=None):
        if not name.endswith(": steps") and stop_at is not None and done >= stop_at:
            raise Stop

    options = runner.Options(seed=seed, batch_size=4, store=store, progress=progress)
    (result,) = runner.run_attacks(model or model_of(0), x, Y, [SPEC], options)
    return {k: v for k, v in result.to_json().items() if k != "seconds"}


@pytest.fixture
def attacked(monkeypatch):
    """The starts of the chunks that were really attacked."""
    starts, attack = [], runner._attacked

    def counted(*args):
        starts.append(args[4])
        return attack(*args)

    monkeypatch.setattr(runner, "_attacked", counted)
    return starts


def test_a_stopped_evaluation_goes_on_and_ends_as_an_undisturbed_one(tmp_path, attacked):
    whole = evaluate(None)
    assert len(whole["examples"]) == 8 and len(whole["predictions"]) == 10
    attacked.clear()
    with pytest.raises(Stop):
        evaluate(tmp_path, stop_at=8)
    assert evaluate(tmp_path) == whole
    assert attacked == [0, 4, 8]  # each once
    assert evaluate(tmp_path) == whole and len(attacked) == 3


def test_another_seed_model_image_or_batch_size_is_attacked_anew(tmp_path, attacked):
    evaluate(tmp_path)
    for change in ({"seed": 1}, {"model": model_of(1)}, {"x": np.clip(X + 0.01, 0, 1)}):
        attacked.clear()
        evaluate(tmp_path, **change)
        assert attacked == [0, 4, 8]
    folders = list(tmp_path.iterdir())
    assert len(folders) == 4
    assert json.loads((folders[0] / "key.json").read_text())["spec"] == SPEC


def test_chunks_that_were_keyed_by_less_are_not_used_and_that_is_said_once(
    tmp_path, attacked, caplog
):
    """Their names left out how layers are wired, and the helpers that an attack reads."""
    whole = evaluate(tmp_path)
    for path in tmp_path.glob("*/key.json"):
        key = json.loads(path.read_text())
        del key["scheme"], key["helpers"]
        path.write_text(json.dumps(key))
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
        path.parent.rename(tmp_path / name)
    attacked.clear()
    assert evaluate(tmp_path) == whole and attacked == [0, 4, 8]
    evaluate(tmp_path, seed=1)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and "earlier version: they are not used" in said[0]


def test_the_key_of_a_chunk_stays_what_it_was(tmp_path):
    """Stores of this scheme are found only while nothing joins or leaves the key."""
    evaluate(tmp_path)
    (folder,) = tmp_path.iterdir()
    key = json.loads((folder / "key.json").read_text())
    assert set(key) == {
        *("target", "crafted_on", "data", "settings", "spec", "seed", "batch_size"),
        *("inference", "versions", "helpers", "scheme"),
    }
    text = json.dumps(key, sort_keys=True)
    assert folder.name == hashlib.sha256(text.encode()).hexdigest()[:24]


def rewritten(change):
    """Damage that leaves a whole archive: the arrays after `change`, the old checksum."""

    def damage(path):
        with np.load(path) as stored:
            fields = {name: stored[name] for name in stored}
        change(fields)
        np.savez_compressed(path, **fields)

    return damage


def believed(change):
    """The same with the right checksum: what the arrays say is still refused."""

    def damage(path):
        store = ChunkStore(None, {})
        store.folder = path.parent
        with np.load(path) as stored:
            fields = {name: stored[name] for name in stored if name != "checksum"}
        change(fields)
        checksum = np.asarray(store._checksum(int(path.stem), fields))
        np.savez_compressed(path, checksum=checksum, **fields)

    return damage


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def pickled(path):
    np.savez(path, predictions=np.array([print], dtype=object))


def folder_instead(path):
    path.unlink()
    path.mkdir()


def full_folder_instead(path):
    folder_instead(path)
    (path / "mine").write_text("")


def of_another_start(path):
    path.write_bytes((path.parent / "00000000.npz").read_bytes())


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "flipped": flipped,
    "text": lambda path: path.write_text("{}"),
    "an array": lambda path: np.save(path.open("wb"), np.zeros(3)),
    "pickled": pickled,
    "a folder": folder_instead,
    "a folder with something in it": full_folder_instead,
    "of another start": of_another_start,
    "a field less": rewritten(lambda fields: fields.pop("l2")),
    "another number": rewritten(lambda fields: fields.update(linf=fields["linf"] + 1)),
    "robust turned": rewritten(lambda fields: fields.update(robust=~fields["robust"])),
    "longer": believed(lambda fields: fields.update(robust=np.ones(9, bool))),
    "other numbers": believed(lambda fields: fields.update(predictions=np.zeros(4))),
    "not finite": believed(lambda fields: fields.update(l2=np.full(4, np.nan))),
    "negative": believed(lambda fields: fields.update(seconds=np.asarray(-1.0))),
    "no such class": believed(lambda fields: fields.update(predictions=np.full(4, 10**9))),
    "examples of another kind": believed(lambda fields: fields.update(examples=np.asarray("[3]"))),
    "huge": believed(lambda fields: fields.update(examples=np.asarray(" " * (1 << 19)))),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_chunk_is_attacked_again_and_that_is_said(
    tmp_path, attacked, caplog, monkeypatch, kind
):
    monkeypatch.setattr("atk_latent.evaluation.store._MOST_BYTES", 1 << 20)
    whole = evaluate(tmp_path)
    attacked.clear()
    (path,) = tmp_path.glob("*/00000004.npz")
    DAMAGE[kind](path)
    assert evaluate(tmp_path) == whole and attacked == [4]
    said = [record.getMessage() for record in caplog.records]
    assert f"{path} is damaged (" in said[0] and "\n" not in said[0]
    attacked.clear()
    mended = kind != "a folder with something in it"
    assert len(said) == 1 if mended else "is a folder: the chunk is not kept" in said[1]
    assert evaluate(tmp_path) == whole and attacked == ([] if mended else [4])


@pytest.mark.slow
def test_no_flipped_or_cut_byte_is_believed_and_none_stops_an_evaluation(tmp_path):
    """700 chunks with a byte changed or missing: none raises, none has other numbers."""
    evaluate(tmp_path)
    (path,) = tmp_path.glob("*/00000004.npz")
    store = ChunkStore(None, {})
    store.folder = path.parent
    honest, whole = path.read_bytes(), store.load(4, 4)
    rng, refused = np.random.default_rng(0), 0
    for case in range(700):
        content = bytearray(honest)
        place = int(rng.integers(len(content)))
        if case % 3 == 0:
            content = content[:place]
        elif case % 3 == 1:
            content[place] ^= 1 << int(rng.integers(8))
        else:
            del content[place]
        path.write_bytes(bytes(content))
        chunk = store.load(4, 4)
        refused += chunk is None
        if chunk is not None:  # a byte that nothing reads, such as a date in the archive
            for name in ("predictions", "robust", "linf", "l2"):
                np.testing.assert_array_equal(getattr(chunk, name), getattr(whole, name))
            assert chunk.examples == whole.examples
    assert refused > 600


TWO = """
import sys, time
from tests.evaluation import test_store as t
from atk_latent.evaluation import runner
attack, starts = runner._attacked, []
def slow(*args):
    starts.append(args[4])
    time.sleep(0.3)
    return attack(*args)
runner._attacked = slow
import pathlib, json
print(json.dumps([t.evaluate(pathlib.Path(sys.argv[1])), starts]))
"""


def test_two_processes_share_the_chunks_of_one_store(tmp_path):
    command = [sys.executable, "-c", TWO, str(tmp_path)]
    pair = [subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) for _ in range(2)]
    (first, its), (second, others) = (json.loads(p.communicate(timeout=200)[0]) for p in pair)
    assert first == second == json.loads(json.dumps(evaluate(None)))
    assert sorted(its + others) == [0, 4, 8]  # each once
    (folder,) = tmp_path.iterdir()
    assert sorted(p.name for p in folder.iterdir()) == [
        *(f"{start:08d}.npz" for start in (0, 4, 8)),
        "key.json",
    ]


def test_threads_share_the_chunks_and_a_claim_ends_with_its_owner(tmp_path):
    whole = evaluate(tmp_path)
    (folder,) = tmp_path.iterdir()
    store = ChunkStore(None, {})
    store.folder = folder
    chunk = store.load(4, 4)
    (folder / "00000004.npz").unlink()
    (folder / ".00000004.dead.tmp.npz").write_bytes(b"half")
    with store.claim(4) as ours, store.claim(4) as theirs:
        assert (ours, theirs) == (True, False)
    assert not (folder / ".00000004.dead.tmp.npz").exists()
    x, y, size = np.zeros((8, 1, 1, 1), np.float32), np.zeros(8, int), 4
    (folder / "00000000.npz").rename(folder / "aside")
    made = []

    def again(start, *_):
        made.append(start)
        time.sleep(0.2)
        return dataclasses.replace(chunk, start=start)

    def everything(_):
        series = Series("pgd", again, x, y, size, store)
        return [c.start for _, c in all_chunks([series], SerialExecutor())]

    with ThreadPoolExecutor(4) as pool:
        assert [sorted(starts) for starts in pool.map(everything, range(8))] == [[0, 4]] * 8
    assert sorted(made) == [0, 4]  # each once, whoever waited for it
    (folder / "aside").replace(folder / "00000000.npz")
    assert evaluate(tmp_path) == whole


def test_other_helpers_are_another_store(tmp_path):
    """A discriminator, generator or boundaries trained again give numbers of their own."""
    run = tmp_path / "run"
    (run / "helpers").mkdir(parents=True)
    context = AttackContext(run=run)
    options = runner.Options(store=tmp_path, context=context)
    attack = BoundAttack("atld-joint", ThreatModel(access="white-box"), None)
    keys = []
    for content in (b"one", b"two"):
        (run / "helpers" / "discriminator.keras").write_bytes(content)
        keys += [runner._helpers(attack, "atld-joint:eps=0.1", options)]
    assert keys[0] != keys[1] and runner._helpers(attack, "pgd:eps=0.1", options) == {}
    gan = dataclasses.replace(attack, settings={"gan": str(run)})
    assert set(runner._helpers(gan, f"song:gan={run}", options)) == {"run", "gan"}


def test_the_store_must_be_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="folder"):
        ChunkStore(tmp_path / "file" / "deep", {})


def test_a_fingerprint_names_weights_and_layers_not_names(tmp_path):
    model = model_of(0)
    model.save(tmp_path / "m.keras")
    assert fingerprint(keras.models.load_model(tmp_path / "m.keras")) == fingerprint(model)
    assert fingerprint(model_of(0)) == fingerprint(model)  # other names of layers
    assert fingerprint(model_of(1)) != fingerprint(model)
    curved = keras.Sequential(
        [keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3, activation="relu")]
    )
    curved.set_weights(model.get_weights())
    assert fingerprint(curved) != fingerprint(model)
