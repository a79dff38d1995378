import inspect

import keras
import numpy as np
import pytest
from art.attacks.evasion import FastGradientMethod
from art.data_generators import NumpyDataGenerator
from art.estimators.classification import TensorFlowV2Classifier
from keras import layers

import atk_latent
from atk_latent import LADDERAttack, LADDERTrainer, config, trainers
from atk_latent.art_bridge.estimator import CompiledKerasClassifier
from atk_latent.art_bridge.unit_pixels import UnitPixels
from atk_latent.errors import InputError
from atk_latent.labels import integer_labels
from atk_latent.registry import METHODS
from tests.tiny_generator import known_tiny_generator  # noqa: F401

FAST = {
    "svm_images": 20,
    "svm_test_images": 10,
    "svm_epochs": 20,
    "generator": "tiny",
    "generator_epochs": 2,
    "generator_batch_size": 32,
    "examples_per_class": 20,
    "epochs": 2,
    "batch_size": 32,
    "eps": (1.0,),
}


def blobs(n=90, seed=0, high=1.0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = 0.1 * rng.random((n, 28, 28, 1), np.float32)
    for label, (row, column) in enumerate([(0, 0), (0, 14), (14, 0)]):
        x[y == label, row : row + 14, column : column + 14] += 0.8
    return high * x, y


def estimator(high=1.0, kind="sequential", loss=None, preprocessing=(0.0, 1.0), train=True):
    keras.utils.set_random_seed(0)
    stack = [
        layers.Flatten(),
        layers.Dense(12, activation="relu"),
        layers.Dense(3),
    ]
    if kind == "sequential":
        model = keras.Sequential([layers.Input((28, 28, 1)), layers.Rescaling(1 / high), *stack])
    else:
        inputs = keras.Input((28, 28, 1))
        outputs = layers.Rescaling(1 / high)(inputs)
        for layer in stack:
            outputs = layer(outputs)
        model = keras.Model(inputs, outputs)
    classifier = TensorFlowV2Classifier(
        model=model,
        nb_classes=3,
        input_shape=(28, 28, 1),
        loss_object=loss or keras.losses.CategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.SGD(0.05),
        clip_values=(0.0, high),
        preprocessing=preprocessing,
    )
    if train:
        x, y = blobs(high=high)
        classifier.fit(x, np.eye(3)[y], batch_size=32, nb_epochs=4)
    return classifier


def accuracy(classifier, x, y):
    return float(np.mean(np.argmax(classifier.predict(x), axis=1) == y))


@pytest.mark.parametrize("kind", ["sequential", "functional"])
@pytest.mark.parametrize("one_hot", [False, True])
def test_an_art_script_needs_two_changed_lines(kind, one_hot):
    classifier = estimator(kind=kind)
    before = [w.copy() for w in classifier.model.get_weights()]
    x, y = blobs()
    trainer = LADDERTrainer(classifier, **FAST)
    trainer.fit(x, np.eye(3)[y] if one_hot else y)
    robust = trainer.get_classifier()
    assert robust is classifier
    after = robust.model.get_weights()
    assert any(np.abs(a - b).max() > 1e-5 for a, b in zip(before, after, strict=True))
    assert accuracy(robust, x, y) > 0.9
    x_adv = FastGradientMethod(robust, eps=0.1).generate(x[:8], np.eye(3)[y[:8]])
    assert x_adv.shape == (8, 28, 28, 1)


def test_pixels_of_another_range_are_trained_on_in_their_own_range():
    classifier = estimator(high=255.0)
    x, y = blobs(high=255.0)
    LADDERTrainer(classifier, **FAST).fit(x, y)
    assert accuracy(classifier, x, y) > 0.9


def test_the_view_in_unit_pixels_predicts_what_the_estimator_does():
    classifier = estimator(high=255.0, preprocessing=(20.0, 2.0))
    view, (x, _) = UnitPixels(classifier), blobs(high=255.0)
    np.testing.assert_allclose(
        view.model.predict(view.images(x), verbose=0), classifier.predict(x), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(view.pixels(view.images(x)), x, rtol=1e-5)


@pytest.mark.parametrize("shape", [(1,), (1, 1, 1), (28, 28, 1)])
def test_the_view_standardises_as_art_does_whatever_the_shape(shape):
    rng = np.random.default_rng(0)
    mean, std = rng.uniform(0.1, 0.5, shape), rng.uniform(0.5, 2, shape)
    classifier = estimator(preprocessing=(np.float32(mean), np.float32(std)), train=False)
    view, (x, _) = UnitPixels(classifier), blobs()
    np.testing.assert_allclose(
        view.model.predict(view.images(x), verbose=0), classifier.predict(x), rtol=1e-4, atol=1e-5
    )


def test_the_view_refuses_what_it_cannot_express():
    classifier = estimator(train=False)
    classifier.preprocessing_operations.append(object())
    with pytest.raises(InputError, match=r"\(mean, std\). Received: object"):
        UnitPixels(classifier)
    classifier = estimator(train=False)
    classifier._clip_values = (np.zeros(3), np.array([1.0, 1.0, 2.0]))
    with pytest.raises(InputError, match="same for every pixel"):
        UnitPixels(classifier)


def test_words_of_art_change_the_recipe():
    classifier = estimator()
    x, y = blobs()
    trainer = LADDERTrainer(classifier, **FAST)
    epochs = []
    count = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(logs))
    trainer.fit(x, y, validation_data=(x, y), nb_epochs=3, batch_size=16, callbacks=[count])
    assert len(epochs) == 3
    assert "val_accuracy" in epochs[-1]
    assert trainer.trained.settings.optimizer.batch_size == 16


def test_fit_generator_drains_the_generator():
    classifier = estimator()
    x, y = blobs()
    generator = NumpyDataGenerator(x, y, batch_size=16)
    trainer = LADDERTrainer(classifier, **FAST)
    trainer.fit_generator(generator, nb_epochs=1)
    assert accuracy(classifier, x, y) > 0.8


def test_a_second_fit_in_the_same_folder_reuses_the_helpers(tmp_path):
    x, y = blobs()
    stages = []
    for _ in range(2):
        stages.clear()
        trainer = LADDERTrainer(
            estimator(), progress=lambda stage, *_: stages.append(stage), **FAST
        )
        trainer.fit(x, y, folder=tmp_path / "state")
    assert "generator" not in stages
    assert "boundaries" not in stages


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(InputError, match="TensorFlowV2Classifier"):
        LADDERTrainer(object())
    squashed = estimator(train=False)
    squashed.model.layers[-1].activation = keras.activations.hard_sigmoid
    with pytest.raises(InputError, match="logits"):
        LADDERTrainer(squashed)
    squashed.model.layers[-1].activation = keras.activations.softmax
    softmax_free = LADDERTrainer(squashed).view.model
    assert softmax_free.weights[0] is squashed.model.weights[0]
    assert softmax_free.layers[-1].activation is keras.activations.linear
    with pytest.raises(InputError, match="unknown setting 'ebs'"):
        LADDERTrainer(estimator(train=False), ebs=3)
    x, y = blobs()
    with pytest.raises(InputError, match=r"0..1.*Received: 0\.\d*..1\.99"):
        LADDERTrainer(estimator(train=False), **FAST).fit(2 * x + 0.2, y)


def test_labels_of_every_form_become_integers():
    assert integer_labels(np.array([2, 0]), 3).tolist() == [2, 0]
    assert integer_labels(np.eye(3)[[2, 0]], 3).tolist() == [2, 0]
    assert integer_labels(np.array([[2], [0]]), 3).tolist() == [2, 0]
    with pytest.raises(InputError, match="0..2"):
        integer_labels(np.array([3]), 3)
    with pytest.raises(InputError, match="shape"):
        integer_labels(np.zeros((2, 5)), 3)


SMALL = {"epochs": 1, "batch_size": 32, "learning_rate": 0.05}
IN_A_BALL = {**SMALL, "preset": "quick", "algorithm": "sgd", "eps": 0.05 * 255}  # of 0..255
GENTLY = {**IN_A_BALL, "learning_rate": 0.005}  # ten times that forgets two of three classes
TRAINERS = {
    trainers.NaturalTrainer: {**SMALL, "preset": "quick"},
    trainers.LADDERTrainer: FAST,
    trainers.LADDERCavRandomTrainer: FAST,
    trainers.LADDERRandomTrainer: FAST,
    trainers.LADDERGANTrainer: FAST,
    trainers.TRADESLADDERTrainer: FAST,
    trainers.PGDTrainer: {**IN_A_BALL, "steps": 2},
    trainers.FGSMTrainer: {**IN_A_BALL, "alpha": 0.5},
    trainers.FreeTrainer: {**IN_A_BALL, "replays": 2},
    trainers.TRADESTrainer: {**IN_A_BALL, "steps": 2, "awp_gamma": 0.01},
    trainers.MARTTrainer: {**IN_A_BALL, "steps": 2},
    trainers.AugmentTrainer: {**SMALL, "attack": "fgsm:eps=0.05", "examples_per_class": 10},
    trainers.FeatureScatteringTrainer: GENTLY,
    trainers.TLATrainer: {**IN_A_BALL, "steps": 2},
    trainers.LATTrainer: {**IN_A_BALL, "steps": 2, "latent_steps": 2, "adversarial_epochs": 0},
    trainers.BilateralTrainer: IN_A_BALL,
    trainers.ATLDTrainer: GENTLY,
}


def concrete(kind):
    below = kind.__subclasses__()
    return set().union(*map(concrete, below)) if below else {kind}


def test_every_method_has_one_trainer_and_it_is_in_the_table():
    public = {getattr(trainers, name) for name in trainers.__all__} - {trainers.MethodTrainer}
    assert public == set(TRAINERS) == concrete(trainers.MethodTrainer)
    assert sorted(kind.method for kind in TRAINERS) == sorted(METHODS)
    at_the_top = {name for name in atk_latent.__all__ if name.endswith("Trainer")}
    assert all(getattr(atk_latent, name) is getattr(trainers, name) for name in at_the_top)


@pytest.mark.parametrize("kind", TRAINERS, ids=lambda kind: kind.__name__)
def test_the_signature_of_a_trainer_names_every_setting_with_its_default(kind):
    parameters = inspect.signature(kind).parameters
    assert list(parameters)[0] == "classifier"
    assert {"preset", "data", "seed", "progress"} <= set(parameters)
    assert all(p.kind is not p.VAR_KEYWORD for p in parameters.values())
    settings = config.flat(kind(estimator(train=False)).settings)
    settings.pop("attack", None)  # AugmentTrainer takes an ART attack there, too
    for name, value in settings.items():
        assert parameters[name].kind is parameters[name].KEYWORD_ONLY
        assert parameters[name].default == value
    assert parameters["epochs"].annotation is int


def test_a_trainer_without_a_method_has_the_signature_of_its_constructor():
    parameters = inspect.signature(trainers.MethodTrainer).parameters
    assert list(parameters)[-1] == "settings"


@pytest.fixture(scope="module")
def trained_weights():
    return estimator(high=255.0).model.get_weights()


@pytest.mark.parametrize("kind", TRAINERS, ids=lambda kind: kind.__name__)
def test_every_trainer_keeps_the_contract(kind, trained_weights):
    classifier = estimator(high=255.0, train=False)
    classifier.model.set_weights(trained_weights)
    x, y = blobs(high=255.0)
    logs = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, now: logs.append(now))
    trainer = kind(classifier, **TRAINERS[kind])
    trainer.fit(x, np.eye(3)[y], validation_data=(x, y), nb_epochs=1, callbacks=[watch])
    assert trainer.get_classifier() is classifier
    after = classifier.model.get_weights()
    moved = [np.abs(a - b).max() for a, b in zip(after, trained_weights, strict=True)]
    assert max(moved) > 1e-5
    assert len(logs) == 1
    wanted = {"loss", "val_accuracy"}
    wanted |= {"adversarial_accuracy"} if kind is not trainers.NaturalTrainer else {"accuracy"}
    assert wanted <= set(logs[0])
    assert accuracy(classifier, x, y) > 0.9


ABLATIONS = {  # LADDER but for one setting: the contract above is enough
    trainers.LADDERCavRandomTrainer,
    trainers.LADDERRandomTrainer,
    trainers.LADDERGANTrainer,
}


@pytest.mark.parametrize(
    "kind", [kind for kind in TRAINERS if kind not in ABLATIONS], ids=lambda kind: kind.__name__
)
def test_every_trainer_trains_our_own_estimator_from_a_generator(kind, trained_weights):
    model = estimator(high=255.0, train=False).model
    model.set_weights(trained_weights)
    ours = CompiledKerasClassifier(model, 3, (28, 28, 1), clip_values=(0, 255))
    x, y = blobs(high=255.0)
    before = ours.predict(x[:4])
    kind(ours, **TRAINERS[kind]).fit_generator(NumpyDataGenerator(x, y, batch_size=30))
    assert np.abs(ours.predict(x[:4]) - before).max() > 1e-4
    assert accuracy(ours, x, y) > 0.9


def test_an_art_attack_makes_the_fixed_set_targeted_or_not(trained_weights):
    classifier = estimator(high=255.0, train=False)
    classifier.model.set_weights(trained_weights)
    x, y = blobs(high=255.0)
    asked = []

    class Watched(FastGradientMethod):
        def generate(self, x, y=None, **options):
            asked.append((x, np.argmax(y, axis=1)))
            return super().generate(x, y, **options)

    for targeted in (False, True):
        attack = Watched(classifier, eps=25.0, targeted=targeted)
        trainer = trainers.AugmentTrainer(classifier, attack, **SMALL, examples_per_class=10)
        trainer.fit(x, y)
        original, x_adv, labels = trainer.trained._fixed["examples"]
        assert np.bincount(labels).tolist() == [10, 10, 10]
        np.testing.assert_allclose(np.abs(x_adv - original).max(), 25 / 255, rtol=1e-5)
        np.testing.assert_allclose(asked[-1][0], 255 * original, rtol=1e-5)
        assert np.all((asked[-1][1] != labels) == targeted)
    with pytest.raises(InputError, match="Received: int"):
        trainers.AugmentTrainer(classifier, 3)


def test_ladder_attack_is_an_art_attack():
    classifier = estimator(high=255.0)
    x, y = blobs(high=255.0)
    attack = LADDERAttack(classifier, eps=3.0, seed=5)
    with pytest.raises(InputError, match="fit"):
        attack.generate(x, y)
    attack.fit(
        x, y, generator="tiny", generator_epochs=2, svm_images=20, svm_test_images=10, svm_epochs=10
    )
    x_adv = attack.generate(x, np.eye(3)[y])
    assert x_adv.shape == x.shape
    assert x_adv.dtype == x.dtype
    assert x_adv.min() >= 0
    assert 100 < x_adv.max() <= 255
    np.testing.assert_array_equal(x_adv, attack.generate(x, y))
    assert set(attack.last) >= {"target", "eps", "latent_crossed"}
    assert attack.generate(x[:4]).shape == (4, 28, 28, 1)


def test_ladder_attack_refuses_bad_settings():
    with pytest.raises(InputError, match="eps"):
        LADDERAttack(estimator(train=False), eps=-1.0)
    with pytest.raises(InputError, match="unknown setting 'target'"):
        LADDERAttack(estimator(train=False), target="uniform")
    with pytest.raises(InputError, match="batch_size"):
        LADDERAttack(estimator(train=False), batch_size=0)
