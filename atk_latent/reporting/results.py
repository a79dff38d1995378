"""Result files, read, checked and named: what every report is made from."""

from __future__ import annotations

import base64
import datetime
import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

from atk_latent import config
from atk_latent.errors import InputError
from atk_latent.evaluation.result import SCHEMAS
from atk_latent.results.accuracy import Accuracy

OURS = "evaluation by atkl evaluate, audit by atkl audit, comparison by atkl reproduce, run card"
_MARKS = {  # fields that only this kind of file has, for files without a schema
    "evaluation": ("attacks", "clean_accuracy"),
    "audit": ("checks", "passed"),
    "comparison": ("rows", "columns"),
    "card": ("method", "settings"),
}
_MOST_CLASSES = 5_000  # a matrix of them still fits in memory
_JSON_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


@dataclass(frozen=True)
class Kind:
    """A kind of threat model; results of two kinds never share a table or a figure.

    Args:
        name: heads the table: "White-box", "Transfer from runs/a".
        meaning: what such a number says, a sentence.
        direct: whether the attacks are made on the very thing that is deployed.
    """

    name: str
    meaning: str
    direct: bool = True


@dataclass(frozen=True)
class Published:
    """A number from the literature beside ours.

    Args:
        value: fraction in [0, 1].
        source: where it stands: "LADDER, Table 7".
        said_once: whether all cells of a table share the source.
    """

    value: float
    source: str
    said_once: bool = False


@dataclass(frozen=True)
class Example:
    """An image before and after an attack.

    Args:
        index: of the image among those evaluated. label: its true class.
        clean_prediction, prediction: class it is given as it is, and after the attack.
        perturbation_scale: largest change of a value, pixel units, which the picture of it
            shows as black or white.
        image, perturbation, adversarial: PNG files.
        clean_confidence, confidence: how sure of these classes; None where not said.
        l2: Euclidean size of the change, pixel units; None where not said.
    """

    index: int
    label: int
    clean_prediction: int
    prediction: int
    perturbation_scale: float
    image: bytes
    perturbation: bytes
    adversarial: bytes
    clean_confidence: float | None = None
    confidence: float | None = None
    l2: float | None = None

    @property
    def held(self) -> bool:
        """Whether the classifier is right before and after."""
        return self.clean_prediction == self.label == self.prediction


@dataclass(frozen=True)
class Measurement:
    """One attack on one classifier, whichever file it came from.

    Args:
        target: the classifier. data: the data set.
        attack: how it is shown. spec: as the user wrote it.
        threat: the threat model, written out. kind: the kind it belongs to.
        accuracy: robust accuracy. clean: accuracy without attack, None where not measured.
        eps: radius in [0, 1] pixel units; None: no bound, or not said.
        linf, l2, seconds: mean change and time; None where not said.
        published: the literature's number.
        predictions: class of each attacked image; None where the file does not hold them.
        examples: some of the images. warnings: doubts that the attack itself had.
        of: the attacks that this is the worst case of; none for an attack itself.
    """

    target: str
    data: str
    attack: str
    spec: str
    threat: str
    kind: Kind
    accuracy: Accuracy
    clean: Accuracy | None = None
    eps: float | None = None
    linf: float | None = None
    l2: float | None = None
    seconds: float | None = None
    published: Published | None = None
    predictions: tuple[int, ...] | None = None
    examples: tuple[Example, ...] = ()
    warnings: tuple[str, ...] = ()
    of: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The attack with its radius: "pgd, eps 0.03137"."""
        return self.attack if self.eps is None else f"{self.attack}, eps {self.eps:.4g}"

    @property
    def settings(self) -> str:
        """What the user set beside the radius: "steps=40"; nothing if nothing."""
        return self._asked({"eps"})

    @property
    def family(self) -> str:
        """Attack and settings that are the same at every radius: one line over eps."""
        return ", ".join(part for part in (self.attack, self._asked({"eps", "step_size"})) if part)

    def _asked(self, but: set[str]) -> str:
        if self.of:
            return "; ".join(self.of)
        try:
            _, asked = config.spec(self.spec)
        except InputError:
            return self.spec
        return ", ".join(f"{key}={value}" for key, value in asked.items() if key not in but)

    @property
    def norm(self) -> str:
        """The norm of the threat model: "Linf"; all of it where it names none."""
        found = re.search(r"\bL(inf|\d)\b", self.threat)
        return found[0] if found else self.threat

    @property
    def label(self) -> str:
        """Attack, radius and settings: "pgd, eps 0.3, steps=40"."""
        return ", ".join(part for part in (self.shown, self.settings) if part)


@dataclass(frozen=True)
class Result:
    """A result file.

    Args:
        path: where it was read. record: its content, as its schema says.
        date: day of the measurement, or of the file where the record does not say.
    """

    path: Path
    record: Mapping[str, Any]
    date: str

    @property
    def title(self) -> str:
        """What it is about: "runs/ladder on mnist"."""
        return f"{self.record['target']} on {self.record['data']}"


@dataclass(frozen=True)
class Evaluation(Result):
    """What `atkl evaluate` wrote."""

    @property
    def clean(self) -> Accuracy:
        """Accuracy without attack."""
        record = self.record
        values = (record[name] for name in ("clean_accuracy", "clean_low", "clean_high", "n"))
        return Accuracy(**dict(zip(("value", "low", "high", "n"), values, strict=True)))

    @property
    def outcomes(self) -> tuple[Sequence[int], Sequence[int]] | None:
        """True class and class without attack of each image; None where the file is older."""
        record = self.record
        if "labels" not in record or "clean_predictions" not in record:
            return None
        return record["labels"], record["clean_predictions"]

    def class_name(self, number: int) -> str:
        """The name of a class, or its number where it has none."""
        names = self.record.get("class_names") or ()
        return names[number] if number < len(names) else str(number)

    @functools.cached_property
    def measurements(self) -> tuple[Measurement, ...]:
        """One an attack, in the order of the file."""
        return tuple(
            Measurement(
                self.record["target"],
                self.record["data"],
                found["attack"],
                found["spec"],
                found["threat"],
                kind_of(found["threat"]),
                Accuracy(
                    value=found["robust_accuracy"],
                    low=found["low"],
                    high=found["high"],
                    n=found["n"],
                ),
                self.clean,
                eps=found.get("eps"),
                linf=found.get("linf"),
                l2=found.get("l2"),
                seconds=found.get("seconds"),
                published=published_of(found.get("published")),
                predictions=tuple(found["predictions"]) if found.get("predictions") else None,
                examples=tuple(_example(e, "examples") for e in found.get("examples") or ()),
                warnings=tuple(found.get("warnings", ())),
            )
            for found in self.record["attacks"]
        )


@dataclass(frozen=True)
class Audit(Result):
    """What `atkl audit` wrote."""


@dataclass(frozen=True)
class Comparison(Result):
    """What a comparison wrote."""

    @property
    def title(self) -> str:
        """Its own title."""
        return self.record["title"]

    def clean(self, row: Mapping[str, Any]) -> Accuracy | None:
        """Accuracy of a row without attack."""
        return next((_cell_accuracy(c) for c in row["cells"] if c["threat"] == "none"), None)

    def clean_published(self, row: Mapping[str, Any]) -> Published | None:
        """What was published for a row without attack."""
        cell: Mapping[str, Any] = next((c for c in row["cells"] if c["threat"] == "none"), {})
        return self._published(cell)

    def _published(self, cell: Mapping[str, Any]) -> Published | None:
        return published_of(cell.get("published"), self.record.get("published_source", ""))

    @functools.cached_property
    def measurements(self) -> tuple[Measurement, ...]:
        """One a row and attack, by rows."""
        specs = {column["label"]: column["spec"] for column in self.record["columns"]}
        return tuple(
            Measurement(
                row["label"],
                self.record["data"],
                cell["attack"],
                specs.get(cell["attack"]) or cell["attack"],
                cell["threat"],
                kind_of(cell["threat"]),
                _cell_accuracy(cell),
                self.clean(row),
                eps=_eps(specs.get(cell["attack"])),
                seconds=cell.get("seconds"),
                published=self._published(cell),
            )
            for row in self.record["rows"]
            for cell in row["cells"]
            if cell["threat"] != "none"
        )


@dataclass(frozen=True)
class Run(Result):
    """The card of a run folder.

    Args:
        overrides: settings asked for on top of the preset; None where nobody noted them.
    """

    overrides: Mapping[str, Any] | None = field(default=None)

    @property
    def title(self) -> str:
        """Where the model is."""
        return f"{self.record['method']} on {self.record['data']}"


_TYPES: dict[str, type[Result]] = {
    "evaluation": Evaluation,
    "audit": Audit,
    "comparison": Comparison,
    "card": Run,
}
_ACCESS = {
    "white-box": "The attacker has the whole model and its gradients.",
    "score-based": "The attacker sees the model's scores (logits), no gradients.",
    "decision-based": "The attacker sees only which class the model predicts.",
    "transfer": "The images are made on another model and only scored here.",
    "adaptive": "The attacker knows the defence that works at prediction time.",
}


def kind_of(threat: str) -> Kind:
    """The kind of a threat model as result files write it.

    Args:
        threat: "white-box, Linf", "transfer from RUN (white-box there, Linf)", "static: ...".
    """
    rest = threat.removeprefix("static: ")
    static = rest != threat
    word = next((word for word in _ACCESS if rest.startswith(word)), None)
    name, meaning = (word or rest).capitalize(), _ACCESS.get(word or "", "")
    if word == "transfer":
        name = rest.partition(" (")[0].capitalize()[:1] + rest.partition(" (")[0][1:]
    if static:
        name = f"Static, {name[:1].lower()}{name[1:]}"
        meaning += (
            " The images are made on the bare classifier and scored behind its defence: "
            "the attacker does not know of it."
        )
    return Kind(name, meaning.strip(), direct=not static and word != "transfer")


def read_results(paths: list[Path]) -> tuple[Result, ...]:
    """Reads result files and run folders, each once.

    Raises:
        InputError: on the first that is no result.
    """
    return tuple(read_result(path) for path in {path.resolve(): path for path in paths}.values())


def read_result(path: Path) -> Result:
    """Reads a result file, a run folder (its `card.json`) or a comparison's folder.

    Raises:
        InputError: if it is missing, no JSON, no result, or not as its schema says.
    """
    file = _file(path)
    record = _load(file)
    kind = _kind(record, file)
    _check(record, schema(kind), str(file))
    written = datetime.date.fromtimestamp(file.stat().st_mtime).isoformat()
    date = record.get("date", written)
    if kind == "evaluation":
        _check_outcomes(record, str(file))
    if kind == "card":
        return Run(file, record, date, _overrides(record, file))
    return _TYPES[kind](file, record, date)


@functools.cache
def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of a kind of result file: "evaluation", "audit", "comparison", "card"."""
    folder = resources.files("atk_latent.reporting") / "schemas"
    return json.loads((folder / f"{kind}-1.json").read_text(encoding="utf-8"))


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    for name in ("card.json", "result.json"):
        if (path / name).is_file():
            return path / name
    raise InputError(
        f"{path} holds neither card.json (a run) nor result.json (a comparison); "
        "name a result file instead"
    )


def _load(file: Path) -> dict[str, Any]:
    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is no JSON number")

    try:
        record = json.loads(file.read_text(encoding="utf-8"), parse_constant=refuse)
    except (OSError, ValueError, RecursionError) as problem:
        raise InputError(f"{file} cannot be read as a JSON result: {problem}") from None
    if not isinstance(record, dict):
        raise InputError(f"{file} must hold one JSON object ({OURS}), not {_short(record)}")
    return record


def _kind(record: Mapping[str, Any], file: Path) -> str:
    """By what the record says it is, else by its fields."""
    said = record.get("schema")
    if said is None:
        for kind, marks in _MARKS.items():
            if all(mark in record for mark in marks):
                return kind
        raise InputError(f"{file} is no result. Expected: {OURS}. It has {_short(list(record))}")
    for kind, name in SCHEMAS.items():
        if said == name:
            return kind
    raise InputError(
        f"{file}: schema {_short(said)} is not known here. Known: {', '.join(SCHEMAS.values())}"
    )


def _check(value: Any, rule: Mapping[str, Any], where: str) -> None:
    """Checks a value against the words of JSON Schema that ours use.

    Raises:
        InputError: naming the field, what it should be and what it is.
    """
    kinds = rule.get("type", ())
    kinds = [kinds] if isinstance(kinds, str) else kinds
    types = tuple(_JSON_TYPES[kind] for kind in kinds)
    fits = any(isinstance(value, kind) for kind in types)
    if kinds and (not fits or (isinstance(value, bool) and "boolean" not in kinds)):
        raise InputError(f"{where} must be of type {' or '.join(kinds)}, not {_short(value)}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = rule.get("minimum", value), rule.get("maximum", value)
        if not low <= value <= high:
            limits = f"from {low:g} to {high:g}" if "maximum" in rule else f"at least {low:g}"
            raise InputError(f"{where} must be {limits}, not {_short(value)}")
    if isinstance(value, dict):
        for name in rule.get("required", ()):
            if name not in value:
                raise InputError(f"{where} lacks the field '{name}'")
        for name, item in value.items():
            inner = rule.get("properties", {}).get(name, rule.get("additionalProperties", {}))
            _check(item, inner, f"{where}: {name}")
    if isinstance(value, list) and "items" in rule:
        for index, item in enumerate(value):
            _check(item, rule["items"], f"{where}[{index}]")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _overrides(record: Mapping[str, Any], file: Path) -> Mapping[str, Any] | None:
    """Settings asked for beside the preset: noted in the card, or in the request beside it."""
    if "overrides" in record:
        return record["overrides"]
    request = file.parent / "request.json"
    found = _load(request).get("overrides") if request.is_file() else None
    return found if isinstance(found, dict) else None


def published_of(said: Any, source: str = "") -> Published | None:
    """A published value as result files hold it: value and source, or the bare value.

    Args:
        said: {"value": fraction, "source": where}, a fraction, or None.
        source: of a bare value.
    """
    if said is None:
        return None
    if isinstance(said, Mapping):
        return Published(said["value"], said["source"])
    return Published(said, source)


def _check_outcomes(record: Mapping[str, Any], where: str) -> None:
    """Checks what a schema cannot: that every image has its class, and pictures are PNG files.

    Raises:
        InputError: naming the field.
    """
    lists = {name: record.get(name) for name in ("labels", "clean_predictions")}
    for i, attack in enumerate(record["attacks"]):
        lists[f"attacks[{i}]: predictions"] = attack.get("predictions")
        for k, example in enumerate(attack.get("examples") or ()):
            _example(example, f"{where}: attacks[{i}]: examples[{k}]")
    for name, numbers in lists.items():
        if numbers is None:
            continue
        if len(numbers) != record["n"]:
            raise InputError(
                f"{where}: {name} must hold one class for each of the {record['n']} images, "
                f"not {len(numbers)}"
            )
        if max(numbers) >= _MOST_CLASSES:
            raise InputError(
                f"{where}: {name} must hold classes below {_MOST_CLASSES:,}, not {max(numbers)}"
            )


def _example(found: Mapping[str, Any], where: str) -> Example:
    known: dict[str, Any] = {f.name: found[f.name] for f in fields(Example) if f.name in found}
    for name in ("image", "perturbation", "adversarial"):
        known[name] = _png(found[name], f"{where}: {name}")
    return Example(**known)


def _png(words: Any, where: str) -> bytes:
    try:
        file = base64.b64decode(words, validate=True)
    except ValueError:
        file = b""
    if not file.startswith(b"\x89PNG\r\n\x1a\n"):
        raise InputError(f"{where} must be a PNG file in base64, not {_short(words)}")
    return file


def _cell_accuracy(cell: Mapping[str, Any]) -> Accuracy:
    return Accuracy(value=cell["accuracy"], low=cell["low"], high=cell["high"], n=cell["n"])


def _eps(spec: str | None) -> float | None:
    """The radius a spec names; None where it names none."""
    try:
        return config.number(config.spec(spec or "")[1]["eps"])
    except (InputError, KeyError):
        return None


def kinds(measurements: tuple[Measurement, ...]) -> Iterator[tuple[Kind, list[Measurement]]]:
    """The measurements of each kind of threat model, in order of appearance."""
    for kind in dict.fromkeys(m.kind for m in measurements):
        yield kind, [m for m in measurements if m.kind == kind]
