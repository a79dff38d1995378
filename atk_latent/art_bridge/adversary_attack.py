"""What all our compiled adversaries share as ART attacks: words, units, labels and seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from art.attacks.attack import EvasionAttack
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent import config
from atk_latent.adversaries.names import make_adversary
from atk_latent.art_bridge.unit_pixels import UnitPixels
from atk_latent.errors import InputError
from atk_latent.labels import integer_labels

NORMS: dict[Any, str] = {math.inf: "linf", "inf": "linf", 2: "l2", 1: "l1"}
ART_NORMS: dict[str, float] = {"linf": math.inf, "l2": 2, "l1": 1}
_LENGTHS = ("eps", "step_size", "theta")  # settings in the units of pixels
_COMMON = ("batch_size", "seed", "verbose")


class AdversaryAttack(EvasionAttack):
    """An adversary of `ADVERSARIES` behind ART's door, compiled for the estimator's model.

    A face names its adversary (`_adversary`), its parameters in ART's words and what the
    adversary calls them (`_words`). Lengths (`eps`) are in the estimator's own pixel units,
    those of its `clip_values`; the adversary sees images in [0, 1]. Parameters may be changed
    with `set_params`.

    Args:
        estimator: ART's `TensorFlowV2Classifier` (or ours) around a Keras model with logits.
        **parameters: of `attack_params`. `batch_size`: int >= 1. `seed`: int >= 0; None
            draws it from NumPy's global state at each `generate`, as ART's own attacks do.
            `verbose`: kept for ART; nothing is shown.

    Raises:
        InputError: on an estimator or a parameter that will not do.
    """

    attack_params: ClassVar[list[str]] = [*EvasionAttack.attack_params, *_COMMON]
    _estimator_requirements = (TensorFlowV2Classifier,)
    _adversary: ClassVar[str]
    _words: ClassVar[Mapping[str, str]] = {}
    _more: ClassVar[tuple[str, ...]] = ()  # parameters that are no settings of the adversary
    fixed_norm: ClassVar[str] = ""  # the norm, where it is no parameter

    def __init_subclass__(cls) -> None:
        """ART's list of parameters is that of the words."""
        cls.attack_params = [*EvasionAttack.attack_params, *cls._words, *cls._more, *_COMMON]

    def __init__(self, estimator: TensorFlowV2Classifier, **parameters: Any) -> None:
        super().__init__(estimator=estimator)
        self.view = UnitPixels(estimator)
        if any(np.ptp(np.asarray(value)) for value in estimator.clip_values):
            raise InputError(
                "clip_values must be the same for every channel. "
                f"Received: {tuple(np.asarray(value).tolist() for value in estimator.clip_values)}"
            )
        for name, value in parameters.items():
            if name not in self.attack_params:
                raise InputError(
                    f"unknown parameter '{name}'. Known: {', '.join(self.attack_params)}"
                )
            setattr(self, name, value)
        self._made: Any = None
        self._check_params()

    @classmethod
    def of(cls, estimator: TensorFlowV2Classifier, settings: Any) -> AdversaryAttack:
        """The attack with the adversary's own `settings`, whose lengths are in [0, 1] pixels."""
        attack = cls(estimator, batch_size=getattr(estimator, "batch_size", 128))
        attack.set_params(**attack._arts(settings))
        return attack

    @classmethod
    def adversary(cls, **settings: Any) -> Any:
        """What does the work, with settings of its own."""
        return make_adversary(cls._adversary, **settings)

    @property
    def scale(self) -> float:
        """The width of the clip values, by which lengths differ from those in [0, 1]."""
        return self.view.range.width

    @property
    def measure(self) -> str:
        """The norm that changes are measured in: "linf", "l2", "l1" or "l0"."""
        return self.fixed_norm or self._norm(self.norm)

    def settings(self) -> Any:
        """What the adversary is set to, in [0, 1] pixel units.

        Raises:
            InputError: for a parameter that cannot be, in ART's words.
        """
        return self._adversary_made().settings

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
        seed = np.random.randint(2**31) if self.seed is None else self.seed
        images = self.view.images(x)
        adv = self._crafted(images, labels, int(seed))
        return self._restored(pixels, adv - images).astype(dtype, copy=False)

    def _crafted(self, images: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
        """Adversarial images in [0, 1]."""
        return self._adversary_made().craft_all(
            self.view.model, images, labels, batch_size=int(self.batch_size), seed=seed
        )

    def _restored(self, pixels: np.ndarray, change: np.ndarray) -> np.ndarray:
        """Images with a change in [0, 1] units, kept in the ball and the clip values."""
        moved = self.scale * change.astype(np.float64)
        eps = getattr(self, "eps", None)
        if eps is not None and self.measure == "linf":
            moved = np.clip(moved, -float(eps), float(eps))
        return np.clip(pixels + moved, self.view.range.low, self.view.range.high)

    def _adversary_made(self) -> Any:
        """The adversary of the present parameters; the same, compiled, while they stay."""
        try:
            made = self.adversary(**self._ours())
        except InputError as error:
            raise InputError(self._in_arts_words(str(error))) from None
        if self._made is None or self._made.settings != made.settings:
            self._made = made
        return self._made

    def _ours(self) -> dict[str, Any]:
        """The parameters as the adversary's settings."""
        values = {}
        for theirs, ours in self._words.items():
            value = getattr(self, theirs)
            if ours == "norm":
                value = self._norm(value)
            elif ours in _LENGTHS and value is not None:
                value = config.number(value, theirs) / self.scale
            values[ours] = value
        return values

    def _arts(self, settings: Any) -> dict[str, Any]:
        """The adversary's settings as parameters."""
        values = {}
        for theirs, ours in self._words.items():
            value = getattr(settings, ours)
            if ours == "norm":
                value = ART_NORMS[value]
            elif ours in _LENGTHS and value is not None:
                value = value * self.scale
            values[theirs] = value
        return values

    def _norm(self, norm: Any) -> str:
        if isinstance(norm, int | float | str) and norm in NORMS:
            return NORMS[norm]
        raise InputError(f"norm must be np.inf, 'inf', 1 or 2. Received: {norm!r}")

    def _in_arts_words(self, message: str) -> str:
        for theirs, ours in self._words.items():
            message = message.replace(f"setting '{ours}'", theirs)
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
        self._adversary_made()
