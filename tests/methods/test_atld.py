import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from atk_latent.adversaries.balls import LinfBall
from atk_latent.config import build, flat
from atk_latent.errors import InputError
from atk_latent.methods import early_stopping
from atk_latent.methods.atld import ATLD, Watch, gradient_ratio, load_settings, manifold_loss
from atk_latent.methods.atld_settings import ATLDSettings
from atk_latent.methods.objectives import CrossEntropy, smoothed
from atk_latent.results.accuracy import Accuracy

EPS, RATE, RATE_D = 0.1, 0.5, 0.25
A = np.array([[1.0, -0.5], [0.25, 2.0]])  # pixels to latents
B = np.array([[0.5, -1.0, 0.0], [1.0, 0.25, -0.5]])  # latents to logits
C = np.array([[0.3, 0.0, -0.2], [-0.1, 0.4, 0.2], [0.0, 0.1, 0.5]])  # to class units
V = np.array([1.5, -1.0, 0.5])  # to the score
X = np.array([[0.3, 0.6], [0.5, 0.45]])
Y = np.array([0, 2])
START = np.array([[0.04, -0.02], [-0.05, 0.01]])


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def softmax(values):
    shares = np.exp(values)
    return shares / shares.sum(axis=1, keepdims=True)


def one_hot(smoothing):
    return np.where(np.eye(3)[Y] == 1, 1 - smoothing, smoothing / 2)


def entropy(logits, targets):
    return -np.mean(np.sum(targets * np.log(softmax(logits)), axis=1))


def discriminator(width):
    latent = keras.Input((width,))
    score = layers.Dense(1, use_bias=False, name="score_logit")
    classes = layers.Dense(3, use_bias=False, name="class")
    model = keras.Model(latent, [layers.Reshape(())(score(latent)), classes(latent)])
    score.set_weights([V[:width, None]])
    classes.set_weights([C[:width]])
    return model


def game(width, **settings):
    """A linear network of hand-set weights, compiled with plain SGD, run eagerly."""
    hidden = layers.Dense(2, use_bias=False, name="latent")
    top = layers.Dense(3, use_bias=False)
    classifier = keras.Sequential([keras.Input((1, 2, 1)), layers.Flatten(), hidden, top])
    hidden.set_weights([A])
    top.set_weights([B])
    chosen = build(ATLDSettings, {"eps": EPS, **settings})
    method = ATLD(classifier, chosen, discriminator=discriminator(width))
    method.compile(
        keras.optimizers.SGD(RATE),
        discriminator_optimizer=keras.optimizers.SGD(RATE_D),
        metrics=["accuracy"],
        run_eagerly=True,
    )
    return method


def step(method):
    batch = tf.constant(X.reshape(2, 1, 2, 1), tf.float32), tf.constant(Y)
    return {name: float(value) for name, value in method.train_step(batch).items()}


def discriminator_update(v, c, z, z_adv, targets):
    """One SGD step on BCE(p, 1) + BCE(p_adv, 0) + both class losses, by hand."""
    wrong, right = sigmoid(z @ v) - 1, sigmoid(z_adv @ v)  # d BCE / d score
    d_v = (z.T @ wrong + z_adv.T @ right) / 2
    d_c = (z.T @ (softmax(z @ c) - targets) + z_adv.T @ (softmax(z_adv @ c) - targets)) / 2
    return v - RATE_D * d_v, c - RATE_D * d_c


def check(method, hidden, top, v, c):
    for weight, wanted in zip(
        [*method.classifier.get_weights(), *method.discriminator.get_weights()],
        [hidden, top, v[:, None], c],
        strict=True,
    ):
        np.testing.assert_allclose(weight, wanted, atol=2e-6)


def test_golden_step_of_the_papers_game():
    method = game(2)
    logs = step(method)
    z = X @ A
    x_adv = X - EPS * np.sign(A @ V[:2])  # the same for both images: the score is linear
    np.testing.assert_allclose(x_adv, [[0.2, 0.7], [0.4, 0.55]])
    z_adv = x_adv @ A
    v, c = discriminator_update(V[:2], C[:2], z, z_adv, one_hot(0))
    targets, logits = one_hot(0.5), z_adv @ B
    s, s_adv = z @ v, z_adv @ v  # of the updated discriminator
    term = -np.mean(np.log1p(np.exp(s_adv))) - np.mean(np.log1p(np.exp(-s)))
    assert term > -2 * math.log(2)
    d_logits = (softmax(logits) - targets) / 2
    d_adv = d_logits @ B.T - np.outer(sigmoid(s_adv), v) / 2
    d_clean = np.outer(sigmoid(-s), v) / 2
    check(
        method,
        A - RATE * (x_adv.T @ d_adv + X.T @ d_clean),
        B - RATE * z_adv.T @ d_logits,
        v,
        c,
    )
    assert logs["divergence"] == pytest.approx(term, abs=1e-6)
    assert logs["scale"] == 1.0
    assert logs["loss"] == pytest.approx(entropy(logits, targets) + term, abs=1e-6)
    before = np.concatenate([z @ V[:2] > 0, z_adv @ V[:2] < 0])
    assert logs["discriminator_accuracy"] == pytest.approx(np.mean(before))
    assert logs["accuracy"] == pytest.approx(np.mean(np.argmax(z @ B, 1) == Y))
    assert logs["adversarial_accuracy"] == pytest.approx(np.mean(np.argmax(logits, 1) == Y))


def test_golden_step_of_the_published_code(monkeypatch):
    start = lambda self, x, noise: x + START.reshape(2, 1, 2, 1).astype(np.float32)  # noqa: E731
    monkeypatch.setattr(LinfBall, "random_start", start)
    chosen = ATLD.settings_for("", "cifar10", "official", {})
    game_settings = (
        "latent",
        "clean_latents",
        "theta_term",
        "coefficient",
        "random_start",
        "d_steps",
    )
    method = game(
        3,
        **{name: flat(chosen)[name] for name in game_settings},
        discriminator_mode="training",
        discriminator_batches="separate",
        class_head_smoothing=0.5,
    )
    logs = step(method)
    w = A @ B
    z = X @ w
    x_adv = np.clip(X + START - EPS * np.sign(w @ V), X - EPS, X + EPS)
    z_adv, targets = x_adv @ w, one_hot(0.5)
    v, c = V, C
    for _ in range(2):
        v, c = discriminator_update(v, c, z, z_adv, targets)
    mse = np.mean((z_adv - z) ** 2)
    d_ce, d_mse = (softmax(z_adv) - targets) / 2, 2 * (z_adv - z) / z.size
    ratio = np.max(d_ce @ w.T) / np.max(d_mse @ w.T)
    d_logits = d_ce + 0.5 * ratio * d_mse
    check(method, A - RATE * x_adv.T @ d_logits @ B.T, B - RATE * (x_adv @ A).T @ d_logits, v, c)
    assert logs["divergence"] == pytest.approx(mse, abs=1e-6)
    assert logs["scale"] == pytest.approx(0.5 * ratio, rel=1e-5)
    wanted = entropy(z_adv, targets) + 0.5 * ratio * mse
    assert logs["loss"] == pytest.approx(wanted, abs=1e-5)


def test_golden_gradient_ratio():
    ce, mse = tf.constant([[-0.9, 0.02], [0.01, 0.0]]), tf.constant([[0.005, -0.8]])
    assert float(gradient_ratio(ce, mse)) == pytest.approx(4)  # largest with their signs
    for coefficient, loss in ((0.5, 1.8), (0.1, 1.32)):
        assert 1.2 + coefficient * float(gradient_ratio(ce, mse)) * 0.3 == pytest.approx(loss)
    assert float(gradient_ratio(ce, tf.zeros((2, 2)))) == 0


def test_golden_manifold_loss():
    score = lambda p: tf.constant([math.log(p / (1 - p))], tf.float32)  # noqa: E731
    assert float(manifold_loss(score(0.8), score(0.3))) == pytest.approx(-0.579818, abs=1e-6)
    assert float(manifold_loss(score(0.5), score(0.5))) == pytest.approx(-1.386294, abs=1e-6)


def test_the_classifier_gets_nothing_from_a_discriminator_below_the_floor():
    fooled = tf.constant([3.0])
    with tf.GradientTape() as tape:
        tape.watch(fooled)
        term = manifold_loss(tf.constant([0.1]), fooled)
    assert float(term) == pytest.approx(-2 * math.log(2))
    assert tape.gradient(term, fooled).numpy().tolist() == [0.0]


def test_golden_smoothing():
    for classes, smoothing, wanted in [
        (10, 0.5, (0.5, 0.055556)),
        (100, 0.5, (0.5, 0.005051)),
        (10, 0.1, (0.9, 0.011111)),
        (3, 0.5, (0.5, 0.25)),
    ]:
        row = smoothed(tf.constant([0]), classes, smoothing)[0].numpy()
        assert (row[0], row[1]) == pytest.approx(wanted, abs=1e-6)
    z, y = tf.constant([[2.0, 1.0, 0.0]]), tf.constant([0])
    assert float(CrossEntropy(0.5).call(y, z)[0]) == pytest.approx(1.157606, abs=1e-6)
    assert float(CrossEntropy(0.0).call(y, z)[0]) == pytest.approx(0.407606, abs=1e-6)


def test_golden_learning_rates():
    paper = ATLD.settings_for("", "cifar10", "paper", {})
    official = ATLD.settings_for("", "cifar10", "official", {})
    for settings, rates in [(paper, (0.1, 0.01, 1e-3)), (official, (1e-3, 1e-3, 1e-3))]:
        for optimizer, wanted in [
            (settings.optimizer.make(10), (0.1, 0.01, 1e-3)),
            (settings.discriminator.make_optimizer(settings.optimizer, 10), rates),
        ]:
            updates = settings.discriminator.steps if wanted is rates else 1
            for epoch, rate in zip((59, 60, 90), wanted, strict=True):
                optimizer.iterations.assign(epoch * 10 * updates)
                assert float(optimizer.learning_rate) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("data", "name", "paper", "official"),
    [
        ("cifar10", "latent", "features", "logits"),
        ("cifar10", "theta_term", "discriminator", "mse_ratio"),
        ("cifar10", "random_start", False, True),
        ("cifar10", "d_steps", 1, 2),
        ("cifar10", "class_head_smoothing", 0.0, 0.5),
        ("cifar10", "label_smoothing", 0.5, 0.5),
        ("cifar10", "coefficient", 1.0, 0.5),
        ("cifar100", "coefficient", 1.0, 0.1),
        ("cifar10", "augment", "crop-flip", "crop-flip"),
        ("svhn", "augment", "none", "none"),
        ("svhn", "learning_rate", 0.1, 0.01),
        ("svhn", "imt_high", 0.7, 0.6),
        ("svhn", "imt_scale_radius", False, True),
        ("cifar10", "eps", 8 / 255, 8 / 255),
        ("mnist", "eps", 0.3, 0.3),
        ("mnist", "coefficient", 0.1, 0.5),
        ("cifar10", "discriminator_learning_rate", 0.1, 1e-3),
    ],
)
def test_presets_differ_as_paper_and_code_do(data, name, paper, official):
    found = [flat(ATLD.settings_for("", data, p, {}))[name] for p in ("paper", "official")]
    assert found == [paper, official]


def test_the_stable_recipe_differs_by_its_term_alone():
    for data in ("mnist", "cifar10"):
        paper, stable = (flat(ATLD.settings_for("", data, p, {})) for p in ("paper", "stable"))
        assert {name for name in paper if paper[name] != stable[name]} <= {
            "latent",
            "theta_term",
            "coefficient",
        }
        assert stable["coefficient"] == 1.0 and stable["theta_term"] == "mse"


def network():
    """With batch norm and dropout, so that running statistics and random states matter."""
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.Flatten(),
            layers.Dense(8),
            layers.BatchNormalization(momentum=0.9),
            layers.Activation("relu"),
            layers.Dropout(0.2, seed=1),
            layers.Dense(5, activation="relu", name="latent"),
            layers.Dense(3),
        ]
    )


def judge(width):
    """A small discriminator with batch norm."""
    keras.utils.set_random_seed(4)
    latent = keras.Input((width,))
    hidden = layers.BatchNormalization(momentum=0.9)(layers.Dense(6, activation="tanh")(latent))
    return keras.Model(
        latent, [layers.Reshape(())(layers.Dense(1)(hidden)), layers.Dense(3)(hidden)]
    )


def small(**settings):
    chosen = build(ATLDSettings, {**SMALL, **settings})
    return ATLD(
        network(), chosen, discriminator=judge(3 if chosen.latent == "logits" else 5), seed=2
    )


def data(n=48):
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    x = 0.3 * rng.random((n, 4, 4, 1), np.float32)
    x[np.arange(n), y] += 0.5
    return x, y.astype(np.int64)


OFFICIAL = {
    "latent": "logits",
    "random_start": True,
    "clean_latents": "inference",
    "theta_term": "mse_ratio",
    "d_steps": 2,
    "discriminator_batches": "separate",
    "discriminator_mode": "training",
}
SMALL = {
    "epochs": 2,
    "batch_size": 16,
    "learning_rate": 0.05,
    "discriminator": "small",
    "discriminator_learning_rate": 0.01,
    "eps": 0.1,
}


def hardened(settings, folder=None, callbacks=()):
    method = small(**settings)
    logs = method.harden(
        *data(), folder=folder / "state" if folder else None, callbacks=list(callbacks)
    )
    if folder:
        method.save_helpers(folder / "helpers")
    return method, logs


class Stop(Exception):
    pass


class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 1:
            raise Stop


def test_early_stopping_keeps_both_networks_of_one_epoch(tmp_path, monkeypatch):
    method, seen = small(**SMALL, early_stopping=True), []

    def accuracy(classifier, x, y):
        seen.append([m.get_weights() for m in (classifier, method.discriminator)])
        return Accuracy.of(
            [True] * (9 if len(seen) == 1 else 5) + [False] * (1 if len(seen) == 1 else 5)
        )

    monkeypatch.setattr(early_stopping, "clean_accuracy", accuracy)
    method.prepare(*data(), folder=tmp_path)
    method.harden(*data())
    method.save_helpers(tmp_path)
    stored = keras.models.load_model(tmp_path / "discriminator.keras", compile=False)
    for model, then, other in zip(
        (method.classifier, method.discriminator, stored),
        (*seen[0], seen[0][1]),
        (*seen[1], seen[1][1]),
        strict=True,
    ):
        for one, two in zip(model.get_weights(), then, strict=True):
            np.testing.assert_array_equal(one, two)
        assert any(np.any(a != b) for a, b in zip(then, other, strict=True))


def everything(method):
    owners = (method, method.optimizer, method.discriminator_optimizer)
    return [np.array(variable) for owner in owners for variable in owner.variables]


@pytest.mark.parametrize(
    "settings",
    [pytest.param({}, id="paper", marks=pytest.mark.slow), pytest.param(OFFICIAL, id="official")],
)
def test_a_killed_game_ends_bit_for_bit_where_an_undisturbed_one_does(tmp_path, untimed, settings):
    whole, logs = hardened(settings)
    with pytest.raises(Stop):
        hardened(settings, tmp_path, [Kill()])
    resumed, resumed_logs = hardened(settings, tmp_path)
    assert untimed(resumed_logs) == untimed(logs)
    for one, two in zip(everything(whole), everything(resumed), strict=True):
        np.testing.assert_array_equal(one, two)
    assert len(whole.discriminator_optimizer.variables) > len(whole.discriminator.trainable_weights)
    stored = load_settings(tmp_path / "helpers")
    assert stored.latent == resumed.settings.latent and stored.imt["step_size"] == 0.1
    loaded = keras.models.load_model(tmp_path / "helpers" / "discriminator.keras")
    for one, two in zip(loaded.get_weights(), resumed.discriminator.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


TERMS = ["discriminator", "non-saturating", "mse", "mse_ratio", "none"]


def one_step(method):
    method.compile(keras.optimizers.SGD(0.1), metrics=["accuracy"], run_eagerly=True)
    x, y = data()
    return method.train_step((tf.constant(x), tf.constant(y)))


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("clean_latents", ["joint", "inference", "batch"])
def test_every_term_updates_both_networks(term, clean_latents):
    method = small(theta_term=term, clean_latents=clean_latents)
    nets = (method.classifier, method.discriminator)
    before = [[w.numpy() for w in net.trainable_weights] for net in nets]
    logs = one_step(method)
    for net, old in zip(nets, before, strict=True):
        new = [w.numpy() for w in net.trainable_weights]
        assert any(np.abs(a - b).max() > 1e-6 for a, b in zip(old, new, strict=True))
    assert np.isfinite([float(value) for value in logs.values()]).all()
    assert (float(logs["divergence"]) != 0) == (term != "none")


def test_the_term_brings_the_latent_distributions_together():
    apart = {}
    for coefficient in (0.0, 20.0):
        settings = {**OFFICIAL, "theta_term": "mse", "clean_latents": "batch"}
        method, _ = hardened({**settings, "coefficient": coefficient, "epochs": 4})
        x = tf.constant(data()[0])
        x_adv = method.adversary(method.manifold.verdict, x, tf.zeros(48))
        moved = method.manifold.logits(method.manifold.latents(x_adv)) - method.classifier(x)
        apart[coefficient] = float(tf.reduce_mean(moved**2))
    assert apart[20.0] < 0.5 * apart[0.0]


def test_crafting_leaves_running_statistics_alone_and_training_follows_the_adversarial_batch():
    method = small(**{**OFFICIAL, "random_start": False})
    x, _ = data()
    norm = method.classifier.layers[2]
    x_adv = method.adversary(method.manifold.verdict, tf.constant(x), tf.zeros(48))
    assert not np.any(norm.moving_mean) and np.all(norm.moving_variance == 1)
    assert not any(np.any(v) for v in method.discriminator.variables if "moving_mean" in v.path)
    wanted = 0.1 * np.mean(method.classifier.layers[1](tf.reshape(x_adv, (48, 16))), axis=0)
    one_step(method)
    np.testing.assert_allclose(norm.moving_mean, wanted, atol=1e-6)


def test_the_discriminator_learns_that_clean_is_one():
    """Orientation: its score rises on clean latents and falls on adversarial ones."""
    method = ATLD(
        network(), build(ATLDSettings, {**SMALL, "discriminator_learning_rate": 0.05}), seed=0
    )
    method.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    z, y = tf.random.stateless_normal((64, 5), (0, 1)), tf.zeros(64, tf.int64)
    for _ in range(30):
        method._discriminator_steps(z + 1.0, z - 1.0, y)
    assert float(tf.reduce_mean(method.manifold.judge(z + 1.0)[0])) > 1
    assert float(tf.reduce_mean(method.manifold.judge(z - 1.0)[0])) < -1
    assert float(method.watched["discriminator_accuracy"].result()) > 0.7


def test_weight_perturbation_updates_the_discriminator_once():
    """AWP runs the classifier's pass twice; the game has one discriminator step all the same."""
    method = small(awp_gamma=0.01)
    before = [w.numpy() for w in method.classifier.trainable_weights]
    one_step(method)
    assert int(method.discriminator_optimizer.iterations) == 1
    assert any(
        np.abs(a - b).max() > 1e-6
        for a, b in zip(before, method.classifier.trainable_weights, strict=True)
    )


def test_mixed_precision_trains_with_finite_numbers():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        for settings in ({}, OFFICIAL):
            method = small(**settings)
            logs = one_step(method)
            assert np.isfinite([float(value) for value in logs.values()]).all()
            assert all(w.dtype == "float32" for w in method.variables if "seed" not in w.path)
    finally:
        keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize(
    ("term", "logs", "word"),
    [
        ("mse_ratio", {"scale": 5e-5, "divergence": 300.0}, "scale is 5e-05"),
        ("mse_ratio", {"scale": 0.1, "discriminator_accuracy": 0.8}, None),
        ("mse_ratio", {"scale": 0.1, "discriminator_accuracy": 0.52}, "right in 52.0% only"),
        ("discriminator", {"discriminator_accuracy": 0.999}, "right in 99.9%"),
        ("non-saturating", {"discriminator_accuracy": 0.999}, None),
    ],
)
def test_a_dead_regulariser_is_found(term, logs, word):
    found = Watch(build(ATLDSettings, {"theta_term": term})).diagnosis(logs)
    assert found is None if word is None else word in found


def test_the_discriminator_is_built_for_the_latent_that_the_settings_name():
    for latent, width in (("features", 5), ("logits", 3)):
        method = ATLD(network(), build(ATLDSettings, {**SMALL, "latent": latent}))
        assert method.discriminator.inputs[0].shape == (None, width)


@pytest.mark.parametrize("name", ["label_smoothing", "class_head_smoothing"])
def test_smoothing_that_leaves_nothing_of_the_label_is_refused(name):
    settings = build(ATLDSettings, {"label_smoothing": 0.4, name: 0.67})
    with pytest.raises(InputError, match=rf"{name}' must be below 0.666667 for 3 classes"):
        ATLD(network(), settings, discriminator=judge(5))


def test_a_dead_regulariser_is_warned_of_once(recwarn):
    watch = Watch(ATLDSettings())
    for epoch in range(3):
        watch.on_epoch_end(epoch, {"discriminator_accuracy": 0.5})
    assert [str(w.message)[:8] for w in recwarn] == ["epoch 1:"]


def test_the_card_of_a_dead_game_says_so():
    method = small(theta_term="mse_ratio", epochs=1)
    x, y = data()
    assert "warning" not in method.measure(x, y)
    watch = Watch(method.settings)
    epochs = [{"scale": 1.0}, {"scale": 1e-6, "divergence": 3.0}, {"discriminator_accuracy": 0.5}]
    assert watch.first_problem(epochs[:1]) is None
    method.warning = watch.first_problem(epochs)
    assert method.warning.startswith("epoch 2: the divergence term is dead")
    assert method.measure(x, y)["warning"] == method.warning


def test_evaluation_logs_hold_no_game():
    method = small()
    method.compile("sgd", metrics=["accuracy"], run_eagerly=True)
    logs = method.evaluate(*data(), verbose=0, return_dict=True)
    assert set(logs) == {"loss", "accuracy"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("coefficient", -1), ("d_steps", 0), ("eps", -0.1), ("class_head_smoothing", 1.0)],
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(InputError, match=name):
        build(ATLDSettings, {name: value})


TWO_DEVICES = """
import sys, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from keras import layers
from atk_latent.config import build
from atk_latent.methods.atld import ATLD
from atk_latent.methods.atld_settings import ATLDSettings

def run(strategy, settings):
    with strategy.scope():
        keras.utils.set_random_seed(3)
        hidden = layers.Dense(5, activation="relu", name="latent")
        classifier = keras.Sequential(
            [keras.Input((4, 4, 1)), layers.Flatten(), hidden, layers.Dense(3)]
        )
        latent = keras.Input((3 if settings.latent == "logits" else 5,))
        score = layers.Reshape(())(layers.Dense(1)(latent))
        judge = keras.Model(latent, [score, layers.Dense(3)(latent)])
        method = ATLD(classifier, settings, discriminator=judge, seed=1)
        method.compile(keras.optimizers.SGD(0.1), metrics=["accuracy"], jit_compile=False)
    rng = np.random.default_rng(0)
    x, y = rng.random((16, 4, 4, 1), np.float32), rng.integers(0, 3, 16)
    stream = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    logs = method.fit(stream, epochs=2, verbose=0).history
    return logs, classifier.get_weights() + judge.get_weights()

strategies = (
    tf.distribute.OneDeviceStrategy("CPU:0"),
    tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
)
for settings in (
    build(ATLDSettings, {"eps": 0.1}),
    build(ATLDSettings, {"eps": 0.1, "latent": "logits", "clean_latents": "inference",
                         "theta_term": "mse_ratio", "coefficient": 0.5, "random_start": True,
                         "d_steps": 2}),
):
    (one, weights), (two, same) = (run(strategy, settings) for strategy in strategies)
    for name in one:
        np.testing.assert_allclose(one[name], two[name], atol=1e-4, err_msg=name)
    for a, b in zip(weights, same):
        np.testing.assert_allclose(a, b, atol=1e-4)
print("same")
"""


@pytest.mark.slow
def test_two_devices_train_as_one():
    import subprocess
    import sys

    run = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES], capture_output=True, text=True, check=False
    )
    assert run.stdout.strip().endswith("same"), run.stderr[-3000:]
