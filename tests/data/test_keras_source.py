import gzip
import hashlib
import io
import pickle
import tarfile
import urllib.error

import numpy as np
import pytest

from atk_latent.data import load_dataset
from atk_latent.data.keras_source import KerasSource, cache_folder
from atk_latent.data.mnist import load_fashion_mnist
from atk_latent.data.source import DIGITS
from atk_latent.errors import InputError

# Source: keras/src/datasets: these verify their file, fashion_mnist does not.
FILES = {
    "mnist": "mnist.npz",
    "cifar10": "cifar-10-batches-py-target_archive",
    "cifar100": "cifar-100-python-target_archive",
    "fashion_mnist": "fashion-mnist/t10k-images-idx3-ubyte.gz",
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Keras' own folder, empty, and a network that is down."""
    import keras.src.backend.config
    import keras.src.utils.file_utils as file_utils

    def no_network(*args, **kwargs):
        raise urllib.error.URLError("[Errno -2] Name or service not known")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(keras.src.backend.config, "_KERAS_DIR", str(tmp_path / "keras"))
    monkeypatch.setattr(file_utils, "urlretrieve", no_network)
    (tmp_path / "keras" / "datasets").mkdir(parents=True)
    return tmp_path / "keras" / "datasets"


@pytest.fixture
def any_hash(monkeypatch):
    """Lets Keras take a stand-in for the published file."""
    import keras.src.utils.file_utils as file_utils

    monkeypatch.setattr(file_utils, "validate_file", lambda *args, **kwargs: True)


def refused(name):
    with pytest.raises(InputError) as caught:
        load_dataset(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def mnist_npz(path):
    x = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    y = np.arange(40, dtype=np.uint8) % 10
    np.savez(path, x_train=x, y_train=y, x_test=x[:10], y_test=y[:10])
    return x


def fashion_files(folder):
    """The four idx files, tiny, and their hashes."""
    folder.mkdir()
    hashes = {}
    for part, count in (("train", 20), ("t10k", 10)):
        labels = bytes(8) + bytes(i % 10 for i in range(count))
        images = bytes(16) + bytes(200 for _ in range(count * 784))
        for name, content in (("labels-idx1", labels), ("images-idx3", images)):
            path = folder / f"{part}-{name}-ubyte.gz"
            path.write_bytes(gzip.compress(content))
            hashes[f"fashion-mnist/{path.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return hashes


def test_mnist_is_read_from_where_keras_keeps_it(cache, any_hash, capsys):
    x = mnist_npz(cache / "mnist.npz")
    data = load_dataset("mnist", limit_train=20, seed=1)
    assert data.x_train.shape == (20, 28, 28, 1)
    assert np.bincount(data.y_train).tolist() == [2] * 10
    np.testing.assert_array_equal(data.x_test[..., 0], x[:10].astype(np.float32) / np.float32(255))
    assert capsys.readouterr().out == ""


def test_cifar100_is_read_from_the_archive_with_fine_labels(cache, any_hash):
    pixels = np.random.default_rng(0).integers(0, 256, (200, 3, 32, 32), dtype=np.uint8)
    with tarfile.open(cache / FILES["cifar100"], "w:gz") as archive:
        for name in ("train", "test"):
            batch = {
                b"data": pixels.reshape(200, 3072),
                b"fine_labels": [index % 100 for index in range(200)],
                b"coarse_labels": [index % 20 for index in range(200)],
            }
            content = pickle.dumps(batch, protocol=3)
            info = tarfile.TarInfo(f"cifar-100-python/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    data = load_dataset("cifar100", limit_test=100)
    assert data.y_train.tolist() == [index % 100 for index in range(200)]
    np.testing.assert_array_equal(
        data.x_train[7], pixels[7].transpose(1, 2, 0).astype(np.float32) / np.float32(255)
    )
    assert np.bincount(data.y_test).tolist() == [1] * 100
    assert (data.class_names[0], data.class_names[99]) == ("apple", "worm")


def test_fashion_mnist_is_read_and_verified(cache):
    hashes = fashion_files(cache / "fashion-mnist")
    assert set(hashes) == set(load_fashion_mnist.files)
    source = KerasSource("fashion_mnist", DIGITS, hashes)
    data = source(limit_train=10)
    assert data.x_train.shape == (10, 28, 28, 1)
    assert np.allclose(data.x_test, 200 / 255)


def test_fashion_mnist_of_unpublished_contents_is_refused(cache):
    hashes = fashion_files(cache / "fashion-mnist")
    message = refused("fashion_mnist")
    assert "train-labels-idx1-ubyte.gz is not the published file" in message
    assert hashes["fashion-mnist/train-labels-idx1-ubyte.gz"][:12] in message
    assert "a04f17134ac0" in message


def test_a_download_of_unpublished_contents_is_refused(cache, monkeypatch):
    import keras.src.utils.file_utils as file_utils

    fashion_files(cache.parent / "server")

    def fetch(origin, target, hook):
        content = (cache.parent / "server" / origin.rpartition("/")[2]).read_bytes()
        with open(target, "wb") as file:
            file.write(content)

    monkeypatch.setattr(file_utils, "urlretrieve", fetch)
    assert "is not the published file" in refused("fashion_mnist")


def test_the_hashes_are_those_tensorflow_datasets_lists():
    tfds = pytest.importorskip("tensorflow_datasets")
    from pathlib import Path

    listed = Path(tfds.__file__).parent / "url_checksums" / "fashion_mnist.txt"
    if not listed.exists():
        pytest.skip("this tensorflow-datasets keeps its checksums elsewhere")
    rows = [line.split("\t") for line in listed.read_text().splitlines()]
    known = {f"fashion-mnist/{row[0].rpartition('/')[2]}": row[2] for row in rows}
    assert dict(load_fashion_mnist.files) == known


@pytest.mark.parametrize("name", list(FILES))
def test_no_network_says_what_to_put_where(cache, name, capsys):
    message = refused(name)
    assert message.startswith(f"{name}: the download failed")
    assert f"{cache}/{FILES[name]}" in message
    assert "URL fetch failure" in message
    assert "Name or service not known" in message
    assert (
        f"put {name}.npz with x_train, y_train, x_test, y_test into a folder "
        "and set ATKL_DATA_DIR to it" in message
    )
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Downloading data from" in printed.err


@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar100"])
def test_damaged_cached_file_is_one_line(cache, name, capsys):
    (cache / FILES[name]).write_bytes(b"damaged")
    message = refused(name)
    assert f"{cache}/{FILES[name]} is damaged" in message
    assert capsys.readouterr().out == ""


def test_damaged_file_of_good_hash_is_one_line(cache, any_hash):
    (cache / "mnist.npz").write_bytes(b"damaged")
    assert "mnist.npz is damaged" in refused("mnist")


def test_cache_folder_is_the_one_keras_uses(cache):
    import keras

    (cache / "probe.txt").write_text("x")
    found = keras.utils.get_file("probe.txt", origin="https://nowhere.invalid/probe.txt")
    assert found == f"{cache_folder()}/probe.txt"


def test_cache_folder_falls_back_as_keras_does(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "locked"))
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert cache_folder().endswith(".keras/datasets")
    assert not cache_folder().startswith(str(tmp_path))
