"""What ART's classes are asked for in rare places: shapes, draws, copies, other tools of ART's."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from art.attacks.evasion import AutoConjugateGradient, AutoProjectedGradientDescent
from art.defences.preprocessor.preprocessor import Preprocessor, PreprocessorTensorFlowV2
from art.defences.transformer.poisoning import STRIP
from art.preprocessing.expectation_over_transformation import EoTGaussianNoiseTensorFlow
from art.preprocessing.expectation_over_transformation.tensorflow import EoTTensorFlowV2

import atk_latent
from atk_latent.art_bridge.estimator import CompiledKerasClassifier
from atk_latent.errors import InputError

SHAPE, CLASSES = (6, 6, 1), 3


def network(classes=CLASSES, seed=0):
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten()]
    return keras.Sequential([keras.Input(SHAPE), *layers, keras.layers.Dense(classes)])


def estimator(model=None, **options):
    options.setdefault("optimizer", keras.optimizers.SGD(0.1))
    return CompiledKerasClassifier(model or network(), **options)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.random((9, *SHAPE)).astype(np.float32), np.arange(9) % CLASSES


@pytest.mark.parametrize("shape", [(9, 6, 6), (9, 36), (9, 6, 6, 3), (9, 5, 6, 1)])
def test_images_of_another_shape_are_refused_before_tensorflow_sees_them(shape, data):
    x, y = np.zeros(shape, np.float32), data[1]
    ours = estimator()
    for call in (
        lambda: ours.predict(x),
        lambda: ours.loss_gradient(x, y),
        lambda: ours.class_gradient(x),
        lambda: ours.compute_loss(x, y),
        lambda: ours.get_activations(x, 0),
        lambda: ours.get_activations(tf.constant(x), 0, framework=True),
        lambda: ours._predict_framework(tf.constant(x)),
    ):
        with pytest.raises(InputError, match=r"must have the shape \(n, 6, 6, 1\). Received"):
            call()


def test_more_labels_than_images_are_refused(data):
    x, y = data
    with pytest.raises(InputError, match="as many. Received: 9 and 10"):
        estimator().loss_gradient(x, np.append(y, 0))


def test_float64_tensors_are_predicted(data):
    x, _ = data
    ours = estimator()
    logits = ours._predict_framework(tf.constant(x.astype(np.float64)))
    np.testing.assert_allclose(logits, ours.predict(x), atol=1e-6)


@pytest.mark.parametrize("attack", [AutoProjectedGradientDescent, AutoConjugateGradient])
def test_probabilities_do_not_disarm_an_attack_that_makes_its_own_estimator(attack, data):
    x, y = data
    model = network()
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, epochs=80, verbose=0)
    ours = estimator(model)
    assert (ours.predict(x).argmax(axis=1) == y).all()
    left = []
    for source in (ours, ours.as_probabilities()):
        options = {"eps": 0.1, "eps_step": 0.05, "max_iter": 8, "loss_type": "cross_entropy"}
        np.random.seed(0)
        x_adv = attack(source, **options, verbose=False).generate(x, y)
        left.append((ours.predict(x_adv).argmax(axis=1) == y).mean())
    assert left[1] == left[0] < 1


class Dims(EoTTensorFlowV2):
    """Two images of each: as it is, and at half its brightness."""

    def __init__(self, **options):
        super().__init__(nb_samples=2, clip_values=(0.0, 1.0), **options)
        self.calls = 0

    def _transform(self, x, y, **kwargs):
        self.calls += 1
        return (x if self.calls % 2 else x / 2), y


class DimsAtOnce(PreprocessorTensorFlowV2):
    """The same by a preprocessor of the user's own."""

    def __init__(self, apply_fit=False):
        super().__init__(is_fitted=True, apply_fit=apply_fit, apply_predict=True)

    def forward(self, x, y=None):
        both = tf.reshape(tf.stack([x, x / 2], axis=1), [-1, *x.shape[1:]])
        return both, None if y is None else tf.repeat(y, 2, axis=0)


@pytest.mark.parametrize("dims", [Dims, DimsAtOnce])
def test_expectation_over_transformation_is_a_mean_for_each_image(dims, data):
    x, y = data
    bare, ours = estimator(), estimator(preprocessing_defences=dims(), batch_size=4)
    half = x / 2
    mean = (bare.predict(x) + bare.predict(half)) / 2
    np.testing.assert_allclose(ours.predict(x), mean, atol=1e-5)
    losses = (bare.compute_loss(x, y) + bare.compute_loss(half, y)) / 2
    np.testing.assert_allclose(ours.compute_loss(x, y), losses, atol=1e-5)
    slope = (bare.loss_gradient(x, y) + bare.loss_gradient(half, y) / 2) / 2
    np.testing.assert_allclose(ours.loss_gradient(x, y), slope, atol=1e-5)
    every = (bare.class_gradient(x) + bare.class_gradient(half) / 2) / 2
    np.testing.assert_allclose(ours.class_gradient(x), every, atol=1e-5)
    np.testing.assert_allclose(ours.class_gradient(x, y)[:, 0], every[range(9), y], atol=1e-5)


@pytest.mark.parametrize("dims", [Dims, DimsAtOnce])
def test_expectation_over_transformation_trains_on_every_draw(dims, data):
    x, y = data
    bare, ours = estimator(), estimator(preprocessing_defences=dims(apply_fit=True))
    ours.fit(x, y, batch_size=9, nb_epochs=1)
    bare.fit(np.concatenate([x, x / 2]), np.concatenate([y, y]), batch_size=18, nb_epochs=1)
    for one, other in zip(ours.model.get_weights(), bare.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_arts_own_draws_are_averaged(data):
    noise = EoTGaussianNoiseTensorFlow(nb_samples=3, std=0.0, clip_values=(0.0, 1.0))
    bare, ours = estimator(), estimator(preprocessing_defences=noise)
    np.testing.assert_allclose(ours.predict(data[0]), bare.predict(data[0]), atol=1e-5)
    gradients = [one.loss_gradient(*data) for one in (bare, ours)]
    np.testing.assert_allclose(*gradients, atol=1e-5)


class Twice(Preprocessor):
    def __call__(self, x, y=None):
        return np.repeat(x, 2, axis=0), y


def test_draws_by_numpy_alone_are_refused(data):
    with pytest.raises(InputError, match="made 18 images of 9.*Use a PreprocessorTensorFlowV2"):
        estimator(preprocessing_defences=Twice()).predict(data[0])


def test_fit_shows_keras_progress_bar_and_takes_tensors(data, capsys):
    x, y = data
    ours = estimator()
    ours.fit(tf.constant(x), tf.constant(y), batch_size=4, nb_epochs=1, verbose=True)
    assert "3/3" in capsys.readouterr().out


def test_fit_follows_numpys_global_state_and_leaves_it_alone():
    x = np.arange(9, dtype=np.float32)[:, None, None, None] * np.ones(SHAPE, np.float32) / 9
    orders = []
    for state in (3, 3, 4):
        shown = []
        step = lambda model, x, y: shown.append(float(x[0, 0, 0, 0]))  # noqa: E731, B023
        ours = estimator(train_step=step)
        np.random.seed(state)
        before = np.random.get_state()
        for _ in range(2):
            ours.fit(x, np.arange(9) % CLASSES, batch_size=2, nb_epochs=1)
        after = np.random.get_state()
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
        orders.append((shown[:5], shown[5:]))
    assert orders[0] == orders[1] != orders[2]
    assert orders[0][0] != orders[0][1]  # each call has an order of its own


def test_a_batch_size_that_cannot_be_is_refused_later_too():
    ours = estimator()
    for size in (0, -1, 2.5, True):
        with pytest.raises(InputError, match="batch_size must be at least 1"):
            ours.set_params(batch_size=size)
    assert ours.batch_size == 256


def test_strip_takes_the_estimator(data):
    x, _ = data
    ours = estimator().as_probabilities()
    before = ours.predict(x)
    guarded = STRIP(ours)(num_samples=2)
    guarded.mitigate(x)
    outputs = guarded.predict(x)
    kept = outputs.any(axis=1)
    np.testing.assert_allclose(outputs[kept], before[kept], atol=1e-6)


class Secret(keras.Model):
    """Cannot be made from a configuration; its layers know their initialisers."""

    def __init__(self, needed, layer=None):
        super().__init__()
        self.flat, self.norm = keras.layers.Flatten(), keras.layers.BatchNormalization()
        self.dense = layer or keras.layers.Dense(CLASSES)

    def call(self, x, training=False):
        return self.dense(self.norm(self.flat(x), training=training))


def test_reset_draws_in_place_what_cannot_be_made_anew(data):
    x, y = data
    model = Secret(3)
    model(x)
    ours = estimator(model, nb_classes=CLASSES, input_shape=SHAPE)
    ours.fit(x, y, nb_epochs=2)
    before = {w.path: np.array(w) for w in model.weights}
    ours.reset()
    after = {w.path: np.array(w) for w in model.weights}
    assert all(not np.array_equal(before[path], after[path]) for path in before)
    mean = next(value for path, value in after.items() if path.endswith("moving_mean"))
    assert not mean.any()


def test_reset_says_which_weight_it_cannot_draw(data):
    class Bare(keras.layers.Layer):
        def build(self, shape):
            self.kernel = self.add_weight(shape=(shape[-1], CLASSES), name="mystery")

        def call(self, x):
            return x @ self.kernel

    model = Secret(3, Bare())
    model(data[0])
    before = model.get_weights()
    with pytest.raises(InputError, match="no initialiser is known for .*mystery"):
        estimator(model, nb_classes=CLASSES, input_shape=SHAPE).reset()
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_one_logit_is_two_classes(data, tmp_path):
    x, y = data[0], data[1] % 2
    model = network(classes=1)
    ours = estimator(model)
    z = model(x).numpy()
    np.testing.assert_allclose(ours.predict(x), np.concatenate([0 * z, z], axis=1), atol=1e-6)
    wanted = keras.losses.binary_crossentropy(y[:, None], z, from_logits=True)
    np.testing.assert_allclose(ours.compute_loss(x, y), wanted, atol=1e-6)
    trainer = atk_latent.PGDTrainer(ours, eps=0.01, steps=1, batch_size=9, learning_rate=0.1)
    before = ours.compute_loss(x, y, "mean")
    trainer.fit(x, y, nb_epochs=5)
    assert ours.compute_loss(x, y, "mean") < before
    assert not np.allclose(model(x), z)  # the user's own model is the one that is trained
    ours.save("binary", str(tmp_path))
    again = keras.saving.load_model(tmp_path / "binary.keras")
    assert again.output_shape == (None, 1)  # saved as it came
    np.testing.assert_allclose(again(x)[:, 0], ours.predict(x)[:, 1], atol=1e-6)


def test_the_estimator_has_a_name_in_the_package():
    assert atk_latent.CompiledKerasClassifier is CompiledKerasClassifier
    assert "CompiledKerasClassifier" in atk_latent.__all__
