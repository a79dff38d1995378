"""NI-FGSM against steps worked out by hand, where the gradient depends on the place."""

import numpy as np
import pytest
import tensorflow as tf

from atk_latent.adversaries.factory import make_adversary
from atk_latent.adversaries.nesterov import NI_FGSM, NesterovSettings
from atk_latent.errors import InputError


def bowl(x):
    """Two classes; the lead of class 1 is (p - 0.5)^2 of the first pixel minus the second."""
    p, q = x[:, 0, 0, 0], x[:, 0, 1, 0]
    return tf.stack([tf.zeros_like(p), (p - 0.5) ** 2 - q], axis=1)


def test_the_gradient_is_taken_one_step_of_the_momentum_ahead():
    # Of class 0 the lead of class 1 is climbed; its slope is (2 (p - 0.5), -1).
    # Start (0.45, 0.5), steps of 0.1, decay 1.
    # 1: no momentum yet, slope (-0.1, -1), over its L1 norm 1.1: g = (-1/11, -10/11);
    #    both pixels fall by 0.1: (0.35, 0.4).
    # 2: ahead is (0.35 - 0.1/11, .), slope (2 (-0.15 - 0.00909), -1) = (-0.31818, -1), and so on:
    #    the sign stays, both fall: (0.25, 0.3).
    x = np.array([0.45, 0.5], np.float32).reshape(1, 1, 2, 1)
    climb = make_adversary("ni-fgsm", eps=0.3, steps=2, step_size=0.1)
    np.testing.assert_allclose(climb(bowl, x, [0]).numpy().ravel(), [0.25, 0.3], atol=1e-6)


def test_looking_ahead_differs_from_plain_momentum_where_the_slope_turns():
    # L2 steps of 0.2 from (0.6, 0.5), decay 2.
    # 1: slope (0.2, -1), over 1.2: g = (1/6, -5/6), of length 0.84984; x = (0.63922, 0.30388).
    # 2: ahead by 0.2 * 2 * g the first pixel is 0.70589, so the slope is (0.41178, -1), over
    #    1.41178: (0.29168, -0.70832); g = (0.62501, -2.37499), of length 2.45585;
    #    x = (0.63922 + 0.0509, 0.30388 - 0.19341). Without looking ahead: (0.68314, 0.10876).
    x = np.array([0.6, 0.5], np.float32).reshape(1, 1, 2, 1)
    settings = {"eps": 0.5, "norm": "l2", "step_size": 0.2, "decay": 2.0, "steps": 2}
    x_adv = make_adversary("ni-fgsm", **settings)(bowl, x, [0]).numpy().ravel()
    np.testing.assert_allclose(x_adv, [0.69012, 0.11047], atol=1e-5)
    plain = make_adversary("mim", keep="last", **settings)(bowl, x, [0]).numpy().ravel()
    np.testing.assert_allclose(plain, [0.68314, 0.10876], atol=1e-5)


def test_settings():
    assert NI_FGSM.adversary(eps="8/255").settings.step_length == pytest.approx(0.8 / 255)
    with pytest.raises(InputError, match="'decay' must be at least 0"):
        NesterovSettings(decay=-1)
