"""Training on fixed sets, and TRADES' loss on LADDER examples."""

import keras
import numpy as np
import pytest
from keras import layers

from atk_latent.config import build, flat
from atk_latent.errors import InputError
from atk_latent.methods.augment import AugmentedTraining, AugmentSettings, read_examples
from atk_latent.methods.objectives import CrossEntropy
from atk_latent.methods.trades import TRADESLADDER, TRADESLADDERSettings
from atk_latent.registry import METHODS


def linear():
    model = keras.Sequential(
        [layers.Input((1, 3, 1)), layers.Flatten(name="latent"), layers.Dense(3, name="logits")]
    )
    model.set_weights([np.eye(3, dtype=np.float32), np.zeros(3, np.float32)])
    return model


def examples(n=12):
    rng = np.random.default_rng(0)
    x = rng.random((n, 1, 3, 1), np.float32)
    return x, 1 - x, np.arange(n) % 3


def first(method):
    stream, rows = method.training_batches(*examples()[::2])
    return next(iter(stream(0))), rows


def test_adversarial_batches_are_paired_with_batches_of_the_whole_training_set():
    method = AugmentedTraining(linear(), build(AugmentSettings, {"batch_size": 4}))
    x, x_adv, y = examples()
    method.use(x[:8], x_adv[:8], y[:8])
    ((clean, made), (y_clean, y_made)), rows = first(method)
    assert rows == 8
    for images, pool, labels in ((clean, x, y_clean), (made, x_adv[:8], y_made)):
        for image, label in zip(images.numpy(), labels.numpy(), strict=True):
            row = next(i for i, other in enumerate(pool) if np.array_equal(image, other))
            assert y[row] == label


@pytest.mark.parametrize("originals", ["full", "paired"])
def test_early_stopping_scores_images_whose_examples_are_not_trained_on(originals):
    settings = build(
        AugmentSettings,
        {
            "batch_size": 4,
            "originals": originals,
            "early_stopping": True,
            "validation_eps": 0.1,
            "validation_share": 0.25,
            "epochs": 1,
        },
    )
    method = AugmentedTraining(linear(), settings)
    x, x_adv, y = examples()
    method.use(x, x_adv, y)
    kept, y_kept, method.held_out, _ = settings.early_stopping.split(x, y, method.seed)
    stream, rows = method.training_batches(kept, y_kept)
    assert rows == len(kept) == 9
    shown = [1 - made.numpy() for (_, made), _ in stream(0).take(3)]
    assert all(np.abs(kept - image).max((1, 2, 3)).min() < 1e-6 for image in np.concatenate(shown))
    method._fixed["examples"] = (None, x_adv, y)
    with pytest.raises(InputError, match="as 'x'. Received"):
        method.training_batches(kept, y_kept)


def test_paired_originals_are_the_images_the_examples_were_made_from():
    method = AugmentedTraining(
        linear(), build(AugmentSettings, {"batch_size": 4, "originals": "paired"})
    )
    method.use(*examples())
    ((clean, made), _), _ = first(method)
    np.testing.assert_allclose(1 - clean.numpy(), made.numpy(), atol=1e-6)
    with pytest.raises(InputError, match="originals=paired"):
        method.use(None, *examples()[1:])


def test_a_file_of_examples_trains_the_classifier(tmp_path):
    x, x_adv, y = examples()
    path = tmp_path / "made.npz"
    np.savez(path, x_adv=x_adv, y=y)
    original, found, labels = read_examples(str(path))
    assert original is None
    np.testing.assert_array_equal(found, x_adv)
    np.testing.assert_array_equal(labels, y)
    method = AugmentedTraining(
        linear(), build(AugmentSettings, {"examples_from": str(path), "epochs": 1})
    )
    before = method.classifier.get_weights()[0]
    logs = method.harden(x, y)
    assert set(logs[0]) == {"loss", "accuracy", "adversarial_accuracy", "seconds"}
    assert np.abs(method.classifier.get_weights()[0] - before).max() > 1e-4


def test_what_cannot_be_trained_on_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.ones(3))
    with pytest.raises(InputError, match="'x_adv'"):
        read_examples(str(tmp_path / "a.npz"))
    with pytest.raises(InputError, match="unknown attack 'fgms'"):
        AugmentSettings(attack="fgms:eps=0.3")
    method = AugmentedTraining(linear())
    with pytest.raises(InputError, match="use"):
        method.harden(*examples()[::2])
    x, x_adv, y = examples()
    with pytest.raises(InputError, match=r"Received: \(12, 1, 3\)"):
        method.use(x, x_adv[..., 0], y)
    with pytest.raises(InputError, match="0, 1"):
        method.use(x, 2 * x_adv, y)


def test_the_settings_are_those_of_ladder():
    for data in ("mnist", "svhn", "cifar10", "celeba"):
        found = flat(METHODS["augment"].settings_for("", data, "paper", {}))
        ladder = flat(METHODS["ladder"].settings_for("", data, "paper", {}))
        shared = set(found) & set(ladder)
        assert {"epochs", "momentum", "examples_per_class", "alpha", "originals"} < shared
        assert {name: found[name] for name in shared} == {name: ladder[name] for name in shared}


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_trades_on_ladder_examples_has_the_golden_loss(alpha):
    # The classifier passes pixels on as logits: golden item 15 with beta 1.
    method = TRADESLADDER(linear(), TRADESLADDERSettings(alpha=alpha))
    assert method.alpha  # a batch of clean images must keep them beside their examples
    method.compile("sgd", CrossEntropy(), jit_compile=False)
    clean = np.array([[2, 0, 0], [0, 1, 0]], np.float32).reshape(2, 1, 3, 1)
    made = np.array([[1, 1, 0], [0, 0, 1]], np.float32).reshape(2, 1, 3, 1)
    logs = method.train_on_batch((clean, made), np.array([0, 1]), return_dict=True)
    assert float(logs["loss"]) == pytest.approx(0.729047, abs=1e-5)
    assert float(logs["adversarial_accuracy"]) == 0.5
    settings = TRADESLADDER.settings_for("", "mnist", "paper", {"beta": 3})
    assert (settings.beta, settings.fixed_set.originals) == (3.0, "paired")
    assert settings.optimizer.ema == 0.999
