"""ART's evasion attacks by name, with our words, typed settings and an honest threat text.

An attack is one frozen dataclass: its fields are the settings a user may write
(``deepfool:steps=20``), its class variables say which ART class it is and what our words are
called there. What is registered is ``bind``, a factory
``(estimator, settings, context) -> BoundAttack``; ``art:name`` finds every one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import tensorflow as tf

from atk_latent import config
from atk_latent.adversaries import losses
from atk_latent.art_bridge.bound_attack import (
    NORMS,
    BoundAttack,
    change_size,
    check_radius,
    default_eps,
)
from atk_latent.art_bridge.context import AttackContext
from atk_latent.art_bridge.estimator import CompiledKerasClassifier
from atk_latent.errors import InputError
from atk_latent.results.threat import Access, Norm, ThreatModel


def _positive(name: str, value: float | None) -> None:
    if value is not None and not value > 0:
        raise InputError(f"setting '{name}' must be greater than 0. Received: {value!r}")


def _at_least(least: int, **values: int) -> None:
    for name, value in values.items():
        config.check_range(name, value, least)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What every ART attack shares: how settings become an ART object.

    Class variables: `name` as the user writes it; `art`, the class in
    `art.attacks.evasion`; `access`, what the attacker sees; `words`, our settings that
    ART's constructor takes, by ART's names; `fixed`, what ART is always given.
    """

    name: ClassVar[str]
    art: ClassVar[str]
    access: ClassVar[Access]
    words: ClassVar[Mapping[str, str]]
    fixed: ClassVar[Mapping[str, Any]] = {"verbose": False}
    minimal: ClassVar[bool] = False
    label: ClassVar[str] = ""

    @classmethod
    def bind(
        cls, estimator: Any, settings: Mapping[str, Any], context: AttackContext
    ) -> BoundAttack:
        """Builds the attack on `estimator` from text or typed settings.

        Raises:
            InputError: on an unknown setting or a value that cannot be.
        """
        recipe = config.build(cls, settings).filled(estimator)
        return BoundAttack(
            name=cls.name,
            threat=ThreatModel(
                access=cls.access, norm=recipe.measure, eps=getattr(recipe, "eps", None)
            ),
            attack=recipe.create(estimator),
            label=cls.label,
            minimal=cls.minimal,
            settings=asdict(recipe),
        )

    @property
    def measure(self) -> Norm:
        """The norm the change is measured in."""
        return getattr(self, "norm", "linf")

    def filled(self, estimator: Any) -> Recipe:
        """These settings with what was left open filled in for `estimator`."""
        return self

    def create(self, estimator: Any) -> Any:
        """The ART attack, or an adapter with the same ``generate(x, y)``."""
        import art.attacks.evasion as evasion

        arguments = {theirs: getattr(self, ours) for ours, theirs in self.words.items()}
        if "norm" in arguments:
            arguments["norm"] = NORMS[arguments["norm"]][1]
        arguments |= self.fixed
        arguments.setdefault("batch_size", getattr(estimator, "batch_size", 128))
        return getattr(evasion, self.art)(estimator, **arguments)


@dataclass(frozen=True, kw_only=True)
class _Ball(Recipe):
    """An attack that stays inside a ball.

    Args:
        eps: radius in [0, 1] pixel units, > 0; None: `default_eps` of the images.
    """

    eps: float | None = None

    def __post_init__(self) -> None:
        check_radius(self.eps, self.measure)

    def filled(self, estimator: Any) -> Recipe:
        """With the customary radius where none is given."""
        return _with(self, eps=default_eps(estimator.input_shape, self.measure))


def _with(recipe: Recipe, **values: Any) -> Any:
    """A copy of `recipe` with `values` where it holds None."""
    settled = {**asdict(recipe)}
    for name, value in values.items():
        settled[name] = value if settled[name] is None else settled[name]
    return type(recipe)(**settled)


@dataclass(frozen=True, kw_only=True)
class FGSM(_Ball):
    """One step along the sign (L2: direction) of the loss gradient.

    Args:
        eps: radius, > 0; default 0.3 for 28x28x1 images, 8/255 for others (L2: 1.5, 128/255).
        norm: "linf" or "l2".
    """

    name = "fgsm"
    art = "FastGradientMethod"
    access = "white-box"
    words = {"eps": "eps", "norm": "norm"}
    fixed: ClassVar[Mapping[str, Any]] = {}

    norm: Literal["linf", "l2"] = "linf"


@dataclass(frozen=True, kw_only=True)
class PGD(_Ball):
    """Projected gradient ascent with random start.

    Args:
        eps: radius, > 0; default 0.3 for 28x28x1 images, 8/255 for others (L2: 1.5, 128/255).
        steps: int >= 1.
        step_size: in (0, eps]; default 2.5 * eps / steps, at most eps.
        restarts: random starts, int >= 0; 0 starts at the image itself, once.
        norm: "linf" or "l2".
    """

    name = "pgd"
    art = "ProjectedGradientDescent"
    access = "white-box"
    words = {
        "eps": "eps",
        "steps": "max_iter",
        "step_size": "eps_step",
        "restarts": "num_random_init",
        "norm": "norm",
    }

    steps: int = 40
    step_size: float | None = None
    restarts: int = 1
    norm: Literal["linf", "l2"] = "linf"

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(1, steps=self.steps)
        _at_least(0, restarts=self.restarts)
        _positive("step_size", self.step_size)

    def filled(self, estimator: Any) -> Recipe:
        """With radius and step where none are given.

        Raises:
            InputError: if the step is longer than the radius.
        """
        ball = super().filled(estimator)
        recipe = _with(ball, step_size=min(2.5 * ball.eps / ball.steps, ball.eps))  # type: ignore[attr-defined]
        if recipe.step_size > recipe.eps:
            raise InputError(
                f"setting 'step_size' must be at most eps = {recipe.eps:.6g}. "
                f"Received: {recipe.step_size:.6g}"
            )
        return recipe


@dataclass(frozen=True, kw_only=True)
class Square(_Ball):
    """Random search over squares that sees only the logits.

    Args:
        eps: radius in Linf, > 0; default 0.3 for 28x28x1 images, 8/255 for others.
        queries: rounds of one new image each, int >= 1.
        restarts: int >= 1.
        p_init: share of the pixels that the first squares cover, in (0, 1).
    """

    name = "square"
    art = "SquareAttack"
    access = "score-based"
    words = {"eps": "eps", "queries": "max_iter", "restarts": "nb_restarts", "p_init": "p_init"}

    queries: int = 1000
    restarts: int = 1
    p_init: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(1, queries=self.queries, restarts=self.restarts)
        if not 0 < self.p_init < 1:
            raise InputError(
                f"setting 'p_init' must be between 0 and 1, both excluded. Received: {self.p_init}"
            )

    def filled(self, estimator: Any) -> Recipe:
        """With a square that fits the image: ART stops on one as large as its side."""
        height, width = estimator.input_shape[:2]
        largest = (min(height, width) - 1) ** 2 / (height * width)
        recipe: Any = super().filled(estimator)
        return type(recipe)(**{**asdict(recipe), "p_init": min(recipe.p_init, largest)})


@dataclass(frozen=True, kw_only=True)
class _Minimal(Recipe):
    """An attack that looks for a small change.

    Args:
        eps: largest change that counts as a success, > 0; None: any change counts.
    """

    minimal: ClassVar[bool] = True

    eps: float | None = None

    def __post_init__(self) -> None:
        check_radius(self.eps, "")


@dataclass(frozen=True, kw_only=True)
class CarliniL2(_Minimal):
    """Carlini and Wagner's attack in L2.

    Args:
        eps: largest L2 change that counts; default: any.
        steps: gradient steps in each search step, int >= 1.
        search_steps: binary search steps over the constant, int >= 1.
        learning_rate: first step length, > 0; ART then searches along the line.
        initial_const: first constant, > 0.
        confidence: by how much another logit must win, >= 0.

    Differs: ART's defaults (10 steps, 10 search steps, first constant 0.01) leave a LeNet
        25% of its accuracy, these (20, 6, 10) 5% in about the same time.
    """

    name = "cw-l2"
    art = "CarliniL2Method"
    access = "white-box"
    words = {
        "steps": "max_iter",
        "search_steps": "binary_search_steps",
        "learning_rate": "learning_rate",
        "initial_const": "initial_const",
        "confidence": "confidence",
    }

    steps: int = 20
    search_steps: int = 6
    learning_rate: float = 0.01
    initial_const: float = 10.0
    confidence: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(1, steps=self.steps, search_steps=self.search_steps)
        _positive("learning_rate", self.learning_rate)
        _positive("initial_const", self.initial_const)
        config.check_range("confidence", self.confidence, 0)

    @property
    def measure(self) -> Norm:
        """L2."""
        return "l2"


@dataclass(frozen=True, kw_only=True)
class CarliniLinf(_Minimal):
    """Carlini and Wagner's attack in Linf, an image at a time and slow.

    Args:
        eps: largest Linf change that counts; default: any.
        steps: gradient steps a round, int >= 1.
        learning_rate: > 0.
        decrease_factor: the bound shrinks by this each round, in (0, 1).
        confidence: by how much another logit must win, >= 0.

    Differs: ART repeats each round for 21 constants (1e-5 to 20), but its gradient does not
        hold the constant, so it is one round here; 30 steps of 0.1 for ART's 10 of 0.01,
        which find hardly anything; factor 0.7 for 0.9.
    """

    name = "cw-linf"
    art = "CarliniLInfMethod"
    access = "white-box"
    words = {
        "steps": "max_iter",
        "learning_rate": "learning_rate",
        "decrease_factor": "decrease_factor",
        "confidence": "confidence",
    }
    fixed: ClassVar[Mapping[str, Any]] = {
        "verbose": False,
        "initial_const": 10.0,
        "largest_const": 20.0,
        "const_factor": 5.0,
    }

    steps: int = 30
    learning_rate: float = 0.1
    decrease_factor: float = 0.7
    confidence: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(1, steps=self.steps)
        _positive("learning_rate", self.learning_rate)
        if not 0 < self.decrease_factor < 1:
            raise InputError(
                "setting 'decrease_factor' must be between 0 and 1, both excluded. "
                f"Received: {self.decrease_factor}"
            )
        config.check_range("confidence", self.confidence, 0)


class _WithoutLabels:
    """Keeps the labels from an ART attack that would take them for targets."""

    def __init__(self, attack: Any) -> None:
        self.attack = attack

    def generate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Attacks `x`; `y` is not used."""
        return self.attack.generate(x=x)


@dataclass(frozen=True, kw_only=True)
class JSMA(Recipe):
    """Saliency map attack: the two most telling values at a time, towards a random class.

    ART takes labels for targets here; it is given none and draws, for every image, one of
    the classes that are not predicted.

    Args:
        theta: change of a value in one step, in [-1, 1], not 0.
        gamma: largest share of the values that may change, in (0, 1].

    Differs: ART's own defaults are theta 0.1 and gamma 1; here they are 1 and 0.145, those
        of the paper (Papernot et al. 2016, 14.5% distortion).
    """

    name = "jsma"
    art = "SaliencyMapMethod"
    access = "white-box"
    words = {"theta": "theta", "gamma": "gamma"}
    minimal: ClassVar[bool] = True

    theta: float = 1.0
    gamma: float = 0.145

    def __post_init__(self) -> None:
        config.check_range("theta", self.theta, -1, 1)
        if self.theta == 0:
            raise InputError("setting 'theta' must not be 0: no value would change")
        _positive("gamma", self.gamma)
        config.check_range("gamma", self.gamma, 0, 1)

    @property
    def measure(self) -> Norm:
        """L0."""
        return "l0"

    def create(self, estimator: Any) -> Any:
        """The ART attack without labels."""
        return _WithoutLabels(super().create(estimator))


@dataclass(frozen=True, kw_only=True)
class DeepFool(_Minimal):
    """The nearest boundary of the linearised classifier, step by step.

    Args:
        eps: largest L2 change that counts; default: any.
        steps: int >= 1.
        overshoot: how far to go past the boundary, > 0.
        classes: how many of the likeliest classes are looked at, int >= 2.

    Differs: ART's overshoot is 1e-6, which float32 rounds away for some images; here it is
        the paper's 0.02.
    """

    name = "deepfool"
    art = "DeepFool"
    access = "white-box"
    words = {"steps": "max_iter", "overshoot": "epsilon", "classes": "nb_grads"}

    steps: int = 50
    overshoot: float = 0.02
    classes: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(1, steps=self.steps)
        _at_least(2, classes=self.classes)
        _positive("overshoot", self.overshoot)

    @property
    def measure(self) -> Norm:
        """L2."""
        return "l2"


class _FromOtherClass:
    """Gives HopSkipJump its starting images, from the seeded generator.

    ART draws them from a generator that no seed reaches, and gives up where noise is never
    taken for another class. Here the start is the nearest of `draws` uniform images and of
    the attacked images themselves that the model puts in another class.
    """

    def __init__(self, attack: Any, draws: int) -> None:
        self.attack = attack
        self.draws = draws

    def generate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Attacks `x`; `y` is not used."""
        noise = np.random.uniform(0, 1, (self.draws, *x.shape[1:])).astype(np.float32)
        pool = np.concatenate([noise, x])
        classes = self.attack.estimator.predict(pool).argmax(axis=1)
        start = np.array(x)
        for row, own in enumerate(classes[self.draws :]):
            others = np.flatnonzero(classes != own)
            if len(others):
                gaps = ((pool[others] - x[row]) ** 2).sum(axis=tuple(range(1, x.ndim)))
                start[row] = pool[others[gaps.argmin()]]
        return self.attack.generate(x=x, x_adv_init=start)


@dataclass(frozen=True, kw_only=True)
class HopSkipJump(_Minimal):
    """Walks along the decision boundary, seeing only predicted classes.

    Args:
        eps: largest change that counts, in `norm`; default: any.
        norm: "l2" or "linf".
        steps: int >= 1.
        first_queries: queries for the first direction, int >= 2; more later.
        most_queries: queries for one direction at most, int >= `first_queries`.
        draws: random images to start from, int >= 1.

    Differs: ART's defaults (50 steps, 100 to 10,000 queries) are about 25,000 queries an
        image; here 10 steps, about 2,500.
    """

    name = "hopskipjump"
    art = "HopSkipJump"
    access = "decision-based"
    words = {
        "norm": "norm",
        "steps": "max_iter",
        "first_queries": "init_eval",
        "most_queries": "max_eval",
    }

    norm: Literal["l2", "linf"] = "l2"
    steps: int = 10
    first_queries: int = 100
    most_queries: int = 1000
    draws: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(1, steps=self.steps, draws=self.draws)
        _at_least(2, first_queries=self.first_queries)
        _at_least(self.first_queries, most_queries=self.most_queries)

    def create(self, estimator: Any) -> Any:
        """The ART attack with seeded starting images."""
        return _FromOtherClass(super().create(estimator), self.draws)


def _dlr(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """`losses.dlr` as the loss of an estimator: one-hot labels first."""
    return losses.dlr(logits, tf.argmax(y, axis=1, output_type=tf.int32))


class _Projected:
    """Takes away the 1e-4 by which ART's AutoAttack lets an image leave the ball."""

    def __init__(self, attack: Any, eps: float) -> None:
        self.attack = attack
        self.eps = eps

    def generate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Attacks `x`."""
        x_adv = self.attack.generate(x=x, y=y)
        slack = self.eps * (1 + 2e-4)
        inside = np.clip(x_adv, x - np.float32(self.eps), x + np.float32(self.eps))
        near = change_size(x, x_adv, "linf") <= slack
        return np.where(near.reshape(-1, *([1] * (x.ndim - 1))), inside, x_adv)


@dataclass(frozen=True, kw_only=True)
class AutoAttack(_Ball):
    """ART's AutoAttack: APGD on cross-entropy and DLR, DeepFool, Square, one after another.

    It is not the official suite, which has targeted APGD and FAB in place of untargeted
    APGD and DeepFool; results say "autoattack (ART variant)".

    Args:
        eps: radius in Linf, > 0; default 0.3 for 28x28x1 images, 8/255 for others.
        steps: of each APGD, int >= 1.
        restarts: of each APGD and of Square, int >= 1.
        queries: of Square, int >= 1.

    Differs: the first step is 2 * eps, the official one, not ART's fixed 0.1; DLR, which
        needs three logits, is left out for two classes, where ART stops with an error; both
        losses run on our compiled estimator.
    """

    name = "autoattack"
    art = "AutoAttack"
    access = "white-box"
    label = "autoattack (ART variant)"
    words = {}

    steps: int = 100
    restarts: int = 5
    queries: int = 5000

    def __post_init__(self) -> None:
        super().__post_init__()
        _at_least(1, steps=self.steps, restarts=self.restarts, queries=self.queries)

    def create(self, estimator: Any) -> Any:
        """ART's suite with its parts on the compiled estimator."""
        import art.attacks.evasion as evasion

        eps, size = self.eps or 0.0, getattr(estimator, "batch_size", 128)
        objectives: list[Any] = [None]
        if estimator.nb_classes > 2:
            objectives.append(_dlr)
        parts: list[Any] = [
            evasion.AutoProjectedGradientDescent(
                _with_loss(estimator, loss),
                eps=eps,
                eps_step=2 * eps,
                max_iter=self.steps,
                nb_random_init=self.restarts,
                batch_size=size,
                loss_type=None,
                verbose=False,
            )
            for loss in objectives
        ]
        for part in parts:
            part.targeted = False
        parts.append(
            evasion.DeepFool(estimator, max_iter=100, epsilon=1e-3, batch_size=size, verbose=False)
        )
        square = Square(eps=eps, queries=self.queries, restarts=self.restarts)
        parts.append(square.filled(estimator).create(estimator))
        suite = evasion.AutoAttack(
            estimator, eps=eps, eps_step=2 * eps, attacks=parts, batch_size=size
        )
        return _Projected(suite, eps)


def _with_loss(estimator: Any, loss: Any) -> CompiledKerasClassifier:
    """A second estimator of the same model that attacks another loss."""
    return CompiledKerasClassifier(
        estimator.model,
        estimator.nb_classes,
        estimator.input_shape,
        loss_object=loss,
        clip_values=(float(estimator.clip_values[0]), float(estimator.clip_values[1])),
        preprocessing_defences=estimator.preprocessing_defences,
        postprocessing_defences=estimator.postprocessing_defences,
        preprocessing=estimator.preprocessing,
        batch_size=getattr(estimator, "batch_size", 128),
    )


RECIPES: tuple[type[Recipe], ...] = (
    FGSM,
    PGD,
    CarliniL2,
    CarliniLinf,
    JSMA,
    DeepFool,
    Square,
    HopSkipJump,
    AutoAttack,
)
cw_linf = CarliniLinf.bind
deepfool = DeepFool.bind
hopskipjump = HopSkipJump.bind
