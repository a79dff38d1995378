"""WideResNet and PreActResNet-18: sizes, starting weights, and a forward pass by hand."""

import keras
import numpy as np
import pytest
from scipy.signal import correlate

from atk_latent.errors import InputError
from atk_latent.models import latent
from atk_latent.models.lenet import lenet
from atk_latent.models.resnet import preactresnet18
from atk_latent.models.wide_resnet import wide_resnet
from atk_latent.registry import MODELS

SHAPE = (8, 8, 3)


def trainable(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


def formula(depth, width, classes):
    """Trainable weights of a wide residual network over RGB images, counted on paper."""
    total, channels = 27 * 16, 16
    for filters in (16 * width, 32 * width, 64 * width):
        for _ in range((depth - 4) // 6):
            total += 9 * filters * (channels + filters) + 2 * (channels + filters)  # two norms
            total += channels * filters if channels != filters else 0
            channels = filters
    return total + 2 * channels + (channels + 1) * classes


@pytest.mark.parametrize(
    ("depth", "width", "classes", "count"),
    [(28, 10, 10, 36_479_194), (28, 10, 100, 36_536_884), (34, 10, 10, 46_160_474)],
)
def test_formula_gives_the_published_sizes(depth, width, classes, count):
    assert formula(depth, width, classes) == count


@pytest.mark.parametrize(
    ("depth", "width", "classes"), [(10, 1, 2), (16, 1, 10), (10, 2, 100), (22, 3, 4)]
)
def test_small_networks_have_the_size_of_the_formula(depth, width, classes):
    model = wide_resnet(SHAPE, classes, depth=depth, width=width)
    assert trainable(model) == formula(depth, width, classes)
    assert model.get_layer("latent").output.shape == (None, 64 * width)
    assert not model.compiled


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "classes", "count"),
    [("wrn-28-10", 10, 36_479_194), ("wrn-28-10", 100, 36_536_884), ("wrn-34-10", 10, 46_160_474)],
)
def test_published_networks_have_the_published_size(name, classes, count):
    assert trainable(MODELS[name]((32, 32, 3), classes)) == count


@pytest.mark.parametrize(("name", "depth", "width"), [("wrn-16-4", 16, 4), ("wrn-10-2", 10, 2)])
def test_registered_names_say_depth_and_width(name, depth, width):
    model = MODELS[name]((32, 32, 3), 10, seed=1)
    assert model.name == f"wrn_{depth}_{width}"
    assert trainable(model) == formula(depth, width, 10)


def maps(x, kernel, strides):
    """A convolution padded by 1 where it is 3x3, over one image (h, w, c)."""
    if kernel.shape[0] == 3:
        x = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    full = [correlate(x, kernel[..., f], "valid")[..., 0] for f in range(kernel.shape[-1])]
    return np.stack(full, -1)[::strides, ::strides]


def by_hand(model, image, activation):
    """WRN-10-2 in NumPy, from the notes: shortcut after the first norm and activation."""

    def weights(name):
        return [np.asarray(w, np.float64) for w in model.get_layer(name).get_weights()]

    def activated(x, name):
        gamma, beta, mean, variance = weights(f"{name}_norm")
        return activation((x - mean) / np.sqrt(variance + 1e-5) * gamma + beta)

    x = maps(2 * image.astype(np.float64) - 1, weights("stem")[0], 1)
    for group, strides in ((1, 1), (2, 2), (3, 2)):
        name = f"group{group}_block1"
        ready = activated(x, f"{name}_1")
        y = maps(ready, weights(f"{name}_conv1")[0], strides)
        y = maps(activated(y, f"{name}_2"), weights(f"{name}_conv2")[0], 1)
        x = y + maps(ready, weights(f"{name}_shortcut")[0], strides)
    kernel, bias = weights("logits")
    return activated(x, "last").mean((0, 1)) @ kernel + bias


@pytest.mark.parametrize(
    ("kind", "activation"),
    [("relu", lambda x: np.maximum(x, 0)), ("silu", lambda x: x / (1 + np.exp(-x)))],
)
def test_network_matches_a_computation_by_hand(kind, activation):
    model = wide_resnet(SHAPE, 4, seed=1, depth=10, width=2, activation=kind)
    rng = np.random.default_rng(0)
    model.set_weights(  # norms that do something: every weight moved, every variance positive
        [np.abs(w) + rng.uniform(0.1, 0.5, w.shape) if w.ndim == 1 else w for w in model.weights]
    )
    images = rng.random((2, *SHAPE)).astype("float32")
    expected = [by_hand(model, image, activation) for image in images]
    np.testing.assert_allclose(model(images), expected, rtol=2e-4, atol=1e-4)


def test_split_at_the_latent_gives_the_head():
    model = wide_resnet(SHAPE, 4, depth=10, width=1)
    features, head = latent.split(model)
    x = np.random.default_rng(0).random((2, *SHAPE), np.float32)
    assert features(x).shape == (2, 64)
    np.testing.assert_allclose(head(features(x)), model(x), atol=1e-6)


def test_weights_start_as_published_and_by_seed():
    model, again, other = (wide_resnet(SHAPE, 10, s, depth=10, width=4) for s in (3, 3, 4))
    kernel = model.get_layer("group3_block1_conv2").get_weights()[0]  # 3x3x256x256
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 256)), rel=0.01)
    assert abs(kernel.mean()) < 1e-3
    shortcut = model.get_layer("group3_block1_shortcut").get_weights()[0]
    assert shortcut.std() == pytest.approx(np.sqrt(2 / 256), rel=0.02)
    weight, bias = model.get_layer("logits").get_weights()
    assert 0.9 / 16 < np.abs(weight).max() <= 1 / 16
    assert not bias.any()
    norms = [w for w in model.layers if isinstance(w, keras.layers.BatchNormalization)]
    assert {(n.momentum, n.epsilon) for n in norms} == {(0.9, 1e-5)}
    same = zip(model.get_weights(), again.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in same)
    assert not np.array_equal(kernel, other.get_layer("group3_block1_conv2").get_weights()[0])


def test_preactresnet18_has_its_size_and_keeps_the_first_shortcut():
    model = preactresnet18(SHAPE)
    # Stem 1,728; groups 147,968 + 525,696 + 2,099,968 + 8,394,240 less nothing; head 5,130.
    blocks, channels = 0, 64
    for filters in (64, 128, 256, 512):
        for _ in range(2):
            blocks += 9 * filters * (channels + filters) + 2 * (channels + filters)
            blocks += channels * filters if channels != filters else 0
            channels = filters
    assert trainable(model) == 1_728 + blocks + 2 * 512 + 5_130 == 11_172_170
    names = {layer.name for layer in model.layers}
    assert "group1_block1_shortcut" not in names
    assert "group2_block1_shortcut" in names
    assert model.get_layer("latent").output.shape == (None, 512)


@pytest.mark.parametrize("kind", ["relu", "silu"])
def test_activation_of_every_network_can_be_chosen(kind):
    for model in (
        lenet(activation=kind),
        wide_resnet(SHAPE, 3, depth=10, width=1, activation=kind),
    ):
        kinds = {
            layer.activation.__name__
            for layer in model.layers
            if isinstance(layer, keras.layers.Activation)
        }
        assert kinds == {kind}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 12}, "multiple of 6.*Received: 12"),
        ({"depth": 4}, "depth .* >= 10. Received: 4"),
        ({"width": 0}, "width .* >= 1. Received: 0"),
        ({"activation": "tanh"}, "relu, silu. Received: 'tanh'"),
        ({"num_classes": 1}, ">= 2. Received: 1"),
    ],
)
def test_what_cannot_be_built_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        wide_resnet(**{"input_shape": SHAPE, **settings})
