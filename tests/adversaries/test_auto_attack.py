"""The cascade: its plan, what each attack sees, its doubts, and going on after a kill."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from atk_latent.adversaries import auto_attack
from atk_latent.adversaries.auto_attack import AutoAttack, AutoAttackSettings, plan
from atk_latent.errors import InputError
from tests.adversaries.contract import network, right

SMALL = AutoAttackSettings(eps=0.03, steps=4, targets=2, queries=12)


@pytest.fixture(scope="module")
def problem():
    model, x, y = network(5)
    return model, x.numpy(), y


@pytest.fixture(scope="module")
def attack():
    return AutoAttack(SMALL, seed=2)


@pytest.fixture(scope="module")
def whole(attack, problem):
    return attack.run(*problem, batch_size=6)


def names(version, classes):
    components, notes = plan(AutoAttackSettings(version=version), classes)
    return [part.name for part in components], notes


def test_plans_are_the_published_ones():
    found, notes = plan(AutoAttackSettings(eps=0.3, norm="l2"), 10)
    assert [part.name for part in found] == ["apgd-ce", "apgd-t", "fab-t", "square"]
    assert not notes
    for part in found:
        assert (part.settings["eps"], part.settings["norm"]) == (0.3, "l2")
        assert part.settings.get("restarts", 1) == 1
    assert [part.settings.get("targets") for part in found] == [None, 9, 9, None]
    assert [part.settings.get("steps") for part in found] == [100, 100, 100, None]
    assert found[3].settings["queries"] == 5000
    plus, _ = plan(AutoAttackSettings(version="plus"), 10)
    restarts = {part.name: part.settings.get("restarts", 1) for part in plus}
    assert restarts == {
        "apgd-ce": 5, "apgd-dlr": 5, "fab": 5, "square": 1, "apgd-t": 1, "fab-t": 1
    }  # fmt: skip
    rand, _ = plan(AutoAttackSettings(version="rand"), 10)
    assert [(part.name, part.settings["eot"]) for part in rand] == [
        ("apgd-ce", 20),
        ("apgd-dlr", 20),
    ]


@pytest.mark.parametrize("classes", range(2, 10))
def test_few_classes_are_planned_for(classes):
    found, notes = plan(AutoAttackSettings(), classes)
    for part in found:
        assert part.settings.get("targets", 1) <= classes - 1
    second = {2: [], 3: ["apgd-dlr"]}.get(classes, ["apgd-t"])
    assert [part.name for part in found] == ["apgd-ce", *second, "fab-t", "square"]
    assert any(f"not 9: there are {classes} classes" in note for note in notes)


def test_what_is_left_out_is_said():
    assert names("plus", 3)[0] == ["apgd-ce", "apgd-dlr", "fab", "square", "fab-t"]
    assert names("rand", 2) == (
        ["apgd-ce"],
        ["without apgd-dlr: its DLR loss needs 3 classes, not 2"],
    )
    assert "apgd-dlr for apgd-t" in names("standard", 3)[1][0]


def test_standard_cascade_keeps_its_accounts(whole, problem):
    model, x, y = problem
    clean = right(model, x, y)
    assert whole.clean_accuracy == pytest.approx(clean.mean())
    assert whole.robust_accuracy == pytest.approx(whole.robust.mean())
    assert 0 < whole.robust.sum() < clean.sum()
    np.testing.assert_array_equal(right(model, whole.x_adv, y), whole.robust)
    kept = whole.robust | ~clean
    np.testing.assert_array_equal(whole.x_adv[kept], x[kept])
    changes = np.abs(whole.x_adv - x).reshape(len(x), -1).max(axis=1)
    assert (changes[~kept] > 0).all() and changes.max() <= SMALL.eps + 1e-6
    records = whole.components
    assert [r.name for r in records] == ["apgd-ce", "apgd-t", "fab-t", "square"]
    assert records[0].n_in == clean.sum()
    for before, after in zip(records, records[1:], strict=False):
        assert after.n_in == pytest.approx(before.robust_accuracy * len(x))
    assert records[-1].robust_accuracy == whole.robust_accuracy
    # start and steps of each run, the clean image, the verdict
    assert (records[0].forward, records[0].backward) == (7 * clean.sum(), 5 * clean.sum())
    assert records[3].backward == 0
    said = json.loads(whole.diagnostics().model_dump_json())
    assert said["components"][-1]["robust_accuracy"] == whole.robust_accuracy


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2)])
def test_linear_model_has_the_robust_accuracy_of_the_closed_form(norm, dual):
    weight = np.array([3.0, -1.0, 0.5, 2.0], np.float32)
    x = np.random.default_rng(0).uniform(0.4, 0.6, (24, 2, 2, 1)).astype(np.float32)
    score = x.reshape(-1, 4) @ weight - 2.25

    def linear(images):
        z = tf.linalg.matvec(tf.reshape(images, (-1, 4)), weight) - 2.25
        return tf.stack([tf.zeros_like(z), z], axis=1)

    eps = 0.5 * float(np.median(np.abs(score))) / np.linalg.norm(weight, dual) * 2
    settings = dataclasses.replace(SMALL, norm=norm, eps=eps, steps=20)
    found = AutoAttack(settings).run(linear, x, (score > 0).astype(int))
    want = np.abs(score) > eps * np.linalg.norm(weight, dual)
    assert want.sum() == 12
    np.testing.assert_array_equal(found.robust, want)
    assert [record.name for record in found.components] == ["apgd-ce", "fab-t", "square"]
    assert found.warnings == [] and len(found.notes) == 2


def test_images_and_findings_come_from_one_run(attack, whole, problem):
    x_adv = attack.craft_all(*problem, batch_size=6, seed=2)
    np.testing.assert_array_equal(x_adv, whole.x_adv)
    np.testing.assert_array_equal(attack.result.robust, whole.robust)
    assert [part.name for part in attack.diagnostics().components] == [
        part.name for part in whole.components
    ]
    other = attack.craft_all(*problem, batch_size=6, seed=3)
    assert np.abs(other - x_adv).max() > 0


def blocked(images):  # the logits of a network that rounds its input
    return tf.reduce_mean(tf.round(4 * images), axis=(1, 2)) * tf.constant([[1.0, 3.0, 2.0]])


def noisy(images):
    return tf.random.normal((tf.shape(images)[0], 3))


def sure(images):
    return tf.nn.softmax(tf.reduce_sum(images, axis=(1, 2)) * tf.constant([[1.0, 2.0, 3.0]]))


@pytest.mark.parametrize(
    ("classifier", "label", "version", "want"),
    [
        (blocked, 1, "standard", "12 of 12 images have a gradient of exactly zero"),
        (noisy, None, "standard", "answers at random; use version rand"),
        (sure, 2, "standard", "look like probabilities"),
        (sure, 2, "rand", "standard is stronger"),
    ],
)
def test_doubts_are_told(classifier, label, version, want, monkeypatch):
    monkeypatch.setattr(auto_attack, "plan", lambda *_: ([], []))
    x = np.random.default_rng(0).uniform(0.3, 1, (12, 2, 2, 1)).astype(np.float32)
    y = np.arange(12) % 3 if label is None else np.full(12, label)
    settings = dataclasses.replace(SMALL, version=version)
    found = AutoAttack(settings).run(classifier, x, y)
    assert any(want in doubt for doubt in found.warnings), found.warnings


def test_square_beating_the_gradients_is_a_doubt(monkeypatch):
    def steps(images):  # the first class wins where the mean is above 0.5; no gradient
        mean = tf.round(tf.reduce_mean(images, axis=(1, 2)))
        return tf.concat([mean, 1.0 - mean], axis=1)

    published = plan
    monkeypatch.setattr(auto_attack, "plan", lambda *known: (published(*known)[0][-1:], []))
    x = np.full((6, 2, 2, 1), 0.55, np.float32)
    found = AutoAttack(dataclasses.replace(SMALL, eps=0.2)).run(steps, x, np.zeros(6, int))
    assert found.components[0].name == "square" and found.robust_accuracy == 0
    assert any("Square, without gradients, took 100.0 points" in w for w in found.warnings)


def test_random_classifier_is_attacked_on_average():
    def noisy_sum(images):  # mean logits: 0 and the sum less 2
        total = tf.reduce_sum(images, axis=(1, 2)) - 2.0
        both = tf.concat([tf.zeros_like(total), total], axis=1)
        return both + tf.random.normal(tf.shape(both), stddev=0.2)

    x = np.linspace(0.51, 0.9, 12).astype(np.float32).reshape(-1, 1, 1, 1) * np.ones((1, 2, 2, 1))
    settings = dataclasses.replace(SMALL, version="rand", eps=0.15, eot=10)
    found = AutoAttack(settings).run(noisy_sum, x, np.ones(12, int))
    want = 4 * (x[:, 0, 0, 0] - 0.15) > 2
    sure = np.abs(4 * (x[:, 0, 0, 0] - 0.15) - 2) > 0.25
    np.testing.assert_array_equal(found.robust[sure], want[sure])
    assert found.components[0].backward == 5 * 10 * found.components[0].n_in


def test_wrong_input_is_refused(problem):
    model, x, y = problem
    attack = AutoAttack(SMALL)
    with pytest.raises(InputError, match="20 images and 3 labels"):
        attack.run(model, x, y[:3])
    with pytest.raises(InputError, match="at least 1. Received: 0"):
        attack.run(model, x[:0], y[:0])
    with pytest.raises(InputError, match=r"\[0, 1\].*to 254"):
        attack.run(model, np.rint(x * 255).clip(0, 254), y)
    with pytest.raises(InputError, match="must be finite"):
        attack.run(lambda images: model(images) * float("nan"), x, y)
    with pytest.raises(InputError, match="one of standard, plus, rand. Received: 'weak'"):
        AutoAttackSettings(version="weak")
    with pytest.raises(InputError, match="'batch_size' must be at least 1. Received: 0"):
        attack.run(model, x, y, batch_size=0)


def test_an_attack_that_leaves_its_ball_is_a_bug(problem, monkeypatch):
    class Far:
        def craft_all(self, classifier, x, y, **options):
            return 1.0 - x

    monkeypatch.setattr(auto_attack, "make_adversary", lambda name, **settings: Far())
    with pytest.raises(RuntimeError, match="apgd-ce: a change of .* left the ball"):
        AutoAttack(SMALL).run(*problem)
