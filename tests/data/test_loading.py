import numpy as np
import pytest

from atk_latent.data import load_dataset
from atk_latent.data.source import Source
from atk_latent.errors import InputError
from atk_latent.registry import DATA


@pytest.fixture
def toy():
    """Ten classes, four training images and one test image each."""
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    return {
        "x_train": x,
        "y_train": np.arange(40, dtype=np.uint8) % 10,
        "x_test": x[:10],
        "y_test": np.arange(10, dtype=np.uint8),
    }


@pytest.mark.parametrize("name", list(DATA))
def test_every_registered_data_set_is_a_source_of_that_name(name):
    assert isinstance(DATA[name], Source)
    assert DATA[name].name == name
    assert len(set(DATA[name].class_names)) == len(DATA[name].class_names) >= 2


@pytest.mark.parametrize("name", ["cifar10", "digits", "svhn"])
def test_data_dir_stands_in_for_the_source(tmp_path, monkeypatch, toy, name):
    np.savez(tmp_path / f"{name}.npz", **toy)
    monkeypatch.setenv("ATKL_DATA_DIR", str(tmp_path))
    data = load_dataset(name)
    assert data.name == name
    assert data.class_names == DATA[name].class_names
    assert data.x_train.shape == (40, 8, 8, 3)
    np.testing.assert_array_equal(data.x_test, toy["x_test"].astype(np.float32) / np.float32(255))


def test_data_dir_with_fewer_classes_numbers_them(tmp_path, monkeypatch, toy):
    toy.update(y_train=toy["y_train"] % 3, y_test=toy["y_test"] % 3)
    np.savez(tmp_path / "cifar10.npz", **toy)
    monkeypatch.setenv("ATKL_DATA_DIR", str(tmp_path))
    assert load_dataset("cifar10").class_names == ("0", "1", "2")


def test_data_dir_obeys_limits_and_seed(tmp_path, monkeypatch, toy):
    np.savez(tmp_path / "mnist.npz", **toy)
    monkeypatch.setenv("ATKL_DATA_DIR", str(tmp_path))
    first, again, other = (
        load_dataset("mnist", limit_train=20, limit_test=10, seed=seed) for seed in (3, 3, 4)
    )
    assert np.bincount(first.y_train).tolist() == [2] * 10
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()


def test_data_dir_file_that_is_wrong_is_named(tmp_path, monkeypatch, toy):
    np.savez(tmp_path / "mnist.npz", **{**toy, "y_train": toy["y_train"][1:]})
    monkeypatch.setenv("ATKL_DATA_DIR", str(tmp_path))
    with pytest.raises(InputError, match=r"mnist\.npz: x_train and y_train .*40 images, 39 labels"):
        load_dataset("mnist")


def test_data_dir_without_the_file_goes_on_to_the_source(tmp_path, monkeypatch):
    monkeypatch.setenv("ATKL_DATA_DIR", str(tmp_path))
    assert len(load_dataset("digits").y_test) == 360


def test_data_dir_that_is_no_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("ATKL_DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"ATKL_DATA_DIR must name a folder.*nowhere"):
        load_dataset("digits")


def test_unknown_name_is_answered_by_the_registry():
    with pytest.raises(InputError, match=r"unknown data set 'minst'. Did you mean 'mnist'\?"):
        load_dataset("minst")


@pytest.mark.parametrize("name", ["no/such/folder", "missing.npz", "./gone", "~/gone_for_good"])
def test_missing_path_is_refused(name):
    with pytest.raises(InputError) as caught:
        load_dataset(name)
    assert str(caught.value).startswith(f"data '{name}' does not exist")


def test_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(InputError, match=r"Received: a file with suffix '\.csv'"):
        load_dataset(str(tmp_path / "a.csv"))


def test_registered_name_wins_over_a_folder_of_that_name(tmp_path, monkeypatch):
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert len(load_dataset("digits").y_train) == 1437
    with pytest.raises(InputError, match="at least 2 class folders"):
        load_dataset("./digits")


def test_bare_name_of_a_folder_is_a_path(tmp_path, monkeypatch):
    (tmp_path / "pets").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="pets must hold at least 2 class folders"):
        load_dataset("pets")
