import numpy as np
import pytest

from atk_latent.errors import InputError
from atk_latent.models.latent import split
from atk_latent.models.lenet import lenet
from atk_latent.models.new_head import with_new_head


@pytest.fixture(scope="module")
def body():
    return lenet((16, 16, 1), 10, seed=1)


def test_the_body_stays_and_the_head_is_new(body):
    x = np.random.default_rng(0).random((3, 16, 16, 1), np.float32)
    model = with_new_head(body, 4, seed=2)
    assert model.output_shape == (None, 4)
    kernel, bias = model.get_layer("logits").get_weights()
    latents = np.asarray(split(body)[0](x))
    np.testing.assert_allclose(model(x), latents @ kernel + bias, atol=1e-5)
    for one, two in zip(model.get_weights()[:-2], body.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_seed_makes_the_head(body):
    heads = [with_new_head(body, 4, seed).get_layer("logits").get_weights() for seed in (1, 1, 2)]
    np.testing.assert_array_equal(heads[0][0], heads[1][0])
    assert np.abs(heads[0][0] - heads[2][0]).max() > 0


def test_one_class_is_refused(body):
    with pytest.raises(InputError, match="num_classes"):
        with_new_head(body, 1)
