"""A linear model whose every prediction can be computed by hand."""

import keras
import numpy as np
import pytest

from atk_latent.art_bridge.bound_attack import BoundAttack
from atk_latent.errors import InputError
from atk_latent.evaluation import runner
from atk_latent.evaluation.runner import Case, Options
from atk_latent.results.accuracy import Accuracy
from atk_latent.results.attack_result import Published
from atk_latent.results.threat import ThreatModel


def brightness(threshold):
    """Class 1 if the mean pixel of a 2x2 image is above `threshold`."""
    model = keras.Sequential(
        [keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    kernel = np.array([[0.0, 10.0]] * 4, np.float32)
    model.set_weights([kernel, np.array([0.0, -40.0 * threshold], np.float32)])
    return model


X = np.stack([np.full((2, 2, 1), v) for v in (0.1, 0.4, 0.6, 0.9, 0.45)]).astype(np.float32)
Y = np.array([0, 0, 1, 1, 1])  # the last is wrong without any attack


class Move:
    """Hands back `change(x)`; what a broken attack may do."""

    def __init__(self, change):
        self.change = change

    def generate(self, x, y):
        return self.change(x)


def bound(change, eps=0.2, norm="linf"):
    return BoundAttack("move", ThreatModel(access="white-box", norm=norm, eps=eps), Move(change))


def test_robust_accuracy_is_computed_by_hand():
    # eps 0.2 moves 0.4 and 0.6 across 0.5, not 0.1 and 0.9; the last was wrong before
    (result,) = runner.run_attacks(brightness(0.5), X, Y, ["fgsm:eps=0.2"], Options(batch_size=2))
    assert (result.n, result.robust_accuracy) == (5, 0.4)
    assert result.low < 0.4 < result.high
    assert result.linf == pytest.approx(0.2, abs=1e-6)
    assert result.l2 == pytest.approx(0.4, abs=1e-6)
    assert (result.attack, result.threat) == ("fgsm", "white-box, Linf")
    assert (result.inference, result.eps, result.surrogate) == ("none", 0.2, None)


def test_an_evaluation_is_the_record_of_clean_images_and_attacks():
    options = Options(batch_size=2, seed=3, target="run", data="squares")
    record = runner.evaluate(brightness(0.5), X, Y, ["fgsm:eps=0.2"], options)
    assert record.clean == Accuracy.of([True] * 4 + [False]) and record.n == 5
    assert (record.target, record.data, record.seed) == ("run", "squares", 3)
    assert (record.labels, record.clean_predictions) == (tuple(Y), (0, 0, 1, 1, 0))
    assert [attack.robust_accuracy for attack in record.attacks] == [0.4]


def test_no_class_is_no_right_class():
    model = brightness(0.5)
    model.layers[-1].bias.assign([np.nan, 0.0])
    with pytest.raises(InputError, match="NaN for 5 of 5 images"):
        runner.clean_predictions(model, X, Y)
    still, target = bound(lambda x: x), runner.estimator_for(model)
    (chunk,) = runner.attack_chunks(still, target, X, Y, "move", Options())
    assert not chunk.robust.any()  # argmax of NaN is 0, which two labels are


def test_an_image_wrong_before_is_wrong_after_even_if_the_attack_repairs_it():
    brighter = bound(lambda x: np.clip(x + 0.1, 0, 1))  # takes 0.45 to the right side
    target = runner.estimator_for(brightness(0.5))
    chunks = list(runner.attack_chunks(brighter, target, X, Y, "move", Options()))
    assert chunks[0].predictions[4] == Y[4]
    assert not chunks[0].robust[4]
    assert runner.summarise(brighter, chunks, Case("move")).robust_accuracy <= 0.8


def test_transfer_is_crafted_on_the_surrogate_and_scored_on_the_target():
    opposite = brightness(0.5)
    opposite.set_weights([-opposite.get_weights()[0], -opposite.get_weights()[1]])
    surrogate = runner.Surrogate("other", opposite)
    (result,) = runner.run_attacks(brightness(0.5), X, Y, [Case("fgsm:eps=0.2", surrogate)])
    assert result.robust_accuracy == 0.8  # what hurts the surrogate helps the target
    assert result.threat == "transfer from other (white-box there, Linf)"
    assert result.surrogate == "other"


def test_an_attack_with_a_surrogate_of_its_own_is_a_transfer_attack():
    threat = ThreatModel(access="white-box", norm="latent", crafted_on="vanilla")
    attack = BoundAttack("move", threat, Move(None))
    text = "transfer from vanilla (white-box there, unbounded in pixels)"
    assert str(runner.threat_model(attack)) == text
    assert runner.threat_model(attack, runner.Surrogate("other", None)).crafted_on == "vanilla"
    assert runner.threat_model(bound(None)).crafted_on is None


def test_same_seed_same_numbers_whatever_else_runs():
    model = brightness(0.5)
    alone = runner.run_attacks(model, X, Y, ["pgd:eps=0.1,steps=1"], Options(seed=3))[0]
    both = runner.run_attacks(
        model, X, Y, ["square:queries=3", "pgd:eps=0.1,steps=1"], Options(seed=3)
    )[1]
    assert (alone.linf, alone.l2) == (both.linf, both.l2)
    other = runner.run_attacks(model, X, Y, ["pgd:eps=0.1,steps=1"], Options(seed=4))[0]
    assert other.l2 != alone.l2


def test_chunk_seeds_differ_and_are_stable():
    seeds = {
        runner.chunk_seed(seed, spec, start)
        for seed in (0, 1)
        for spec in ("pgd", "fgsm")
        for start in (0, 256)
    }
    assert len(seeds) == 8
    assert runner.chunk_seed(0, "pgd", 0) == runner.chunk_seed(0, "pgd", 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x + 0.3, "a change of"),
        (lambda x: x * np.nan, "not finite"),
        (lambda x: x - 0.15, "not in"),
        (lambda x: x[:1], "shape"),
    ],
)
def test_an_attack_that_breaks_its_promise_is_a_bug(change, message):
    attack = bound(change)
    with pytest.raises(RuntimeError, match=message):
        runner.checked_images(attack, X * 0.5, attack.generate(X * 0.5, Y))


def test_rounding_at_the_edge_is_clipped_and_no_more():
    x = np.ones((1, 2, 2, 1), np.float32)
    found = runner.checked_images(bound(None), x, x + np.float32(5e-7))
    assert found.max() == 1.0
    with pytest.raises(RuntimeError, match="not in"):
        runner.checked_images(bound(None), x, x + np.float32(5e-6))


def test_progress_is_told_every_chunk():
    seen = []
    options = Options(batch_size=2, progress=lambda *step: seen.append(step))
    runner.run_attacks(brightness(0.5), X, Y, ["fgsm:eps=0.1"], options)
    assert seen == [("fgsm", done, 5) for done in (0, 2, 4, 5)]


def test_every_spec_is_read_before_any_runs():
    seen = []
    with pytest.raises(InputError, match="Did you mean 'pgd'"):
        runner.run_attacks(
            brightness(0.5), X, Y, ["fgsm", "pgdd"], Options(progress=lambda *s: seen.append(s))
        )
    assert not seen


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:0], Y[:0], "0 came"),
        (X, Y[:2], "as many"),
        (X * 255, Y, r"\[0, 1\]"),
        (X * np.nan, Y, r"\[0, 1\]"),
    ],
)
def test_images_that_cannot_be_evaluated_are_refused(x, y, message):
    with pytest.raises(InputError, match=message):
        runner.run_attacks(brightness(0.5), x, y, ["fgsm"])


def test_cases_may_differ_in_the_model_they_are_made_on():
    opposite = brightness(0.5)
    opposite.set_weights([-weights for weights in opposite.get_weights()])
    other = runner.Surrogate("other", opposite)
    published = Published(value=0.5, source="Paper")
    cases = [
        Case("fgsm:eps=0.2", other),
        Case("fgsm:eps=0.2", published=published),
        Case("fgsm:eps=0.2", runner.Surrogate("same", brightness(0.5))),
    ]
    seen = []
    options = Options(progress=lambda name, *_: seen.append(name))
    found = runner.run_attacks(brightness(0.5), X, Y, cases, options)
    assert [result.robust_accuracy for result in found] == [0.8, 0.4, 0.4]
    assert [result.surrogate for result in found] == ["other", None, "same"]
    assert [result.published for result in found] == [None, published, None]
    names = ["fgsm:eps=0.2 from other", "fgsm:eps=0.2", "fgsm:eps=0.2 from same"]
    assert list(dict.fromkeys(seen)) == names


def test_results_hold_the_class_of_every_image_and_examples():
    (result,) = runner.run_attacks(brightness(0.5), X, Y, ["fgsm:eps=0.2"], Options(batch_size=2))
    assert result.predictions == (0, 1, 0, 1, 0)
    assert runner.clean_predictions(brightness(0.5), X, Y).tolist() == [0, 0, 1, 1, 0]
    # 1 and 2 are right before and wrong after; then the others
    assert [example.index for example in result.examples] == [1, 2, 0, 3, 4]
    first = result.examples[0]
    assert (first.label, first.clean_prediction, first.prediction) == (0, 0, 1)
    assert first.linf == pytest.approx(0.2, abs=1e-6)
    assert first.confidence == pytest.approx(1 / (1 + np.exp(-4)), abs=1e-5)  # logits 0, 4
