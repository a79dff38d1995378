"""What every attack that has a name promises, checked in one place."""

import numpy as np

from atk_latent.art_bridge.bound_attack import change_size


def check_contract(bound, x, y):
    """In the ball, in [0, 1], images move, loss not lower, accuracy not higher."""
    target = bound.attack.estimator if hasattr(bound.attack, "estimator") else None
    target = target or bound.attack.attack.estimator
    x_adv = bound.generate(x, y)
    assert x_adv.shape == x.shape and x_adv.dtype == np.float32
    assert np.isfinite(x_adv).all() and x_adv.min() >= -1e-6 and x_adv.max() <= 1 + 1e-6
    if bound.eps is not None:
        assert change_size(x, x_adv, bound.norm).max() <= bound.eps + 1e-5
    assert change_size(x, x_adv, "linf").max() > 1e-4, "no image moved"
    assert target.compute_loss(x_adv, y, "mean") > target.compute_loss(x, y, "mean")
    right = target.predict(x).argmax(1) == y
    assert (right & (target.predict(x_adv).argmax(1) == y)).sum() < right.sum()
    return x_adv
