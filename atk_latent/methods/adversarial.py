"""Adversarial training as Madry et al. do it, in one step, and for free."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

import keras
import numpy as np
import tensorflow as tf

from atk_latent.adversaries.base import Adversary
from atk_latent.adversaries.gradient_ascent import AscentSettings, GradientAscent
from atk_latent.adversaries.names import make_adversary
from atk_latent.config import build, check_linf_eps, check_range, number
from atk_latent.errors import InputError
from atk_latent.methods.base import Method
from atk_latent.methods.optimizers import SGDSettings
from atk_latent.methods.recipes import Recipes, recipe
from atk_latent.models.scoring import clean_accuracy

MEASURED = 1000  # test images that `measure` attacks at most


@dataclasses.dataclass(frozen=True)
class BallSettings(SGDSettings):
    """The ball that images are attacked in, beside how the weights are updated.

    Args:
        eps: float >= 0, radius of the ball in [0, 1] pixels. norm: "linf" or "l2".
        step_size: float > 0 in pixels, or None for the method's own.
    """

    eps: float = 8 / 255
    norm: Literal["linf", "l2"] = "linf"
    step_size: float | None = None

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        super().__post_init__()
        if self.norm == "linf":
            check_linf_eps(self.eps)
        self.ascent()

    def ascent(self, **options: Any) -> AscentSettings:
        """Settings of a gradient ascent in this ball."""
        given = {"eps": self.eps, "norm": self.norm, "step_size": self.step_size, "keep": "last"}
        return AscentSettings(**{**given, **options})


@dataclasses.dataclass(frozen=True)
class PGDSettings(BallSettings):
    """How the images of a batch are attacked, beside `BallSettings`.

    Args:
        steps: int >= 1; `step_size` None is 2.5 * eps / steps, at most eps.
        random_start: whether the ascent starts at a random point of the ball.
        alpha: float in [0, 1], weight of the clean loss; 0 trains on adversarial images alone.
    """

    steps: int = 10
    random_start: bool = True
    alpha: float = 0.0

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        super().__post_init__()
        check_range("alpha", self.alpha, 0, 1)

    def ascent(self, **options: Any) -> AscentSettings:
        """The settings of the inner maximisation."""
        return super().ascent(steps=self.steps, random_start=self.random_start, **options)


# SGD on CIFAR-10 and its like; weights decay as in each method's own paper.
CIFAR: dict[str, Any] = {
    "eps": 8 / 255,
    "learning_rate": 0.1,
    "momentum": 0.9,
    "weight_decay": 2e-4,
    "batch_size": 128,
    "augment": "crop-flip",
}
# Digits are few and not in any paper: small batches, a rate that LeNet learns them with.
DIGITS: dict[str, Any] = {
    "eps": 0.1,
    "algorithm": "sgd",
    "learning_rate": 0.02,
    "momentum": 0.9,
    "batch_size": 32,
    "epochs": 60,
    "schedule": "steps",
    "decay_epochs": (45,),
}
QUICK: dict[str, dict[str, Any]] = {
    "any": {"epochs": 5, "steps": 7},
    "mnist": {"algorithm": "adam", "learning_rate": 1e-3, "steps": 10, "step_size": 0.075},
    "digits": DIGITS | {"epochs": 30, "decay_epochs": (22,), "steps": 7, "step_size": 0.025},
}


class BallTraining(Method):
    """What methods share that attack each batch in a ball and are measured there.

    Args:
        classifier: Keras model, images (B, H, W, C) in [0, 1] to logits (B, K).
        settings: of the method. Where a preset names a step and `eps` is overridden without
            one, the step changes in proportion.
        seed: of the order of the data and of everything drawn.
    """

    settings_type: ClassVar[type[BallSettings]] = BallSettings
    settings: BallSettings

    def __init__(self, classifier: keras.Model, settings: Any = None, *, seed: int = 0) -> None:
        settings = settings or self.settings_type()
        super().__init__(classifier, settings, seed=seed, alpha=getattr(settings, "alpha", 0.5))
        self.adversary = self.make_adversary()

    @classmethod
    def settings_for(
        cls, model: str, data: str, preset: str, overrides: dict[str, Any]
    ) -> BallSettings:
        """Settings of a preset, its step in proportion to `eps`; see `Method.settings_for`."""
        del model
        values = recipe(cls.recipes, data, preset)
        if "eps" in overrides and values.get("step_size"):
            usual = values.get("eps", cls.settings_type.eps)
            values["step_size"] *= number(overrides["eps"], "setting 'eps'") / usual
        return build(cls.settings_type, {**values, **overrides})

    def make_adversary(self) -> Adversary:
        """The inner maximisation, which draws from the random state saved with the method."""
        return GradientAscent(self.settings.ascent(), seed=self.seeds)

    def perturb(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Adversarial images of a batch."""
        return self.adversary(self.classifier, x, y)

    def measure(self, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
        """PGD-20 accuracy in the training ball, on the first 1,000 test images at most."""
        settings, x, y = self.settings, x[:MEASURED], y[:MEASURED]
        if not settings.eps:
            return {}
        pgd = make_adversary("pgd", seed=self.seed, eps=settings.eps, norm=settings.norm, steps=20)
        x_adv = pgd.craft_all(self.classifier, x, y, seed=self.seed)
        return {
            "pgd_accuracy": clean_accuracy(self.classifier, x_adv, y).value,
            "pgd_eps": settings.eps,
            "pgd_norm": settings.norm,
            "pgd_images": len(x),
        }


class PGDTraining(BallTraining):
    """Trains on PGD examples of each batch, made in the graph; see `BallTraining`.

    Reference: Madry et al. 2018, Eq 2.1 and section 5.
    Differs: examples are crafted in inference mode; steps are counted in epochs (100,000
        steps of 50 MNIST images are 83).
    """

    settings_type: ClassVar[type[PGDSettings]] = PGDSettings
    recipes: ClassVar[Recipes] = {
        "paper": {
            "mnist": {"eps": 0.3, "steps": 40, "step_size": 0.01, "epochs": 83, "batch_size": 50}
            | {"algorithm": "adam", "learning_rate": 1e-4},
            "cifar10": CIFAR
            | {"steps": 7, "step_size": 2 / 255, "epochs": 205, "decay_epochs": (102, 154)},
            "digits": DIGITS | {"step_size": 0.01, "steps": 20},
        },
        "quick": QUICK,
    }


@dataclasses.dataclass(frozen=True)
class FGSMSettings(BallSettings):
    """One step, beside `BallSettings`; `step_size` None is 1.25 * eps.

    Args:
        random_start: whether the step starts at a random point of the ball.
        alpha: float in [0, 1], weight of the clean loss; 0 trains on adversarial images alone.
    """

    random_start: bool = True
    alpha: float = 0.0

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        super().__post_init__()
        check_range("alpha", self.alpha, 0, 1)

    def ascent(self, **options: Any) -> AscentSettings:
        """The settings of the inner maximisation."""
        step = 1.25 * self.eps or None if self.step_size is None else self.step_size
        return super().ascent(steps=1, step_size=step, random_start=self.random_start, **options)


class FGSMTraining(BallTraining):
    """Trains on one long step from a random start; see `BallTraining`.

    Many epochs may end in catastrophic overfitting: hardly any robustness against PGD, all
    of a sudden. `early_stopping` keeps the weights from before.

    Reference: Wong, Rice and Kolter 2020, "Fast is better than free", Algorithm 3.
    Differs: examples are crafted in inference mode.
    """

    settings_type: ClassVar[type[FGSMSettings]] = FGSMSettings
    recipes: ClassVar[Recipes] = {
        "paper": {
            "mnist": {"eps": 0.3, "schedule": "cyclic", "epochs": 10, "batch_size": 100}
            | {"algorithm": "adam", "learning_rate": 5e-3},
            "cifar10": CIFAR
            | {"schedule": "cyclic", "cyclic_rise": 0.5, "epochs": 15}
            | {"learning_rate": 0.2, "weight_decay": 5e-4},
            "digits": DIGITS | {"early_stopping": True},
        },
        "quick": {"any": {"epochs": 5}, "digits": {"epochs": 30, "decay_epochs": (22,)}},
    }


@dataclasses.dataclass(frozen=True)
class FreeSettings(BallSettings):
    """Replays, beside `BallSettings`; `step_size` None is eps.

    Args:
        replays: int >= 1, updates that each batch is used for. `epochs` counts passes over
            the data, so `epochs` * `replays` is what other methods call epochs.
        alpha: float in [0, 1], weight of the clean loss; 0 trains on adversarial images alone.
    """

    replays: int = 8
    alpha: float = 0.0

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        super().__post_init__()
        check_range("replays", self.replays, 1)
        check_range("alpha", self.alpha, 0, 1)


class FreeTraining(BallTraining):
    """Moves images and weights with one and the same pass, several times a batch.

    The perturbation is kept from batch to batch, in a variable that is saved with the state:
    a point of the ball around 0, of which each image shows what stays in the pixel range.

    Reference: Shafahi et al. 2019, "Adversarial training for free!", Algorithm 1.
    Differs: the gradient is that of the input, as in Algorithm 1; in the published code none
        comes back through a pixel that was cut, so below a black one the perturbation stays
        at -eps for good: LeNet on MNIST then kept 36% under AutoAttack, not 71% (eps 0.2).
    """

    settings_type: ClassVar[type[FreeSettings]] = FreeSettings
    recipes: ClassVar[Recipes] = {
        "paper": {
            "mnist": {"eps": 0.3, "epochs": 10, "batch_size": 100}
            | {"algorithm": "adam", "learning_rate": 1e-4},
            "cifar10": CIFAR | {"epochs": 26, "decay_epochs": (13, 19)},
            "digits": DIGITS | {"epochs": 10, "decay_epochs": (8,), "learning_rate": 5e-3},
        },
        "quick": {"any": {"epochs": 2}, "digits": {"epochs": 5, "decay_epochs": (4,)}},
    }
    settings: FreeSettings

    def __init__(self, classifier: keras.Model, settings: Any = None, *, seed: int = 0) -> None:
        super().__init__(classifier, settings, seed=seed)
        self.updates_per_batch = self.settings.replays
        self.ball = self.settings.ascent().ball()
        shape = (self.settings.batch_size, *classifier.input_shape[1:])
        self.delta = self.add_weight(
            shape=shape, initializer="zeros", trainable=False, dtype="float32", name="delta"
        )

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """`replays` updates of the weights, and as many of the perturbation."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        step = self.settings.eps if self.settings.step_size is None else self.settings.step_size
        if (x.shape[0] or 0) > self.settings.batch_size:
            raise InputError(
                f"a batch must have at most batch_size={self.settings.batch_size} images, whose "
                f"perturbations are kept. Received: {x.shape[0]}"
            )
        rows, weights = tf.shape(x)[0], self.classifier.trainable_weights
        delta = self.delta[:rows]
        for _ in range(self.settings.replays):
            x_adv = tf.clip_by_value(x + delta, *self.ball.bounds)
            members = (x, x_adv) if self.alpha else (x_adv,)
            y_pred, found = self.gradients(members, y, weight, inputs=[x_adv])
            self.optimizer.apply_gradients(zip(found[:-1], weights, strict=True))
            logs = self.compute_metrics(members, y, y_pred, weight)
            slope = tf.where(tf.math.is_finite(found[-1]), found[-1], 0.0)  # float16 may overflow
            delta = self.ball.shrink(delta + step * self.ball.ascent(slope, x_adv))
        self.delta.assign(tf.concat([delta, self.delta[rows:]], axis=0))
        return logs
