"""A stopped evaluation goes on: same numbers, nothing attacked twice, nothing mixed up."""

import hashlib
import json

import keras
import numpy as np
import pytest

from atk_latent.errors import InputError
from atk_latent.evaluation import runner
from atk_latent.evaluation.store import ChunkStore
from atk_latent.models.fingerprint import fingerprint

SPEC = "pgd:eps=0.2,steps=3"


def model_of(seed):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])


X = np.random.default_rng(0).random((10, 2, 2, 1), np.float32)
Y = np.arange(10) % 3


class Stop(Exception):
    pass


def evaluate(store, *, seed=0, stop_at=None, model=None, x=X):
    def progress(name, done, total):
        if stop_at is not None and done >= stop_at:
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


def test_chunks_of_an_earlier_version_are_found(tmp_path, attacked):
    """They kept no examples; everything else is in them."""
    whole = evaluate(tmp_path)
    for path in tmp_path.glob("*/*.npz"):
        with np.load(path) as stored:
            fields = {name: stored[name] for name in stored if name != "examples"}
        np.savez_compressed(path, **fields)
    attacked.clear()
    del whole["examples"]
    assert evaluate(tmp_path) == whole and attacked == []


def test_the_key_of_a_chunk_stays_what_it_was(tmp_path):
    """Stores of earlier versions are found only while nothing joins or leaves the key."""
    evaluate(tmp_path)
    (folder,) = tmp_path.iterdir()
    key = json.loads((folder / "key.json").read_text())
    assert set(key) == {
        *("target", "crafted_on", "data", "settings", "spec", "seed", "batch_size"),
        *("inference", "versions"),
    }
    text = json.dumps(key, sort_keys=True)
    assert folder.name == hashlib.sha256(text.encode()).hexdigest()[:24]


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
