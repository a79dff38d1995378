"""An attack bound to the estimator it is crafted on, and what all of them share."""

from __future__ import annotations

import contextlib
import logging
import math
import random
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import tensorflow as tf

from atk_latent.adversaries.spec import Values
from atk_latent.art_bridge.passes import Teller
from atk_latent.progress import Progress, prefixed
from atk_latent.results.diagnostics import Diagnostics
from atk_latent.results.threat import ThreatModel

NORMS: dict[str, tuple[str, float]] = {
    "linf": ("Linf", math.inf),
    "l2": ("L2", 2),
    "l1": ("L1", 1),
    "l0": ("L0", 0),
}


def change_size(x: np.ndarray, x_adv: np.ndarray, norm: str) -> np.ndarray:
    """The size of each image's change.

    Args:
        x: images (n, height, width, channels).
        x_adv: the changed images, same shape.
        norm: "linf", "l2", "l1" or "l0" (values changed, a count).

    Returns:
        float64 (n,).
    """
    change = (x_adv.astype(np.float64) - x.astype(np.float64)).reshape(len(x), -1)
    return np.asarray(np.linalg.norm(change, ord=NORMS[norm][1], axis=1))


def default_eps(image_shape: tuple[int, ...], norm: str = "linf") -> float:
    """The radius an attack takes when none is given, the customary one of the data.

    For 28x28x1 images (MNIST and its kin) 0.3 in Linf, 1.5 in L2 and 10 in L1; for all
    others 8/255, 128/255 and 12.
    """
    digits = tuple(image_shape) == (28, 28, 1)
    radii = {"linf": (0.3, 8 / 255), "l2": (1.5, 128 / 255), "l1": (10.0, 12.0)}
    return radii[norm][0 if digits else 1]


class Attack(Protocol):
    """An ART `EvasionAttack`, or what stands before one."""

    def generate(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Attacked images, the shape of `x` (n, H, W, C); labels `y` (n,)."""


@dataclass(frozen=True)
class BoundAttack:
    """An attack with its settings, bound to the estimator it is crafted on.

    Args:
        name: as registered, "pgd".
        threat: what the attacker knows and may do. `crafted_on` is set where the images are made
            on another model than the estimator the attack is bound to, as for examples made with
            another model's helpers.
        attack: anything with ``generate(x, y)``: an ART EvasionAttack or an adapter. One with
            ``diagnostics()`` says how its last `generate` went.
        label: what results call it; default `name`.
        minimal: the attack looks for a small change, not for one inside a ball: with `eps`
            an image changed by more counts as not attacked and is handed back as it was.
        settings: every setting it ran with, for the record.
        teller: how its progress is heard, for an attack of ART's own. Others have an attribute
            `progress`.
    """

    name: str
    threat: ThreatModel
    attack: Attack
    label: str = ""
    minimal: bool = False
    settings: Values = field(default_factory=dict)
    teller: Teller | None = None

    @property
    def norm(self) -> str:
        """What `eps` is measured in: "linf", "l2", "l1", "l0", or a word for no ball in pixels."""
        return self.threat.norm or ""

    @property
    def eps(self) -> float | None:
        """Radius of the ball in [0, 1] pixel units; None: no bound."""
        return self.threat.eps

    @property
    def title(self) -> str:
        """What results call the attack."""
        return self.label or self.name

    def diagnostics(self) -> Diagnostics | None:
        """What the attack says of its last `generate`; None of most attacks."""
        diagnostics = getattr(self.attack, "diagnostics", None)
        return diagnostics() if diagnostics else None

    def generate(
        self, x: np.ndarray, y: np.ndarray, progress: Progress | None = None
    ) -> np.ndarray:
        """Attacks `x`.

        Args:
            x: float32 images (n, height, width, channels) in [0, 1].
            y: int64 labels (n,).
            progress: told ("`title`: steps", done, in all, {"standing": images}) a few times a
                second, by parts where the attack has some.

        Returns:
            float32 attacked images, the shape of `x`.
        """
        heard = prefixed(progress, self.title)
        with quiet(), self._telling(len(x), heard):
            x_adv = np.asarray(self.attack.generate(x=np.array(x), y=np.array(y)), np.float32)
        if self.minimal and self.eps is not None:
            outside = change_size(x, x_adv, self.norm) > self.eps
            x_adv = np.where(outside.reshape(-1, *([1] * (x.ndim - 1))), x, x_adv)
        return x_adv

    @contextlib.contextmanager
    def _telling(self, images: int, progress: Progress | None) -> Iterator[None]:
        """While it lasts, `progress` hears of the attack's steps."""
        if self.teller is not None:
            with self.teller(self.attack, images, progress):
                yield
            return
        if hasattr(self.attack, "progress"):
            self.attack.progress = progress
        try:
            yield
        finally:
            if hasattr(self.attack, "progress"):
                self.attack.progress = None


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Makes what draws from global random state reproducible, as ART's attacks do.

    Seeds Python, NumPy and TensorFlow. The state of Python and NumPy is put back at the
    end; TensorFlow has no way to read its own, so its global seed stays set.

    Args:
        seed: int in [0, 2**32).
    """
    python, numpy = random.getstate(), np.random.get_state()
    try:
        random.seed(seed)
        np.random.seed(seed)
        tf.random.set_seed(seed)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Holds back ART's log lines and NumPy's warnings of its divisions by zero."""
    logger = logging.getLogger("art")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
