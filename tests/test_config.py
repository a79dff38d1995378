import dataclasses
from typing import Literal

import pytest

from atk_latent.config import assignments, build, convert, number, spec
from atk_latent.errors import InputError
from atk_latent.registry import METHODS, Entry, Registry


@dataclasses.dataclass(frozen=True)
class Example:
    eps: float = 0.1
    steps: int = 3
    values: tuple[float, ...] = (1.0,)
    pair: tuple[float, float] = (0.0, 1.0)
    perhaps: tuple[int, ...] | None = (1,)
    mode: Literal["a", "b"] = "a"
    name: str | None = None
    flag: bool = False


def test_number_reads_fractions():
    assert number("8/255") == pytest.approx(8 / 255)
    assert number(" 0.3") == 0.3
    assert number("1e-3") == 0.001


@pytest.mark.parametrize("text", ["abc", "1/0", "", "nan", "inf", "1/2/3", None])
def test_number_refuses_what_is_none(text):
    with pytest.raises(InputError, match="Received"):
        number(text)


def test_spec_splits_name_and_settings():
    assert spec("pgd:eps=8/255,steps=20") == ("pgd", {"eps": "8/255", "steps": "20"})
    assert spec("fgsm") == ("fgsm", {})
    assert spec("art:pgd:eps=0.3") == ("art:pgd", {"eps": "0.3"})


def test_spec_keeps_lists_together():
    assert spec("ladder:eps=0.5,2,5,targets=balanced") == (
        "ladder",
        {"eps": "0.5,2,5", "targets": "balanced"},
    )


@pytest.mark.parametrize("pairs", [["eps"], ["=3"], ["a=1", "a=2"]])
def test_assignments_refuse_bad_pairs(pairs):
    with pytest.raises(InputError):
        assignments(pairs)


def test_build_converts_by_field_type():
    built = build(
        Example,
        {"eps": "8/255", "steps": "4", "values": "1,2.5", "mode": "b", "name": "x", "flag": "yes"},
    )
    assert built == Example(8 / 255, 4, (1.0, 2.5), mode="b", name="x", flag=True)
    assert build(Example, {"name": "none"}).name is None


@pytest.mark.parametrize("empty", ["", "none", " None", (), []])
def test_a_list_may_be_empty(empty):
    assert build(Example, {"values": empty}).values == ()
    with pytest.raises(InputError, match="'pair'"):
        build(Example, {"pair": empty})


def test_an_optional_list_tells_none_from_empty():
    assert build(Example, {"perhaps": ""}).perhaps is None
    assert build(Example, {"perhaps": []}).perhaps == ()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("steps", "2.5", "whole number"),
        ("steps", "many", "whole number.*many"),
        ("eps", "abc", "a number.*abc"),
        ("mode", "c", "one of a, b.*c"),
        ("flag", "maybe", "true or false"),
        ("values", "1,x", "a number"),
        ("stebs", "1", "Did you mean 'steps'"),
    ],
)
def test_build_names_what_is_wrong(key, value, message):
    with pytest.raises(InputError, match=message):
        build(Example, {key: value})


def test_booleans_are_not_numbers():
    with pytest.raises(InputError, match="True"):
        convert("eps", True, float)


def test_registry_suggests_the_nearest_name():
    with pytest.raises(InputError, match="Did you mean 'ladder'.*natural"):
        METHODS["lader"]


def test_registry_looks_up_lazily():
    names = Registry("thing", {"here": Entry("os.path:join", "joins paths")})
    import os

    assert names["here"] is os.path.join
    assert "there" not in names
    assert list(names) == ["here"]


@pytest.mark.parametrize("registry", ["DATA", "MODELS", "GENERATORS", "METHODS", "ATTACKS"])
def test_every_registered_name_can_be_imported(registry):
    from atk_latent import registry as module

    names = getattr(module, registry)
    assert len(names) > 0
    for name in names:
        assert callable(names[name]) or names[name].name == name
        assert names.entry(name).summary
