"""The card of a run in words."""

from pathlib import Path

import pytest

from atk_latent.reporting.model_card import model_card
from atk_latent.results.card import Card
from atk_latent.results.files import read_result

SHIPPED = sorted(Path(__file__).parents[2].glob("saved_models/*/card.json"))


def in_words(card, **changes):
    return model_card(Card.from_json({**card, **changes}, "card.json"))


def test_a_card_says_what_how_measured_limits_and_loading(card):
    said = in_words(card, overrides={"examples": "fresh"})
    assert said.startswith("# Model card: ladder on mnist\n")
    for part in ("What it is", "How it was trained", "Measured", "Limits", "How to load it"):
        assert f"\n## {part}\n" in said
    assert "The preset paper, but for examples=fresh;" in said
    assert "| examples | fresh | asked for |" in said
    assert "| epochs | 12 |  |" in said
    assert "| gan | none |  |" in said
    assert "hardened classifier, test images as they are, no attack" in said
    assert 'keras.saving.load_model("model.keras")' in said
    assert "| training images | 60,000 |" in said


def test_what_was_asked_for_is_said_or_said_to_be_unknown(card):
    assert "did not note what was asked for" in in_words(card)
    assert "The preset paper as it is;" in in_words(card, overrides={})
    assert "but for epochs=3;" in in_words(card, overrides={"epochs": 3})


def test_limits_of_its_own_come_first(card):
    said = in_words(card, limits=["Not for <b>road</b> signs, says `atkl`."])
    limits = said.partition("## Limits")[2]
    assert limits.index("Not for &lt;b\\>road") < limits.index("All numbers")
    assert "says `atkl`." in limits


def test_a_run_without_a_classifier_does_not_say_how_to_load_one(card):
    said = in_words(card, clean_accuracy=None, method="song-gan")
    assert "load_model" not in said and "no classifier" in said


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_every_shipped_model_has_its_card_in_words(path):
    assert path.with_name("card.md").read_text() == model_card(read_result(path).result)
