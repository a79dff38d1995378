"""Threat models: values with words, and the sentences of version 1 that stand for them."""

import itertools

import pytest

from atk_latent.results.threat import BACKWARD_WORDS, NORM_WORDS, ThreatModel
from atk_latent.results.version_1 import threat_model

BPDA = BACKWARD_WORDS["identity"]
LINF = {"access": "white-box", "norm": "linf"}


@pytest.mark.parametrize(
    ("sentence", "fields"),
    [
        ("none", {"access": "none"}),
        ("white-box", {"access": "white-box"}),
        ("white-box, Linf", LINF),
        ("score-based, L2", {"access": "score-based", "norm": "l2"}),
        (
            "white-box on its own latents, unbounded in pixels",
            {"access": "white-box", "norm": "latent"},
        ),
        (
            "white-box, unrestricted (images of a GAN)",
            {"access": "white-box", "norm": "unrestricted"},
        ),
        ("transfer from runs/a (b) (white-box there, Linf)", {**LINF, "crafted_on": "runs/a (b)"}),
        (
            "transfer from the same network, other seed",
            {"access": "unknown", "crafted_on": "the same network, other seed"},
        ),
        (
            "static: white-box, Linf, unaware of IMT+",
            {**LINF, "knows_defence": "unaware", "defence": "imt+"},
        ),
        (
            "static: transfer from a (white-box there, Linf), unaware of IMT",
            {**LINF, "crafted_on": "a", "knows_defence": "unaware", "defence": "imt"},
        ),
        (
            "adaptive: sees classifier and discriminator but not the IMT step, Linf",
            {**LINF, "knows_defence": "discriminator", "defence": "imt"},
        ),
        (
            f"adaptive: white-box through IMT ({BPDA}), Linf",
            {**LINF, "knows_defence": "identity", "defence": "imt"},
        ),
        ("psychic, Linf", {"access": "unknown", "words": "psychic, Linf"}),
    ],
)
def test_a_sentence_of_version_1_stands_for_a_value_that_says_it_again(sentence, fields):
    value = ThreatModel(**threat_model(sentence, None, "imt"))
    assert value == ThreatModel(**fields)
    assert str(value) == sentence


@pytest.mark.parametrize("norm", NORM_WORDS)
@pytest.mark.parametrize("access", ["white-box", "score-based", "decision-based"])
def test_every_threat_model_is_the_one_that_its_words_stand_for(access, norm):
    knowledge = [("no defence", ""), ("unaware", "imt"), ("discriminator", "imt")]
    knowledge += [(way, "imt") for way in BACKWARD_WORDS]
    for (knows, defence), source in itertools.product(knowledge, (None, "runs/a, b")):
        if knows == "discriminator" and access != "white-box":
            continue  # its words leave the access out, for it is one
        value = ThreatModel(
            access=access, norm=norm, eps=0.3, crafted_on=source, knows_defence=knows,
            defence=defence,
        )  # fmt: skip
        assert ThreatModel(**threat_model(str(value), 0.3, "imt")) == value


@pytest.mark.parametrize(
    ("sentence", "name", "direct"),
    [
        ("white-box, Linf", "White-box", True),
        ("white-box on its own latents, unbounded in pixels", "White-box", True),
        ("score-based, L2", "Score-based", True),
        ("decision-based, Linf", "Decision-based", True),
        ("transfer from Runs/A (white-box there, Linf)", "Transfer from Runs/A", False),
        ("static: white-box, Linf, unaware of IMT", "Static, white-box", False),
        ("static: decision-based, Linf, unaware of IMT", "Static, decision-based", False),
        (f"adaptive: white-box through IMT ({BPDA}), Linf", "Adaptive", True),
        (
            f"adaptive: transfer from a (white-box through IMT ({BPDA}) there, Linf)",
            "Adaptive, transfer from a",
            False,
        ),
        ("psychic, Linf", "Psychic, Linf", True),
    ],
)
def test_a_threat_model_has_a_group(sentence, name, direct):
    group = ThreatModel(**threat_model(sentence)).group
    assert (group.name, group.is_direct) == (name, direct)


def test_rows_behind_two_defences_have_one_attacker_and_two_attackers_never_are_one():
    static = ThreatModel(**LINF, eps=0.3, knows_defence="unaware", defence="imt")
    other = static.model_copy(update={"defence": "imt+"})
    assert static != other and static.attacker == other.attacker
    for change in ({"eps": 0.2}, {"norm": "l2"}, {"crafted_on": "a"}, {"access": "score-based"}):
        assert static.attacker != static.model_copy(update=change).attacker
