import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

from atk_latent.config import build
from atk_latent.errors import InputError
from atk_latent.methods.fixed_set import rows_per_class
from atk_latent.methods.generator_training import (
    GeneratorSettings,
    GeneratorTraining,
    fit_generator,
)
from atk_latent.methods.ladder import (
    LADDER,
    LADDERGAN,
    LADDERCavRandom,
    LADDERRandom,
    LADDERSettings,
    label_rule_counts,
)
from atk_latent.methods.natural import Natural
from atk_latent.methods.settings import MethodSettings
from atk_latent.models.discriminators import image_discriminator
from tests.tiny_generator import known_tiny_generator  # noqa: F401

FAST = {
    "svm_images": 20,
    "svm_test_images": 10,
    "svm_epochs": 40,
    "svm_learning_rate": 0.05,
    "generator": "tiny",
    "generator_epochs": 6,
    "generator_batch_size": 32,
    "examples_per_class": 30,
    "epochs": 3,
    "batch_size": 32,
    "learning_rate": 0.05,
    "eps": (1.0, 2.0),
}


def blobs(n=240, seed=0):
    """Three classes of 28x28 images: a bright square in one of three corners."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = 0.1 * rng.random((n, 28, 28, 1), np.float32)
    for label, (row, column) in enumerate([(0, 0), (0, 14), (14, 0)]):
        x[y == label, row : row + 14, column : column + 14] += 0.8
    return x, y.astype(np.int64)


def trained_classifier(seed=0):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Flatten(),
            layers.Dense(16, activation="relu", name="latent"),
            layers.Dense(3),
        ]
    )
    Natural(
        model, build(MethodSettings, {"epochs": 3, "learning_rate": 0.05, "batch_size": 32})
    ).harden(*blobs())
    return model


@pytest.fixture(scope="module")
def vanilla_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("vanilla") / "vanilla.keras"
    trained_classifier().save(path)
    return path


@pytest.fixture
def vanilla(vanilla_path):
    return keras.models.load_model(vanilla_path)


def prepared(model, kind=LADDER, **settings):
    method = kind(model, build(kind.settings_type, {**FAST, **settings}), seed=1)
    method.prepare(*blobs())
    return method


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"originals": "paired"},
        {"examples": "fresh"},
        {"eps_mode": "search", "search_trials": 3},
        {"targets": "balanced", "reconstruction": "l1"},
        {"attention": "exp-softmax", "attention_gain": "one", "normal": "raw"},
    ],
    ids=str,
)
def test_every_recipe_trains_the_classifier_and_nothing_else(vanilla, settings):
    method = prepared(vanilla, **settings)
    frozen = [w.copy() for w in [*method.generator.get_weights(), *method.vanilla.get_weights()]]
    before = [w.copy() for w in vanilla.get_weights()]
    logs = method.harden(*blobs(), validation_data=blobs(60, seed=5))
    assert len(logs) == 3
    assert set(logs[-1]) >= {"loss", "accuracy", "adversarial_accuracy", "val_accuracy"}
    assert any(
        np.abs(a - b).max() > 1e-4 for a, b in zip(before, vanilla.get_weights(), strict=True)
    )
    after = [*method.generator.get_weights(), *method.vanilla.get_weights()]
    for one, two in zip(frozen, after, strict=True):
        np.testing.assert_array_equal(one, two)
    assert logs[-1]["val_accuracy"] > 0.9


@pytest.mark.parametrize("kind", [LADDERCavRandom, LADDERRandom])
def test_the_ablations_make_other_examples(vanilla, kind):
    x, y = blobs(60)
    own = prepared(vanilla).adversary(seed=3, eps=(2.0,)).craft_all(x, y)["x_adv"]
    other = prepared(vanilla, kind).adversary(seed=3, eps=(2.0,)).craft_all(x, y)["x_adv"]
    assert np.abs(own - other).max() > 1e-3


def test_examples_cross_the_boundary_more_often_the_larger_eps(vanilla):
    method = prepared(vanilla)
    crossed = [
        method.adversary(seed=0, eps=(eps,)).craft_all(*blobs())["latent_crossed"].mean()
        for eps in (0.0, 2.0, 50.0)
    ]
    assert crossed[0] < 0.05
    assert crossed[2] > 0.8
    assert crossed == sorted(crossed)


def test_hardening_raises_accuracy_on_examples_of_other_images(vanilla):
    method = prepared(vanilla, epochs=15, eps=(4.0, 6.0))
    method.harden(*blobs())
    x, y = blobs(120, seed=7)
    made = method.adversary(seed=9, eps=(5.0,)).craft_all(x, y)["x_adv"]

    def accuracy(model):
        return np.mean(np.argmax(model.predict(made, verbose=0), axis=1) == y)

    assert accuracy(method.vanilla) < 0.9
    assert accuracy(method.classifier) > accuracy(method.vanilla) + 0.05


def test_plain_keras_fit_makes_fresh_examples(vanilla):
    method = prepared(vanilla)
    method.compile("sgd", keras.losses.SparseCategoricalCrossentropy(True), jit_compile=False)
    state = method.seeds.state.numpy().copy()
    history = method.fit(*blobs(), batch_size=32, epochs=1, verbose=0).history
    assert "adversarial_accuracy" in history
    assert (method.seeds.state.numpy() != state).any()


def test_fresh_examples_compile_with_xla(vanilla):
    method = prepared(vanilla)
    method.compile("sgd", keras.losses.SparseCategoricalCrossentropy(True), jit_compile=True)
    x, y = blobs(64)
    assert np.isfinite(method.fit(x, y, batch_size=32, verbose=0).history["loss"][0])


def test_a_second_run_in_the_same_folder_takes_the_helpers_from_there(vanilla, tmp_path):
    first = LADDER(vanilla, build(LADDERSettings, FAST), seed=1)
    first.prepare(*blobs(), folder=tmp_path)
    stages = []
    second = LADDER(vanilla, build(LADDERSettings, FAST), seed=1)
    second.prepare(*blobs(), folder=tmp_path, progress=lambda stage, *_: stages.append(stage))
    assert stages == []
    x, y = blobs(30)
    np.testing.assert_array_equal(
        first.adversary(seed=0).craft_all(x, y)["x_adv"],
        second.adversary(seed=0).craft_all(x, y)["x_adv"],
    )


def test_the_same_seed_gives_the_same_classifier(vanilla_path):
    weights = []
    for _ in range(2):
        method = prepared(keras.models.load_model(vanilla_path), examples="fresh")
        method.harden(*blobs())
        weights.append(method.classifier.get_weights())
    for one, two in zip(*weights, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_measure_reports_what_the_card_needs(vanilla):
    method = prepared(vanilla)
    method.harden(*blobs())
    found = method.measure(*blobs(60, seed=4))
    assert 0 < found["generator_test_mse"] < 0.1
    assert [row["eps"] for row in found["accuracy_over_eps"]] == [0.5, 2, 5, 7, 10, 12, 15, 18, 20]
    rule = found["label_rule"]
    assert rule["examples"] == 90
    assert sum(rule.values()) == 2 * rule["examples"]


def test_strip_shows_different_labels(vanilla):
    method = prepared(vanilla)
    strip = method.strip(*blobs(60), ("a", "b", "c"), count=5)
    assert strip.adversarial.shape == (5, 15, 28, 28, 1)
    assert set(strip.label) == {0, 1, 2}
    assert np.all(strip.label != strip.target)


def test_crafting_before_prepare_is_refused(vanilla):
    with pytest.raises(InputError, match="prepare"):
        LADDER(vanilla).adversary()


@pytest.mark.parametrize("gan", ["replace", "add"])
def test_the_gan_trains_both_nets(gan):
    keras.utils.set_random_seed(0)
    generator = keras.Sequential(
        [
            layers.Input((4,)),
            layers.Dense(32 * 32, activation="sigmoid"),
            layers.Reshape((32, 32, 1)),
        ]
    )
    judge = keras.Sequential([layers.Input((32, 32, 1)), layers.Flatten(), layers.Dense(1)])
    training = GeneratorTraining(generator, judge, GeneratorSettings(gan=gan))
    training.compile(keras.optimizers.Adam(1e-3), jit_compile=False)
    before = [w.copy() for w in [*generator.get_weights(), *judge.get_weights()]]
    rng = np.random.default_rng(0)
    z, x = rng.standard_normal((64, 4), np.float32), rng.random((64, 32, 32, 1), np.float32)
    logs = training.fit(z, x, batch_size=16, epochs=2, verbose=0).history
    assert set(logs) == {"loss", "mse", "discriminator_loss"}
    for old, new in zip(before, [*generator.get_weights(), *judge.get_weights()], strict=True):
        assert np.abs(old - new).max() > 0


def test_one_gan_step_by_hand():
    # G(z) = z (weight 1), D(x) = a x with a = 2, z = .5, x = 1. D first: BCE on real 2 and
    # fake 1: d/da = (s(2) - 1) * 1 + s(1) * .5. G then sees the updated a.
    generator = keras.Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False)])
    judge = keras.Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False)])
    generator.set_weights([np.ones((1, 1))])
    judge.set_weights([np.full((1, 1), 2.0)])
    training = GeneratorTraining(generator, judge, GeneratorSettings(gan="add", gan_weight=0.5))
    training.compile(keras.optimizers.SGD(1.0), jit_compile=False)
    training.discriminator_optimizer = keras.optimizers.SGD(1.0)
    z, x = np.array([[0.5]], np.float32), np.array([[1.0]], np.float32)
    training.train_on_batch(z, x)
    sigmoid = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
    a = 2.0 - ((sigmoid(2.0) - 1) + sigmoid(1.0) * 0.5)
    assert judge.get_weights()[0].item() == pytest.approx(a, rel=1e-5)
    step = 0.5 * (sigmoid(a * 0.5) - 1) * a * 0.5 + 2 * (0.5 - 1.0) * 0.5
    assert generator.get_weights()[0].item() == pytest.approx(1 - step, rel=1e-5)


def test_generator_training_stops_when_the_error_stops_falling():
    generator = keras.Sequential([layers.Input((2,)), layers.Dense(4), layers.Reshape((2, 2, 1))])
    rng = np.random.default_rng(0)
    z = rng.standard_normal((200, 2), np.float32)
    x = np.clip(0.5 + 0.1 * np.stack([z, -z], axis=1)[..., None], 0, 1)
    settings = build(
        GeneratorSettings, {"generator_batch_size": 20, "generator_learning_rate": 0.05}
    )
    logs = fit_generator(generator, z, x, settings)
    assert 4 <= len(logs) < 200
    assert logs[-1]["val_mse"] < 0.01 * logs[0]["val_mse"] + 0.01
    fixed = dataclasses.replace(settings, patience=0, epochs=3)
    assert len(fit_generator(generator, z, x, fixed)) == 3


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("mnist", (0.01, 100, 64, 0.5, 0.0, 450)),
        ("svhn", (0.001, 100, 128, 0.9, 5e-4, 450)),
        ("celeba", (0.01, 100, 64, 0.5, 5e-4, 1000)),
        ("cifar10", (0.001, 100, 128, 0.9, 5e-4, None)),
    ],
)
def test_the_paper_preset_is_table_6(data, expected):
    s = LADDER.settings_for("", data, "paper", {})
    o = s.optimizer
    got = (o.learning_rate, o.epochs, o.batch_size, o.momentum, o.weight_decay)
    assert (*got, s.fixed_set.per_class) == expected
    assert s.alpha == 0.5


def test_the_official_preset_is_the_published_code():
    s = LADDER.settings_for("lenet", "mnist", "official", {})
    b = s.boundaries
    assert (b.attention, b.normal, b.attention_gain) == ("exp-softmax", "raw", "one")
    assert (b.hinge_weight, b.l2_weight, b.batch_size, b.epochs) == (0.01, 1.0, 1, 10)
    assert (s.fixed_set.originals, s.latent_layer) == ("paired", "fc1")
    assert not s.perturbation.search_rounding
    assert s.generator.style == "official"


@pytest.mark.parametrize(("style", "ends_in"), [("paper", "sigmoid"), ("official", "tanh")])
def test_the_official_style_reaches_the_generator(monkeypatch, style, ends_in):
    model = keras.Sequential(
        [layers.Input((16, 16, 3)), layers.Flatten(), layers.Dense(8), layers.Dense(2)]
    )
    monkeypatch.setattr("atk_latent.methods.ladder.fit_generator", lambda *_, **__: [])
    method = LADDER(model, build(LADDERSettings, {"generator_style": style}))
    x = np.zeros((2, 16, 16, 3), np.float32)
    generator = method._generator(np.zeros((2, 8), np.float32), x, None, None)
    activations = [getattr(layer, "activation", None) for layer in generator.layers]
    names = {keras.activations.serialize(a) for a in activations if a is not None}
    assert ends_in in names
    assert ({"sigmoid", "tanh"} - {ends_in}).isdisjoint(names)


def test_variants_and_overrides_reach_the_settings():
    assert LADDERRandom.settings_for("", "mnist", "quick", {}).perturbation.noise == "random"
    assert LADDERGAN.settings_for("", "cifar10", "paper", {}).generator.gan == "replace"
    assert LADDERGAN.settings_for("", "cifar10", "official", {}).generator.gan == "add"
    assert LADDER.settings_for("", "mnist", "paper", {"epochs": "7"}).optimizer.epochs == 7
    with pytest.raises(InputError, match="alpha"):
        LADDER.settings_for("", "mnist", "paper", {"alpha": "2"})


def test_rows_per_class_are_balanced_and_seeded():
    y = np.array([0] * 50 + [1] * 5)
    rows = rows_per_class(y, 10, 2, seed=3)
    assert np.bincount(y[rows]).tolist() == [10, 5]
    assert rows.tolist() == rows_per_class(y, 10, 2, seed=3).tolist()
    assert rows.tolist() != rows_per_class(y, 10, 2, seed=4).tolist()


def test_label_rule_counts_add_up():
    made = {
        "latent_crossed": np.array([1, 1, 0, 0, 0], bool),
        "image_crossed": np.array([1, 0, 1, 0, 0], bool),
    }
    assert label_rule_counts(made) == {
        "examples": 5,
        "neither_crossed": 2,
        "latent_crossed_only": 1,
        "image_crossed_only": 1,
        "both_crossed": 1,
    }


@pytest.mark.parametrize("size", [32, pytest.param(128, marks=pytest.mark.slow)])
@pytest.mark.parametrize("gan", ["replace", "add"])
def test_ladder_gan_trains_with_the_published_discriminator(size, gan):
    judge = image_discriminator((size, size, 3), seed=0)
    generator = keras.Sequential(
        [
            layers.Input((4,)),
            layers.Dense(8 * 8 * 3),
            layers.Reshape((8, 8, 3)),
            layers.UpSampling2D(size // 8),
            layers.Activation("sigmoid"),
        ]
    )
    training = GeneratorTraining(generator, judge, GeneratorSettings(gan=gan))
    training.compile(keras.optimizers.Adam(1e-3), jit_compile=False)
    rng = np.random.default_rng(0)
    z, x = rng.standard_normal((4, 4), np.float32), rng.random((4, size, size, 3), np.float32)
    before = generator.get_weights()[0].copy()
    logs = training.train_on_batch(z, x, return_dict=True)
    assert np.isfinite([float(value) for value in logs.values()]).all()
    assert np.abs(generator.get_weights()[0] - before).max() > 0


def test_the_fresh_recipe_works_in_mixed_precision(vanilla_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = trained_classifier()
        method = prepared(model, examples="fresh", epochs=1)
        logs = method.harden(*blobs())
    finally:
        keras.config.set_dtype_policy("float32")
    assert logs[-1]["adversarial_accuracy"] > 0.5
    assert method.adversary().craft_all(*blobs(6))["x_adv"].dtype == np.float32


def test_a_killed_gan_training_goes_on_with_both_optimizers(tmp_path, monkeypatch):
    def small_judge(shape, seed=0, official=False):
        stack = [layers.Input(shape), layers.Flatten(), layers.Dense(1)]
        keras.utils.set_random_seed(seed)
        return keras.Sequential(stack)

    monkeypatch.setattr("atk_latent.methods.generator_training.image_discriminator", small_judge)
    rng = np.random.default_rng(0)
    z, x = rng.standard_normal((40, 2), np.float32), rng.random((40, 2, 2, 1), np.float32)
    settings = build(
        GeneratorSettings,
        {"gan": "add", "generator_epochs": 4, "generator_patience": 0, "generator_batch_size": 8},
    )

    def train(folder, progress=None):
        keras.utils.set_random_seed(1)
        generator = keras.Sequential(
            [layers.Input((2,)), layers.Dense(4), layers.Reshape((2, 2, 1))]
        )
        fit_generator(generator, z, x, settings, checkpoint=folder, progress=progress)
        return generator.get_weights()

    class Stop(Exception):
        pass

    def stop(stage, done, total, logs):
        if done > total // 2:
            raise Stop

    whole = train(tmp_path / "a")
    with pytest.raises(Stop):
        train(tmp_path / "b", stop)
    for one, two in zip(whole, train(tmp_path / "b"), strict=True):
        np.testing.assert_array_equal(one, two)
