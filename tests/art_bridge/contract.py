"""What every attack that has a name promises, checked in one place."""

import dataclasses

import numpy as np

from atk_latent.art_bridge.bound_attack import change_size

# Settings that are enough for a network of a few hundred weights; those of an attack come from
# here where it has a setting of that name, so a new one needs no line.
QUICK = {"eps": 0.2, "steps": 5, "queries": 100, "targets": 2, "restarts": 1}
# Where that is too little or too much for one attack.
OWN = {
    "apgd-ce": {"steps": 10},
    "apgd-dlr": {"steps": 10},
    "apgd-t": {"steps": 10},
    "atld-chain": {"eps": 0.4},
    "atld-joint": {"eps": 0.4},
    "autoattack": {"eps": 0.15, "queries": 20},
    "cw-l2": {"steps": 40, "search_steps": 3},
    "cw-linf": {"steps": 10, "decrease_factor": 0.5},
    "deepfool": {"steps": 10},
    "fab": {"steps": 10},
    "fab-t": {"steps": 10, "targets": 9},
    "hopskipjump": {"steps": 2, "first_queries": 20, "most_queries": 40, "draws": 20},
    "jsma": {"gamma": 0.5},
    "ladder": {"eps": 10, "targets": "uniform", "helpers": "own", "generator_epochs": 1},
    "rays": {"eps": 0.3},
    "song": {"steps": 40, "closeness": 0, "class_weight": 1, "learning_rate": 20, "batch_size": 8},
    "square": {"eps": 0.3},
    "through-imt": {"attack": "pgd", "eps": 0.2, "steps": 5},
    "art:autoattack": {"eps": 0.3, "steps": 5, "restarts": 1, "queries": 20},
    "art:cw-l2": {"steps": 10, "search_steps": 4},
    "art:fgsm": {"eps": 0.3},
    "art:pgd": {"eps": 0.3},
    "art:square": {"eps": 0.3, "queries": 40},
}


def quick_text(name, spec, **more):
    """``name:key=value,...`` with which an attack takes a second."""
    known = spec.options or [field.name for field in dataclasses.fields(spec.settings)]
    settings = {key: value for key, value in QUICK.items() if key in known}
    if spec.minimal:
        settings.pop("eps", None)
    settings |= OWN.get(name, OWN.get(spec.name, {}) if not name.startswith("art:") else {})
    settings |= more
    return f"{name}:{','.join(f'{key}={value}' for key, value in settings.items())}"


def accuracy(estimator, x, y):
    return float(np.mean(estimator.predict(x).argmax(1) == y))


def check_contract(bound, x, y, *, harms=True):
    """In the ball, in [0, 1], images move; loss not lower and accuracy not higher if `harms`."""
    target = bound.attack.estimator if hasattr(bound.attack, "estimator") else None
    target = target or bound.attack.attack.estimator
    x_adv = bound.generate(x, y)
    assert x_adv.shape == x.shape and x_adv.dtype == np.float32
    assert np.isfinite(x_adv).all() and x_adv.min() >= -1e-6 and x_adv.max() <= 1 + 1e-6
    if bound.eps is not None:
        assert change_size(x, x_adv, bound.norm).max() <= bound.eps + 1e-5
    assert change_size(x, x_adv, "linf").max() > 1e-4, "no image moved"
    if harms:
        assert target.compute_loss(x_adv, y, "mean") > target.compute_loss(x, y, "mean")
        assert accuracy(target, x_adv, y) < accuracy(target, x, y)
    return x_adv
