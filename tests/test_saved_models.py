"""What ships in saved_models/ loads and says what it is."""

import json
from pathlib import Path

import numpy as np
import pytest

from atk_latent.data.loading import load_dataset
from atk_latent.inference.loading import imt_for
from atk_latent.models.loading import load_classifier

FOLDERS = sorted(path.parent for path in Path(__file__).parents[1].glob("saved_models/*/card.json"))
TRACKED = [folder for folder in FOLDERS if not (folder / "request.json").exists()]


@pytest.mark.parametrize("folder", TRACKED, ids=lambda path: path.name)
def test_a_shipped_model_loads_and_carries_its_card(folder):
    card = json.loads((folder / "card.json").read_text())
    assert card["method"]
    assert 0.5 < card["clean_accuracy"] <= 1
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 2 * 2**20
    model = load_classifier(folder)
    logits = model.predict(np.zeros((2, *model.input_shape[1:]), np.float32), verbose=0)
    assert logits.shape == (2, len(card["class_names"]))
    assert np.isfinite(logits).all()


def test_every_method_of_the_list_ships_for_both_data_sets():
    methods = ("natural", "pgd", "trades", "ladder", "atld")
    names = {f"{data}-lenet-{method}" for data in ("mnist", "digits") for method in methods}
    assert names <= {folder.name for folder in TRACKED}


def test_the_shipped_atld_model_predicts_behind_imt():
    folder = next(folder for folder in TRACKED if folder.name == "digits-lenet-atld")
    digits = load_dataset("digits", limit_test=60)
    model = imt_for("imt", folder, load_classifier(folder))
    right = np.argmax(model.predict(digits.x_test, verbose=0), axis=1) == digits.y_test
    assert right.mean() > 0.8
