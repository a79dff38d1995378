"""TRADES: accuracy on clean images and agreement around them; on LADDER examples too."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import keras
import tensorflow as tf

from atk_latent.adversaries.base import Adversary
from atk_latent.adversaries.kl_ascent import KLAscent, KLSettings, kl_divergence
from atk_latent.config import check_range
from atk_latent.errors import InputError
from atk_latent.methods.adversarial import BallSettings, BallTraining
from atk_latent.methods.base import Batch, Logits, Method, Weights
from atk_latent.methods.fixed_set import FixedSet
from atk_latent.methods.ladder import LADDER, LADDERSettings


def trades_loss(
    method: Method, y: tf.Tensor, logits: Logits, beta: float, weight: Weights = None
) -> tf.Tensor:
    """CE(f(x), y) + beta * mean KL(softmax f(x) || softmax f(x_adv)).

    Gradients flow into both of `logits`.

    Args:
        method: holds the compiled cross-entropy. y: labels.
        logits: of the clean images and of the adversarial ones crafted from them.
        beta: weight of the divergence. weight: sample weights (B,) or None.

    Reference: Zhang et al. 2019, Eq 5.
    """
    clean, adversarial = logits
    divergence = method.mean(kl_divergence(clean, adversarial), weight)
    return method.compiled_loss(y, clean, weight) + beta * divergence


@dataclasses.dataclass(frozen=True)
class TRADESSettings(BallSettings):
    """The ascent and the loss, beside `BallSettings`.

    Args:
        steps: int >= 1; `step_size` None is 2.5 * eps / steps, at most eps.
        beta: float >= 0, weight of the divergence (the paper's 1 / lambda).

    Example:
        >>> from atk_latent.methods import TRADESSettings
        >>> TRADESSettings(eps=0.3, steps=40, beta=1.0).divergence_ascent().steps
        40
    """

    steps: int = 10
    beta: float = 6.0

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        super().__post_init__()
        check_range("beta", self.beta, 0)
        self.divergence_ascent()

    def divergence_ascent(self) -> KLSettings:
        """The settings of the inner maximisation."""
        return KLSettings(self.eps, self.norm, self.steps, self.step_size)


class TRADES(BallTraining):
    """Trains for accuracy on clean images and for the same answer all over the ball.

    Examples climb the divergence from x + 0.001 N(0, 1), in inference mode; see `KLAscent`.

    Args:
        classifier, settings, seed: as for `BallTraining`.

    Reference: Zhang et al. 2019, "Theoretically principled trade-off between robustness and
        accuracy", Eq 5, Algorithm 1; settings of the published code.

    Example:
        >>> import keras, numpy as np
        >>> from atk_latent.methods import Optimizer, TRADES, TRADESSettings
        >>> layers = [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2)]
        >>> x = np.random.default_rng(0).random((32, 4, 4, 1), np.float32)
        >>> y = (x.mean(axis=(1, 2, 3)) > 0.5).astype(int)
        >>> settings = TRADESSettings(optimizer=Optimizer(epochs=2), steps=2)
        >>> method = TRADES(keras.Sequential(layers), settings)
        >>> logs = method.harden(x, y)
        >>> len(logs), 0 <= logs[-1]["adversarial_accuracy"] <= 1
        (2, True)
    """

    settings_type: ClassVar[type[TRADESSettings]] = TRADESSettings
    settings: TRADESSettings

    def make_adversary(self) -> Adversary:
        """The ascent on the divergence."""
        return KLAscent(self.settings.divergence_ascent(), seed=self.seeds)

    def method_loss(self, y: Batch, y_pred: Logits, weight: Weights, training: bool) -> tf.Tensor:
        """See `trades_loss`; cross-entropy alone where there are no adversarial images."""
        return trades_loss(self, y, y_pred, self.settings.beta, weight)


@dataclasses.dataclass(frozen=True)
class TRADESLADDERSettings(LADDERSettings):
    """As `LADDERSettings`; `alpha` is not used.

    Args:
        fixed_set: its originals must be "paired", since the two images of a divergence belong
            together.
        beta: float >= 0, weight of the divergence.

    Raises:
        InputError: for values that are out of range or do not go together.

    Example:
        >>> from atk_latent.methods import TRADESLADDERSettings
        >>> TRADESLADDERSettings(beta=6.0).fixed_set.originals
        'paired'
    """

    fixed_set: FixedSet = FixedSet(originals="paired")
    beta: float = 1.0

    def __post_init__(self) -> None:
        """Refuses what does not go together."""
        super().__post_init__()
        check_range("beta", self.beta, 0)
        if self.fixed_set.originals != "paired":
            raise InputError(
                "setting 'originals' must be paired for TRADES' loss, which compares an "
                f"example with the image it was made from. Received: {self.fixed_set.originals!r}"
            )


class TRADESLADDER(LADDER):
    """LADDER with TRADES' loss: the same answer for an image and its LADDER example.

    Reference: LADDER section 4.5, Table 5. There is no published code; that the example
        takes the place of TRADES' own is how the text reads. `beta` is not stated: 1, as
        TRADES takes on MNIST.

    Example:
        >>> from atk_latent.methods import TRADESLADDER
        >>> TRADESLADDER.settings_for("lenet", "mnist", "paper", {"beta": 6}).beta
        6.0
    """

    settings_type: ClassVar[type[TRADESLADDERSettings]] = TRADESLADDERSettings
    settings: TRADESLADDERSettings

    def __init__(
        self,
        classifier: keras.Model,
        settings: TRADESLADDERSettings | None = None,
        *,
        seed: int = 0,
    ) -> None:
        super().__init__(classifier, settings, seed=seed)
        self.alpha = 0.5  # both halves of a batch are needed

    def method_loss(self, y: Batch, y_pred: Logits, weight: Weights, training: bool) -> tf.Tensor:
        """See `trades_loss`."""
        return trades_loss(self, y, y_pred, self.settings.beta, weight)
