"""Every example in a public docstring, run as it stands; every public class has one."""

import doctest
import importlib
import inspect

import pytest

DOORS = ("atk_latent", *(f"atk_latent.{door}" for door in ("attacks", "trainers", "estimators")))
PUBLIC = {
    f"{thing.__module__}.{thing.__qualname__}": thing
    for door in (*DOORS, "atk_latent.methods", "atk_latent.inference")
    for name in importlib.import_module(door).__all__
    for thing in [getattr(importlib.import_module(door), name)]
    if inspect.isclass(thing) or inspect.isfunction(thing)
}


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_an_example_runs_as_it_stands(name):
    thing = PUBLIC[name]
    finder = doctest.DocTestFinder(recurse=False)
    (test,) = finder.find(thing, name, globs=vars(importlib.import_module(thing.__module__))) or [
        None
    ]
    if inspect.isclass(thing) and not issubclass(thing, Exception):
        assert test is not None and test.examples, f"{name} has no example"
    if test is not None:
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        runner = doctest.DocTestRunner(optionflags=flags, verbose=False)
        assert runner.run(test).failed == 0
