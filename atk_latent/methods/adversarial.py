"""Adversarial training as Madry et al. do it, in one step, and for free."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import keras
import numpy as np
import tensorflow as tf

from atk_latent.adversaries.base import Adversary
from atk_latent.adversaries.factory import make_adversary
from atk_latent.adversaries.gradient_ascent import AscentSettings, GradientAscent
from atk_latent.config import build, check_linf_eps, check_range, in_pixels
from atk_latent.errors import InputError
from atk_latent.methods.base import Batch, Method
from atk_latent.methods.settings import MethodSettings
from atk_latent.models.scoring import clean_accuracy

MEASURED = 1000  # test images that `measure` attacks at most


@dataclasses.dataclass(frozen=True)
class BallSettings(MethodSettings):
    """The ball that images are attacked in, beside the parts of `MethodSettings`.

    Args:
        eps: float >= 0, radius of the ball in [0, 1] pixels. norm: "linf" or "l2".
        step_size: float > 0 in pixels, or None for the method's own.
    """

    eps: float = in_pixels(8 / 255)
    norm: Literal["linf", "l2"] = "linf"
    step_size: float | None = in_pixels(None)

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        super().__post_init__()
        if self.norm == "linf":
            check_linf_eps(self.eps)
        self.ascent()

    def ascent(self, **options: object) -> AscentSettings:
        """Settings of a gradient ascent in this ball."""
        values = {"eps": self.eps, "norm": self.norm, "step_size": self.step_size, "keep": "last"}
        return build(AscentSettings, {**values, **options})

    @property
    def linf_radius(self) -> float | None:
        """`eps` of an Linf ball; None of another one."""
        return self.eps if self.norm == "linf" else None

    @property
    def clean_weight(self) -> float:
        """Weight of the clean loss beside the adversarial one, which has the rest."""
        return 0.5


@dataclasses.dataclass(frozen=True)
class MixedSettings(BallSettings):
    """A weight for the clean images of a batch, beside `BallSettings`.

    Args:
        alpha: float in [0, 1], weight of the clean loss; 0 trains on adversarial images alone.
    """

    alpha: float = 0.0

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        super().__post_init__()
        check_range("alpha", self.alpha, 0, 1)

    @property
    def clean_weight(self) -> float:
        """`alpha`."""
        return self.alpha


@dataclasses.dataclass(frozen=True)
class PGDSettings(MixedSettings):
    """How the images of a batch are attacked, beside `MixedSettings`.

    Args:
        steps: int >= 1; `step_size` None is 2.5 * eps / steps, at most eps.
        random_start: whether the ascent starts at a random point of the ball.

    Raises:
        InputError: for values that are out of range or do not go together.

    Example:
        >>> from atk_latent.methods import Optimizer, PGDSettings
        >>> settings = PGDSettings(optimizer=Optimizer(epochs=5), eps=0.3, steps=40)
        >>> settings.ascent().step_length
        0.01875
    """

    steps: int = 10
    random_start: bool = True

    def ascent(self, **options: object) -> AscentSettings:
        """The settings of the inner maximisation."""
        return super().ascent(steps=self.steps, random_start=self.random_start, **options)


class BallTraining(Method):
    """What methods share that attack each batch in a ball and are measured there.

    Args:
        classifier: Keras model, images (B, H, W, C) in [0, 1] to logits (B, K).
        settings: of the method; None takes its defaults.
        seed: of the order of the data and of everything drawn.
    """

    settings_type: ClassVar[type[BallSettings]] = BallSettings
    settings: BallSettings

    def __init__(
        self, classifier: keras.Model, settings: BallSettings | None = None, *, seed: int = 0
    ) -> None:
        settings = settings or self.settings_type()
        super().__init__(classifier, settings, seed=seed, alpha=settings.clean_weight)
        self.adversary = self.make_adversary()

    def make_adversary(self) -> Adversary:
        """The inner maximisation, which draws from the random state saved with the method."""
        return GradientAscent(self.settings.ascent(), seed=self.seeds)

    def perturb(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Adversarial images of a batch."""
        return self.adversary(self.classifier, x, y)

    def measure(self, x: np.ndarray, y: np.ndarray) -> dict[str, object]:
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
    """Trains on PGD examples of each batch, crafted in the graph; see `BallTraining`.

    Reference: Madry et al. 2018, Eq 2.1 and section 5.
    Differs: examples are crafted in inference mode; steps are counted in epochs (100,000
        steps of 50 MNIST images are 83).

    Example:
        >>> import keras, numpy as np
        >>> from atk_latent.methods import Optimizer, PGDSettings, PGDTraining
        >>> layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> x = np.random.default_rng(0).random((32, 4, 4, 1), np.float32)
        >>> y = (x.mean(axis=(1, 2, 3)) > 0.5).astype(int)
        >>> settings = PGDSettings(optimizer=Optimizer(epochs=2), steps=2)
        >>> method = PGDTraining(keras.Sequential(layers), settings)
        >>> logs = method.harden(x, y)
        >>> len(logs), 0 <= logs[-1]["adversarial_accuracy"] <= 1
        (2, True)
    """

    settings_type: ClassVar[type[PGDSettings]] = PGDSettings


@dataclasses.dataclass(frozen=True)
class FGSMSettings(MixedSettings):
    """One step, beside `MixedSettings`; `step_size` None is 1.25 * eps.

    Args:
        random_start: whether the step starts at a random point of the ball.

    Example:
        >>> from atk_latent.methods import FGSMSettings
        >>> FGSMSettings(eps=0.2).ascent().step_length
        0.25
    """

    random_start: bool = True

    def ascent(self, **options: object) -> AscentSettings:
        """The settings of the inner maximisation."""
        step = 1.25 * self.eps or None if self.step_size is None else self.step_size
        return super().ascent(steps=1, step_size=step, random_start=self.random_start, **options)


class FGSMTraining(BallTraining):
    """Trains on one long step from a random start; see `BallTraining`.

    Many epochs may end in catastrophic overfitting: hardly any robustness against PGD, all
    of a sudden. `early_stopping` keeps the weights from before.

    Reference: Wong, Rice and Kolter 2020, "Fast is better than free", Algorithm 3.
    Differs: examples are crafted in inference mode.

    Example:
        >>> import keras, numpy as np
        >>> from atk_latent.methods import FGSMSettings, FGSMTraining, Optimizer
        >>> layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> x = np.random.default_rng(0).random((32, 4, 4, 1), np.float32)
        >>> y = (x.mean(axis=(1, 2, 3)) > 0.5).astype(int)
        >>> settings = FGSMSettings(optimizer=Optimizer(epochs=2), eps=0.1)
        >>> method = FGSMTraining(keras.Sequential(layers), settings)
        >>> logs = method.harden(x, y)
        >>> len(logs), 0 <= logs[-1]["adversarial_accuracy"] <= 1
        (2, True)
    """

    settings_type: ClassVar[type[FGSMSettings]] = FGSMSettings


@dataclasses.dataclass(frozen=True)
class FreeSettings(MixedSettings):
    """Replays, beside `MixedSettings`; `step_size` None is eps.

    Args:
        replays: int >= 1, updates that each batch is used for. `epochs` counts passes over
            the data, so `epochs` * `replays` is what other methods call epochs.

    Example:
        >>> from atk_latent.methods import FreeSettings
        >>> FreeSettings(eps=0.3, replays=4).replays
        4
    """

    replays: int = 8

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        super().__post_init__()
        check_range("replays", self.replays, 1)


class FreeTraining(BallTraining):
    """Moves images and weights with one and the same pass, several times a batch.

    The perturbation lasts from batch to batch, in a variable that is saved with the state: a
    point of the ball around 0, added to an image and clipped to the pixel range.

    Reference: Shafahi et al. 2019, "Adversarial training for free!", Algorithm 1.
    Differs: the gradient is that of the input, as in Algorithm 1; in the published code none
        comes back through a pixel that was cut, so below a black one the perturbation stays
        at -eps for good: LeNet on MNIST then had 36% under AutoAttack, not 71% (eps 0.2).

    Example:
        >>> import keras, numpy as np
        >>> from atk_latent.methods import FreeSettings, FreeTraining, Optimizer
        >>> layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> x = np.random.default_rng(0).random((32, 4, 4, 1), np.float32)
        >>> y = (x.mean(axis=(1, 2, 3)) > 0.5).astype(int)
        >>> settings = FreeSettings(optimizer=Optimizer(epochs=2), replays=2)
        >>> method = FreeTraining(keras.Sequential(layers), settings)
        >>> logs = method.harden(x, y)
        >>> len(logs), 0 <= logs[-1]["adversarial_accuracy"] <= 1
        (2, True)
    """

    settings_type: ClassVar[type[FreeSettings]] = FreeSettings
    settings: FreeSettings

    def __init__(
        self, classifier: keras.Model, settings: FreeSettings | None = None, *, seed: int = 0
    ) -> None:
        super().__init__(classifier, settings, seed=seed)
        self.updates_per_batch = self.settings.replays
        self.ball = self.settings.ascent().ball()
        shape = (self.settings.optimizer.batch_size, *classifier.input_shape[1:])
        self.delta = self.add_weight(
            shape=shape, initializer="zeros", trainable=False, dtype="float32", name="delta"
        )

    def train_step(self, data: tuple[Batch, ...]) -> dict[str, tf.Tensor]:
        """`replays` updates of the weights, and as many of the perturbation."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        step = self.settings.eps if self.settings.step_size is None else self.settings.step_size
        most = self.delta.shape[0]
        if (x.shape[0] or 0) > most:
            raise InputError(
                f"a batch must have at most batch_size={most} images, whose perturbations last. "
                f"Received: {x.shape[0]}"
            )
        rows, weights = tf.shape(x)[0], self.classifier.trainable_weights
        delta = self.delta[:rows]
        for _ in range(self.settings.replays):
            x_adv = tf.clip_by_value(x + delta, *self.ball.bounds)
            members = (x, x_adv) if self.alpha else (x_adv,)
            y_pred, slopes = self.gradients(members, y, weight, inputs=[x_adv])
            self.optimizer.apply_gradients(zip(slopes[:-1], weights, strict=True))
            logs = self.compute_metrics(members, y, y_pred, weight)
            slope = slopes[-1]
            slope = tf.where(tf.math.is_finite(slope), slope, 0.0)  # float16 may overflow
            direction = self.ball.steepest_direction(slope, x_adv)
            delta = self.ball.clip_perturbation(delta + step * direction)
        self.delta.assign(tf.concat([delta, self.delta[rows:]], axis=0))
        return logs
