"""LAT: fine-tuning an adversarially trained classifier against moves of its latents."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import ClassVar, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from atk_latent.adversaries.gradient_ascent import AscentSettings, GradientAscent
from atk_latent.arrays import ArraySpec, read_arrays
from atk_latent.checksums import noted_helper
from atk_latent.config import check_range, known_as
from atk_latent.errors import InputError
from atk_latent.files import GIB, FileKind
from atk_latent.methods.adversarial import PGDSettings, PGDTraining
from atk_latent.methods.base import Batch, Logits, Weights
from atk_latent.models.latent import split
from atk_latent.progress import Progress, renamed

STAGE = "adversarial"
_WEIGHTS = FileKind("file of weights", 64 * GIB, "Remove it to train the classifier again")


@dataclasses.dataclass(frozen=True)
class LatentAttack:
    """How latents are attacked beside the images: a part of LAT's settings.

    Args:
        weight: float >= 0, of the loss on attacked latents.
        eps: float >= 0, Linf radius as a share of the range of each channel.
        steps: int >= 1. step_size: float > 0, same unit; None is 2.5 * eps / steps.

    Raises:
        InputError: for values out of range.

    Example:
        >>> from atk_latent.methods import LATSettings, LatentAttack
        >>> LATSettings(latent_attack=LatentAttack(weight=0.5)).latent_attack.steps
        20
    """

    weight: float = known_as("latent_weight", 0.25)
    eps: float = known_as("latent_eps", 8 / 255)
    steps: int = known_as("latent_steps", 20)
    step_size: float | None = known_as("latent_step_size", None)

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        check_range("latent_weight", self.weight, 0)
        self.ascent()

    def ascent(self) -> AscentSettings:
        """The settings of the inner maximisation, each channel scaled to [0, 1]."""
        return AscentSettings(
            eps=self.eps, steps=self.steps, step_size=self.step_size, random_start=True, keep="last"
        )


@dataclasses.dataclass(frozen=True)
class AdversarialStage:
    """Plain adversarial training before the fine-tuning: a part of LAT's settings.

    Args:
        epochs: int >= 0; 0 for a classifier that comes adversarially trained.
        learning_rate: float > 0. decay_epochs: where it falls, see `Optimizer`.

    Raises:
        InputError: for values out of range.

    Example:
        >>> from atk_latent.methods import AdversarialStage, LATSettings
        >>> settings = LATSettings(adversarial=AdversarialStage(epochs=5))
        >>> settings.adversarial_training().optimizer.epochs
        5
    """

    epochs: int = known_as("adversarial_epochs", 0)
    learning_rate: float = known_as("adversarial_learning_rate", 0.1)
    decay_epochs: tuple[int, ...] = known_as("adversarial_decay_epochs", ())

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        check_range("adversarial_epochs", self.epochs, 0)


@dataclasses.dataclass(frozen=True)
class LATSettings(PGDSettings):
    """How images and latents are attacked; see `PGDSettings` for the rest.

    Args:
        latent_layer: name of the layer whose output is attacked; None is the layer that the
            presets name for the model, or the input of the last Dense layer.
        latent_attack: how it is attacked. adversarial: the training before the fine-tuning.
        alpha: 0; there is no clean loss.

    Raises:
        InputError: for values that are out of range or do not go together.

    Example:
        >>> from atk_latent.methods import LATSettings
        >>> LATSettings(eps=0.3, latent_layer="relu2").latent_attack.weight
        0.25
    """

    latent_layer: str | None = None
    latent_attack: LatentAttack = LatentAttack()
    adversarial: AdversarialStage = AdversarialStage()

    def __post_init__(self) -> None:
        """Refuses what does not go together."""
        super().__post_init__()
        if self.alpha:
            raise InputError(
                f"setting 'alpha' must be 0: LAT has no clean loss. Received: {self.alpha!r}"
            )
        self.adversarial_training()

    def adversarial_training(self) -> PGDSettings:
        """The training that comes first; decay epochs of its own have the schedule they need."""
        first = self.adversarial
        optimizer = dataclasses.replace(
            self.optimizer,
            epochs=first.epochs,
            learning_rate=first.learning_rate,
            decay_epochs=first.decay_epochs,
            schedule="steps" if first.decay_epochs else self.optimizer.schedule,
        )
        shared = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(PGDSettings)
        }
        return PGDSettings(**{**shared, "optimizer": optimizer})


class Passed(NamedTuple):
    """Logits (B, K) of attacked images, and of attacked latents."""

    logits_adv: tf.Tensor
    latent_logits: tf.Tensor


class LAT(PGDTraining):
    """Fine-tunes against attacks on the image and, beside them, on one latent layer.

    The loss is

        J(x_adv, y) + w * J(head(z_adv), y),

    with x_adv the PGD images of a batch and z_adv the result of PGD on the latents of its
    clean images: a random start and sign steps in a ball whose radius in each channel is a
    share of that channel's range in the batch, and never out of that range. z_adv is a
    constant, so its loss trains the layers behind it. `prepare` trains a new classifier
    adversarially first.

    Args:
        classifier: Keras model, images (B, H, W, C) in [0, 1] to logits (B, K).
        settings: see `LATSettings`.
        seed: int >= 0, of the order of the data and the random starts.

    Raises:
        InputError: if the classifier cannot be cut at the latent layer.

    Reference: Kumari et al., IJCAI 2019; settings of its published code for CIFAR-10, which
        attacks the output of the second of three groups of WRN-28-10.
    Differs: one step on the sum of both losses, where the code takes two steps in turn, of
        rates 2.5e-4 (latents) and 1e-3 (images), hence the weight 0.25; latents are attacked
        in inference mode. LeNet's layer and all settings for MNIST are ours.

    Example:
        >>> import keras, numpy as np
        >>> from atk_latent.methods import LAT, LATSettings, Optimizer
        >>> layers = [keras.layers.Flatten(), keras.layers.Dense(8), keras.layers.Dense(2)]
        >>> x = np.random.default_rng(0).random((32, 4, 4, 1), np.float32)
        >>> y = (x.mean(axis=(1, 2, 3)) > 0.5).astype(int)
        >>> settings = LATSettings(optimizer=Optimizer(epochs=2), steps=2)
        >>> method = LAT(keras.Sequential([keras.Input((4, 4, 1)), *layers]), settings)
        >>> method.prepare(x, y)  # plain adversarial training first, where the settings say so
        >>> len(method.harden(x, y))
        2
    """

    settings_type: ClassVar[type[LATSettings]] = LATSettings
    settings: LATSettings

    def __init__(
        self, classifier: keras.Model, settings: LATSettings | None = None, *, seed: int = 0
    ) -> None:
        super().__init__(classifier, settings, seed=seed)
        self.features, self.head = split(self.classifier, self.settings.latent_layer)
        self.latent_adversary = GradientAscent(
            self.settings.latent_attack.ascent(), seed=self.seeds
        )

    def prepare(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Trains the classifier adversarially, or loads it from `folder` where that is done."""
        settings = self.settings.adversarial_training()
        if not settings.optimizer.epochs:
            return
        done = folder / "adversarial.npz" if folder else None
        if done and done.exists():
            weights = self.classifier.get_weights()
            specs = {f"arr_{i}": ArraySpec("fiu", w.shape) for i, w in enumerate(weights)}
            self.classifier.set_weights(list(read_arrays(done, _WEIGHTS, specs).values()))
            return
        state = folder / "checkpoint-adversarial" if folder else None
        PGDTraining(self.classifier, settings, seed=self.seed).harden(
            x, y, folder=state, progress=renamed(progress, STAGE)
        )
        if done and state:
            with noted_helper(done) as part:
                np.savez(part, *self.classifier.get_weights())
            shutil.rmtree(state, ignore_errors=True)

    def perturb_latents(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Attacked latents of images, the shape of the layer's output."""
        z = tf.cast(self.features(x, training=False), tf.float32)
        axes = list(range(z.shape.rank - 1))
        low, high = (reduce(z, axis=axes) for reduce in (tf.reduce_min, tf.reduce_max))

        def logits(share: tf.Tensor) -> tf.Tensor:
            return self.head(low + share * (high - low), training=False)

        share = tf.math.divide_no_nan(z - low, high - low)
        return low + self.latent_adversary(logits, share, y) * (high - low)

    def train_step(self, data: tuple[Batch, ...]) -> dict[str, tf.Tensor]:
        """Attacks images and latents, then takes one optimizer step."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        members = (self.perturb(x, y), tf.stop_gradient(self.perturb_latents(x, y)))
        return super().train_step((members, y, weight))

    def call(self, inputs: Batch, training: bool | None = None) -> Batch:
        """Logits of images; of a pair of images and latents, the logits of both."""
        if not isinstance(inputs, tuple | list):
            return super().call(inputs, training)
        x_adv, z_adv = inputs
        return Passed(
            self.classifier(x_adv, training=training), self.head(z_adv, training=training)
        )

    def method_loss(self, y: Batch, y_pred: Logits, weight: Weights, training: bool) -> tf.Tensor:
        """Loss of attacked images plus that of attacked latents."""
        images, latents = (self.compiled_loss(y, logits, weight, training) for logits in y_pred)
        return images + self.settings.latent_attack.weight * (latents - self.penalties())

    def compute_metrics(
        self, x: Batch, y: Batch, y_pred: Batch, sample_weight: Weights = None
    ) -> dict[str, tf.Tensor]:
        """Those of every method; `adversarial_accuracy` is that of attacked images."""
        if isinstance(y_pred, Passed):
            y_pred = (y_pred.logits_adv,)
        return super().compute_metrics(x, y, y_pred, sample_weight)
