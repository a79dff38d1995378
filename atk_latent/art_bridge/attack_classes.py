"""Our compiled adversaries as ART attacks: one class made from each `AttackSpec`."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import operator
import textwrap
import types
import typing
from collections.abc import Iterator
from typing import Any, ClassVar, cast

import numpy as np
from art.attacks.attack import EvasionAttack
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent import config
from atk_latent.adversaries.settings import check_radius
from atk_latent.adversaries.spec import BATCH_SIZE, ArtClass, ArtParameter, AttackSpec, Values
from atk_latent.art_bridge.bars import ProgressBars
from atk_latent.art_bridge.bound_attack import BoundAttack, default_eps
from atk_latent.art_bridge.context import AttackContext
from atk_latent.art_bridge.inputs import drawn_seed, labels_for
from atk_latent.art_bridge.unit_pixels import UnitPixels
from atk_latent.errors import InputError
from atk_latent.progress import Progress, prefixed
from atk_latent.registry import ATTACKS
from atk_latent.results.diagnostics import Diagnostics
from atk_latent.results.threat import ThreatModel

MODULE = "atk_latent.attacks"  # where the classes are found by name
NORMS: dict[object, str] = {math.inf: "linf", "inf": "linf", 2: "l2", 1: "l1"}
ART_NORMS: dict[str, float] = {"linf": math.inf, "l2": 2, "l1": 1}
_LENGTHS = ("eps", "step_size", "theta")  # settings in the units of pixels
_COMMON = (  # of every class, behind its own
    ArtParameter("seed", None, kind=int | None, keyword_only=True),
    ArtParameter("verbose", False, kind=bool, keyword_only=True),
)
_TEXTS = {
    BATCH_SIZE: "int >= 1, images at once.",
    "seed": "int >= 0; None draws it from NumPy's global state at each `generate`, as ART's own "
    "attacks do.",
    "verbose": "show a progress bar on stderr; without it nothing is shown.",
}
_KINDS = {BATCH_SIZE: int, "norm": float | str}
_NORM_TEXTS = {"linf": 'np.inf, "inf"', "l2": "2", "l1": "1"}


class AdversaryAttack(EvasionAttack):
    """An adversary behind ART's door, compiled for the estimator's model.

    `attack_class` makes a subclass for each attack; see `atk_latent.attacks`. Lengths (`eps`)
    are in the estimator's own pixel units, those of its `clip_values`; the adversary sees images
    in [0, 1]. Parameters may be changed with `set_params`. A `Progress` at the attribute
    `progress` is told of the steps and of the images that are still standing.

    Args:
        estimator: ART's `TensorFlowV2Classifier` (or ours) around a Keras model with logits.
        *args, **kwargs: the parameters of the signature.

    Raises:
        InputError: on an estimator or a parameter that will not do.
    """

    _estimator_requirements = (TensorFlowV2Classifier,)
    spec: ClassVar[AttackSpec]
    parameters: ClassVar[tuple[ArtParameter, ...]] = ()  # those that stand for settings
    __signature__: ClassVar[inspect.Signature]

    def __init__(self, estimator: TensorFlowV2Classifier, *args: object, **kwargs: object) -> None:
        for name in kwargs:
            if name not in self.attack_params:
                raise InputError(
                    f"unknown parameter '{name}'. Known: {', '.join(self.attack_params)}"
                )
        call = self.__signature__.bind(estimator, *args, **kwargs)
        call.apply_defaults()
        super().__init__(estimator=estimator)
        self.view = UnitPixels(estimator)
        for name, value in call.arguments.items():
            if name != "estimator":
                setattr(self, name, value)
        self._compiled: Any = None
        self.progress: Progress | None = None
        self._check_params()

    @classmethod
    def of(cls, estimator: TensorFlowV2Classifier, settings: object) -> AdversaryAttack:
        """The attack with the adversary's own `settings`, whose lengths are in [0, 1] pixels."""
        attack = cls(estimator, batch_size=getattr(estimator, "batch_size", 128))
        attack.set_params(**attack._from_settings(settings))
        return attack

    @property
    def scale(self) -> float:
        """The width of the clip values, by which lengths differ from those in [0, 1]."""
        return self.view.range.width

    @property
    def measure(self) -> str:
        """The norm that changes are measured in: "linf", "l2", "l1" or "l0"."""
        return _our_norm(self.norm) if hasattr(self, "norm") else self.spec.norms[0]

    @property
    def result(self) -> object:
        """What the adversary keeps of the last `generate` (`RayS`, `StandardAutoAttack`)."""
        return getattr(self._compiled, "result", None)

    def diagnostics(self) -> Diagnostics | None:
        """What there is to say of the last `generate` beside its images; mostly nothing."""
        diagnostics: Diagnostics | None = self._compiled.diagnostics()
        return diagnostics

    def settings(self) -> Any:
        """What the adversary is set to, in [0, 1] pixel units.

        Raises:
            InputError: for a parameter that cannot be, in ART's words.
        """
        return self._adversary().settings

    def generate(self, x: np.ndarray, y: np.ndarray | None = None, **kwargs: object) -> np.ndarray:
        """Adversarial images in the estimator's clip values.

        Args:
            x: (n, H, W, C) inside the clip values.
            y: labels, integers (n,) or one-hot (n, K); the wanted classes if targeted. None
                takes the estimator's predictions.

        Returns:
            Shape of `x`, and its dtype where that is a floating one, else float32.

        Raises:
            InputError: for pixels outside the clip values, labels that do not fit, no labels
                for a targeted attack, or a mask.
        """
        if kwargs.get("mask") is not None:
            raise InputError("masks are not supported; ART's ProjectedGradientDescent takes them")
        dtype = x.dtype if np.issubdtype(x.dtype, np.floating) else np.dtype(np.float32)
        pixels = x.astype(dtype)
        if len(x) == 0:
            return pixels
        if y is None and self.targeted:
            raise InputError("a targeted attack needs the wanted classes as `y`")
        labels, images = labels_for(self.estimator, x, y, self.batch_size), self.view.images(x)
        x_adv = self._adversary().craft_all(
            self.view.model,
            images,
            labels,
            batch_size=int(self.batch_size),
            seed=drawn_seed(self.seed),
            progress=self._listener(),
        )
        return self._restored(pixels, x_adv - images).astype(dtype, copy=False)

    def _listener(self) -> Progress | None:
        """Who hears of the steps: `progress`, else bars where `verbose`."""
        if self.progress is None and self.verbose:
            return prefixed(ProgressBars(), self.spec.name)
        return self.progress

    def _restored(self, pixels: np.ndarray, change: np.ndarray) -> np.ndarray:
        """Images with a change in [0, 1] units, kept in the ball and the clip values."""
        moved = self.scale * change.astype(np.float64)
        eps = getattr(self, "eps", None)
        if eps is not None and self.measure == "linf":
            moved = np.clip(moved, -float(eps), float(eps))
        return np.clip(pixels + moved, self.view.range.low, self.view.range.high)

    def _adversary(self) -> Any:
        """The adversary of the present parameters; the same, compiled, while they stay."""
        try:
            adversary = self.spec.adversary(**self._to_settings())
        except InputError as error:
            raise InputError(self._in_arts_words(str(error))) from None
        if self._compiled is None or self._compiled.settings != adversary.settings:
            self._compiled = adversary
        return self._compiled

    def _to_settings(self) -> dict[str, object]:
        """The parameters as the adversary's settings."""
        settings: dict[str, object] = {}
        for part in self.parameters:
            value, setting = getattr(self, part.name), part.stands_for
            if part.to_settings is not None:
                settings |= part.to_settings(value)
            elif setting == "norm":
                settings[setting] = _our_norm(value)
            elif setting in _LENGTHS and value is not None:
                settings[setting] = config.number(value, part.name) / self.scale
            else:
                settings[setting] = value
        return settings

    def _from_settings(self, settings: object) -> dict[str, object]:
        """The adversary's settings as parameters."""
        values: dict[str, object] = {}
        for part in self.parameters:
            setting = part.stands_for
            value: Any = (part.from_settings or operator.attrgetter(setting))(settings)
            if setting == "norm":
                value = ART_NORMS[value]
            elif setting in _LENGTHS and value is not None:
                value = value * self.scale
            values[part.name] = value
        return values

    def _in_arts_words(self, message: str) -> str:
        for part in self.parameters:
            message = message.replace(f"setting '{part.stands_for}'", part.name)
        return message

    def _check_params(self) -> None:
        for name in ("targeted", "verbose"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} must be a bool. Received: {getattr(self, name)!r}")
        batch = self.batch_size
        if isinstance(batch, bool) or not isinstance(batch, int | np.integer) or batch < 1:
            raise InputError(f"batch_size must be a whole number, at least 1. Received: {batch!r}")
        if self.seed is not None:
            config.check_range("seed", self.seed, 0)
        self._adversary()

    def __getstate__(self) -> dict[str, object]:
        """The state without the view of the estimator and what was compiled for it."""
        return {**self.__dict__, "view": None, "_compiled": None, "progress": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Makes the view anew around the copied estimator."""
        self.__dict__.update(state)
        self.view = UnitPixels(self.estimator)
        self._check_params()


def _our_norm(norm: object) -> str:
    if isinstance(norm, int | float | str) and norm in NORMS:
        return NORMS[norm]
    raise InputError(f"norm must be np.inf, 'inf', 1 or 2. Received: {norm!r}")


def attack_class(name: str) -> type[EvasionAttack]:
    """The ART class of a registered attack, its own or that of the attack it is a variant of.

    Args:
        name: of `registry.ATTACKS`.

    Raises:
        InputError: on an unknown name, or an attack of ART's own.
    """
    spec: AttackSpec = ATTACKS[name]
    root = spec.variant_of or spec
    if root.attack_class is not None:
        return root.attack_class
    if root.factory is None:
        raise InputError(f"attack '{name}' has no ART class of its own here")
    return _generated_class(root.name)


@functools.cache
def _generated_class(name: str) -> type[AdversaryAttack]:
    """The class that a spec describes; the same object at each call, so that it pickles."""
    spec, class_name = ATTACKS[name], ATTACKS.entry(name).art_class
    art = spec.art or _default_art(spec)
    parameters = [*art.parameters, *_COMMON]
    names = [part.name for part in parameters if part.name != BATCH_SIZE]
    namespace = {
        "__module__": MODULE,
        "__doc__": _documentation(spec, art, class_name),
        "__signature__": _signature(spec, parameters),
        "spec": spec,
        "parameters": tuple(part for part in art.parameters if part.name != BATCH_SIZE),
        "attack_params": [
            *EvasionAttack.attack_params,
            *(part for part in names if part not in ("seed", "verbose")),
            BATCH_SIZE,
            "seed",
            "verbose",
        ],
    }
    return types.new_class(class_name, (AdversaryAttack,), {}, lambda body: body.update(namespace))


def _default_art(spec: AttackSpec) -> ArtClass:
    """The ART class of an attack that says nothing of one: its options, by their own names."""
    usual = spec.adversary().settings
    parameters = [
        ArtParameter(option, _art_default(option, getattr(usual, option)))
        for option in spec.options
    ]
    return ArtClass(
        f"{spec.summary[:1].upper()}{spec.summary[1:]}.",
        (*parameters, ArtParameter(BATCH_SIZE, 128)),
    )


def _art_default(option: str, value: Any) -> object:
    return ART_NORMS[value] if option == "norm" else value


def _kind(spec: AttackSpec, part: ArtParameter) -> Any:
    """The type of a parameter."""
    if part.kind is not None:
        return part.kind
    if part.name in _KINDS:
        return _KINDS[part.name]
    return typing.get_type_hints(spec.settings)[part.stands_for]


def _signature(spec: AttackSpec, parameters: list[ArtParameter]) -> inspect.Signature:
    estimator = inspect.Parameter(
        "estimator", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=TensorFlowV2Classifier
    )
    rest = [
        inspect.Parameter(
            part.name,
            inspect.Parameter.KEYWORD_ONLY
            if part.keyword_only
            else inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=part.default,
            annotation=_kind(spec, part),
        )
        for part in parameters
    ]
    return inspect.Signature([estimator, *rest])


def _documentation(spec: AttackSpec, art: ArtClass, class_name: str) -> str:
    """The docstring of a class: what it does, its parameters, source and departures."""
    texts = dict(argument_texts(spec.settings))
    texts["norm"] = f"{', '.join(_NORM_TEXTS.get(norm, '') for norm in spec.norms)}."
    first, stop, rest = art.summary.partition(". ")
    lines = [first + stop.strip(), ""]
    lines += [textwrap.fill(rest, 92), ""] if rest else []
    lines.append("Args:")
    lines.append("    estimator: ART's `TensorFlowV2Classifier` (or ours) around a Keras model.")
    for part in (*art.parameters, *_COMMON):
        text = part.text or _TEXTS.get(part.name) or texts.get(part.stands_for, "")
        lines.append(
            textwrap.fill(
                f"{part.name}: {text}", 92, initial_indent=" " * 4, subsequent_indent=" " * 8
            )
        )
    lines += ["", "Lengths are in the estimator's own pixel units, those of its `clip_values`."]
    lines += ["", "Raises:", "    InputError: on an estimator or a parameter that will not do."]
    lines += ["", "Example:", f"    >>> attack = {class_name}(estimator)"]
    lines += ["    >>> attack.generate(x, y).shape == x.shape", "    True", ""]
    about = (inspect.getdoc(spec.factory) or "").split("\n\n")
    source = "\n".join(part for part in about if part.startswith("Reference:"))
    lines.append(source)
    if art.differs:
        head = " " * 4 if "\nDiffers:" in source else "Differs: "
        lines.append(textwrap.fill(head + art.differs, 92, subsequent_indent=" " * 4))
    return "\n".join(lines).replace("the units of `bounds`", "the units of `clip_values`")


def argument_texts(kind: type) -> Iterator[tuple[str, str]]:
    """The fields of a dataclass and what its docstring and those of its bases say of them."""
    for owner in reversed(kind.__mro__):
        name, text = "", ""
        inside = False
        for line in (inspect.cleandoc(owner.__doc__ or "")).splitlines():
            if not line.startswith(" "):
                if name:
                    yield name, text
                inside, name = line == "Args:", ""
                continue
            if not inside:
                continue
            head, colon, rest = line.strip().partition(": ")
            if line.startswith("    ") and not line.startswith("     ") and colon:
                if name:
                    yield name, text
                name, text = head, rest
            else:
                text = f"{text} {line.strip()}"
        if name:
            yield name, text


def bind_adversary(
    spec: AttackSpec, estimator: TensorFlowV2Classifier, values: Values, context: AttackContext
) -> BoundAttack:
    """An attack on `estimator` from text or typed options.

    Raises:
        InputError: on an unknown option, or a value that cannot be.
    """
    del context
    options = spec.read_options(values)
    norm: Any = options.get("norm", spec.norms[0])
    if not spec.minimal and options.get("eps", 0) is None:
        options["eps"] = default_eps(estimator.input_shape, norm)
    eps: Any = options.get("eps")
    check_radius(eps, norm)
    kind = cast(type[AdversaryAttack], attack_class(spec.name))
    attack = kind.of(estimator, spec.adversary(**options).settings)
    record = dataclasses.asdict(attack.settings())
    return BoundAttack(
        name=spec.name,
        threat=ThreatModel(access=spec.access, norm=norm, eps=eps),
        attack=attack,
        minimal=spec.minimal,
        settings={option: record[option] for option in options},
    )
