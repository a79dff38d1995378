"""Training, copies, layers and files of the estimator, against ART's own class."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from art.attacks.evasion import FastGradientMethod, FeatureAdversariesTensorFlowV2, SimBA
from art.data_generators import DataGenerator, TensorFlowV2DataGenerator
from art.defences.trainer import AdversarialTrainer
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent.art_bridge.estimator import CompiledKerasClassifier
from atk_latent.errors import InputError

CLASSES, SHAPE = 3, (4, 4, 1)
PAIR = pytest.mark.parametrize("ours", [False, True], ids=["art", "ours"])


class Counting(keras.layers.Layer):
    """Passes images on and counts the Python calls in training mode: the traces of `fit`."""

    trained = 0

    def call(self, x, training=False):
        self.trained += bool(training)
        return x


@keras.saving.register_keras_serializable("tests")
class Own(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.flat, self.dense = keras.layers.Flatten(), keras.layers.Dense(CLASSES, name="end")

    def call(self, x, training=False):
        return self.dense(self.flat(x))


def linear(first=None):
    keras.utils.set_random_seed(0)
    layers = [first] if first else []
    layers += [keras.layers.Flatten(), keras.layers.Dense(CLASSES)]
    return keras.Sequential([keras.Input(SHAPE), *layers])


def functional():
    """Two branches, one of them a nested model."""
    keras.utils.set_random_seed(0)
    inner = keras.Sequential([keras.Input(SHAPE), keras.layers.Conv2D(2, 3, name="conv")])
    inner.name = "block"
    entry = keras.Input(SHAPE, name="entry")
    left = keras.layers.Flatten(name="left")(inner(entry))
    right = keras.layers.Flatten(name="right")(entry)
    joined = keras.layers.Concatenate(name="joined")([left, right])
    return keras.Model(entry, keras.layers.Dense(CLASSES, name="logits")(joined))


def own():
    model = Own()
    model(np.zeros((1, *SHAPE), np.float32))
    return model


def make(ours, model, **options):
    if ours:
        return CompiledKerasClassifier(model, input_shape=SHAPE, **options)
    options.setdefault("loss_object", keras.losses.CategoricalCrossentropy(from_logits=True))
    return TensorFlowV2Classifier(model, CLASSES, SHAPE, clip_values=(0, 1), **options)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = np.arange(22) % CLASSES
    x = rng.random((22, *SHAPE)).astype(np.float32) / 2
    x[np.arange(22), y] += 0.5
    return x, y


def weights_of(estimator):
    return [w.copy() for w in estimator.model.get_weights()]


def differ(first, second):
    return any(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))


# Rows 10 to 14: fit


@PAIR
def test_row_10_an_adversarial_trainer_traces_the_step_once(data, ours):
    x, y = data
    counting = Counting()
    estimator = make(ours, linear(counting), optimizer=keras.optimizers.SGD(0.01))
    trainer = AdversarialTrainer(estimator, FastGradientMethod(estimator, eps=0.1), ratio=1.0)
    counting.trained = 0
    trainer.fit(x, keras.utils.to_categorical(y, CLASSES), batch_size=5, nb_epochs=1)
    assert counting.trained == (1 if ours else 5)


def test_row_10_more_fits_epochs_and_batch_sizes_do_not_trace_again(data):
    x, y = data
    counting = Counting()
    estimator = make(True, linear(counting), optimizer="sgd")
    for size in (4, 7, 22):
        estimator.fit(x, y, batch_size=size, nb_epochs=2)
    assert counting.trained == 1


@PAIR
def test_row_14_the_whole_set_is_shuffled(ours):
    seen = []
    estimator = make(
        ours,
        keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(3)]),
        train_step=lambda model, images, labels: seen.append(int(tf.reduce_max(images))),
    )
    x = np.broadcast_to(np.arange(12_000, dtype=np.float32)[:, None, None, None], (12_000, *SHAPE))
    estimator.fit(x, np.zeros(12_000, int), batch_size=500, nb_epochs=1)
    assert (seen[0] >= 10_500) == ours


@PAIR
def test_row_12_callbacks_are_told(data, ours):
    x, y = data

    class Told(keras.callbacks.Callback):
        found = []

        def on_epoch_end(self, epoch, logs=None):
            self.found.append((epoch, sorted(logs), float(self.model.optimizer.learning_rate)))
            self.model.stop_training = epoch == 1

    told = Told()
    told.found = []
    model = linear()
    estimator = make(ours, model, optimizer=keras.optimizers.SGD(0.5))
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    held_out = (x, keras.utils.to_categorical(y, CLASSES))
    estimator.fit(x, y, nb_epochs=5, callbacks=[halve, told], validation_data=held_out)
    names = ["accuracy", "learning_rate", "loss", "val_accuracy", "val_loss"]
    assert told.found == ([(0, names, 0.25), (1, names, 0.125)] if ours else [])
    assert not hasattr(model, "optimizer")


def test_figures_in_the_logs_are_those_of_the_loss(data):
    x, y = data
    estimator = make(True, linear(), optimizer=keras.optimizers.SGD(0.0))
    history = keras.callbacks.History()
    estimator.fit(x, y, batch_size=4, nb_epochs=1, callbacks=[history], validation_data=(x, y))
    logs = {name: values[0] for name, values in history.history.items()}
    loss = float(estimator.compute_loss(x, y, "mean"))
    accuracy = float(np.mean(estimator.predict(x).argmax(axis=1) == y))
    assert logs == pytest.approx(
        {"loss": loss, "accuracy": accuracy, "val_loss": loss, "val_accuracy": accuracy}, rel=1e-5
    )


def test_row_11_scheduler_counts_epochs_and_a_schedule_counts_on_through_a_trainer(data):
    x, y = data
    epochs = []
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([3], [0.1, 0.0])
    estimator = make(True, linear(), optimizer=keras.optimizers.SGD(schedule))
    estimator.fit(x, y, nb_epochs=2, scheduler=epochs.append)  # steps 0 and 1
    assert epochs == [0, 1]
    trainer = AdversarialTrainer(estimator, FastGradientMethod(estimator, eps=0.1))
    trainer.fit(x, keras.utils.to_categorical(y, CLASSES), batch_size=11, nb_epochs=1)  # 2, 3
    before = weights_of(estimator)
    trainer.fit(x, keras.utils.to_categorical(y, CLASSES), batch_size=11, nb_epochs=1)
    assert not differ(before, weights_of(estimator))


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_one_step_of_gradient_descent_is_the_closed_form(data, loss):
    x, y = data
    results = []
    for labels in (y, keras.utils.to_categorical(y, CLASSES)):
        estimator = make(True, linear(), loss_object=loss, optimizer=keras.optimizers.SGD(0.5))
        kernel, bias = weights_of(estimator)
        flat = x.reshape(len(x), -1)
        scores = np.exp(flat @ kernel + bias)
        error = scores / scores.sum(axis=1, keepdims=True) - np.eye(CLASSES)[y]
        estimator.fit(x, labels, nb_epochs=1, batch_size=len(x))
        np.testing.assert_allclose(
            estimator.model.get_weights()[0], kernel - 0.5 * flat.T @ error / len(x), atol=1e-6
        )
        results.append(estimator.model.get_weights()[1])
    np.testing.assert_array_equal(*results)


@PAIR
def test_a_penalty_of_the_model_is_trained(data, ours):
    x, y = data
    penalty = keras.regularizers.L2(0.1)
    end = keras.layers.Dense(CLASSES, kernel_regularizer=penalty)
    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), end])
    before = end.kernel.numpy()
    estimator = make(ours, model, optimizer=keras.optimizers.SGD(1.0))
    zero = lambda y, logits: 0.0 * logits[:, 0]  # noqa: E731
    estimator._loss_object = zero
    estimator.fit(x, y, nb_epochs=1, batch_size=len(x))
    wanted = before * 0.8 if ours else before
    np.testing.assert_allclose(end.kernel.numpy(), wanted, atol=1e-6)


def test_summed_losses_scaled_losses_and_frozen_layers_train(data):
    x, y = data
    moved = []
    for reduction in ("sum", "sum_over_batch_size"):
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, reduction=reduction)
        scaling = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
        estimator = make(True, linear(), loss_object=loss, optimizer=scaling)
        before = weights_of(estimator)[0]
        estimator.fit(x, y, nb_epochs=1, batch_size=len(x))
        moved.append(weights_of(estimator)[0] - before)
    np.testing.assert_allclose(moved[0], len(x) * moved[1], rtol=1e-3, atol=1e-5)
    estimator.model.layers[-1].trainable = False
    before = weights_of(estimator)
    with pytest.raises(InputError, match="every layer of the model is frozen"):
        estimator.fit(x, y, nb_epochs=1)
    assert not differ(before, weights_of(estimator))


def test_preprocessors_that_apply_to_training_do(data):
    from art.defences.preprocessor import LabelSmoothing

    x, y = data
    seen = []
    estimator = make(
        True,
        linear(),
        train_step=lambda model, images, labels: seen.append((images.numpy(), labels.numpy())),
        preprocessing=(0.5, 0.25),
        preprocessing_defences=LabelSmoothing(max_value=0.8),
    )
    estimator.fit(x, y, nb_epochs=1, batch_size=len(x))
    images, labels = seen[0]
    assert labels.max() == pytest.approx(0.8)
    np.testing.assert_allclose(
        np.sort(images, axis=0), np.sort((x - 0.5) / 0.25, axis=0), rtol=1e-5
    )


def test_preprocessing_is_part_of_the_step(data):
    x, y = data
    given = make(True, linear(), optimizer=keras.optimizers.SGD(0.1), preprocessing=(0.5, 0.25))
    plain = make(True, linear(), optimizer=keras.optimizers.SGD(0.1))
    given.fit(x, y, nb_epochs=1, batch_size=len(x), seed=1)
    plain.fit((x - 0.5) / 0.25, y, nb_epochs=1, batch_size=len(x), seed=1)
    for a, b in zip(weights_of(given), weights_of(plain), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_row_36_the_order_follows_a_seed_or_numpys(data):
    x, y = data
    results = []
    for seed, state in ((5, 0), (5, 1), (6, 1), (None, 2), (None, 2)):
        estimator = make(True, linear(), optimizer=keras.optimizers.SGD(0.5))
        np.random.seed(state)
        estimator.fit(x, y, batch_size=3, nb_epochs=1, seed=seed)
        results.append(weights_of(estimator))
    assert not differ(results[0], results[1])
    assert differ(results[1], results[2])
    assert not differ(results[3], results[4])


class Rows(DataGenerator):
    """The set again and again, in order."""

    def __init__(self, x, y, size, batch_size):
        super().__init__(size=size, batch_size=batch_size)
        self.x, self.y, self.at = x, y, 0

    def get_batch(self):
        chosen = np.arange(self.at, self.at + self.batch_size) % len(self.x)
        self.at += self.batch_size
        return self.x[chosen], self.y[chosen]


def test_generators_train_every_image_and_keep_the_scheduler(data):
    x, y = data
    one_hot = keras.utils.to_categorical(y, CLASSES)
    counting, epochs = Counting(), []
    estimator = make(True, linear(counting), optimizer="sgd")
    dataset = tf.data.Dataset.from_tensor_slices((x, one_hot)).batch(5)
    generators = (Rows(x, y, 22, 5), TensorFlowV2DataGenerator(dataset, size=22, batch_size=5))
    steps = []
    for generator in generators:
        estimator.fit_generator(generator, nb_epochs=2, scheduler=epochs.append)
        steps.append(int(estimator.optimizer.iterations.numpy()))
    assert (steps, epochs, counting.trained) == ([10, 20], [0, 1, 0, 1], 1)
    theirs = make(False, linear(), optimizer=keras.optimizers.SGD())
    theirs.fit_generator(Rows(x, y, 22, 5), nb_epochs=2, scheduler=epochs.append)
    assert theirs.optimizer.iterations.numpy() == 8 and len(epochs) == 4  # lost: images, scheduler


def test_what_cannot_be_trained_is_refused(data):
    x, y = data
    with pytest.raises(InputError, match="fit needs an optimizer"):
        make(True, linear()).fit(x, y)
    estimator = make(True, linear(), optimizer="sgd")
    with pytest.raises(InputError, match="one length"):
        estimator.fit(x, y[:3])
    with pytest.raises(ValueError, match="labels must be"):
        estimator.fit(x, y + CLASSES)
    with pytest.raises(InputError, match="must be an ART DataGenerator"):
        estimator.fit_generator(iter([]))
    with pytest.raises(InputError, match="must know its size"):
        estimator.fit_generator(Rows(x, y, None, 5))
    with pytest.raises(TypeError, match="patience"):
        estimator.fit(x, y, patience=3)


def test_the_optimizer_of_a_compiled_model_is_used(data):
    x, y = data
    model = linear()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    estimator = make(True, model)
    assert estimator.optimizer is model.optimizer
    estimator.fit(x, y, nb_epochs=1, callbacks=[keras.callbacks.Callback()])
    assert estimator.optimizer is model.optimizer
    assert model.optimizer.iterations.numpy() == 1


# Row 15: layers


@PAIR
def test_row_15_feature_adversaries_run_on_a_functional_model(data, ours):
    x, _ = data
    estimator = make(ours, functional())
    attack = FeatureAdversariesTensorFlowV2(
        estimator, delta=0.2, layer="joined", max_iter=3, step_size=0.1, batch_size=8, verbose=False
    )
    if not ours:
        with pytest.raises(ValueError, match="non-Sequential"):
            attack.generate(x[:8], x[8:16])
        return
    x_adv = attack.generate(x[:8], x[8:16])
    guide, start, end = (
        estimator.get_activations(images, "joined") for images in (x[8:16], x[:8], x_adv)
    )
    assert np.square(end - guide).sum() < np.square(start - guide).sum()


def test_row_15_every_layer_of_a_functional_model_by_place_name_and_path(data):
    x, _ = data
    model = functional()
    estimator = make(True, model, batch_size=4)
    conv = model.get_layer("block").get_layer("conv")
    maps = keras.ops.convert_to_numpy(conv(x))
    flat = x.reshape(len(x), -1)
    joined = np.concatenate([maps.reshape(len(x), -1), flat], axis=1)
    wanted = {
        "block/conv": maps,
        "conv": maps,
        "block": maps,
        "right": flat,
        "joined": joined,
        "logits": estimator.predict(x),
        0: x,
        -1: estimator.predict(x),
        model.layers.index(model.get_layer("joined")): joined,
    }
    for layer, activations in wanted.items():
        found = estimator.get_activations(x, layer, batch_size=5)
        np.testing.assert_allclose(found, activations, atol=1e-5)
    tensor = estimator.get_activations(tf.constant(x), "joined", framework=True)
    assert isinstance(tensor, tf.Tensor)
    np.testing.assert_allclose(tensor, joined, atol=1e-5)


def test_layers_of_sequential_and_subclassed_models_see_the_preprocessing(data):
    x, _ = data
    for model in (linear(), own()):
        estimator = make(True, model, preprocessing=(0.5, 0.25))
        wanted = ((x - 0.5) / 0.25).reshape(len(x), -1)
        np.testing.assert_allclose(estimator.get_activations(x, 0), wanted, rtol=1e-5)
        np.testing.assert_array_equal(estimator.get_activations(x, 1), estimator.predict(x))
    with pytest.raises(InputError, match="no layer 'middle'. Known: .*end"):
        estimator.get_activations(x, "middle")
    with pytest.raises(InputError, match="no layer 7. Known: 0 to 1"):
        estimator.get_activations(x, 7)


# Rows 16 to 19: copies and files


@pytest.mark.parametrize("build", [linear, functional, own])
def test_row_16_a_clone_has_weights_and_optimizer_of_its_own(data, build):
    x, y = data
    theirs = make(False, build(), optimizer=keras.optimizers.SGD(0.1))
    with pytest.raises((ValueError, AttributeError, TypeError)):
        theirs.clone_for_refitting()
    ours = make(
        True,
        build(),
        optimizer=keras.optimizers.Adam(0.05),
        loss_object="sparse_categorical_crossentropy",
        preprocessing=(0.5, 0.25),
        batch_size=7,
    )
    before = weights_of(ours)
    clone = ours.clone_for_refitting()
    assert type(clone) is CompiledKerasClassifier and differ(before, weights_of(clone))
    assert (clone.batch_size, clone.nb_classes, clone._reduce_labels) == (7, CLASSES, True)
    loss = clone.compute_loss(x, y, "mean")
    clone.fit(x, y, nb_epochs=3)
    assert clone.compute_loss(x, y, "mean") < loss
    assert not differ(before, weights_of(ours)) and not ours.optimizer.built
    assert float(clone.optimizer.learning_rate.numpy()) == pytest.approx(0.05)


def test_row_16_a_clone_of_a_compiled_model_is_compiled_and_keeps_what_was_adapted(data):
    x, _ = data
    scale = keras.layers.Normalization(axis=None)
    scale.adapt(x)
    model = linear(scale)
    model.compile(keras.optimizers.SGD(0.3), keras.losses.CategoricalCrossentropy(from_logits=True))
    clone = make(True, model).clone_for_refitting()
    assert clone.optimizer is clone.model.optimizer is not model.optimizer
    kernel, bias = clone.model.get_weights()[-2:]
    scaled = ((x - x.mean()) / x.std()).reshape(len(x), -1)
    np.testing.assert_allclose(clone.predict(x), scaled @ kernel + bias, atol=1e-4)


def test_a_model_that_cannot_be_made_anew_is_refused():
    class Secret(Own):
        def __init__(self, needed):
            super().__init__()

    model = Secret(3)
    model(np.zeros((1, *SHAPE), np.float32))
    with pytest.raises(InputError, match="cannot be made anew.*get_config"):
        make(True, model).clone_for_refitting()


@PAIR
def test_row_17_reset_draws_new_weights(ours):
    estimator = make(ours, linear())
    start = weights_of(estimator)
    estimator.model.set_weights([w + 1 for w in start])
    estimator.reset()
    assert differ(start, weights_of(estimator)) == ours  # ART: the same draw again


@PAIR
def test_row_17_reset_takes_nested_models_and_forgets_the_optimizer(data, ours):
    x, y = data
    estimator = make(ours, functional(), optimizer=keras.optimizers.Adam())
    if not ours:
        with pytest.raises(NotImplementedError):
            estimator.reset()
        return
    estimator.fit(x, y, nb_epochs=1)
    before = weights_of(estimator)
    estimator.reset()
    after = weights_of(estimator)
    kernels = [i for i, w in enumerate(before) if w.ndim > 1]
    assert all(not np.array_equal(before[i], after[i]) for i in kernels)
    assert all(not np.any(variable.numpy()) for variable in estimator.optimizer.variables[:1])
    estimator.fit(x, y, nb_epochs=1)
    assert estimator.optimizer.iterations.numpy() == 1


@pytest.mark.parametrize("again", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_row_18_a_copy_trains_on_as_the_first_would(data, again):
    x, y = data
    ours = make(True, linear(), optimizer=keras.optimizers.Adam(0.01))
    ours.fit(x, y, nb_epochs=2, seed=0)
    other = again(ours)
    for estimator in (ours, other):
        estimator.fit(x, y, nb_epochs=1, seed=1)
    assert other.optimizer is not ours.optimizer
    assert other.optimizer.iterations.numpy() == 3
    for a, b in zip(weights_of(ours), weights_of(other), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@PAIR
def test_row_19_save(data, ours, tmp_path):
    x, _ = data
    estimator = make(ours, functional())
    if not ours:
        with pytest.raises(NotImplementedError):
            estimator.save("model", str(tmp_path))
        return
    for name in ("model", "again.keras"):
        estimator.save(name, str(tmp_path / "new"))
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["again.keras", "model.keras"]
    loaded = make(True, keras.saving.load_model(tmp_path / "new" / "model.keras"))
    np.testing.assert_array_equal(loaded.predict(x), estimator.predict(x))
    with pytest.raises(InputError, match="must end in .keras. Received: 'model.ckpt'"):
        estimator.save("model.ckpt", str(tmp_path))
    estimator.save("model_v1.0", str(tmp_path))
    assert (tmp_path / "model_v1.0.keras").is_file()


def test_save_without_a_folder_goes_where_art_keeps_its_data(monkeypatch, tmp_path):
    from art import config

    monkeypatch.setattr(config, "ART_DATA_PATH", str(tmp_path))
    make(True, linear()).save("model")
    assert (tmp_path / "model.keras").is_file()


# Row 34: probabilities


def test_row_34_probabilities_for_the_attacks_that_demand_them(data):
    x, y = data
    ours = make(True, linear(), optimizer="sgd", preprocessing=(0.5, 0.25))
    with pytest.raises(ValueError, match="predicting probabilities"):
        SimBA(ours, verbose=False).generate(x[:1])
    view = ours.as_probabilities()
    assert SimBA(view, max_iter=2, verbose=False).generate(x[:1]).shape == (1, *SHAPE)
    np.testing.assert_allclose(view.predict(x), tf.nn.softmax(ours.predict(x)), atol=1e-6)
    np.testing.assert_array_equal(view.loss_gradient(x, y), ours.loss_gradient(x, y))
    up, step = x.copy(), 1e-2
    up[:, 1, 2, 0] += step
    slope = (view.predict(up) - view.predict(x)) / step
    np.testing.assert_allclose(view.class_gradient(x)[:, :, 1, 2, 0], slope, atol=2e-2)
    assert view.logits_model is ours.model and view.optimizer is ours.optimizer
    np.testing.assert_allclose(view.model((x - 0.5) / 0.25), view.predict(x), atol=1e-6)


# Row 3 and parameters


@PAIR
def test_row_3_preprocessing_is_not_run_outside_the_graph(data, monkeypatch, ours):
    from art.preprocessing.standardisation_mean_std.tensorflow import (
        StandardisationMeanStdTensorFlow as Standardisation,
    )

    x, _ = data
    calls, forward = [], Standardisation.forward

    def counted(self, *arguments):
        calls.append(1)
        return forward(self, *arguments)

    monkeypatch.setattr(Standardisation, "forward", counted)
    estimator = make(ours, linear(), preprocessing=(0.5, 0.25))
    for _ in range(3):
        estimator.predict(x)
    assert len(calls) == (1 if ours else 3)


@PAIR
def test_set_params_keeps_labels_and_loss_together(data, ours):
    x, y = data
    estimator = make(ours, linear())
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    estimator.set_params(loss_object=sparse)
    assert estimator._reduce_labels == ours
    if ours:
        before = estimator.loss_gradient(x, y)
        estimator.set_params(loss_object="categorical_crossentropy", optimizer="adam")
        np.testing.assert_allclose(estimator.loss_gradient(x, y), before, atol=1e-6)
        estimator.fit(x, y, nb_epochs=1)


@pytest.mark.parametrize("kind", ["numpy", "tensorflow"])
def test_preprocessing_defences_work_everywhere(data, kind):
    from art.defences.preprocessor import FeatureSqueezing, SpatialSmoothingTensorFlowV2

    x, y = data
    defence = {
        "numpy": lambda: FeatureSqueezing(clip_values=(0, 1), bit_depth=3),
        "tensorflow": lambda: SpatialSmoothingTensorFlowV2(window_size=3),
    }[kind]
    ours, theirs = (make(o, linear(), preprocessing_defences=defence()) for o in (True, False))
    one_hot = keras.utils.to_categorical(y, CLASSES)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), atol=1e-5)
    np.testing.assert_allclose(
        ours.loss_gradient(x, one_hot), len(x) * theirs.loss_gradient(x, one_hot), atol=1e-5
    )
    np.testing.assert_allclose(ours.class_gradient(x, 1), theirs.class_gradient(x, 1), atol=1e-5)
    np.testing.assert_allclose(ours.class_gradient(x)[:, 1:2], ours.class_gradient(x, 1), atol=1e-5)
    np.testing.assert_allclose(ours.get_activations(x, -1), ours.predict(x), atol=1e-5)
