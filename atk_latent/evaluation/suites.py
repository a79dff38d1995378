"""Named lists of attacks, each a YAML file in `suites/`, and what one of them means for a model.

A suite is read (`load_suite`), then planned for some data, surrogates and inference (`plan`)::

    name: mine
    description: one line for `atkl list suites`
    needs: [surrogate]                         # must be given: surrogate, imt
    variables:
      eps: {28x28x1: 0.3, other: 8/255}        # by the shape of the images
      steps: [20, 100]                         # one attack for each
      gan:                                     # must be given: --set gan=RUN
    source: {mnist: Paper, Table 2}            # of published values, by data set; or one text
    attacks:
      - pgd:eps={eps},steps={steps}
      - attack: song:gan={gan}
        optional: true                         # left out, with a note, where gan is not given
        published: {mnist: 0.998}              # a fraction, by data set; or one number
      - surrogate: none                        # of all in the group; each (default) or a path
        attacks: [fgsm]
      - {attack: "autoattack:eps={eps}", classes: 4}     # left out with fewer classes
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from atk_latent import config
from atk_latent.errors import InputError, did_you_mean
from atk_latent.files import MIB, FileKind, read_text
from atk_latent.registry import ATTACKS
from atk_latent.results.attack_result import Published
from atk_latent.results.record import short

FOLDER = Path(__file__).parent / "suites"
CLEAN, EACH, NONE, OTHER = "clean", "each", "none", "other"
NEEDS = {
    "surrogate": "give the model that images are made on: --surrogate RUN",
    "imt": "score an ATLD run behind IMT: --inference imt",
}
_FILE = FileKind("suite", MIB, "See the form of a suite in the documentation")
_MOST_PARTS = 20_000  # of what a file stands for
_VARIABLE = re.compile(r"\{(\w+)\}")
_SHAPE = re.compile(r"\d+x\d+x\d+")
_SHARED = ("surrogate", "source", "optional", "classes")
_KEYS = {
    "a suite": ("name", "description", "needs", "variables", *_SHARED, "attacks"),
    "an attack": ("attack", "published", *_SHARED),
    "a group": ("attacks", *_SHARED),
}


@dataclass(frozen=True)
class Entry:
    """One line of a suite.

    Args:
        spec: the attack with ``{variables}``, or "clean", which only carries `published`.
        surrogate: EACH: made on each surrogate of the setup, on the target where there is none;
            NONE: on the target; else the path of a model.
        published: fractions by data set, or one for all under "".
        source: where they stand, by data set, or one text for all under "".
        optional: left out where a variable it mentions has no value.
        classes: left out where the data have fewer.
    """

    spec: str
    surrogate: str = EACH
    published: Mapping[str, float] = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False
    classes: int = 2


@dataclass(frozen=True)
class Suite:
    """A list of attacks as its file says.

    Args:
        name: "atld-static". description: one line.
        needs: some of `NEEDS`.
        variables: by name, the values for each shape of images ("28x28x1") or `OTHER`;
            nothing where the user must give one.
        attacks: in order.
    """

    name: str = ""
    description: str = ""
    needs: tuple[str, ...] = ()
    variables: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    attacks: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class Planned:
    """One attack that is to be run.

    Args:
        spec: ``name:key=value,...``.
        surrogate: path of the model it is made on; None: the target.
        published: what a paper prints for it.
    """

    spec: str
    surrogate: str | None = None
    published: Published | None = None


@dataclass(frozen=True)
class Setup:
    """What a suite is planned for.

    Args:
        image_shape: (height, width, channels). num_classes: of the data. data: their name.
        surrogates: paths of models. inference: "none", "imt" or "imt+", with settings.
        values: of variables, in place of the suite's own.
    """

    image_shape: tuple[int, ...]
    num_classes: int
    data: str = ""
    surrogates: tuple[str, ...] = ()
    inference: str = NONE
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What a suite means for a `Setup`.

    Args:
        attacks: attacks on one model side by side.
        clean_published: what a paper prints for the accuracy without attack.
        skipped: a line for each attack that is left out, and why.
    """

    attacks: tuple[Planned, ...]
    clean_published: Published | None = None
    skipped: tuple[str, ...] = ()


DEFAULT = Suite(  # the attacks of an evaluation that names none, at the customary radius
    variables={"eps": {"28x28x1": ("0.3",), OTHER: ("8/255",)}},
    attacks=(Entry("fgsm:eps={eps}"), Entry("pgd:eps={eps}")),
)


def suite_names() -> list[str]:
    """The suites that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_suite(name: str | Path) -> Suite:
    """The suite of that name, or in the user's own file.

    Args:
        name: one of `suite_names`, or the path of a `.yaml` file.

    Raises:
        InputError: on an unknown name, a file that is not there, or one that is no suite:
            what came, and what was expected.
    """
    path = Path(name)
    if path.suffix.lower() not in (".yaml", ".yml"):
        known = suite_names()
        if str(name) not in known:
            hint = did_you_mean(str(name), known)
            raise InputError(
                f"unknown suite '{name}'. {hint}Known: {', '.join(known)}; or give a .yaml file"
            )
        path = FOLDER / f"{name}.yaml"
    try:
        content = yaml.load(read_text(path, _FILE), _Texts)
    except (yaml.YAMLError, RecursionError) as problem:
        raise InputError(f"the suite {path} is not YAML: {problem}") from None
    try:
        _check_texts(content)
        return _suite(content, path.stem)
    except InputError as problem:
        raise InputError(f"suite {path}: {problem}") from None


def plan(suite: Suite, setup: Setup) -> Plan:
    """What is to be run.

    Raises:
        InputError: where something that is needed has not been given, or something that was
            given is not used.
    """
    _check_setup(suite, setup)
    values = _values(suite, setup)
    attacks: list[Planned] = []
    skipped, clean = [], None
    for entry in suite.attacks:
        why = _missing(entry, values, setup)
        if entry.spec == CLEAN:
            clean = _published(entry, setup.data)
        elif why:
            skipped.append(f"{entry.spec} is left out: {why}")
        else:
            attacks += _expanded(entry, values, setup)
    pairs = [(attack.spec, attack.surrogate) for attack in attacks]
    twice = next((spec for spec, model in pairs if pairs.count((spec, model)) > 1), None)
    if twice:
        raise InputError(f"the attack {twice} is named twice")
    models = list(dict.fromkeys(model for _, model in pairs))
    unused = [path for path in setup.surrogates if path not in models]
    if unused and attacks:
        raise InputError(f"no attack of suite '{suite.name}' uses --surrogate {unused[0]}")
    attacks.sort(key=lambda attack: models.index(attack.surrogate))
    return Plan(tuple(attacks), clean, tuple(skipped))


class _Texts(yaml.SafeLoader):
    """Leaves every scalar the text it is: 8/255, 0.30 and no are not numbers or truths yet."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


def _check_texts(content: object) -> None:
    """Refuses what is more than texts, lists and mappings, or has no end.

    What an alias stands for counts at each place, so that a file of ten lines that stands for
    a billion attacks, or for itself, is refused before anything goes through it.

    Raises:
        InputError: if there is another type (a tag such as ``!!timestamp`` makes one), or too
            many parts.
    """
    parts, left = [content], _MOST_PARTS
    while parts:
        part, left = parts.pop(), left - 1
        if left < 0:
            raise InputError(f"it stands for more than {_MOST_PARTS:,} parts, or for itself")
        if isinstance(part, dict):
            parts += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            parts += part
        elif part is not None and not isinstance(part, str):
            raise InputError(
                f"tags are not allowed: texts, lists and mappings are. Received: {short(part)}"
            )


def _suite(content: Any, name: str) -> Suite:
    _check_keys(content, "a suite")
    needs = content.get("needs") or []
    if not isinstance(needs, list) or any(need not in NEEDS for need in needs):
        raise InputError(f"needs must be a list of {', '.join(NEEDS)}. Received: {needs!r}")
    variables = content.get("variables") or {}
    if not isinstance(variables, dict):
        raise InputError(f"variables must be name: value lines. Received: {variables!r}")
    suite = Suite(
        name=_text(content.get("name", name), "name"),
        description=_text(content.get("description", ""), "description"),
        needs=tuple(needs),
        variables={str(key): _variable(key, value) for key, value in variables.items()},
        attacks=tuple(_entries(content, {})),
    )
    for entry in suite.attacks:
        for unknown in set(_mentioned(entry)) - set(suite.variables):
            raise InputError(f"attack '{entry.spec}': there is no variable '{unknown}'")
    return suite


def _entries(group: Mapping[str, object], outer: Mapping[str, object]) -> Iterator[Entry]:
    """The attacks of a suite or a group; what they share is theirs unless they say otherwise."""
    shared = {**outer, **{key: group[key] for key in _SHARED if key in group}}
    attacks = group.get("attacks")
    if not isinstance(attacks, list) or not attacks:
        raise InputError(f"attacks must be a list of attacks. Received: {attacks!r}")
    for item in attacks:
        if isinstance(item, str):
            yield _entry({"attack": item}, shared)
        elif isinstance(item, dict) and "attacks" in item:
            _check_keys(item, "a group")
            yield from _entries(item, shared)
        else:
            _check_keys(item, "an attack")
            yield _entry(item, shared)


def _entry(item: Mapping[str, object], shared: Mapping[str, object]) -> Entry:
    merged = {**shared, **item}
    spec = _text(merged.get("attack"), "attack")
    name = config.spec(spec)[0].removeprefix("art:")
    if name != CLEAN and not _VARIABLE.search(name):
        ATTACKS.entry(name)
    published = _by_data(merged.get("published", {}), "published")
    source = _by_data(merged.get("source", {}), "source")
    for data in published:
        if data not in source and "" not in source:
            raise InputError(f"attack '{spec}': its published value for '{data}' has no source")
    numbers = {
        data: config.number(value, f"published of '{spec}'") for data, value in published.items()
    }
    if any(not 0 <= value <= 1 for value in numbers.values()):
        raise InputError(f"published of '{spec}' must be a fraction from 0 to 1: {published}")
    return Entry(
        spec=spec,
        surrogate=_text(merged.get("surrogate", EACH), "surrogate"),
        published=numbers,
        source=source,
        optional=config.convert("optional", merged.get("optional", False), bool),
        classes=config.convert("classes", merged.get("classes", 2), int),
    )


def _check_keys(content: object, what: str) -> None:
    """Refuses what is no mapping, or has keys that mean nothing."""
    keys = _KEYS[what]
    if not isinstance(content, dict):
        text = "name:key=value,..." if what == "an attack" else ""
        wanted = " or ".join(part for part in (text, f"a mapping of {', '.join(keys)}") if part)
        raise InputError(f"{what} must be {wanted}. Received: {content!r}")
    for key in content:
        if key not in keys:
            hint = did_you_mean(str(key), keys)
            raise InputError(f"{what} has no '{key}'. {hint}Known: {', '.join(keys)}")


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or (name == "attack" and not value.strip()):
        raise InputError(f"{name} must be text. Received: {value!r}")
    return value


def _by_data(value: object, name: str) -> dict[str, str]:
    """What is said for each data set; for all under the empty name."""
    by_data = value if isinstance(value, dict) else {"": value}
    return {str(data): _text(one, name) for data, one in by_data.items()}


def _variable(name: str, value: object) -> dict[str, tuple[str, ...]]:
    """The values of a variable by the shape of images."""
    by_shape = {}
    for shape, items in (value if isinstance(value, dict) else {OTHER: value}).items():
        if shape != OTHER and not _SHAPE.fullmatch(str(shape)):
            raise InputError(
                f"variable '{name}': an image shape such as 28x28x1, or other, is wanted. "
                f"Received: {shape!r}"
            )
        values = items if isinstance(items, list) else [] if items in ("", None) else [items]
        by_shape[str(shape)] = tuple(_text(one, f"variable '{name}'") for one in values)
    return by_shape


def _mentioned(entry: Entry) -> list[str]:
    return list(dict.fromkeys(_VARIABLE.findall(f"{entry.spec} {entry.surrogate}")))


def _check_setup(suite: Suite, setup: Setup) -> None:
    present = {"surrogate": bool(setup.surrogates), "imt": setup.inference.startswith("imt")}
    for need in suite.needs:
        if not present[need]:
            raise InputError(f"suite '{suite.name}' needs {need}: {NEEDS[need]}")
    for name in setup.values:
        if name not in suite.variables:
            known = ", ".join(suite.variables) or "none"
            raise InputError(f"--set {name}: the suite has no such variable. Known: {known}")


def _values(suite: Suite, setup: Setup) -> dict[str, tuple[str, ...]]:
    """The values of every variable for these images; none where one must be given."""
    shape = "x".join(str(side) for side in setup.image_shape)
    values = {
        name: by_shape.get(shape, by_shape.get(OTHER, ()))
        for name, by_shape in suite.variables.items()
    }
    return values | {name: (value,) for name, value in setup.values.items()}


def _missing(entry: Entry, values: Mapping[str, Sequence[str]], setup: Setup) -> str | None:
    """Why an attack is left out, if it is.

    Raises:
        InputError: if it must not be.
    """
    if setup.num_classes < entry.classes:
        return f"it needs {entry.classes} classes, the data have {setup.num_classes}"
    absent = next((name for name in _mentioned(entry) if not values[name]), None)
    if absent is None:
        return None
    why = f"it needs '{absent}', give it with --set {absent}=..."
    if not entry.optional:
        raise InputError(f"attack {entry.spec}: {why}")
    return why


def _expanded(entry: Entry, values: Mapping[str, Sequence[str]], setup: Setup) -> Iterator[Planned]:
    """The entry for every value of its variables and every model it is made on."""
    names = _mentioned(entry)
    published = _published(entry, setup.data)
    for chosen in itertools.product(*(values[name] for name in names)):
        by_name = dict(zip(names, chosen, strict=True))
        spec, surrogate = (
            _VARIABLE.sub(lambda match: by_name[match[1]], text)  # noqa: B023
            for text in (entry.spec, entry.surrogate)
        )
        models: Sequence[str | None] = [None if surrogate == NONE else surrogate]
        if surrogate == EACH:
            models = setup.surrogates or [None]
        yield from (Planned(spec, model, published) for model in models)


def _published(entry: Entry, data: str) -> Published | None:
    """What was published for the data set."""
    value = entry.published.get(data, entry.published.get(""))
    if value is None:
        return None
    return Published(value=value, source=entry.source.get(data, entry.source.get("", "")))
