"""Every example in a public docstring, run as it stands; every public class has one."""

import doctest
import functools
import importlib
import inspect

import keras
import numpy as np
import pytest

from atk_latent.estimators import CompiledKerasClassifier

DOORS = ("atk_latent", *(f"atk_latent.{door}" for door in ("attacks", "trainers", "estimators")))
PUBLIC = {
    f"{thing.__module__}.{thing.__qualname__}": thing
    for door in (*DOORS, "atk_latent.methods", "atk_latent.inference")
    for name in importlib.import_module(door).__all__
    for thing in [getattr(importlib.import_module(door), name)]
    if inspect.isclass(thing) or inspect.isfunction(thing)
}


@functools.cache
def tiny_problem():
    """What examples of attacks take for granted: an estimator, images and labels."""
    keras.utils.set_random_seed(0)
    network = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(4)]
    model = keras.Sequential([*network, keras.layers.ReLU(), keras.layers.Dense(4)])
    x = np.random.default_rng(0).random((6, 4, 4, 1), np.float32)
    return {"estimator": CompiledKerasClassifier(model), "x": x, "y": np.arange(6) % 4}


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_an_example_runs_as_it_stands(name):
    thing = PUBLIC[name]
    finder = doctest.DocTestFinder(recurse=False)
    names = {**vars(importlib.import_module(thing.__module__)), **tiny_problem()}
    names[thing.__name__] = thing
    (test,) = finder.find(thing, name, globs=names) or [None]
    if inspect.isclass(thing) and not issubclass(thing, Exception):
        assert test is not None and test.examples, f"{name} has no example"
    if test is not None:
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        runner = doctest.DocTestRunner(optionflags=flags, verbose=False)
        assert runner.run(test).failed == 0
