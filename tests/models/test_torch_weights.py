"""PyTorch weights in Keras models: against the network computed as PyTorch computes it."""

import keras
import numpy as np
import pytest
from keras import layers
from scipy.signal import correlate
from scipy.special import expit

from atk_latent.errors import InputError
from atk_latent.models.input_scale import Statistics
from atk_latent.models.torch_weights import load_state_dict, split_statistics, torch_modules
from atk_latent.registry import MODELS
from tests.models.torch_files import state

RNG = np.random.default_rng(0)
X = RNG.random((2, 6, 5, 3)).astype("float32")


def convolve(x, kernel, bias=0.0, stride=1, padding=0, groups=1):
    """PyTorch's Conv2d, images (batch, channels, height, width), in NumPy."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    per_group = len(kernel) // groups
    width = x.shape[1] // groups
    maps = [
        [
            correlate(image[g * width : (g + 1) * width], kernel[g * per_group + f], "valid")[0]
            for g in range(groups)
            for f in range(per_group)
        ]
        for image in x.astype(np.float64)
    ]
    return np.array(maps)[:, :, ::stride, ::stride] + np.reshape(bias, (-1, 1, 1))


def normalise(x, weights, name, eps=1e-5):
    """PyTorch's BatchNorm in evaluation, channels on axis 1."""
    shape = (1, -1) + (1,) * (x.ndim - 2)
    mean, var, gamma, beta = (
        weights[f"{name}.{part}"].reshape(shape)
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / np.sqrt(var + eps) * gamma + beta


def norm(name, channels):
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (channels,) for part in parts}


def test_convolutions_and_a_dense_layer_behind_a_flattened_map():
    inputs = keras.Input((6, 5, 3))
    x = layers.ZeroPadding2D(1)(inputs)
    x = layers.Conv2D(4, 3, strides=2)(x)
    x = layers.BatchNormalization(epsilon=1e-5)(x)
    x = layers.ReLU()(x)
    x = layers.DepthwiseConv2D(2, depth_multiplier=3)(x)
    x = layers.Conv2D(4, 1, groups=2)(x)
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    x = layers.BatchNormalization(epsilon=1e-5)(x)
    x = layers.Dense(16)(layers.ReLU()(x))  # as many units as the map has numbers
    model = keras.Model(inputs, layers.Dense(3)(layers.Dense(16)(x)))
    weights = state(
        {
            "0.weight": (4, 3, 3, 3),
            "0.bias": (4,),
            **norm("1", 4),
            "3.weight": (12, 1, 2, 2),
            "3.bias": (12,),
            "4.weight": (4, 6, 1, 1),
            "4.bias": (4,),
            **norm("6", 16),
            "8.weight": (16, 16),
            "8.bias": (16,),
            "9.weight": (16, 16),
            "9.bias": (16,),
            "10.weight": (3, 16),
            "10.bias": (3,),
        }
    )
    weights["1.num_batches_tracked"] = np.array(12)
    loaded = load_state_dict(model, weights)
    assert loaded.parameters == sum(v.size for v in weights.values()) - 1
    assert [module for _, module in loaded.pairs] == ["0", "1", "3", "4", "6", "8", "9", "10"]
    y = convolve(X.transpose(0, 3, 1, 2), weights["0.weight"], weights["0.bias"], 2, 1)
    y = np.maximum(normalise(y, weights, "1"), 0)
    y = convolve(y, weights["3.weight"], weights["3.bias"], groups=4)
    y = convolve(y, weights["4.weight"], weights["4.bias"], groups=2)
    y = np.maximum(normalise(y.reshape(2, -1), weights, "6"), 0)
    for name in ("8", "9", "10"):
        y = y @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
    np.testing.assert_allclose(model(X), y, rtol=1e-4, atol=1e-3)


def resnet_block(name, channels, first):
    return {
        f"{name}.conv1.weight": (channels, first, 3, 3),
        **norm(f"{name}.bn1", channels),
        f"{name}.conv2.weight": (channels, channels, 3, 3),
        **norm(f"{name}.bn2", channels),
        f"{name}.down.0.weight": (channels, first, 1, 1),
        **norm(f"{name}.down.1", channels),
    }


@pytest.mark.parametrize("shortcut_first", [False, True])
def test_shortcuts_are_told_from_blocks_whatever_the_order_of_the_sum(shortcut_first):
    """The norms of block and shortcut have one shape, and the 3x3 kernels of both blocks, too."""

    def block(x, filters):
        y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization(epsilon=1e-5)(y))
        y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
        y = layers.BatchNormalization(epsilon=1e-5)(y)
        z = layers.BatchNormalization(epsilon=1e-5)(layers.Conv2D(filters, 1, use_bias=False)(x))
        return layers.ReLU()(layers.Add()([z, y] if shortcut_first else [y, z]))

    inputs = keras.Input((6, 5, 3))
    x = layers.GlobalAveragePooling2D()(block(block(inputs, 4), 4))
    model = keras.Model(inputs, layers.Dense(2)(x))
    weights = state(
        {**resnet_block("a", 4, 3), **resnet_block("b", 4, 4), "fc.weight": (2, 4), "fc.bias": (2,)}
    )
    load_state_dict(model, weights)
    y = X.transpose(0, 3, 1, 2)
    for name in "ab":
        z = normalise(convolve(y, weights[f"{name}.down.0.weight"]), weights, f"{name}.down.1")
        y = convolve(y, weights[f"{name}.conv1.weight"], padding=1)
        y = np.maximum(normalise(y, weights, f"{name}.bn1"), 0)
        y = convolve(y, weights[f"{name}.conv2.weight"], padding=1)
        y = np.maximum(normalise(y, weights, f"{name}.bn2") + z, 0)
    y = y.mean((2, 3)) @ weights["fc.weight"].T + weights["fc.bias"]
    np.testing.assert_allclose(model(X), y, rtol=1e-4, atol=1e-3)


def wide_resnet_state():
    """As the published WideResNets name and order theirs, WRN-10-1 for 3 classes."""
    shapes = {"conv1.weight": (16, 3, 3, 3)}
    first = 16
    for number, channels in enumerate((16, 32, 64), start=1):
        name = f"block{number}.layer.0"
        shapes |= norm(f"{name}.bn1", first) | {f"{name}.conv1.weight": (channels, first, 3, 3)}
        shapes |= norm(f"{name}.bn2", channels)
        shapes[f"{name}.conv2.weight"] = (channels, channels, 3, 3)
        if first != channels:
            shapes[f"{name}.convShortcut.weight"] = (channels, first, 1, 1)
        first = channels
    return state(shapes | norm("bn1", 64) | {"fc.weight": (3, 64), "fc.bias": (3,)})


def wide_resnet_logits(weights, x, act, same):
    def padded(x, kernel, stride):
        if same and stride == 2:
            x = np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 1)))
            return convolve(x, kernel, stride=2)
        return convolve(x, kernel, stride=stride, padding=1)

    x = padded(x, weights["conv1.weight"], 1)
    for number in (1, 2, 3):
        name = f"block{number}.layer.0"
        ready = act(normalise(x, weights, f"{name}.bn1"))
        y = padded(ready, weights[f"{name}.conv1.weight"], 1 if number == 1 else 2)
        y = act(normalise(y, weights, f"{name}.bn2"))
        y = padded(y, weights[f"{name}.conv2.weight"], 1)
        if number > 1:
            x = convolve(ready, weights[f"{name}.convShortcut.weight"], stride=2)
        x = x + y
    x = act(normalise(x, weights, "bn1")).mean((2, 3))
    return x @ weights["fc.weight"].T + weights["fc.bias"]


@pytest.mark.parametrize("gowal", [False, True])
def test_wide_resnets_compute_what_the_published_networks_compute(gowal):
    from atk_latent.models.wide_resnet import gowal_resnet, wide_resnet

    weights = wide_resnet_state()
    model = (gowal_resnet if gowal else wide_resnet)((8, 8, 3), 3, depth=10, width=1)
    load_state_dict(model, weights)
    images = RNG.random((2, 8, 8, 3)).astype("float32")
    x = 2 * images - 1
    if gowal:
        x = (images - [0.4914, 0.4822, 0.4465]) / [0.2471, 0.2435, 0.2616]
    act = (lambda v: v * expit(v)) if gowal else (lambda v: np.maximum(v, 0))
    expected = wide_resnet_logits(weights, x.transpose(0, 3, 1, 2), act, gowal)
    np.testing.assert_allclose(model(images), expected, rtol=1e-3, atol=1e-2)


def test_extra_modules_are_left_over_and_can_be_skipped():
    """TRADES' WideResNet-34-10 registers a `sub_block1` that its forward pass never uses."""
    from atk_latent.models.wide_resnet import wide_resnet

    weights = wide_resnet_state()
    extra = {k.replace("block1", "sub_block1"): v * 0 for k, v in weights.items() if "block1" in k}
    names = list(weights)
    place = names.index("block2.layer.0.bn1.weight")
    mixed = {k: weights[k] for k in names[:place]} | extra | {k: weights[k] for k in names[place:]}
    model = wide_resnet((8, 8, 3), 3, depth=10, width=1)
    before = model.get_weights()
    with pytest.raises(InputError, match=r"4 PyTorch modules .* 'sub_block1.layer.0.conv1' \("):
        load_state_dict(model, mixed)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    load_state_dict(model, mixed, skip=["sub_block1"])
    other = wide_resnet((8, 8, 3), 3, depth=10, width=1)
    load_state_dict(other, weights)
    pairs = zip(other.get_weights(), model.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_what_cannot_be_matched_is_listed_and_nothing_is_written():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2)])
    before = model.get_weights()
    weights = state({"a.weight": (3, 4), "a.bias": (3,), "b.weight": (5, 3), "c.scale": (7,)})
    with pytest.raises(InputError) as caught:
        load_state_dict(model, weights)
    message = str(caught.value)
    assert "1 of its layers get no weights: 'dense" in message
    assert "(3, 2)" in message
    assert "2 PyTorch modules belong to no layer: 'b' (5, 3), 'c' (7,)" in message
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_absent_biases_are_zero_and_superfluous_ones_refused():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, bias_initializer="ones")])
    weights = state({"a.weight": (3, 4)})
    load_state_dict(model, weights)
    np.testing.assert_array_equal(model.get_weights()[1], 0)
    without = keras.Sequential([keras.Input((4,)), layers.Dense(3, use_bias=False)])
    with pytest.raises(InputError, match="'a'"):
        load_state_dict(without, {**weights, "a.bias": np.ones(3, "f4")})


def test_nested_and_subclassed_models_are_filled():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.body = keras.Sequential([keras.Input((6, 5, 3)), layers.Conv2D(4, 2)])
            self.flat, self.end = layers.Flatten(), layers.Dense(2)

        def call(self, x):
            return self.end(self.flat(self.body(x)))

    model = Net()
    model(X)
    weights = state({"c.weight": (4, 3, 2, 2), "c.bias": (4,), "d.weight": (2, 80), "d.bias": (2,)})
    load_state_dict(model, weights)
    y = convolve(X.transpose(0, 3, 1, 2), weights["c.weight"], weights["c.bias"]).reshape(2, -1)
    y = y @ weights["d.weight"].T + weights["d.bias"]
    np.testing.assert_allclose(model(X), y, rtol=1e-4, atol=1e-4)


def test_a_model_that_flattens_channel_first_itself_is_not_turned_twice():
    inputs = keras.Input((6, 5, 3))
    x = layers.Flatten()(layers.Permute((3, 1, 2))(inputs))
    model = keras.Model(inputs, layers.Dense(2)(x))
    weights = state({"d.weight": (2, 90), "d.bias": (2,)})
    load_state_dict(model, weights)
    y = X.transpose(0, 3, 1, 2).reshape(2, -1) @ weights["d.weight"].T + weights["d.bias"]
    np.testing.assert_allclose(model(X), y, rtol=1e-4, atol=1e-4)


def test_branches_that_are_concatenated_keep_their_order():
    inputs = keras.Input((6, 5, 3))
    one = layers.Conv2D(2, 1)(inputs)
    two = layers.Conv2D(2, 1)(layers.Conv2D(3, 1)(inputs))
    x = layers.GlobalAveragePooling2D()(layers.Concatenate()([one, two]))
    model = keras.Model(inputs, layers.Dense(2)(x))
    names = {"one": (2, 3, 1, 1), "two.0": (3, 3, 1, 1), "two.1": (2, 3, 1, 1), "fc": (2, 4)}
    weights = state({f"{name}.weight": shape for name, shape in names.items()})
    assert [module for _, module in load_state_dict(model, weights).pairs] == list(names)


def test_layers_that_pytorch_cannot_fill_are_named():
    model = keras.Sequential([keras.Input((4,)), layers.LayerNormalization(name="odd")])
    with pytest.raises(InputError, match=r"layer 'odd' \(LayerNormalization\) has weights"):
        load_state_dict(model, state({"a.weight": (4,)}))


def test_numbers_that_are_not_finite_are_refused_by_name():
    weights = state({"a.weight": (3, 4)})
    weights["a.weight"][0, 0] = np.nan
    with pytest.raises(InputError, match="tensor 'a.weight' of the checkpoint holds NaN"):
        torch_modules(weights)


def test_kinds_are_told_by_the_tensors():
    weights = state({"c.weight": (2, 3, 1, 1), "d.weight": (2, 3), **norm("n", 4), "s.gain": (3,)})
    weights["n.num_batches_tracked"] = np.array([5])
    kinds = [(m.name, m.kind) for m in torch_modules(weights)]
    assert kinds == [("c", "convolution"), ("d", "dense"), ("n", "batch norm"), ("s", "other")]


@pytest.mark.parametrize("names", [("mean", "std"), ("normalize.mu", "normalize.sigma")])
def test_statistics_in_the_checkpoint_are_taken_out(names):
    mean, std = np.float32([0.5, 0.4, 0.3]), np.float32([0.2, 0.25, 0.3])
    weights = {names[0]: mean.reshape(1, 3, 1, 1), names[1]: std.reshape(3, 1, 1)}
    weights |= state({"a.weight": (3, 4), **norm("n", 4)})
    statistics, rest = split_statistics(weights)
    np.testing.assert_allclose(statistics, Statistics(tuple(mean), tuple(std)), rtol=1e-6)
    assert list(rest) == ["a.weight", *norm("n", 4)]
    assert split_statistics(rest) == (None, rest)


@pytest.mark.parametrize("name", ["resnet20", "cifarnet", "preactresnet18", "wrn-10-2", "lenet"])
def test_registered_models_are_filled_in_the_order_of_their_layers(name):
    """Numbered modules, made from the Keras weights, come back to where they were."""
    from atk_latent.models.layer_order import weighted_layers

    shape = (28, 28, 1) if name == "lenet" else (16, 16, 3)
    first, second = MODELS[name](shape, 10, seed=1), MODELS[name](shape, 10, seed=2)
    torch_names = {"kernel": "weight", "gamma": "weight", "bias": "bias", "beta": "bias"}
    torch_names |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
    weights = {}
    for number, placed in enumerate(weighted_layers(first)):
        for weight in placed.layer.weights:
            values = np.asarray(weight)
            if values.ndim == 2 and placed.maps:
                values = (
                    values.reshape(*placed.maps, -1).transpose(2, 0, 1, 3).reshape(values.shape)
                )
            axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[values.ndim]
            weights[f"{number}.{torch_names[weight.name]}"] = values.transpose(axes)
    load_state_dict(second, weights)
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
