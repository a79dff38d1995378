import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from atk_latent.data import load_dataset
from atk_latent.data.digits import enlarge


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def pairs(x, y):
    return sorted((image.tobytes(), int(label)) for image, label in zip(x, y, strict=True))


def test_digits_shape_range_and_split(digits):
    assert digits.x_train.shape == (1437, 28, 28, 1)
    assert digits.x_test.shape == (360, 28, 28, 1)
    assert digits.x_train.min() == 0
    assert digits.x_train.max() == 1
    assert digits.num_classes == 10
    whole = np.bincount(load_digits().target)
    assert (np.abs(np.bincount(digits.y_test) - whole * 360 / 1797) <= 1).all()
    np.testing.assert_array_equal(np.bincount(digits.y_train) + np.bincount(digits.y_test), whole)


def test_digits_holds_every_image_once_with_its_own_label(digits):
    bunch = load_digits()
    images = enlarge(bunch.images.astype(np.float32) / 16, 28)
    x = np.concatenate([digits.x_train, digits.x_test])
    y = np.concatenate([digits.y_train, digits.y_test])
    assert pairs(x, y) == pairs(images, bunch.target)


def test_digits_split_is_the_same_for_every_seed_and_call(digits):
    assert load_dataset("digits", seed=9).fingerprint() == digits.fingerprint()


def test_digits_limits(digits):
    small = load_dataset("digits", limit_train=100, limit_test=50, seed=1)
    assert (len(small.y_train), len(small.y_test)) == (100, 50)
    share = np.bincount(digits.y_train) * 100 / 1437
    assert (np.abs(np.bincount(small.y_train) - share) <= 1).all()
    held_out = {image.tobytes() for image in digits.x_test}
    assert not any(image.tobytes() in held_out for image in small.x_train)


def test_enlarge_keeps_a_constant_and_the_place_of_a_step():
    flat = enlarge(np.full((1, 8, 8), 0.25, np.float32), 28)
    np.testing.assert_allclose(flat, 0.25, atol=1e-6)
    step = np.zeros((1, 8, 8), np.float32)
    step[:, :, 4:] = 1
    large = enlarge(step, 28)[0]
    assert (large[:, :11] == 0).all()  # the filter reaches two small pixels, less than 3.5 * 2
    assert (large[:, -7:] == 1).all()
    np.testing.assert_allclose(large[:, 13] + large[:, 14], 1, atol=1e-5)
    assert large.min() == 0  # bicubic overshoots; clipped
    assert large.max() == 1


def test_digits_needs_no_tensorflow():
    code = (
        "import sys; from atk_latent.data import load_dataset; load_dataset('digits');"
        "sys.exit(any(m in sys.modules for m in ('tensorflow', 'keras')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_every_data_module_imports_nothing_heavy():
    code = (
        "import sys, importlib;"
        "[importlib.import_module('atk_latent.data.' + m) for m in "
        "'mnist cifar svhn celeba digits files loading'.split()];"
        "heavy = 'tensorflow keras sklearn PIL tensorflow_datasets scipy'.split();"
        "sys.exit(', '.join(m for m in heavy if m in sys.modules) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
