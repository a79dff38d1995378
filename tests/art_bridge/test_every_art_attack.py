"""Every evasion attack of ART that takes a TensorFlow classifier runs on our estimator.

An attack that ART adds later fails `test_every_attack_is_listed` until it is listed here.
"""

import importlib.util
import inspect

import art.attacks.evasion as evasion
import keras
import numpy as np
import pytest
from art.attacks.attack import EvasionAttack
from art.attacks.evasion.laser_attack.laser_attack import LaserBeamAttack

from atk_latent.art_bridge.estimator import CompiledKerasClassifier, estimator_for

QUIET = {"verbose": False}
FEW = {"max_iter": 2, **QUIET}
CW = {"binary_search_steps": 1, **FEW}
APGD = {"nb_random_init": 1, **FEW}
FEATURES = {"delta": 0.1, "layer": 1}
SINKHORN = {
    "conjugate_sinkhorn_max_iter": 2,
    "projected_sinkhorn_max_iter": 2,
    "kernel_size": 3,
    "regularization": 100,
}
ZOO = {"use_resize": False, "use_importance": False, "nb_parallel": 4, "binary_search_steps": 1}
TURNS = {"max_translation": 20, "num_translations": 2, "max_rotation": 10, "num_rotations": 2}
HSJ = {"max_iter": 1, "max_eval": 10, "init_eval": 5, "init_size": 20, **QUIET}

SETTINGS = {
    "AdversarialPatch": {"max_iter": 1, "patch_shape": (3, 3, 1), "batch_size": 3, **QUIET},
    "AdversarialPatchTensorFlowV2": {
        "max_iter": 1,
        "patch_shape": (3, 3, 1),
        "batch_size": 3,
        **QUIET,
    },
    "AutoConjugateGradient": APGD,
    "AutoProjectedGradientDescent": APGD,
    "BasicIterativeMethod": FEW,
    "BoundaryAttack": {
        "targeted": False,
        "num_trial": 2,
        "sample_size": 2,
        "init_size": 20,
        **FEW,
    },
    "CarliniL0Method": CW,
    "CarliniL2Method": CW,
    "CarliniLInfMethod": {"largest_const": 1e-4, **FEW},
    "DeepFool": FEW,
    "ElasticNet": CW,
    "FastGradientMethod": {},
    "FeatureAdversariesNumpy": FEATURES,
    "FeatureAdversariesTensorFlowV2": {"step_size": 0.05, **FEATURES, **FEW},
    "HopSkipJump": HSJ,
    "NewtonFool": FEW,
    "PixelAttack": {"th": 1, "max_iter": 1, **QUIET},
    "ProjectedGradientDescent": FEW,
    "ProjectedGradientDescentNumpy": {"decay": 0.5, **FEW},
    "ProjectedGradientDescentTensorFlowV2": FEW,
    "RescalingAutoConjugateGradient": APGD,
    "SaliencyMapMethod": {"theta": 0.5, "gamma": 0.05, **QUIET},
    "ShadowAttack": {"nb_steps": 1, "batch_size": 4, **QUIET},
    "SignOPTAttack": {
        "targeted": False,
        "num_trial": 2,
        "max_iter": 1,
        "query_limit": 50,
        "k": 2,
        **QUIET,
    },
    "SimBA": FEW,
    "SpatialTransformation": {**TURNS, **QUIET},
    "SquareAttack": FEW,
    "TargetedUniversalPerturbation": {"attacker": "fgsm", "max_iter": 1},
    "UniversalPerturbation": {"attacker": "fgsm", "max_iter": 1, **QUIET},
    "VirtualAdversarialMethod": {"max_iter": 1, **QUIET},
    "Wasserstein": {"max_iter": 1, **SINKHORN, **QUIET},
    "ZooAttack": {"max_iter": 1, **ZOO, **QUIET},
}


def flat(estimator):
    """The same classifier on rows of a table."""
    layers = [keras.Input((64,)), keras.layers.Reshape((8, 8, 1)), estimator.model]
    return CompiledKerasClassifier(keras.Sequential(layers))


MAKERS = {
    "AutoAttack": lambda e: evasion.AutoAttack(e, attacks=[evasion.FastGradientMethod(e)]),
    "FrameSaliencyAttack": lambda e: evasion.FrameSaliencyAttack(
        e, evasion.FastGradientMethod(e), **QUIET
    ),
    "LowProFool": lambda e: evasion.LowProFool(
        flat(e), n_steps=2, importance=np.ones(64, np.float32), **QUIET
    ),
}
WANT_PROBABILITIES = {"SimBA", "VirtualAdversarialMethod"}
PATCHES = {"AdversarialPatch", "AdversarialPatchTensorFlowV2"}

NEED_A_PACKAGE = {
    "AutoAttack": "multiprocess",
    "BrendelBethgeAttack": "numba",
    "GRAPHITEBlackbox": "cv2",
    "ThresholdAttack": "cma",
}
NOT_FOR_IMAGE_CLASSIFIERS = {
    "MalwareGDTensorFlow": "bytes of programs, through an embedding layer",
    "OverloadPyTorch": "object detectors, in PyTorch",
    "SNAL": "object detectors, in PyTorch",
}
NOT_FOR_TENSORFLOW = {
    "AdversarialPatchPyTorch",
    "CompositeAdversarialAttackPyTorch",
    "FeatureAdversariesPyTorch",
    "GRAPHITEWhiteboxPyTorch",
    "OverTheAirFlickeringPyTorch",
    "ProjectedGradientDescentPyTorch",
}
BROKEN_IN_ART = {
    "AdversarialPatchNumpy": "no attribute 'patch'",  # whatever the clip values
    "GeoDA": "np.mat",  # gone in NumPy 2
    "LaserAttack": "np.asfarray",  # gone in NumPy 2
    "MomentumIterativeMethod": "disabled for Tensorflow",
}


def accepted():
    """Names of ART's attacks whose requirements our estimator meets."""
    names = set()
    for name, attack in vars(evasion).items():
        if not inspect.isclass(attack) or not issubclass(attack, EvasionAttack):
            continue
        needed = attack._estimator_requirements or ()
        if all(issubclass(CompiledKerasClassifier, base) for base in needed):
            names.add(name)
    return names


@pytest.fixture(scope="module")
def estimator(three):
    return estimator_for(three[0])


def generated(name, estimator, x, y):
    estimator = estimator.as_probabilities() if name in WANT_PROBABILITIES else estimator
    if name in MAKERS:
        attack = MAKERS[name](estimator)
    else:
        attack = getattr(evasion, name)(estimator, **SETTINGS.get(name, {}))
    labels = np.eye(3, dtype=np.float32)[y]
    if name.startswith("FeatureAdversaries"):
        return attack.generate(x, x[::-1].copy())
    if name == "ShadowAttack":  # one image at a time
        return np.concatenate([attack.generate(x[i : i + 1], labels[i : i + 1]) for i in range(3)])
    if name in PATCHES:
        attack.generate(x, labels)
        return attack.apply_patch(x, scale=0.5)
    if name == "TargetedUniversalPerturbation":
        return attack.generate(x, np.roll(labels, 1, axis=1))
    if name == "LowProFool":
        rows = attack.generate(x.reshape(len(x), -1), np.roll(labels, 1, axis=1))
        return rows.reshape(x.shape)
    return attack.generate(x, labels)


def test_every_attack_is_listed():
    can = set(SETTINGS) | set(MAKERS)
    cannot = {*NEED_A_PACKAGE, *NOT_FOR_IMAGE_CLASSIFIERS, *NOT_FOR_TENSORFLOW, *BROKEN_IN_ART}
    assert can & cannot <= {"AutoAttack"}
    unknown, gone = accepted() - can - cannot, (can | cannot) - accepted()
    assert not unknown, f"ART has attacks that no list here names: {sorted(unknown)}"
    assert gone <= {"BrendelBethgeAttack"}, f"ART has these no more: {sorted(gone)}"


@pytest.mark.parametrize("name", sorted({*SETTINGS, *MAKERS}))
def test_attack_runs(name, estimator, three, monkeypatch, tmp_path):
    if name in NEED_A_PACKAGE:
        pytest.importorskip(NEED_A_PACKAGE[name])
    monkeypatch.chdir(tmp_path)  # GeoDA leaves a file behind
    np.random.seed(0)
    x, y = three[1][:3].copy(), three[2][:3]
    x_adv = generated(name, estimator, x, y)
    assert isinstance(x_adv, np.ndarray) and x_adv.shape == x.shape
    assert np.isfinite(x_adv).all() and x_adv.min() >= 0 and x_adv.max() <= 1
    np.testing.assert_array_equal(x, three[1][:3])  # the images given are left alone


@pytest.mark.parametrize("name", sorted(NEED_A_PACKAGE))
def test_attack_that_needs_a_package_says_so(name, estimator, three, monkeypatch):
    if importlib.util.find_spec(NEED_A_PACKAGE[name]):
        pytest.skip(f"{NEED_A_PACKAGE[name]} is installed")
    if name == "BrendelBethgeAttack":
        assert not hasattr(evasion, name)
        return
    x, y = three[1][:1], np.eye(3, dtype=np.float32)[three[2][:1]]
    made = {
        "ThresholdAttack": lambda: evasion.ThresholdAttack(estimator, th=1, es=0, **QUIET),
        "GRAPHITEBlackbox": lambda: evasion.GRAPHITEBlackbox(estimator, (8, 8), (8, 8), (2, 2)),
        "AutoAttack": lambda: MAKERS["AutoAttack"](estimator),
    }[name]
    options = {"x_tar": x[0], "mask": None} if name == "GRAPHITEBlackbox" else {}
    with pytest.raises(ModuleNotFoundError, match=NEED_A_PACKAGE[name]):
        made().generate(x, y, **options)


@pytest.mark.parametrize("name", sorted(BROKEN_IN_ART))
def test_attack_that_art_breaks_is_still_broken(name, estimator, three, monkeypatch, tmp_path):
    message = BROKEN_IN_ART[name]
    if message.startswith("np.") and hasattr(np, message[3:]):
        pytest.skip("NumPy 1")
    monkeypatch.chdir(tmp_path)
    x, y = three[1][:3], np.eye(3, dtype=np.float32)[three[2][:3]]
    make = getattr(evasion, name)
    if name == "LaserAttack":
        beams = ((780.0, 3.14, 8.0, 8), (380.0, 0.0, 1.0, 1))
        make, y = (lambda e, **_: LaserBeamAttack(e, 1, *beams)), three[2][:3]
    options = {"sub_dim": 2, "max_iter": 500} if name == "GeoDA" else {}
    with pytest.raises((AttributeError, NotImplementedError), match=message):
        make(estimator, **options, **QUIET).generate(x, y)
