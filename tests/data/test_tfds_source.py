"""SVHN and CelebA, read from small copies in TFDS' own format on the disk."""

import os
import sys

import numpy as np
import pytest

from atk_latent.data import load_dataset
from atk_latent.data.aliases import widening
from atk_latent.data.celeba import load as celeba
from atk_latent.errors import InputError

tfds = pytest.importorskip("tensorflow_datasets")

COUNTS = {"train": 25, "test": 12}


def write(data_dir, name, example, splits):
    """Writes what `download_and_prepare` would: TFRecord shards and dataset_info.json."""
    builder = tfds.builder(name, data_dir=data_dir)
    os.makedirs(builder.data_dir)
    writer = tfds.core.SequentialWriter(ds_info=builder.info, max_examples_per_shard=10)
    writer.initialize_splits(list(splits))
    for split, count in splits.items():
        writer.add_examples({split: [example(split, index) for index in range(count)]})
    writer.close_all()


def svhn_example(split, index):
    image = np.full((32, 32, 3), (index, 7, 255), np.uint8)
    image[0, 1] = (200, 100, 50)
    return {"image": image, "label": index % 10, "id": f"{split}_{index:06d}"}


def kmnist_example(split, index):
    return {"image": np.full((28, 28, 1), 3 * index, np.uint8), "label": index % 10}


def celeba_image(split, index):
    """(218, 178, 3): two grey ramps to measure the crop by, else one colour an example."""
    if split == "test" and index < 2:
        ramp = np.mgrid[:218, :178][index].astype(np.uint8)  # 0: the row, 1: the column
        return np.stack([ramp] * 3, -1)
    return np.full((218, 178, 3), (90, 90, 8 * index), np.uint8)


def celeba_example(split, index):
    features = tfds.builder("celeb_a").info.features
    return {
        "image": celeba_image(split, index),
        "landmarks": dict.fromkeys(features["landmarks"], 0),
        "attributes": {
            key: index % 4 == 0 if key == "Smiling" else index % 2 == 0
            for key in features["attributes"]
        },
        "identity": dict.fromkeys(features["identity"], index),
    }


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    (folder / "tensorflow_datasets").mkdir()
    inner = str(folder / "tensorflow_datasets")
    write(inner, "svhn_cropped", svhn_example, {**COUNTS, "extra": 3})
    write(inner, "kmnist", kmnist_example, COUNTS)
    write(inner, "celeb_a", celeba_example, {**COUNTS, "validation": 3})
    return folder


@pytest.fixture(autouse=True)
def _use(stored, monkeypatch):
    monkeypatch.setenv("ATKL_DATA_DIR", str(stored))


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """No data, and a TFDS whose download fails as without a network."""
    import requests

    def fail(self, **kwargs):
        sys.stdout.write("Downloading and preparing dataset")
        raise requests.exceptions.ConnectionError("HTTPSConnectionPool: name\nsecond line")

    monkeypatch.setenv("ATKL_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    return tmp_path


def refused(name, **limits):
    with pytest.raises(InputError) as caught:
        load_dataset(name, **limits)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_svhn_is_read_whole_in_order(capsys):
    data = load_dataset("svhn")
    assert data.x_train.shape == (25, 32, 32, 3)
    assert data.x_test.shape == (12, 32, 32, 3)
    assert data.y_train.tolist() == [index % 10 for index in range(25)]
    assert (data.x_train[:, 5, 5, 0] * 255).round().tolist() == list(range(25))
    np.testing.assert_array_equal(data.x_test[3, 0, 1] * 255, [200, 100, 50])
    assert data.class_names == tuple("0123456789")
    assert capsys.readouterr().out == ""


def test_kmnist_is_grey_and_takes_the_presets_of_mnist():
    data = load_dataset("kmnist")
    assert data.x_train.shape == (25, 28, 28, 1) and data.class_names[3] == "tsu"
    assert (data.x_test[:, 0, 0, 0] * 255).round().tolist() == [3 * index for index in range(12)]
    assert widening("kmnist") == ("any", "mnist", "kmnist")


def test_svhn_limits_keep_images_with_their_labels_and_proportions():
    data = load_dataset("svhn", limit_train=15, limit_test=10, seed=4)
    assert data.x_train.shape == (15, 32, 32, 3)
    red = (data.x_train[:, 5, 5, 0] * 255).round().astype(int)
    assert (red % 10).tolist() == data.y_train.tolist()
    assert (np.diff(red) > 0).all()
    share = 15 * np.bincount(np.arange(25) % 10) / 25
    assert (np.abs(np.bincount(data.y_train) - share) <= 1).all()
    assert np.bincount(data.y_test).tolist() == [1] * 10


@pytest.mark.parametrize("name", ["svhn", "celeba"])
def test_limits_choose_what_subset_of_the_whole_would(name):
    whole = load_dataset(name).subset(12, 10, seed=6)
    early = load_dataset(name, limit_train=12, limit_test=10, seed=6)
    assert early.fingerprint() == whole.fingerprint()
    other = load_dataset(name, limit_train=12, limit_test=10, seed=7)
    assert early.fingerprint() != other.fingerprint()


def test_celeba_label_is_smiling():
    data = load_dataset("celeba")
    assert data.class_names == ("no smile", "smile")
    assert data.y_train.tolist() == [int(index % 4 == 0) for index in range(25)]
    assert len(data.y_test) == 12


def test_celeba_limits_keep_proportions_and_decode_no_other(monkeypatch):
    decoded = []
    monkeypatch.setattr(type(celeba), "_pixels", spy(type(celeba)._pixels, decoded), raising=True)
    data = load_dataset("celeba", limit_train=8, limit_test=4, seed=0)
    assert data.x_train.shape == (8, 128, 128, 3)
    assert np.bincount(data.y_train).tolist() == [6, 2]  # 8 * 18/25, 8 * 7/25
    assert np.bincount(data.y_test).tolist() == [3, 1]
    assert len(decoded) == 12
    blue = (data.x_train[:, 60, 60, 2] * 255 / 8).round().astype(int)
    assert (blue % 4 == 0).astype(int).tolist() == data.y_train.tolist()


def spy(pixels, seen):
    """`_pixels`, noting each image that the graph really decodes."""
    import tensorflow as tf

    def noting(self, image):
        (noted,) = tf.numpy_function(
            lambda value: seen.append(value.shape) or [value], [image], [tf.uint8]
        )
        noted.set_shape(image.shape)
        return pixels(self, noted)

    return noting


def test_celeba_crop_is_the_centre_148_resized_to_128():
    vertical, horizontal = load_dataset("celeba").x_test[:2] * 255
    assert vertical.shape == (128, 128, 3)
    row, row_step = line(vertical.mean((1, 2)))
    column, column_step = line(horizontal.mean((0, 2)))
    # TensorFlow's JPEG decoder darkens these ramps by 0.37 on average.
    assert row == pytest.approx(35 + 147 / 2, abs=0.5)
    assert column == pytest.approx(15 + 147 / 2, abs=0.5)
    assert row_step == pytest.approx(148 / 128, abs=0.003)
    assert column_step == pytest.approx(148 / 128, abs=0.003)


def test_celeba_crop_is_exact_before_jpeg_has_its_say():
    import tensorflow as tf

    centres = (np.arange(128) + 0.5) * 148 / 128 - 0.5
    for index, first in ((0, 35), (1, 15)):
        pixels = celeba._pixels(tf.constant(celeba_image("test", index))).numpy() * 255
        np.testing.assert_allclose(
            pixels.mean((1 - index, 2)), np.clip(first + centres, first, first + 147), atol=0.15
        )


def line(values):
    """Value at the middle and slope of the line through equally spaced values."""
    slope, middle = np.polyfit(np.arange(len(values)) - (len(values) - 1) / 2, values, 1)
    return middle, slope


def test_celeba_too_big_for_memory_names_the_size(monkeypatch):
    pages = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 5000}
    monkeypatch.setattr("os.sysconf", pages.__getitem__)
    message = refused("celeba")  # 37 * 128 * 128 * 3 * 4 bytes = 7.27 MB of 5 MB
    assert "celeba: 37 images need 0.0 GB as float32, this machine has 0.0 GB" in message
    assert "--limit" in message
    assert len(load_dataset("celeba", limit_train=10, limit_test=5).y_train) == 10


def test_limit_below_the_classes_is_refused():
    assert "limit_train must leave one image for each of the 2 classes. Received: 1" in refused(
        "celeba", limit_train=1
    )


@pytest.mark.parametrize(("name", "builder"), [("svhn", "svhn_cropped"), ("celeba", "celeb_a")])
def test_no_network_says_what_to_put_where(empty, name, builder, capsys):
    message = refused(name)
    assert f"found nothing in {empty}/tensorflow_datasets" in message
    assert "ConnectionError: HTTPSConnectionPool: name)" in message
    assert f"folder '{builder}' into FOLDER/tensorflow_datasets and set ATKL_DATA_DIR" in message
    assert f"put {name}.npz with x_train" in message
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Downloading and preparing" in printed.err


def test_a_package_that_the_download_needs_is_named(empty, monkeypatch):
    def fail(self, **kwargs):
        raise ModuleNotFoundError("No module named 'gizmo'", name="gizmo")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    assert "misses the package 'gizmo' to download it. Try pip install gizmo" in refused("svhn")


def test_without_tensorflow_datasets_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    assert "pip install 'atk-latent[datasets]'" in refused("svhn")


def test_damaged_records_are_one_line(tmp_path, monkeypatch):
    (tmp_path / "tensorflow_datasets").mkdir()
    write(str(tmp_path / "tensorflow_datasets"), "svhn_cropped", svhn_example, COUNTS)
    shard = next((tmp_path / "tensorflow_datasets").rglob("*train*tfrecord*00001*"))
    shard.write_bytes(shard.read_bytes()[:-100])
    monkeypatch.setenv("ATKL_DATA_DIR", str(tmp_path))
    message = refused("svhn")
    assert "svhn_cropped/3.1.0 is damaged (DataLossError" in message
    assert "Delete that folder" in message
