"""Our compiled gradient attacks as ART attacks, and by name on the command line."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from art.attacks.attack import EvasionAttack
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent import config
from atk_latent.adversaries.gradient_ascent import AscentSettings, GradientAscent
from atk_latent.adversaries.names import make_adversary
from atk_latent.art_bridge import evasion
from atk_latent.art_bridge.trainers import UnitPixels, integer_labels
from atk_latent.errors import InputError

_NORMS: dict[Any, Literal["linf", "l2"]] = {math.inf: "linf", "inf": "linf", 2: "l2"}
_ART_NORMS: dict[str, float] = {"linf": math.inf, "l2": 2}


class FastPGD(EvasionAttack):
    """Projected gradient ascent on the cross-entropy, compiled, as an ART attack.

    Parameters are those of ART's `ProjectedGradientDescent`, and so are their defaults.
    `eps` and `eps_step` are in the estimator's own pixel units, those of its `clip_values`.

    Args:
        estimator: ART's `TensorFlowV2Classifier` (or ours) around a Keras model with logits.
        norm: np.inf, "inf" or 2.
        eps: float >= 0, radius of the ball. eps_step: float > 0, length of a step.
        max_iter: int >= 1, steps of each start.
        targeted: labels given to `generate` are the classes wanted.
        num_random_init: int >= 0, random starts; 0 starts once, at the image itself.
        batch_size: int >= 1.
        decay: float >= 0 of the momentum (MIM); None is none.
        keep: "best" or "last"; see `AscentSettings`.
        seed: of the random starts; None draws it from NumPy's global state at each
            `generate`, as ART's own attacks do.
        verbose: kept for ART; nothing is shown.

    Raises:
        InputError: on an estimator or a setting that will not do.

    Reference: Madry et al., ICLR 2018.
    Differs: ART hands back the last iterate of the best start, this one the best iterate
        (`keep="last"` does as ART); a random start is uniform in the ball in every norm;
        `random_eps`, `summary_writer` and masks are not supported.
    """

    attack_params = [
        *EvasionAttack.attack_params,
        "norm",
        "eps",
        "eps_step",
        "max_iter",
        "targeted",
        "num_random_init",
        "batch_size",
        "decay",
        "keep",
        "seed",
        "verbose",
    ]
    _estimator_requirements = (TensorFlowV2Classifier,)
    _loss: ClassVar[Literal["cross-entropy", "margin"]] = "cross-entropy"

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        norm: float | str = np.inf,
        eps: float = 0.3,
        eps_step: float = 0.1,
        max_iter: int = 100,
        targeted: bool = False,
        num_random_init: int = 0,
        batch_size: int = 32,
        *,
        decay: float | None = None,
        keep: Literal["best", "last"] = "best",
        seed: int | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(estimator=estimator)
        self.view = UnitPixels(estimator)
        if any(np.ptp(np.asarray(value)) for value in estimator.clip_values):
            raise InputError(
                "clip_values must be the same for every channel. "
                f"Received: {tuple(np.asarray(value).tolist() for value in estimator.clip_values)}"
            )
        self.norm, self.eps, self.eps_step, self.max_iter = norm, eps, eps_step, max_iter
        self._targeted, self.num_random_init, self.batch_size = (
            targeted,
            num_random_init,
            batch_size,
        )
        self.decay, self.keep, self.seed, self.verbose = decay, keep, seed, verbose
        self._adversary: GradientAscent | None = None
        self._check_params()

    def _check_params(self) -> None:
        if self.norm not in _NORMS:
            raise InputError(f"norm must be np.inf, 'inf' or 2. Received: {self.norm!r}")
        for name in ("targeted", "verbose"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} must be a bool. Received: {getattr(self, name)!r}")
        for name, least in (("max_iter", 1), ("num_random_init", 0), ("batch_size", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise InputError(
                    f"{name} must be a whole number, at least {least}. Received: {value!r}"
                )
        for name, value in (("eps", self.eps), ("eps_step", self.eps_step)):
            if not isinstance(value, int | float | np.number) or isinstance(value, bool):
                raise InputError(f"{name} must be one number. Received: {value!r}")
        if not self.eps_step > 0:
            raise InputError(f"eps_step must be greater than 0. Received: {self.eps_step!r}")
        if self.seed is not None:
            config.check_range("seed", self.seed, 0)
        self.settings()

    def settings(self) -> AscentSettings:
        """What the attack is in [0, 1] pixel units.

        Raises:
            InputError: for values out of range.
        """
        scale = self.view.high - self.view.low
        return AscentSettings(
            eps=float(self.eps) / scale,
            norm=_NORMS[self.norm],
            steps=int(self.max_iter),
            step_size=float(self.eps_step) / scale,
            random_start=self.num_random_init > 0,
            restarts=max(1, int(self.num_random_init)),
            decay=self.decay or 0.0,
            targeted=self.targeted,
            keep=self.keep,
            loss=self._loss,
        )

    def generate(self, x: np.ndarray, y: np.ndarray | None = None, **kwargs: Any) -> np.ndarray:
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
        if y is None:
            if self.targeted:
                raise InputError("a targeted attack needs the wanted classes as `y`")
            y = np.argmax(self.estimator.predict(x, batch_size=self.batch_size), axis=1)
        labels = integer_labels(y, self.estimator.nb_classes)
        settings = self.settings()
        if self._adversary is None or self._adversary.settings != settings:
            self._adversary = GradientAscent(settings)
        seed = np.random.randint(2**31) if self.seed is None else self.seed
        images = self.view.images(x)
        adv = self._adversary.craft_all(
            self.view.model, images, labels, batch_size=int(self.batch_size), seed=int(seed)
        )
        return self._restored(pixels, adv - images).astype(dtype, copy=False)

    def _restored(self, pixels: np.ndarray, change: np.ndarray) -> np.ndarray:
        """Images with a change in [0, 1] units, kept in the ball and the clip values."""
        low, high = self.view.low, self.view.high
        moved = (high - low) * change.astype(np.float64)
        if _NORMS[self.norm] == "linf":
            moved = np.clip(moved, -self.eps, self.eps)
        return np.clip(pixels + moved, low, high)


class MarginPGD(FastPGD):
    """The papers' "CW20/40/100": PGD on the margin loss instead of the cross-entropy.

    Args:
        estimator: see `FastPGD`, as for all other arguments.
        margin: float >= 0, lead of another class up to which the loss goes on rising.

    Reference: Carlini and Wagner, S&P 2017, f6; Zhang and Wang 2019 (Feature Scattering).
    """

    attack_params = [*FastPGD.attack_params, "margin"]
    _loss = "margin"

    def __init__(
        self, estimator: TensorFlowV2Classifier, *args: Any, margin: float = 50.0, **kwargs: Any
    ) -> None:
        self.margin = margin
        super().__init__(estimator, *args, **kwargs)

    def settings(self) -> AscentSettings:
        """See `FastPGD.settings`; with the margin."""
        return replace(super().settings(), margin=self.margin)


def attack_for(estimator: TensorFlowV2Classifier, settings: AscentSettings) -> FastPGD:
    """The ART attack of `settings` whose `eps` is in the estimator's own pixel units, > 0."""
    arguments: dict[str, Any] = {
        "norm": _ART_NORMS[settings.norm],
        "eps": settings.eps,
        "eps_step": settings.step_length,
        "max_iter": settings.steps,
        "targeted": settings.targeted,
        "num_random_init": settings.restarts if settings.random_start else 0,
        "batch_size": getattr(estimator, "batch_size", 128),
        "decay": settings.decay,
        "keep": settings.keep,
    }
    if settings.loss == "margin":
        return MarginPGD(estimator, margin=settings.margin, **arguments)
    return FastPGD(estimator, **arguments)


class _Compiled(evasion.Recipe):
    """A recipe that runs our adversary of its name; its fields are that one's settings."""

    def create(self, estimator: Any) -> FastPGD:
        """The ART attack of these settings."""
        fields: dict[str, Any] = asdict(self)
        starts = fields.pop("restarts", None)
        if starts is not None:
            fields |= {"random_start": starts > 0, "restarts": max(1, starts)}
        return attack_for(estimator, make_adversary(self.name, **fields).settings)


@dataclass(frozen=True, kw_only=True)
class FGSM(_Compiled, evasion.FGSM):
    """One step along the sign (L2: direction) of the loss gradient; see `evasion.FGSM`."""


@dataclass(frozen=True, kw_only=True)
class RandomStartFGSM(_Compiled, evasion.FGSM):
    """One step of eps from a uniformly random start in the ball, projected.

    Args:
        eps, norm: as for `evasion.FGSM`.
        step_size: > 0; default eps.

    Reference: the FGSM of Feature Scattering's and ATLD's code; Wong et al. 2020 step 1.25 eps.
    """

    name = "rs-fgsm"

    step_size: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive("step_size", self.step_size)

    def filled(self, estimator: Any) -> evasion.Recipe:
        """With radius and step where none are given."""
        ball: Any = super().filled(estimator)
        return evasion._with(ball, step_size=ball.eps)


@dataclass(frozen=True, kw_only=True)
class PGD(_Compiled, evasion.PGD):
    """Projected gradient ascent with random start.

    Args:
        eps, steps, step_size, restarts, norm: as for `evasion.PGD`.
        keep: "best" or "last" iterate; see `AscentSettings`.
    """

    keep: Literal["best", "last"] = "best"


@dataclass(frozen=True, kw_only=True)
class MarginLossPGD(PGD):
    """PGD on the margin loss, the papers' "CW20/40/100".

    Args:
        eps, steps, step_size, restarts, norm, keep: as for `PGD`.
        margin: >= 0, lead of another class up to which the loss goes on rising.
    """

    name = "cw-pgd"

    margin: float = 50.0

    def __post_init__(self) -> None:
        super().__post_init__()
        config.check_range("margin", self.margin, 0)


@dataclass(frozen=True, kw_only=True)
class BIM(_Compiled, evasion.PGD):
    """Gradient steps from the image itself, once.

    Args:
        eps, steps, step_size, norm: as for `evasion.PGD`.
        restarts: 0, the image itself is the only start.
        keep: "best" or "last" iterate; see `AscentSettings`.
    """

    name = "bim"

    restarts: int = 0
    keep: Literal["best", "last"] = "best"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.restarts:
            raise InputError(
                f"setting 'restarts' must be 0 for {self.name}, which starts at the image; "
                f"pgd starts at random. Received: {self.restarts}"
            )


@dataclass(frozen=True, kw_only=True)
class MIM(BIM):
    """Gradient steps with momentum, from the image itself.

    Args:
        eps, norm, restarts, keep: as for `BIM`.
        steps: int >= 1. step_size: in (0, eps]; default eps / steps.
        decay: >= 0, weight of the gradients before.

    Reference: Dong et al., CVPR 2018, whose defaults these are.
    """

    name = "mim"

    steps: int = 10
    decay: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        config.check_range("decay", self.decay, 0)

    def filled(self, estimator: Any) -> evasion.Recipe:
        """With radius and step where none are given."""
        ball: Any = evasion._Ball.filled(self, estimator)
        return evasion.PGD.filled(evasion._with(ball, step_size=ball.eps / ball.steps), estimator)


def _positive(name: str, value: float | None) -> None:
    if value is not None and not value > 0:
        raise InputError(f"setting '{name}' must be greater than 0. Received: {value!r}")


fgsm = FGSM.bind
rs_fgsm = RandomStartFGSM.bind
pgd = PGD.bind
bim = BIM.bind
mim = MIM.bind
cw_pgd = MarginLossPGD.bind
