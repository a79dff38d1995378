import re

import numpy as np
import pytest

from atk_latent.data.dataset import Dataset, stratified
from atk_latent.errors import InputError


def arrays(**changes):
    """A sound data set: 3 classes, 4x5 grey images."""
    generator = np.random.default_rng(0)
    sound = {
        "x_train": generator.integers(0, 256, (12, 4, 5), dtype=np.uint8),
        "y_train": np.arange(12) % 3,
        "x_test": generator.integers(0, 256, (6, 4, 5), dtype=np.uint8),
        "y_test": np.arange(6) % 3,
    }
    return {**sound, **changes}


def refused(**changes):
    """The one line that `from_arrays` answers to a flaw."""
    with pytest.raises(InputError) as caught:
        Dataset.from_arrays("toy", **arrays(**changes), source="toy.npz")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("toy.npz: ")
    return message


def test_from_arrays_scales_bytes_and_adds_the_channel():
    given = arrays()
    data = Dataset.from_arrays("toy", **given)
    assert data.x_train.dtype == data.x_test.dtype == np.float32
    assert data.y_train.dtype == data.y_test.dtype == np.int64
    assert data.x_train.shape == (12, 4, 5, 1)
    np.testing.assert_array_equal(
        data.x_train[..., 0], given["x_train"].astype(np.float32) / np.float32(255)
    )
    assert data.image_shape == (4, 5, 1)
    assert data.num_classes == 3
    assert data.class_names == ("0", "1", "2")


def test_from_arrays_float32_in_range_is_shared_not_copied():
    x = np.linspace(0, 1, 12 * 4 * 5 * 3, dtype=np.float32).reshape(12, 4, 5, 3)
    data = Dataset.from_arrays("toy", **arrays(x_train=x, x_test=x[:6]))
    assert np.shares_memory(data.x_train, x)
    np.testing.assert_array_equal(data.x_train, x)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_from_arrays_other_floats_become_float32_unscaled(dtype):
    x = np.full((12, 4, 5), 0.5, dtype)
    data = Dataset.from_arrays("toy", **arrays(x_train=x))
    assert data.x_train.dtype == np.float32
    assert (data.x_train == 0.5).all()


def test_from_arrays_wider_integers_are_bytes_too():
    x = np.full((12, 4, 5), 51, np.int64)
    assert np.allclose(Dataset.from_arrays("toy", **arrays(x_train=x)).x_train, 0.2)


@pytest.mark.parametrize(
    "labels",
    [
        (np.arange(12) % 3)[:, None],
        np.eye(3)[np.arange(12) % 3],
        np.eye(3, dtype=bool)[np.arange(12) % 3],
        (np.arange(12) % 3).astype(np.float64),
        (np.arange(12) % 3).astype(np.uint8),
        [0, 1, 2] * 4,
    ],
    ids=["column", "one-hot", "one-hot bool", "whole floats", "uint8", "list"],
)
def test_from_arrays_reads_labels_of_every_legal_form(labels):
    data = Dataset.from_arrays("toy", **arrays(y_train=labels))
    assert data.y_train.dtype == np.int64
    assert data.y_train.tolist() == [0, 1, 2] * 4


IMAGE = np.zeros((12, 4, 5), np.float32)


@pytest.mark.parametrize(
    ("changes", "pieces"),
    [
        ({"x_train": np.zeros((12, 20), np.uint8)}, ["x_train", "(12, 20)", "Reshape"]),
        ({"x_test": np.zeros((6, 1, 4, 5, 1), np.uint8)}, ["x_test", "(6, 1, 4, 5, 1)"]),
        ({"x_train": np.zeros((12, 4, 5, 4), np.uint8)}, ["(12, 4, 5, 4)", "grey or RGB"]),
        (
            {"x_train": np.zeros((12, 3, 32, 32), np.uint8)},
            ["(12, 3, 32, 32)", "channel-first", "transpose(0, 2, 3, 1)"],
        ),
        ({"x_test": np.full((6, 4, 6), 90, np.uint8)}, ["(4, 5, 1)", "x_test (4, 6, 1)"]),
        ({"x_train": np.full((11, 4, 5), 90, np.uint8)}, ["x_train", "11 images, 12 labels"]),
        ({"y_test": np.array([0, 1])}, ["y_test", "6 images, 2 labels"]),
        ({"x_train": IMAGE.astype(object)}, ["x_train", "dtype object"]),
        ({"x_train": IMAGE.astype(complex)}, ["x_train", "dtype complex128"]),
        ({"x_train": IMAGE.astype(bool)}, ["x_train", "dtype bool"]),
        ({"x_train": [[1, 2], [3]]}, ["x_train", "list of uneven"]),
        ({"y_train": np.array(list("abcabcabcabc"))}, ["y_train", "dtype <U1"]),
        ({"x_train": IMAGE + 255}, ["x_train", "[0, 1]", "255..255", "Rescale"]),
        ({"x_train": IMAGE - 0.25}, ["-0.25..-0.25"]),
        ({"x_test": np.linspace(-1, 1, 120).reshape(6, 4, 5)}, ["x_test", "-1..1"]),
        ({"x_train": np.full((12, 4, 5), 256)}, ["0..255", "256..256"]),
        ({"x_train": np.full((12, 4, 5), -3)}, ["-3..-3"]),
        ({"x_train": np.ones((12, 4, 5), np.uint8)}, ["none exceeds 1", "float32"]),
        ({"x_train": np.full((12, 4, 5), 16)}, ["none exceeds 16", "float32"]),
        ({"y_train": np.arange(12) % 3 + 0.5}, ["y_train", "0.5 at 0"]),
        ({"y_train": np.full(12, np.nan)}, ["y_train", "nan at 0"]),
        ({"y_train": np.array([0, 1, 2, -1] * 3)}, ["y_train", "-1 at 3"]),
        ({"y_test": np.array([0, 1, 2, 3, 0, 1])}, ["y_test", "0..2", "3 at 3"]),
        ({"y_train": np.array([0, 1, 3] * 4)}, ["y_train", "class 2 of 0..3"]),
        ({"y_train": np.array([1, 2] * 6)}, ["class 0 of 0..2"]),
        ({"y_train": np.array([0, 1, 10**12] * 4)}, ["class 2 of 0..1000000000000"]),
        ({"y_train": np.zeros(12, int), "y_test": np.zeros(6, int)}, ["at least 2", "1, label 0"]),
        ({"y_train": np.full((12, 3), 1 / 3)}, ["one-hot", "row 0 = [0.333333"]),
        ({"y_train": np.zeros((12, 3))}, ["one-hot", "row 0 = [0, 0, 0]"]),
        ({"y_train": np.zeros((12, 3, 1))}, ["(12, 3, 1)"]),
        ({"y_train": np.eye(4)[np.arange(12) % 3]}, ["class 3 of 0..3"]),
        (
            {"y_train": np.eye(3)[np.arange(12) % 3], "y_test": np.eye(4)[np.arange(6) % 3]},
            ["one width", "3 and 4 columns"],
        ),
        ({"x_test": np.zeros((0, 4, 5)), "y_test": []}, ["x_test", "empty", "(0, 4, 5)"]),
        ({"x_train": np.zeros((12, 0, 5))}, ["x_train", "empty", "(12, 0, 5)"]),
        ({"class_names": ["a", "b"]}, ["y_train", "0..1", "2 at 2"]),
        ({"class_names": ["a", "b", "c", "d"]}, ["class 3 of 0..3"]),
        ({"class_names": ["a", "b", "a"]}, ["'a' twice"]),
    ],
)
def test_from_arrays_refuses_in_one_line_with_the_value(changes, pieces):
    message = refused(**changes)
    for piece in pieces:
        assert piece in message


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_from_arrays_refuses_a_single_broken_pixel(bad):
    x = IMAGE.copy()
    x[3, 2, 1] = bad
    assert "1 NaN or infinite of 240" in refused(x_train=x)


def test_the_constructor_refuses_unconverted_arrays():
    with pytest.raises(InputError, match=r"uint8 \(12, 4, 5\).*from_arrays"):
        Dataset("toy", **arrays(), class_names=("a", "b", "c"))
    with pytest.raises(InputError, match="list and int64"):
        Dataset("toy", **arrays(x_train=[1]), class_names=("a", "b", "c"))


def test_a_class_may_be_missing_from_the_test_labels():
    data = Dataset.from_arrays("toy", **arrays(y_test=np.zeros(6, int)))
    assert data.num_classes == 3


def test_fingerprint_follows_contents_not_name_or_form():
    data = Dataset.from_arrays("toy", **arrays())
    again = Dataset.from_arrays("other", **arrays(y_train=np.eye(3)[np.arange(12) % 3]))
    assert re.fullmatch("[0-9a-f]{16}", data.fingerprint())
    assert again.fingerprint() == data.fingerprint()


@pytest.mark.parametrize("part", ["x_train", "y_train", "x_test", "y_test", "class_names"])
def test_fingerprint_changes_with_every_part(part):
    given = arrays(class_names=["0", "1", "2"])
    before = Dataset.from_arrays("toy", **given).fingerprint()
    if part == "class_names":
        given[part] = ["0", "1", "two"]
    elif part[0] == "x":
        given[part] = given[part].copy()
        given[part][-1, -1, -1] ^= 1
    else:
        given[part] = given[part][::-1]
    assert Dataset.from_arrays("toy", **given).fingerprint() != before


@pytest.mark.parametrize("limit", [10, 11, 37, 100, 999])
@pytest.mark.parametrize("spread", ["even", "skewed"])
def test_stratified_keeps_proportions_within_one(limit, spread):
    weights = np.ones(10) if spread == "even" else np.arange(1, 11)
    labels = np.random.default_rng(1).permutation(
        np.repeat(np.arange(10), (1000 * weights / weights.sum()).round().astype(int))
    )
    chosen = stratified(labels, limit, seed=0)
    share = limit * np.bincount(labels) / len(labels)
    assert len(chosen) == limit
    assert chosen.dtype == np.int64
    assert (np.diff(chosen) > 0).all()  # ascending, so none twice
    assert (np.abs(np.bincount(labels[chosen], minlength=10) - share) <= 1).all()


def test_stratified_gives_a_rare_class_one_image():
    labels = np.array([0] * 997 + [1, 2, 3])
    assert np.bincount(labels[stratified(labels, 10, 0)]).tolist() == [7, 1, 1, 1]


def test_stratified_never_takes_more_than_a_class_has():
    labels = np.array([0, 1, 1, 1, 2, 2, 2, 2])
    for limit in range(3, 9):
        counts = np.bincount(labels[stratified(labels, limit, 0)], minlength=3)
        assert counts.sum() == limit
        assert (counts <= [1, 3, 4]).all()
        assert (counts >= 1).all()


def test_stratified_same_seed_same_images_other_seed_others():
    labels = np.arange(1000) % 10
    first = stratified(labels, 100, 7)
    np.testing.assert_array_equal(first, stratified(labels, 100, 7))
    assert (first != stratified(labels, 100, 8)).any()


@pytest.mark.parametrize("limit", [12, 13, 10**9])
def test_stratified_limit_of_all_or_more_gives_all(limit):
    assert stratified(np.arange(12) % 3, limit, 0).tolist() == list(range(12))


@pytest.mark.parametrize(
    ("limit", "seed", "message"),
    [
        (2, 0, "limit must leave one image for each of the 3 classes. Received: 2. Try 3"),
        (0, 0, "Received: 0"),
        (-1, 0, "Received: -1"),
        (2.5, 0, "limit must be a whole number of at least 0. Received: 2.5"),
        (True, 0, "Received: True"),
        (6, -4, "seed must be a whole number of at least 0. Received: -4"),
    ],
)
def test_stratified_refuses(limit, seed, message):
    with pytest.raises(InputError) as caught:
        stratified(np.arange(12) % 3, limit, seed)
    assert message in str(caught.value)


def test_subset_limits_each_part_and_keeps_images_with_their_labels():
    data = Dataset.from_arrays("toy", **arrays())
    small = data.subset(limit_train=6, limit_test=3, seed=2)
    assert np.bincount(small.y_train).tolist() == [2, 2, 2]
    assert np.bincount(small.y_test).tolist() == [1, 1, 1]
    rows = [
        next(i for i in range(12) if (data.x_train[i] == image).all()) for image in small.x_train
    ]
    assert rows == sorted(rows)
    np.testing.assert_array_equal(data.y_train[rows], small.y_train)
    assert small.class_names == data.class_names
    assert small.fingerprint() == data.subset(6, 3, seed=2).fingerprint()
    assert small.fingerprint() != data.subset(6, 3, seed=3).fingerprint()


def test_subset_without_effect_is_the_same_object():
    data = Dataset.from_arrays("toy", **arrays())
    assert data.subset() is data
    assert data.subset(12, 100, seed=5) is data


def test_subset_names_the_limit_it_refuses():
    data = Dataset.from_arrays("toy", **arrays())
    with pytest.raises(InputError, match=r"limit_test must leave one .* 3 classes\. Received: 2"):
        data.subset(6, 2)
