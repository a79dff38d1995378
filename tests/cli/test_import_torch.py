"""`atkl import-torch`: what a user sees."""

import json
import textwrap

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from atk_latent.cli.import_torch import import_torch
from atk_latent.models.loading import load_classifier
from atk_latent.models.plain import plain_network
from tests.models.torch_files import new_file, state

SHAPES = {"0.weight": (4, 3, 3, 3), "0.bias": (4,), "3.weight": (5, 900), "3.bias": (5,)}
X = np.random.default_rng(0).random((3, 32, 32, 3)).astype("float32")


def call(*arguments):
    return CliRunner().invoke(import_torch, [str(argument) for argument in arguments])


@pytest.fixture
def weights(tmp_path):
    file = tmp_path / "w.pth"
    file.write_bytes(new_file({"state_dict": state(SHAPES), "ema": state(SHAPES, seed=1)}))
    return file


def convert(weights, *options, model):
    out = weights.parent / "model.keras"
    return call(weights, "--model", model, "--out", out, *options), out


SPEC = "plain:4x3,max2"


def test_weights_become_a_model_that_loads(weights):
    result, out = convert(weights, "--json", model=SPEC)
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    assert record == {
        "checkpoint": str(weights),
        "model": SPEC,
        "key": "state_dict",
        "layers": 2,
        "parameters": 4617,
        "scaled_by": "model",
        "mean": [0.0],
        "std": [1.0],
        "notes": [],
        "max_difference": None,
        "out": str(out),
    }
    model = load_classifier(out, (32, 32, 3), 5)
    kernel = np.asarray(model.get_layer("conv1").kernel)
    np.testing.assert_array_equal(kernel, state(SHAPES)["0.weight"].transpose(2, 3, 1, 0))


def test_words_say_what_happened(weights):
    result, _ = convert(weights, "--key", "ema", "--mean", "0.5", "--std", "0.25", model=SPEC)
    assert "4,617 numbers of" in result.stdout
    assert "under ema fill 2 layers of plain:4x3,max2" in result.stdout
    assert "scaled by mean 0.5 and std 0.25, from --mean and --std" in result.stdout


def test_given_statistics_scale_the_images(weights):
    _, plain = convert(weights, model=SPEC)
    expected = load_classifier(plain)((X - [0.5, 0.4, 0.3]) / 0.25)
    numbers = ("--mean", "0.5,0.4,0.3", "--std", "0.25,0.25,0.25", "--force")
    result, out = convert(weights, *numbers, model=SPEC)
    assert result.exit_code == 0, result.stderr
    np.testing.assert_allclose(load_classifier(out)(X), expected, rtol=1e-4, atol=1e-3)


def test_statistics_of_the_checkpoint_come_before_those_of_the_architecture(tmp_path):
    stored = {"mean": np.float32([0.5, 0.5, 0.5]), "std": np.float32([0.5, 0.5, 0.5])}
    (tmp_path / "w.pth").write_bytes(new_file({**stored, **state(SHAPES)}))
    result, _ = convert(tmp_path / "w.pth", "--json", model=SPEC)
    record = json.loads(result.stdout)
    assert record["scaled_by"] == "checkpoint"
    assert (record["mean"], record["std"]) == ([0.5], [0.5])


def test_a_keras_file_gives_the_architecture_and_notes_what_may_differ(tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name="first")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization()(x))
    keras.Model(inputs, keras.layers.Dense(2)(x)).save(tmp_path / "a.keras")
    shapes = {"0.weight": (4, 3, 3, 3), "0.bias": (4,), "2.weight": (2, 4), "2.bias": (2,)}
    norm = {f"1.{n}": (4,) for n in ("weight", "bias", "running_mean", "running_var")}
    (tmp_path / "w.pth").write_bytes(new_file(state({**shapes, **norm})))
    result, _ = convert(tmp_path / "w.pth", model=str(tmp_path / "a.keras"))
    assert result.exit_code == 0, result.stderr
    assert "Note: batch norm here has epsilon 0.001, PyTorch's default is 1e-05" in result.stdout
    assert "Note: 'first' pads an even size at the bottom and right only" in result.stdout


def test_a_registered_name_takes_channels_and_classes_from_the_checkpoint(tmp_path):
    shapes = {"a.weight": (20, 1, 5, 5), "a.bias": (20,), "b.weight": (50, 20, 5, 5)}
    shapes |= {"b.bias": (50,), "c.weight": (500, 800), "c.bias": (500,)}
    shapes |= {"d.weight": (26, 500), "d.bias": (26,)}
    (tmp_path / "w.pth").write_bytes(new_file(state(shapes)))
    result, out = convert(tmp_path / "w.pth", model="lenet")
    assert result.exit_code == 0, result.stderr
    assert load_classifier(out, (28, 28, 1), 26).name == "lenet"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "resnet-20"), "unknown model 'resnet-20'. Did you mean 'resnet20'?"),
        (("--model", "resnet20"), "of its layers get no weights"),
        (("--model", "plain:4x3"), "'logits' (3600, 5)"),
        (("--key", "optimizer"), "no weights under 'optimizer'. Known: state_dict, ema"),
        (("--mean", "0.5"), "--mean and --std belong together"),
        (("--mean", "a", "--std", "1"), "setting 'mean' must be"),
        (("--mean", "0", "--std", "0"), "above 0"),
        (("--mean", "0,0", "--std", "1,1"), "one number or 3"),
        (("--input-shape", "32"), "--input-shape must read HxWxC"),
        (("--input-shape", "32x32x1"), "--input-shape has 1 channels"),
        (("--out", "model.h5"), "--out must end in .keras"),
        (("--check", "nothing"), "--check"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(weights, options, message):
    result = call(weights, "--model", SPEC, "--out", weights.parent / "m.keras", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert [path.name for path in weights.parent.iterdir()] == ["w.pth"]


def test_logits_that_are_not_finite_are_refused(tmp_path):
    huge = {name: np.full(shape, 3e38, "f4") for name, shape in SHAPES.items()}
    (tmp_path / "w.pth").write_bytes(new_file(huge))
    result, out = convert(tmp_path / "w.pth", model=SPEC)
    assert result.exit_code == 2
    assert "logits that are NaN or infinite" in result.stderr
    assert not out.exists()


def test_an_existing_file_is_kept(weights):
    (weights.parent / "model.keras").write_text("mine")
    result, out = convert(weights, model=SPEC)
    assert result.exit_code == 2
    assert out.read_text() == "mine"


@pytest.mark.parametrize(("padding", "right"), [(0, True), (1, False)])
def test_logits_are_compared_with_those_of_torch(tmp_path, monkeypatch, padding, right):
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    source = f"""
        from torch import nn

        def network():
            return nn.Sequential(
                nn.Conv2d(3, 4, 3, padding={padding}), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                nn.Flatten(), nn.Linear(4, 5),
            )
    """
    name = f"network_padded_by_{padding}"
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(tmp_path)
    network = __import__(name).network()
    torch.save({"state_dict": network.state_dict()}, tmp_path / "w.pth")
    options = ("--check", f"{name}:network", "--mean", "0.5", "--std", "0.5", "--json")
    result, out = convert(tmp_path / "w.pth", *options, model="plain:4x3,gap")
    assert result.exit_code == (0 if right else 2), result.stderr
    assert out.exists() == right
    if right:
        assert json.loads(result.stdout)["max_difference"] < 1e-5
    else:
        assert "the logits differ from PyTorch's" in result.stderr


def test_help_explains_the_line_of_a_plain_network():
    help_text = " ".join(call("--help").stdout.split())
    assert "16x4s2p1 is a convolution to 16 channels with 4x4 kernels" in help_text
    assert plain_network("16x4s2p1,32x4s2p1,100", (28, 28, 1)).count_params() == 166_406
