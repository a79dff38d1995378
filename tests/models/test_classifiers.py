"""LeNet, SVHNNet, CelebANet and CifarNet."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from scipy.signal import correlate

from atk_latent.errors import InputError
from atk_latent.models import initialising, latent
from atk_latent.models.lenet import lenet, lenet_bn
from atk_latent.models.resnet import cifarnet, padded_conv, resnet_body
from atk_latent.models.vgg import celebanet, svhnnet
from atk_latent.registry import MODELS


def trainable(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


# Parameter counts of the published PyTorch classes (LADDER repository), batch norm included.
@pytest.mark.parametrize(
    ("builder", "count", "latents", "classes"),
    [
        (lenet, 431_080, 500, 10),
        (lenet_bn, 432_220, 500, 10),  # two numbers for each of 20 + 50 + 500 channels more
        (svhnnet, 21_751_306, 4096, 10),
        (celebanet, 51_177_217, 4096, 2),
        (cifarnet, 11_173_962, 512, 10),
    ],
)
def test_default_model_has_the_published_size(builder, count, latents, classes):
    model = builder()
    assert trainable(model) == count
    assert model.output_shape == (None, classes)
    assert model.get_layer("latent").output.shape == (None, latents)
    assert not model.compiled
    assert type(model).__module__.startswith("keras.")
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)


def test_registry_names_are_these_builders():
    names = ("lenet", "lenet-bn", "svhnnet", "celebanet", "cifarnet")
    assert [MODELS[name] for name in names] == [lenet, lenet_bn, svhnnet, celebanet, cifarnet]


@pytest.mark.parametrize(
    ("builder", "shape", "classes"),
    [
        (lenet, (32, 32, 3), 7),
        (lenet, (28, 28, 1), 26),
        (lenet, (16, 19, 2), 2),
        (svhnnet, (28, 16, 1), 3),
        (celebanet, (32, 40, 1), 2),
        (celebanet, (32, 32, 3), 3),
        (cifarnet, (13, 8, 1), 5),
    ],
)
def test_other_sizes_and_classes_work(builder, shape, classes):
    model = builder(shape, classes)
    assert model(np.zeros((2, *shape), "float32")).shape == (2, classes)


@pytest.mark.parametrize(
    ("builder", "shape", "low"), [(lenet, (15, 28, 1), 16), (svhnnet, (8, 8, 3), 16)]
)
def test_image_too_small_is_refused_with_the_minimum(builder, shape, low):
    with pytest.raises(InputError, match=f"at least {low}x{low} pixels. Received: {shape[0]}x"):
        builder(shape)


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 0), (28.0, 28, 1), "28", None, (28, True, 1)])
def test_what_is_no_image_shape_is_refused(shape):
    with pytest.raises(InputError, match="height, width, channels"):
        lenet(shape)


def test_bad_class_count_and_seed_are_refused():
    with pytest.raises(InputError, match=r"num_classes .* >= 2. Received: 1"):
        lenet(num_classes=1)
    for seed in (-1, 0.5, True):
        with pytest.raises(InputError, match=f"seed .* Received: {seed}"):
            lenet(seed=seed)


def test_same_seed_is_bit_equal_and_another_differs():
    first, again, other = (cifarnet((8, 8, 1), seed=seed).get_weights() for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    kernels = [i for i, w in enumerate(first) if w.ndim == 4]
    assert not any(np.array_equal(first[i], other[i]) for i in kernels)
    same_shape = [first[i] for i in kernels if first[i].shape == (3, 3, 64, 64)]
    assert len(same_shape) == 4
    assert not np.array_equal(same_shape[0], same_shape[1])


def test_building_leaves_global_random_state_alone():
    np.random.seed(5)
    keras.utils.set_random_seed(5)
    expected = (np.random.rand(), keras.random.normal((1,)).numpy())
    keras.utils.set_random_seed(5)
    lenet(seed=1)
    assert (np.random.rand(), keras.random.normal((1,)).numpy()) == expected


def test_lenet_starts_uniform_within_pytorch_bounds():
    model = lenet()
    for name, fan_in in (("conv1", 25), ("conv2", 500), ("fc1", 800), ("logits", 500)):
        for weight in model.get_layer(name).get_weights():
            limit = 1 / np.sqrt(fan_in)
            assert np.abs(weight).max() <= limit
            assert np.abs(weight).max() > 0.7 * limit


@pytest.mark.parametrize(("channels", "mean", "std"), [(1, 0.1307, 0.3081), (3, 0.47, 0.25)])
def test_lenet_centres_grey_and_colour_images(channels, mean, std):
    scale = lenet((16, 16, channels), 2).get_layer("scale")
    x = np.array([0, mean, 1], np.float32)
    np.testing.assert_allclose(scale(x), (x - mean) / std, atol=1e-6)


def by_hand(model, image):
    """LeNet as the paper orders it: convolution, ReLU, then pool."""
    x = (image - 0.1307) / 0.3081
    for name in ("conv1", "conv2"):
        kernel, bias = model.get_layer(name).get_weights()
        maps = [correlate(x, kernel[..., f], "valid")[..., 0] for f in range(kernel.shape[-1])]
        x = np.maximum(np.stack(maps, -1) + bias, 0)
        x = x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, -1).max((1, 3))
    kernel, bias = model.get_layer("fc1").get_weights()
    hidden = np.maximum(x.reshape(-1) @ kernel + bias, 0)
    kernel, bias = model.get_layer("logits").get_weights()
    return hidden @ kernel + bias


def test_lenet_matches_a_computation_by_hand():
    model = lenet(seed=2)
    images = np.random.default_rng(0).random((2, 28, 28, 1)).astype("float32")
    np.testing.assert_allclose(model(images), [by_hand(model, i) for i in images], atol=1e-5)


@pytest.fixture(scope="module")
def small_celeba():
    return celebanet((32, 32, 3))


def test_two_class_logits_are_zero_and_the_score(small_celeba):
    model = small_celeba
    images = np.random.default_rng(0).random((3, 32, 32, 3)).astype("float32")
    score = keras.Model(model.input, model.get_layer("score").output)(images).numpy()
    np.testing.assert_array_equal(model(images), np.hstack([np.zeros((3, 1)), score]))


def test_celebanet_scales_by_imagenet(small_celeba):
    scaled = small_celeba.get_layer("scale")(
        np.full((1, 32, 32, 3), (0.485, 0.456 + 0.224, 0.406), "f")
    )
    np.testing.assert_allclose(scaled[0, 0, 0], [0, 1, 0], atol=1e-5)


@pytest.fixture(scope="module")
def small_svhn():
    return svhnnet((16, 16, 1), seed=1)


def test_dropout_only_in_training_and_only_after_the_latent(small_svhn):
    images = np.random.default_rng(0).random((2, 16, 16, 1)).astype("float32")
    features, head = latent.split(small_svhn)
    z = features(images)
    assert z.numpy().min() >= 0
    np.testing.assert_array_equal(head(z), head(z))
    assert not np.allclose(head(z, training=True), head(z, training=True))


def test_strided_convolution_pads_every_side_as_pytorch():
    image = np.random.default_rng(0).random((6, 6, 2)).astype("float32")
    inputs = keras.Input((6, 6, 2))
    outputs = padded_conv(inputs, 3, initialising.Seeds(0), strides=2, name="conv")
    model = keras.Model(inputs, outputs)
    kernel = model.get_layer("conv").get_weights()[0]
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
    full = [correlate(padded, kernel[..., f], "valid")[..., 0] for f in range(3)]
    np.testing.assert_allclose(model(image[None])[0], np.stack(full, -1)[::2, ::2], atol=1e-5)


def test_resnet_depth_width_and_stem_are_arguments():
    inputs = keras.Input((8, 8, 3))
    outputs = resnet_body(inputs, initialising.Seeds(0), stem=4, widths=(4, 6, 8), depths=(1, 2, 1))
    assert outputs.shape == (None, 2, 2, 8)
    names = [layer.name for layer in keras.Model(inputs, outputs).layers]
    assert sum(name.endswith("_add") for name in names) == 4
    assert "group1_block1_shortcut" not in names


def test_batch_norm_has_pytorch_settings(small_svhn):
    norms = [
        layer for layer in small_svhn.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert {(n.momentum, n.epsilon) for n in norms} == {(0.9, 1e-5)}


def test_logits_stay_float32_in_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        models = [lenet(), celebanet((32, 32, 1)), cifarnet((8, 8, 1))]
    finally:
        keras.config.set_dtype_policy("float32")
    for model in models:
        assert model.output.dtype == "float32"
        assert model.get_layer("latent").compute_dtype == "float16"


def test_files_load_where_only_keras_is_installed(tmp_path, small_celeba):
    models = [lenet(), small_celeba, cifarnet((8, 8, 3))]  # SVHNNet has no other layers
    for model in models:
        model.save(tmp_path / f"{model.name}.keras")
        x = np.full((1, *model.input_shape[1:]), 0.3, "float32")
        np.save(tmp_path / f"{model.name}.npy", model(x))
    code = (
        "import sys, pathlib, numpy as np, keras\n"
        "for file in pathlib.Path(sys.argv[1]).glob('*.keras'):\n"
        "    model = keras.saving.load_model(file)\n"
        "    out = model(np.full((1, *model.input_shape[1:]), 0.3, 'float32'))\n"
        "    assert np.allclose(out, np.load(file.with_suffix('.npy')), atol=1e-4), file\n"
        "    assert model.get_layer('latent')\n"
        "assert not any(m.startswith('atk_latent') for m in sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
