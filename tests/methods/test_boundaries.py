import numpy as np
import pytest
import tensorflow as tf

from atk_latent.config import build
from atk_latent.errors import InputError
from atk_latent.methods import boundaries
from atk_latent.methods.boundaries import (
    BoundarySettings,
    _Group,
    fit_boundaries,
    pick_images,
    svm_loss,
    svm_scores,
)
from atk_latent.models.attention_svm import AttentionSVM, attend, class_pairs

OFFICIAL = build(
    BoundarySettings,
    {
        "attention": "exp-softmax",
        "attention_gain": "one",
        "normal": "raw",
        "svm_optimizer": "sgd",
        "svm_learning_rate": 0.01,
        "svm_epochs": 1,
        "svm_batch_size": 1,
        "hinge_weight": 0.01,
        "l2_weight": 1.0,
    },
)


def attention_of(pre_tanh, kind):
    width = len(pre_tanh)
    z = tf.ones((1, 1, width))
    kernel, bias = tf.zeros((1, width, width)), tf.constant([pre_tanh], tf.float32)
    return attend(z, kernel, bias, kind, 1.0).numpy()[0, 0]


@pytest.mark.parametrize(
    ("pre_tanh", "paper", "code"),
    [
        ([0, 0], [0.5, 0.5], [1.648721, 1.648721]),
        ([1, -1], [0.821008, 0.178992], [2.272789, 1.196012]),
        ([0.5, 0, -2], [0.534707, 0.336838, 0.128455], [1.706949, 1.400512, 1.137070]),
    ],
)
def test_attention_matches_the_golden_numbers(pre_tanh, paper, code):
    np.testing.assert_allclose(attention_of(pre_tanh, "softmax"), paper, atol=1e-6)
    np.testing.assert_allclose(attention_of(pre_tanh, "exp-softmax"), code, atol=2e-6)


@pytest.mark.parametrize(
    ("width", "paper", "code"), [(500, 0.002, 1.002002), (512, 0.001953, 1.001955)]
)
def test_flat_attention_shows_the_scale_between_paper_and_code(width, paper, code):
    assert attention_of([0.0] * width, "softmax")[0] == pytest.approx(paper, abs=1e-6)
    assert attention_of([0.0] * width, "exp-softmax")[0] == pytest.approx(code, abs=1e-6)


def golden_weights():
    return {
        "kernel": np.zeros((1, 3, 3), np.float32),
        "bias": np.array([[0.2, 0.0, -0.1]], np.float32),
        "weight": np.array([[0.1, -0.2, 0.05]], np.float32),
        "intercept": np.array([0.3], np.float32),
    }


def test_one_svm_step_matches_the_golden_numbers():
    z, y = np.array([[[1.0, 2.0, -1.0]]], np.float32), np.ones((1, 1), np.float32)
    weights = {name: tf.constant(value) for name, value in golden_weights().items()}
    assert svm_scores(tf.constant(z), weights, OFFICIAL).numpy()[0, 0] == pytest.approx(
        -0.170050, abs=1e-6
    )
    assert svm_loss(tf.constant(z), tf.constant(y), weights, OFFICIAL).numpy()[0] == pytest.approx(
        0.029200, abs=1e-6
    )
    group = _Group(golden_weights(), OFFICIAL, seed=0)
    group.fit(z, y, lambda done: None)
    np.testing.assert_allclose(
        group.weights["weight"].numpy()[0], [0.099481, -0.198391, 0.049533], atol=1e-6
    )
    assert group.weights["intercept"].numpy()[0] == pytest.approx(0.300100, abs=1e-6)


def clusters(per_class=40, classes=3, width=6, seed=0):
    rng = np.random.default_rng(seed)
    centres = 3 * np.eye(classes, width)
    y = np.repeat(np.arange(classes), per_class)
    z = centres[y] + 0.3 * rng.standard_normal((len(y), width))
    order = rng.permutation(len(y))
    return z[order].astype(np.float32), y[order]


@pytest.mark.parametrize("attention", ["softmax", "exp-softmax"])
def test_boundaries_separate_clusters_and_point_to_the_target(attention):
    z, y = clusters()
    settings = build(
        BoundarySettings,
        {"svm_images": 20, "svm_test_images": 10, "attention": attention, "svm_epochs": 150},
    )
    trained = fit_boundaries(z, y, 3, settings, seed=1)
    assert trained.accuracies.shape == (3,)
    assert trained.accuracies.min() > 0.9
    means = np.stack([z[y == label].mean(axis=0) for label in range(3)])
    for source in range(3):
        for target in set(range(3)) - {source}:
            direction = trained.direction(tf.constant([source]), tf.constant([target])).numpy()[0]
            assert np.dot(direction, means[target] - means[source]) > 0
            assert np.linalg.norm(direction) == pytest.approx(1.0, abs=1e-5)


def test_training_in_groups_of_one_pair_works_as_well_as_all_together(monkeypatch):
    z, y = clusters(classes=4)
    settings = build(BoundarySettings, {"svm_images": 20, "svm_test_images": 10, "svm_epochs": 150})
    together = fit_boundaries(z, y, 4, settings, seed=1)
    monkeypatch.setattr("atk_latent.methods.boundaries.MEMORY_PER_GROUP", 4 * 36)
    alone = fit_boundaries(z, y, 4, settings, seed=1)
    assert alone.arrays["weight"].shape == together.arrays["weight"].shape == (6, 6)
    assert alone.accuracies.min() > 0.9
    assert together.accuracies.min() > 0.9


def test_attention_of_a_batch_equals_that_of_each_pair():
    z, y = clusters()
    trained = fit_boundaries(
        z, y, 3, build(BoundarySettings, {"svm_epochs": 3, "svm_images": 20}), seed=2
    )
    pair = np.array([0, 2, 1, 2])
    got = trained.attention_weights(tf.constant(z[:4]), tf.constant(pair)).numpy()
    for row, index in enumerate(pair):
        a = np.tanh(z[row] @ trained.arrays["kernel"][index] + trained.arrays["bias"][index])
        want = 6 * np.exp(a) / np.exp(a).sum()
        np.testing.assert_allclose(got[row], want, rtol=1e-5)
    assert got.mean() == pytest.approx(1.0, abs=1e-5)


def test_boundaries_survive_saving(tmp_path):
    z, y = clusters()
    trained = fit_boundaries(
        z, y, 3, build(BoundarySettings, {"svm_epochs": 2, "svm_images": 20}), seed=0
    )
    trained.save(tmp_path / "b.npz")
    again = AttentionSVM.load(tmp_path / "b.npz")
    for name, value in trained.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], value)
    assert (again.gain, again.attention, again.normal) == (6.0, "softmax", "unit")


@pytest.mark.parametrize("content", [b"", b"not a zip", None])
def test_loading_what_is_no_boundary_says_so(tmp_path, content):
    path = tmp_path / "b.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"b\.npz .*atkl harden --method ladder"):
        AttentionSVM.load(path)


def test_loading_wrong_shapes_says_which(tmp_path):
    z, y = clusters()
    trained = fit_boundaries(
        z, y, 3, build(BoundarySettings, {"svm_epochs": 1, "svm_images": 20}), seed=0
    )
    trained.arrays["bias"] = trained.arrays["bias"][:, :2]
    trained.save(tmp_path / "b.npz")
    with pytest.raises(InputError, match="'bias' must have shape"):
        AttentionSVM.load(tmp_path / "b.npz")


def test_small_classes_are_repeated_and_never_mixed_with_the_test_images():
    labels = np.array([0] * 3 + [1] * 50)
    fit, test = pick_images(labels, 2, 10, 5)
    assert fit.shape == (2, 10)
    assert test.shape == (2, 5)
    assert set(fit[0]) == {0, 1}
    assert set(test[0]) == {2}
    assert not set(fit[1]) & set(test[1])


def test_a_class_without_images_is_refused():
    with pytest.raises(InputError, match="class 1 has no training image"):
        pick_images(np.zeros(5, int), 2, 2, 1)


def test_class_pairs_are_all_unordered_pairs():
    assert class_pairs(3).tolist() == [[0, 1], [0, 2], [1, 2]]
    assert len(class_pairs(10)) == 45


@pytest.mark.parametrize("bad", [{"svm_images": 0}, {"svm_learning_rate": 0}, {"l2_weight": -1}])
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        build(BoundarySettings, bad)


@pytest.mark.parametrize("stop", [2, 5, 8])
def test_a_killed_training_goes_on_and_ends_bit_for_bit_as_an_undisturbed_one(
    tmp_path, monkeypatch, stop
):
    z, y = clusters()
    monkeypatch.setattr(boundaries, "SECONDS_BETWEEN_STATES", 0.0)
    monkeypatch.setattr(boundaries, "MEMORY_PER_GROUP", 1)  # a group for each of the three pairs
    settings = build(BoundarySettings, {"svm_epochs": 3, "svm_images": 20, "svm_batch_size": 8})
    whole = fit_boundaries(z, y, 3, settings, seed=0)

    def killed(done, total):
        assert total == 9
        if done == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_boundaries(z, y, 3, settings, seed=0, checkpoint=tmp_path, on_epoch=killed)
    steps, step = [], boundaries._Group._step
    monkeypatch.setattr(boundaries._Group, "_step", lambda *a: steps.append(1) or step(*a))
    again = fit_boundaries(z, y, 3, settings, seed=0, checkpoint=tmp_path)
    for name, value in whole.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], value)
    assert len(steps) == (9 - (stop - 1)) * 5  # 40 latents a pair in batches of 8


def test_boundaries_of_another_training_are_not_gone_on_from(tmp_path, monkeypatch):
    z, y = clusters()
    monkeypatch.setattr(boundaries, "SECONDS_BETWEEN_STATES", 0.0)
    settings = build(BoundarySettings, {"svm_epochs": 2, "svm_images": 20})
    fit_boundaries(z, y, 3, settings, seed=0, checkpoint=tmp_path)
    (part,) = tmp_path.glob("pairs-*.npz")
    np.savez(part, **{**dict(np.load(part)), "bias": np.zeros((3, 4), np.float32)})
    for words in ("was changed", "'bias' has shape"):
        with pytest.raises(InputError, match=words):
            fit_boundaries(z, y, 3, settings, seed=0, checkpoint=tmp_path)
        (tmp_path / "checksums.json").unlink(missing_ok=True)
