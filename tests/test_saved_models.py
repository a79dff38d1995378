"""What ships in saved_models/ loads and says what it is."""

import json
from pathlib import Path

import numpy as np
import pytest

from atk_latent.models.loading import load_classifier

FOLDERS = sorted(path.parent for path in Path(__file__).parents[1].glob("saved_models/*/card.json"))
TRACKED = [folder for folder in FOLDERS if not (folder / "request.json").exists()]


@pytest.mark.parametrize("folder", TRACKED, ids=lambda path: path.name)
def test_a_shipped_model_loads_and_carries_its_card(folder):
    card = json.loads((folder / "card.json").read_text())
    assert card["method"]
    assert 0.5 < card["clean_accuracy"] <= 1
    assert (folder / "model.keras").stat().st_size < 2 * 2**20
    model = load_classifier(folder)
    logits = model.predict(np.zeros((2, *model.input_shape[1:]), np.float32), verbose=0)
    assert logits.shape == (2, len(card["class_names"]))
    assert np.isfinite(logits).all()


def test_a_model_ships():
    assert TRACKED
