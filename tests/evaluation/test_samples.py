import io

import numpy as np
import pytest
from PIL import Image

from atk_latent.evaluation.samples import MOST, examples, first_examples, png


def pixels(file):
    return np.asarray(Image.open(io.BytesIO(file)))


def shown(before, after, y, start=0):
    """The examples of grey images whose logits are one-hot in the classes given."""
    n = len(y)
    x = np.full((n, 2, 3, 1), 0.5, np.float32)
    logits = [np.eye(3, dtype=np.float32)[classes] for classes in (before, after)]
    return examples(x, x, np.array(y), *logits, start)


def test_an_example_can_be_read_back():
    x = np.array([0.0, 0.2, 0.4, 1.0], np.float32).reshape(1, 2, 2, 1)
    x_adv = x + np.array([0.1, -0.2, 0.05, 0.0], np.float32).reshape(1, 2, 2, 1)
    logits = np.array([[0.0, np.log(3.0)]], np.float32)
    (found,) = examples(x, x_adv, np.array([1]), logits, -logits, 7)
    assert (found.index, found.label) == (7, 1)
    assert (found.clean_prediction, found.prediction) == (1, 0)
    assert found.clean_confidence == pytest.approx(0.75)
    assert found.confidence == pytest.approx(0.75)
    assert found.linf == found.perturbation_scale == pytest.approx(0.2)
    assert found.l2 == pytest.approx(np.sqrt(0.01 + 0.04 + 0.0025))
    assert pixels(found.image).tolist() == [[0, 51], [102, 255]]
    assert pixels(found.adversarial).tolist() == [[26, 0], [115, 255]]
    # 128 + 127 * change / 0.2
    assert pixels(found.perturbation).tolist() == [[192, 1], [160, 128]]


def test_no_change_is_all_grey():
    (found,) = shown([0], [0], [0])
    assert found.perturbation_scale == 0 and (pixels(found.perturbation) == 128).all()


def test_colour_stays_colour_and_other_channels_are_averaged():
    rgb = np.arange(12).reshape(2, 2, 3) * 20.0
    np.testing.assert_array_equal(pixels(png(rgb)), rgb)
    assert pixels(png(np.array([[[10.0, 30.0]]]))).tolist() == [[20]]


def test_the_first_broken_images_come_first_then_the_first_others():
    # 0 robust, 1 wrong before, 2 and 4 broken, 3 repaired
    found = shown([0, 1, 0, 1, 0], [0, 1, 1, 0, 2], [0] * 5)
    assert [example.index for example in found] == [2, 4, 0, 1, 3]


@pytest.mark.parametrize("size", [1, 3, 8, 50])
def test_chunks_show_what_the_whole_would(size):
    rng = np.random.default_rng(size)
    y, before = np.zeros(50, int), rng.integers(0, 2, 50)
    for rate in (0.0, 0.1, 0.9):
        after = (rng.random(50) < rate).astype(int)
        whole = shown(before, after, y)
        parts = [
            shown(before[s : s + size], after[s : s + size], y[s : s + size], s)
            for s in range(0, 50, size)
        ]
        assert len(whole) == MOST and first_examples(parts) == whole
