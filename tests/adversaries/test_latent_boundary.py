import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.adversaries.latent_boundary import LatentBoundary, PerturbationSettings
from atk_latent.errors import InputError
from atk_latent.models.attention_svm import AttentionSVM


def tiny(settings, *, classes=3, seed=0, attention_bias=0.0):
    """Images 1x2x1 whose two pixels are the latents; logits, normals and generator by hand."""
    pixels = keras.Sequential([layers.Input((1, 2, 1)), layers.Flatten()])
    head = keras.Sequential([layers.Input((2,)), layers.Dense(classes)])
    kernel = np.array([[10.0, 0.0, 5.0], [0.0, 10.0, 5.0]])[:, :classes]
    head.set_weights([kernel, np.array([0.0, 0.0, -2.0])[:classes]])
    generator = keras.Sequential([layers.Input((2,)), layers.Reshape((1, 2, 1))])
    pairs = classes * (classes - 1) // 2
    normals = np.array([[-3.0, 3.0], [0.0, 1.0], [1.0, 0.0]], np.float32)[:pairs]
    arrays = {
        "kernel": np.zeros((pairs, 2, 2), np.float32),
        "bias": np.tile([attention_bias, -attention_bias], (pairs, 1)).astype(np.float32),
        "weight": normals,
        "intercept": np.zeros(pairs, np.float32),
        "accuracy": np.ones(pairs, np.float32),
    }
    svm = AttentionSVM(arrays, num_classes=classes, attention="softmax", gain=2.0, normal="unit")
    return LatentBoundary(
        features=pixels,
        head=head,
        generator=generator,
        boundaries=svm,
        settings=settings,
        seed=seed,
    )


def images(n=6, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.2, 0.8, (n, 1, 2, 1)).astype(np.float32)


def test_the_move_is_eq_3_by_hand():
    adversary = tiny(PerturbationSettings(eps=(0.2,)), attention_bias=0.5)
    x = np.array([[[[0.6], [0.3]]]], np.float32)
    made = adversary.craft(tf.constant(x), tf.constant([0]), tf.constant([1]))
    a = np.tanh([0.5, -0.5])
    beta = 2 * np.exp(a) / np.exp(a).sum()
    want = np.array([0.6, 0.3]) + 0.2 * beta * np.array([-1.0, 1.0]) / np.sqrt(2)
    np.testing.assert_allclose(made.z_adv.numpy()[0], want, rtol=1e-5)
    np.testing.assert_allclose(made.x_adv.numpy().ravel(), want, rtol=1e-5)


def test_the_reverse_pair_moves_the_other_way():
    adversary = tiny(PerturbationSettings(eps=(0.1,)))
    x = tf.constant(images(1))
    there = adversary.craft(x, tf.constant([0]), tf.constant([1])).z_adv.numpy()
    back = adversary.craft(x, tf.constant([1]), tf.constant([0])).z_adv.numpy()
    np.testing.assert_allclose(there + back, 2 * images(1).reshape(1, 2), rtol=1e-5)


def test_images_stay_in_bounds_and_dtype():
    made = tiny(PerturbationSettings(eps=(50.0,))).craft_all(images(), np.zeros(6, int))
    assert made["x_adv"].dtype == np.float32
    assert made["x_adv"].min() >= 0
    assert made["x_adv"].max() <= 1


def test_eps_zero_decodes_the_latent_and_nothing_else():
    made = tiny(PerturbationSettings(eps=(0.0,))).craft_all(images(), np.zeros(6, int))
    np.testing.assert_array_equal(made["x_adv"], images())


def test_the_loss_rises_with_the_move():
    adversary = tiny(PerturbationSettings(eps=(0.4,)))
    y = np.array([0, 1, 2, 0, 1, 2])
    loss = keras.losses.SparseCategoricalCrossentropy(True)
    x_adv = adversary(None, tf.constant(images()), tf.constant(y))
    before, after = (float(loss(y, adversary.predict(v))) for v in (images(), x_adv))
    assert after > before + 0.1


def test_the_same_seed_gives_the_same_examples_and_another_does_not():
    settings = PerturbationSettings(eps=(0.1, 0.2, 0.3))
    y = np.arange(50) % 3
    first, again, other = (
        tiny(settings, seed=seed).craft_all(images(50), y)["x_adv"] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


@pytest.mark.parametrize("targets", ["uniform", "balanced"])
def test_targets_are_other_classes_and_all_of_them(targets):
    adversary = tiny(PerturbationSettings(targets=targets))
    y = tf.constant(np.arange(300) % 3, tf.int32)
    target = adversary.draw_targets(y).numpy()
    assert np.all(target != y.numpy())
    counts = np.zeros((3, 3), int)
    np.add.at(counts, (y.numpy(), target), 1)
    off = counts[~np.eye(3, dtype=bool)]
    assert off.min() > 25
    if targets == "balanced":
        assert off.max() - off.min() <= 1


def test_with_two_classes_the_target_is_the_other_one():
    adversary = tiny(PerturbationSettings(eps=(0.1,)), classes=2)
    y = tf.constant([0, 1, 1, 0, 1])
    assert adversary.draw_targets(y).numpy().tolist() == [1, 0, 0, 1, 0]


def test_every_eps_of_the_list_is_drawn():
    eps = tiny(PerturbationSettings(eps=(0.1, 0.2, 0.3))).craft_all(images(200), np.zeros(200, int))
    values, counts = np.unique(eps["eps"], return_counts=True)
    np.testing.assert_allclose(values, [0.1, 0.2, 0.3], rtol=1e-6)
    assert counts.min() > 40


def test_search_schedule_matches_the_golden_numbers():
    rounded = PerturbationSettings(search_trials=10).search_schedule()
    assert rounded == (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 2.0, 3.0, 4.0, 5.0)
    floats = PerturbationSettings(search_trials=11, search_rounding=False).search_schedule()
    np.testing.assert_allclose(floats, [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 2.1, 3.1, 4.1, 5.1])
    stopped = PerturbationSettings(search_trials=40, search_stop=3.0).search_schedule()
    assert stopped[-1] == 3.0


def test_search_stops_at_the_first_eps_that_flips_the_image():
    settings = PerturbationSettings(eps_mode="search", search_start=0.05, search_step=0.05)
    adversary = tiny(settings)
    x = tf.constant(np.array([[[[0.9], [0.1]]], [[[0.55], [0.45]]]], np.float32))
    label = np.argmax(adversary.predict(x), axis=1)
    made = adversary.craft(x, tf.constant(label), tf.constant(1 - label))
    schedule = settings.search_schedule()
    for row in range(2):
        tried = [
            tiny(PerturbationSettings(eps=(eps,)))
            .craft(
                x[row : row + 1],
                tf.constant(label[row : row + 1]),
                tf.constant(1 - label[row : row + 1]),
            )
            .x_adv
            for eps in schedule
        ]
        flipped = [np.argmax(adversary.predict(image)) != label[row] for image in tried]
        want = schedule[flipped.index(True)] if any(flipped) else schedule[-1]
        assert float(made.eps[row]) == pytest.approx(want, rel=1e-5)


def test_the_label_rule_is_counted_by_hand():
    adversary = tiny(PerturbationSettings(eps=(2.0,)))
    x = tf.constant(np.array([[[[0.9], [0.1]]]], np.float32))
    made = adversary.craft(x, tf.constant([0]), tf.constant([1]))
    # z_adv = (.9 - 1.414, .1 + 1.414): logits (-5.1, 15.1, 3) leave class 0, and so does the
    # image, which is clipped to (0, 1): logits (0, 10, 3).
    latent, image = adversary.label_rule(made, tf.constant([0]))
    assert latent.numpy().tolist() == image.numpy().tolist() == [True]
    still = adversary.craft(x, tf.constant([0]), tf.constant([1]))._replace(
        z_adv=tf.constant([[0.9, 0.1]])
    )
    assert adversary.label_rule(still, tf.constant([0]))[0].numpy().tolist() == [False]


def test_noise_has_the_published_sizes():
    x, y = tf.constant(images(400)), tf.constant(np.zeros(400, np.int32))
    target = tf.ones_like(y)
    plain = tiny(PerturbationSettings()).move(tf.reshape(x, (-1, 2)), y, target).numpy()
    z = tf.reshape(x, (-1, 2))
    cav = tiny(PerturbationSettings(noise="cavrandom")).move(z, y, target).numpy() - plain
    assert cav.std() == pytest.approx(0.01, rel=0.1)
    random = tiny(PerturbationSettings(noise="random")).move(z, y, target).numpy()
    assert random.std() == pytest.approx(0.1, rel=0.1)
    assert abs(random.mean()) < 0.01


def test_the_last_partial_batch_and_a_batch_of_one_give_the_same_images():
    x, y = images(7), np.zeros(7, int)
    whole = tiny(PerturbationSettings(eps=(0.2,)), classes=2).craft_all(x, y, batch_size=7)
    parts = tiny(PerturbationSettings(eps=(0.2,)), classes=2).craft_all(x, y, batch_size=3)
    single = tiny(PerturbationSettings(eps=(0.2,)), classes=2).craft_all(x, y, batch_size=1)
    np.testing.assert_allclose(whole["x_adv"], parts["x_adv"], atol=1e-6)
    np.testing.assert_allclose(whole["x_adv"], single["x_adv"], atol=1e-6)


@pytest.mark.parametrize(
    "bad", [{"eps": (-1.0,)}, {"search_trials": 0}, {"noise_scale": -0.1}, {"search_step": 0}]
)
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        PerturbationSettings(**bad)


def test_widths_that_differ_are_refused():
    good = tiny(PerturbationSettings())
    wide = keras.Sequential([layers.Input((5,)), layers.Dense(2), layers.Reshape((1, 2, 1))])
    with pytest.raises(InputError, match="generator has 5"):
        LatentBoundary(
            features=good.features,
            head=good.head,
            generator=wide,
            boundaries=good.boundaries,
            settings=good.settings,
        )
