"""Each defect of ART's TensorFlowV2Classifier, and ours without it."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent.art_bridge.estimator import CompiledKerasClassifier, estimator_for
from atk_latent.errors import InputError

CLASSES, SHAPE = 4, (6, 6, 1)


@keras.saving.register_keras_serializable("tests")
class Recording(keras.layers.Layer):
    """Passes images on and notes every Python call and every batch that runs."""

    def __init__(self, **options):
        super().__init__(**options)
        self.calls = self.trained = 0
        self.batches = []

    def call(self, x, training=False):
        self.calls += 1
        self.trained += bool(training)
        tf.py_function(lambda n: self.batches.append(int(n)), [tf.shape(x)[0]], [])
        return x


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.flat, self.dense = keras.layers.Flatten(), keras.layers.Dense(CLASSES)

    def call(self, x, training=False):
        return self.dense(self.flat(x))


def network(seed=0, classes=CLASSES, record=False):
    keras.utils.set_random_seed(seed)
    layers = [keras.Input(SHAPE)]
    layers += [Recording()] if record else []
    layers += [
        keras.layers.Conv2D(3, 3, activation="tanh"),
        keras.layers.Flatten(),
        keras.layers.Dense(classes),
    ]
    return keras.Sequential(layers)


def arts(model, classes=CLASSES, **options):
    options.setdefault("loss_object", keras.losses.CategoricalCrossentropy(from_logits=True))
    return TensorFlowV2Classifier(
        model, nb_classes=classes, input_shape=SHAPE, clip_values=(0, 1), **options
    )


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.random((10, *SHAPE)).astype(np.float32), rng.integers(0, CLASSES, 10)


def test_row_1_predict_keeps_to_its_batch_size(data):
    x, _ = data
    for make, largest in ((arts, 10), (estimator_for, 4)):
        model = network(record=True)
        make(model).predict(x, batch_size=4)
        assert max(model.layers[0].batches) == largest


def test_row_4_loss_gradient_is_one_compiled_function_for_all_batches(data):
    x, y = data
    one_hot = keras.utils.to_categorical(y, CLASSES)
    theirs = arts(network())
    with pytest.raises(NotImplementedError, match="eager"):
        tf.function(theirs.loss_gradient)(tf.constant(x), tf.constant(one_hot))
    model = network(record=True)
    ours, built = CompiledKerasClassifier(model, batch_size=4), model.layers[0].calls
    for n in (1, 2, 3, 4, 7, 10):
        ours.loss_gradient(x[:n], y[:n])
    assert model.layers[0].calls == built + 1
    assert set(model.layers[0].batches) <= {1, 2, 3, 4}  # few shapes, however many images


def test_rows_5_class_gradient_needs_one_forward_pass(data):
    x, _ = data
    for make, passes in ((arts, CLASSES), (estimator_for, 1)):
        model = network(record=True)
        estimator = make(model)
        model.layers[0].batches.clear()
        estimator.class_gradient(x)
        assert len(model.layers[0].batches) == passes


def test_row_6_class_gradient_has_the_scale_of_the_preprocessing_in_both_forms(data):
    x, _ = data
    ratios = {}
    for make in (arts, CompiledKerasClassifier):
        estimator = make(network(), preprocessing=(0.5, 0.25))
        every, one = estimator.class_gradient(x), estimator.class_gradient(x, label=2)
        ratios[make] = float(np.median(one[:, 0] / every[:, 2]))
    assert ratios[arts] == pytest.approx(4.0, rel=1e-4)
    assert ratios[CompiledKerasClassifier] == pytest.approx(1.0, rel=1e-6)


def test_row_7_gradients_do_not_shrink_with_the_batch(data):
    x, y = data
    one_hot = keras.utils.to_categorical(y, CLASSES)
    model = network()
    theirs, ours = arts(model), estimator_for(model)
    alone, together = (theirs.loss_gradient(x[:n], one_hot[:n])[0] for n in (1, 10))
    np.testing.assert_allclose(together, alone / 10, rtol=1e-4, atol=1e-9)
    alone, together = (ours.loss_gradient(x[:n], one_hot[:n])[0] for n in (1, 10))
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-7)


def test_row_7_a_confident_sample_of_a_float16_network_keeps_its_gradient():
    dense = keras.layers.Dense(2, dtype="mixed_float16", use_bias=False)
    model = keras.Sequential([keras.Input((1, 1, 1)), keras.layers.Flatten(), dense])
    dense.set_weights([np.array([[20.0, -1.0]], np.float32)])
    x, y = np.ones((1, 1, 1, 1), np.float32), np.array([0])
    theirs = TensorFlowV2Classifier(
        model,
        nb_classes=2,
        input_shape=(1, 1, 1),
        loss_object=keras.losses.CategoricalCrossentropy(from_logits=True),
    )
    assert theirs.loss_gradient(x, np.array([[1.0, 0.0]], np.float32)).item() == 0.0
    wanted = -21 * np.exp(-21) / (1 + np.exp(-21))
    assert estimator_for(model).loss_gradient(x, y).item() == pytest.approx(wanted, rel=1e-3)


def test_row_8_whole_number_and_one_hot_labels_give_the_same_gradient(data):
    x, y = data
    model = network()
    with pytest.raises(Exception):  # noqa: B017  # TensorFlow's own, about shapes
        arts(model).loss_gradient(x, y)
    ours = estimator_for(model)
    one_hot = keras.utils.to_categorical(y, CLASSES)
    for labels in (y, y[:, None], one_hot, tf.constant(one_hot)):
        np.testing.assert_array_equal(ours.loss_gradient(x, labels), ours.loss_gradient(x, y))
        np.testing.assert_array_equal(ours.compute_loss(x, labels), ours.compute_loss(x, y))


def test_soft_labels_have_the_gradient_of_keras_loss(data):
    x, _ = data
    soft = np.random.default_rng(3).dirichlet(np.ones(CLASSES), 10).astype(np.float32)
    model = network()
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    theirs = 10 * arts(model).loss_gradient(x, soft)  # ART's is that of the mean
    np.testing.assert_allclose(estimator_for(model).loss_gradient(x, soft), theirs, atol=1e-6)
    with_function = CompiledKerasClassifier(model, loss_object=lambda y, z: loss.call(y, z))
    np.testing.assert_allclose(with_function.loss_gradient(x, soft), theirs, atol=1e-6)


@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        "categorical_crossentropy",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        lambda y, logits: tf.nn.softmax_cross_entropy_with_logits(y, logits),
    ],
)
def test_row_9_every_form_of_the_loss_gives_the_same_gradient(data, loss):
    x, y = data
    model = network()
    ours = CompiledKerasClassifier(model, loss_object=loss)
    np.testing.assert_allclose(
        ours.loss_gradient(x, y), estimator_for(model).loss_gradient(x, y), rtol=1e-4, atol=1e-7
    )


def test_row_9_art_cannot_call_a_loss_by_name(data):
    x, y = data
    theirs = arts(network(), loss_object="categorical_crossentropy")
    with pytest.raises(TypeError, match="not callable"):
        theirs.loss_gradient(x, keras.utils.to_categorical(y, CLASSES))


@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda estimator: pickle.loads(pickle.dumps(estimator))]
)
def test_row_18_copies_and_pickles(data, again):
    x, y = data
    theirs = arts(network())
    theirs.predict(x)
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        again(theirs)
    ours = estimator_for(network())
    ours.predict(x)
    other = again(ours)
    assert other.model is not ours.model
    np.testing.assert_array_equal(other.predict(x), ours.predict(x))
    np.testing.assert_array_equal(other.loss_gradient(x, y), ours.loss_gradient(x, y))


def test_loss_gradient_of_a_linear_model_is_the_closed_form():
    model = keras.Sequential(
        [keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    weights = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    model.set_weights([weights, np.array([0.1, -0.2, 0.3], np.float32)])
    x = np.random.default_rng(2).random((5, 2, 2, 1)).astype(np.float32)
    y = np.array([0, 1, 2, 0, 1])
    logits = x.reshape(5, 4) @ weights + np.array([0.1, -0.2, 0.3])
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    wanted = (share - np.eye(3)[y]) @ weights.T
    ours = estimator_for(model)
    np.testing.assert_allclose(ours.loss_gradient(x, y).reshape(5, 4), wanted, atol=1e-6)
    np.testing.assert_allclose(ours.compute_loss(x, y), -np.log(share[np.arange(5), y]), rtol=1e-5)
    each = ours.class_gradient(x).reshape(5, 3, 4)
    np.testing.assert_allclose(each, np.broadcast_to(weights.T, (5, 3, 4)), atol=1e-6)


def test_gradients_equal_finite_differences(data):
    x, y = data
    ours, step = estimator_for(network()), 1e-2
    gradient, every = ours.loss_gradient(x, y), ours.class_gradient(x)
    for place in [(0, 0, 0), (3, 2, 0), (5, 5, 0)]:
        up, down = x.copy(), x.copy()
        up[(slice(None), *place)] += step
        down[(slice(None), *place)] -= step
        slope = (ours.compute_loss(up, y) - ours.compute_loss(down, y)) / (2 * step)
        np.testing.assert_allclose(gradient[(slice(None), *place)], slope, atol=2e-3)
        slope = (ours.predict(up) - ours.predict(down)) / (2 * step)
        np.testing.assert_allclose(every[(slice(None), slice(None), *place)], slope, atol=2e-3)


def test_class_gradient_in_all_its_forms_agrees(data):
    x, y = data
    ours = CompiledKerasClassifier(network(), batch_size=4)
    every = ours.class_gradient(x)
    assert every.shape == (10, CLASSES, *SHAPE)
    np.testing.assert_allclose(ours.class_gradient(x, 1), every[:, 1:2], atol=1e-6)
    picked = every[np.arange(10), y][:, None]
    np.testing.assert_allclose(ours.class_gradient(x, y), picked, atol=1e-6)
    np.testing.assert_allclose(ours.class_gradient(x, list(y)), picked, atol=1e-6)


def test_class_gradient_of_many_classes_runs_as_a_loop(data):
    x, _ = data
    ours = estimator_for(network(classes=40))
    every = ours.class_gradient(x)
    assert every.shape == (10, 40, *SHAPE)
    np.testing.assert_allclose(ours.class_gradient(x, 37), every[:, 37:38], atol=1e-6)


def test_tensors_in_give_tensors_out(data):
    x, y = data
    ours = estimator_for(network())
    gradient = ours.loss_gradient(tf.constant(x), tf.constant(y))
    assert isinstance(gradient, tf.Tensor)
    np.testing.assert_array_equal(gradient, ours.loss_gradient(x, y))


def test_weights_changed_later_are_seen(data):
    x, _ = data
    model = network()
    ours = estimator_for(model)
    before = ours.predict(x)
    model.set_weights([2 * w for w in model.get_weights()])
    assert not np.allclose(before, ours.predict(x))


def test_no_images_give_no_rows():
    ours, none = estimator_for(network()), np.zeros((0, *SHAPE), np.float32)
    assert ours.predict(none).shape == (0, CLASSES)
    assert ours.loss_gradient(none, np.zeros(0, np.int64)).shape == none.shape


def test_inference_mode_unless_asked_and_training_mode_is_not_padded(data):
    x, _ = data
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(CLASSES),
        ]
    )
    ours = estimator_for(model)
    before = [w.copy() for w in model.get_weights()]
    ours.loss_gradient(x, np.zeros(10, int))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    wanted = model(x, training=True).numpy()
    model.set_weights(before)
    np.testing.assert_allclose(ours.predict(x, training_mode=True), wanted, atol=1e-5)


@pytest.mark.parametrize("kind", ["numpy", "tensorflow"])
def test_other_preprocessors_are_applied_and_differentiated(data, kind):
    from art.defences.preprocessor import SpatialSmoothingTensorFlowV2
    from art.defences.preprocessor.preprocessor import Preprocessor

    class Halve(Preprocessor):
        def __call__(self, x, y=None):
            return x / 2, y

        def estimate_gradient(self, x, grad):
            return grad / 2

    x, y = data
    model = network()
    if kind == "tensorflow":
        step = SpatialSmoothingTensorFlowV2(window_size=3)
        ours = CompiledKerasClassifier(model, preprocessing_defences=step)
        theirs = arts(model, preprocessing_defences=step)
        np.testing.assert_allclose(ours.predict(x), theirs.predict(x), atol=1e-5)
        return
    ours = CompiledKerasClassifier(model, preprocessing_defences=Halve())
    plain = estimator_for(model)
    np.testing.assert_allclose(ours.predict(x), plain.predict(x / 2), atol=1e-6)
    for name in ("loss_gradient", "class_gradient"):
        labels = (y,) if name == "loss_gradient" else ()
        found, bare = getattr(ours, name)(x, *labels), getattr(plain, name)(x / 2, *labels)
        np.testing.assert_allclose(found, bare / 2, atol=1e-6)


def test_functional_and_subclassed_models_are_taken(data):
    x, _ = data
    entry = keras.Input(SHAPE)
    functional = keras.Model(entry, keras.layers.Dense(3)(keras.layers.Flatten()(entry)))
    assert estimator_for(functional).nb_classes == 3
    subclassed = Subclassed()
    with pytest.raises(InputError, match="input_shape"):
        estimator_for(subclassed)
    ours = estimator_for(subclassed, image_shape=SHAPE)
    assert (ours.nb_classes, ours.input_shape) == (CLASSES, SHAPE)
    assert ours.predict(x).shape == (10, CLASSES)
    assert estimator_for(ours) is ours


def test_a_model_with_a_fixed_batch_gets_that_batch(data):
    x, y = data
    entry = keras.Input(batch_shape=(4, *SHAPE))
    flat = keras.layers.Reshape((36,))(entry)
    model = keras.Model(entry, keras.layers.Dense(CLASSES)(flat))
    ours = estimator_for(model)
    assert ours.predict(x).shape == (10, CLASSES)
    assert ours.loss_gradient(x, y).shape == x.shape


def test_set_params_forgets_what_was_compiled(data):
    x, _ = data
    ours = estimator_for(network())
    before = ours.predict(x)
    ours.set_params(preprocessing=(0.5, 0.5))
    assert not np.allclose(before, ours.predict(x))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nb_classes": 7}, "logits of shape"),
        ({"input_shape": (5, 6, 1)}, "takes images of shape"),
        ({"batch_size": 0}, "batch_size"),
        ({"loss_object": "mse"}, "must be one of"),
        ({"loss_object": keras.losses.CategoricalCrossentropy()}, "from_logits=True"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        CompiledKerasClassifier(network(), **change)


@pytest.mark.parametrize("last", ["activation", "layer"])
def test_a_softmax_at_the_end_is_left_out_and_saved(last, tmp_path, data):
    layers = [keras.Input(SHAPE), keras.layers.Flatten()]
    if last == "layer":
        layers += [keras.layers.Dense(3), keras.layers.Softmax()]
    else:
        layers += [keras.layers.Dense(3, activation="softmax")]
    model = keras.Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy")
    ours, x = estimator_for(model), data[0][:4]
    np.testing.assert_allclose(tf.nn.softmax(ours.predict(x)), model(x), atol=1e-6)
    assert ours.optimizer is model.optimizer
    ours.save("model", str(tmp_path))
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again(x), model(x), atol=1e-6)


def test_an_ending_that_cannot_be_undone_is_refused():
    layers = [keras.Input(SHAPE), keras.layers.Flatten()]
    layers += [keras.layers.Dense(3, activation="hard_sigmoid")]
    with pytest.raises(InputError, match="logits"):
        estimator_for(keras.Sequential(layers))


def test_labels_that_do_not_fit_are_refused(data):
    x, y = data
    ours = estimator_for(network())
    for labels in (y + CLASSES, y - CLASSES, np.eye(7)[y]):
        with pytest.raises(ValueError, match="labels must be"):
            ours.loss_gradient(x, labels)
    with pytest.raises(ValueError, match="labels must be"):
        ours.class_gradient(x, label=CLASSES)
    with pytest.raises(ValueError, match="reduction"):
        ours.compute_loss(x, y, "max")
