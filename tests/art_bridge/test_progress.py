"""Attacks behind ART's door and ART's own tell where they stand."""

import pytest

from atk_latent.adversaries import loop_watch
from atk_latent.art_bridge import passes
from atk_latent.art_bridge.estimator import estimator_for
from atk_latent.art_bridge.factory import make_attack
from atk_latent.attacks import FastSquare
from atk_latent.evaluation.runner import Options, run_attacks


@pytest.fixture(autouse=True)
def at_every_step(monkeypatch):
    monkeypatch.setattr(loop_watch, "INTERVAL", 1e-9)
    monkeypatch.setattr(passes, "INTERVAL", -1.0)


@pytest.mark.parametrize(
    ("spec", "most"),
    [
        ("art:fgsm:eps=0.001", 1),
        ("art:pgd:eps=0.001,steps=6", 6),
        ("art:square:eps=0.001,queries=20", 20),
        ("art:deepfool:steps=2,classes=3", 9),
        ("art:jsma:gamma=0.05", 2),
        ("art:cw-l2:steps=3,search_steps=2", 6),
        ("art:cw-linf:steps=2,decrease_factor=0.5", 16),
        ("art:hopskipjump:steps=1,first_queries=5,most_queries=10,draws=4", 10),
        ("art:autoattack:eps=0.001,steps=3,queries=5,restarts=1", 6),
    ],
)
def test_arts_own_attacks_tell_of_their_passes(spec, most, three):
    model, x, y = three
    attack = make_attack(spec, estimator_for(model))
    heard = []
    attack.generate(x[:4], y[:4], lambda *step: heard.append(step))
    assert {what for what, *_ in heard} == {f"{attack.title}: passes"}
    assert {total for _, _, total, *_ in heard} == {most}
    done = [step for _, step, *_ in heard]
    assert done == sorted(done) and done[-1] == most
    quiet = make_attack(spec, estimator_for(model))
    quiet.generate(x[:4], y[:4])  # nobody listens


def test_an_evaluation_tells_of_images_and_of_steps(three):
    model, x, y = three
    heard = []
    options = Options(batch_size=8, progress=lambda *step: heard.append(step))
    run_attacks(model, x, y, ["square:eps=0.001,queries=30"], options)
    images = [step[1:3] for step in heard if step[0] == "square"]
    steps = [step for step in heard if step[0] == "square: steps"]
    assert images == [(0, 12), (8, 12), (12, 12)]
    assert len(steps) > 10 and {total for _, _, total, *_ in steps} == {30}
    assert any(step[3] and step[3]["standing"] > 0 for step in steps)


def test_verbose_shows_a_bar_and_without_it_nothing_is_shown(three, capsys):
    model, x, y = three
    for verbose in (False, True):
        FastSquare(estimator_for(model), eps=0.001, max_iter=30, verbose=verbose).generate(x, y)
        shown = capsys.readouterr()
        assert ("square: steps" in shown.err) == verbose and shown.out == ""
