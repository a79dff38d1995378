"""ATLD's discriminator: published size, and the dense form is the convolutional one."""

import numpy as np
import pytest

from atk_latent.errors import InputError
from atk_latent.models.manifold_discriminator import manifold_discriminator


def trainable(model):
    return sum(int(np.prod(w.shape)) for w in model.trainable_weights)


@pytest.fixture(scope="module")
def published():
    return manifold_discriminator(10, 10, "wrn")


@pytest.fixture(scope="module")
def dense():
    return manifold_discriminator(10, 10, "mlp")


def test_sizes(published, dense):
    assert trainable(published) == 9_133_963
    # Only the 3x3 kernels differ: 9 taps, of which the dense form keeps one.
    taps = sum(int(np.prod(w.shape)) for w in published.trainable_weights if w.shape[:1] == (3,))
    assert trainable(dense) == 9_133_963 - 8 * taps // 9 == 1_084_043
    assert trainable(manifold_discriminator(10, 10, "small")) == 45_515


def test_dense_form_is_the_convolutional_one_tap_by_tap(published, dense):
    rng = np.random.default_rng(0)
    for layer in dense.layers:
        weights = published.get_layer(layer.name).get_weights() if layer.weights else []
        if not weights:
            continue
        if weights[0].ndim == 4:
            middle = weights[0].shape[0] // 2
            weights = [weights[0][middle, middle]]
        layer.set_weights(weights)
    z = rng.normal(0, 3, (6, 10)).astype("float32")
    for training in (True, False):  # batch statistics, then the running ones this left behind
        pairs = zip(published(z, training=training), dense(z, training=training), strict=True)
        for ours, theirs in pairs:
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
            assert np.ptp(ours) > 1e-3


@pytest.mark.parametrize("style", ["mlp", "small"])
def test_two_heads_of_any_latent_width(style):
    model = manifold_discriminator(500, 3, style, seed=2)
    score, classes = model(np.zeros((4, 500), "float32"))
    assert score.shape == (4,)
    assert classes.shape == (4, 3)
    same, other = (manifold_discriminator(500, 3, style, seed=s).get_weights() for s in (2, 3))
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), same, strict=True))
    assert not np.array_equal(same[0], other[0])


def test_what_cannot_be_built_is_refused():
    with pytest.raises(InputError, match="wrn, mlp, small. Received: 'cnn'"):
        manifold_discriminator(10, 10, "cnn")
    with pytest.raises(InputError, match="latent_width .* Received: 0"):
        manifold_discriminator(0, 10)
