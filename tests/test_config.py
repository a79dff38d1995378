import dataclasses
import math
from typing import Literal

import pytest
from hypothesis import given, strategies as st

from atk_latent.config import (
    assignments,
    build,
    convert,
    flat,
    known_as,
    number,
    places,
    spec,
    updated,
)
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


# Settings composed of parts


@dataclasses.dataclass(frozen=True)
class Part:
    rate: float = 0.1
    gamma: float = known_as("part_gamma", 0.0)

    def __post_init__(self):
        if self.gamma < 0:
            raise InputError("setting 'part_gamma' must be at least 0")


@dataclasses.dataclass(frozen=True)
class Whole:
    part: Part = Part(rate=0.5)
    steps: int = 3


def test_flat_names_reach_the_parts_and_leave_the_rest_at_the_whole_s_defaults():
    built = build(Whole, {"part_gamma": "1/4", "steps": "7"})
    assert built == Whole(Part(rate=0.5, gamma=0.25), steps=7)
    assert flat(built) == {"rate": 0.5, "part_gamma": 0.25, "steps": 7}
    assert build(Whole, flat(built)) == built
    assert updated(built, {"rate": 1}) == Whole(Part(rate=1.0, gamma=0.25), steps=7)


def test_a_part_can_be_passed_as_a_whole_and_changed_by_name():
    assert build(Whole, {"part": Part(0.2), "part_gamma": 1}) == Whole(Part(0.2, 1.0))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"part_gama": 1}, "Did you mean 'part_gamma'.*Known: rate, part_gamma, steps"),
        ({"gamma": 1}, "unknown setting 'gamma'"),  # its field's name is not its flat name
        ({"part": "x"}, "unknown setting 'part'"),
        ({"part_gamma": "x"}, "'part_gamma' must be a number"),
        ({"part_gamma": -1}, "part_gamma"),
    ],
)
def test_what_no_part_takes_is_refused_by_its_flat_name(values, message):
    for read in (lambda: build(Whole, values), lambda: updated(Whole(), values)):
        with pytest.raises(InputError, match=message):
            read()


def test_two_settings_of_one_name_are_refused():
    @dataclasses.dataclass(frozen=True)
    class Twice:
        rate: float = 1.0
        part: Part = Part()

    Twice.__annotations__ = {"rate": float, "part": Part}  # local names cannot be resolved
    with pytest.raises(TypeError, match="two settings called 'rate'"):
        places(Twice)


@pytest.mark.parametrize("name", METHODS)
def test_no_two_settings_of_a_method_share_a_name(name):
    kind = METHODS[name].settings_type
    assert list(places(kind)) == list(flat(kind()))
    assert build(kind, flat(kind())) == kind()


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


@pytest.mark.parametrize("text", ["1e400", "-1e400", "1e999999999", "9" * 5000, "1/" + "9" * 400])
def test_a_number_that_no_float_holds_is_refused_at_once(text):
    if text.startswith("1/"):
        assert number(text) == 0.0
        return
    with pytest.raises(InputError, match="Received"):
        number(text)


def test_a_setting_of_an_attack_must_have_a_value():
    with pytest.raises(InputError, match=r"setting 'eps' of 'fgsm:eps=' has no value"):
        spec("fgsm:eps=")
    with pytest.raises(InputError, match="'steps' .*has no value"):
        spec("pgd:eps=0.1,steps= ")


@given(st.text(max_size=40))
def test_any_text_is_a_finite_number_or_refused(text):
    try:
        value = number(text)
    except InputError as error:
        assert repr(text) in str(error)
    else:
        assert math.isfinite(value)


@given(st.text(max_size=60))
def test_any_text_is_an_attack_with_settings_or_refused(text):
    try:
        _, settings = spec(text)
    except InputError:
        return
    assert all(settings.values())
