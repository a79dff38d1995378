"""Settings of ATLD: the paper's game, the published code's, and what lies between."""

from __future__ import annotations

import dataclasses
from typing import Literal

import keras

from atk_latent.adversaries.gradient_ascent import AscentSettings
from atk_latent.adversaries.latent_discriminator import Latent
from atk_latent.config import check_linf_eps, check_range, in_pixels, known_as
from atk_latent.errors import InputError
from atk_latent.methods.optimizers import Optimizer
from atk_latent.methods.settings import MethodSettings

ThetaTerm = Literal["discriminator", "non-saturating", "mse_ratio", "mse", "none"]


@dataclasses.dataclass(frozen=True)
class Crafting:
    """How ATLD crafts adversarial images against the discriminator: a part of its settings.

    Args:
        eps: float >= 0, Linf radius in [0, 1] pixels. steps: int >= 1.
        step_size: float > 0; None is eps for one step, else 2.5 * eps / steps.
        random_start: craft from a random point of the ball instead of the clean image.
        clip_start: whether that point is clipped to [0, 1]; the crafted image is in any case.

    Raises:
        InputError: for values out of range.

    Example:
        >>> from atk_latent.methods import Crafting
        >>> Crafting(eps=0.3).ascent().step_length
        0.3
    """

    eps: float = in_pixels(8 / 255)
    steps: int = 1
    step_size: float | None = in_pixels(None)
    random_start: bool = False
    clip_start: bool = True

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        self.ascent()
        check_linf_eps(self.eps)

    def ascent(self) -> AscentSettings:
        """The settings of the adversary."""
        return AscentSettings(
            eps=self.eps,
            steps=self.steps,
            step_size=self.step_size,
            random_start=self.random_start,
            clip_start=self.clip_start,
            keep="last",
        )


@dataclasses.dataclass(frozen=True)
class Divergence:
    """What the classifier minimises beside the cross-entropy: a part of ATLD's settings.

    Args:
        term: "discriminator", L_d0 = mean log D0(adversarial) + mean log(1 - D0(clean));
            "non-saturating", -mean log(1 - D0(adversarial)), which pulls the same way with a
            bounded loss; "mse", the mean squared difference of the latents; "mse_ratio", the
            same times the ratio of the largest input gradients of cross-entropy and mse; "none".
        coefficient: float >= 0, what the term is multiplied with.

    Raises:
        InputError: for values out of range.

    Example:
        >>> from atk_latent.methods import ATLDSettings, Divergence
        >>> ATLDSettings(divergence=Divergence("mse")).divergence.coefficient
        1.0
    """

    term: ThetaTerm = known_as("theta_term", "discriminator")
    coefficient: float = 1.0

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        check_range("coefficient", self.coefficient, 0)


@dataclasses.dataclass(frozen=True)
class DiscriminatorSettings:
    """What the discriminator is and how it learns: a part of ATLD's settings.

    Args:
        architecture: see `models.manifold_discriminator`.
        learning_rate: float > 0. decay: whether it falls with the classifier's.
        momentum: float in [0, 1). weight_decay: float >= 0, L2 in the gradient.
        steps: int >= 1, updates a batch.
        batches: "joint" normalises clean and adversarial latents by the statistics of both
            together, "separate" each by their own.
        first_batch: which of two separate batches goes first; the running statistics remember
            the second one better.
        mode: "inference" crafts (and judges for the classifier) with the running statistics,
            "training" with those of the batch.
        crafting_moves_statistics: whether crafting in mode "training" moves the running
            statistics: first the clean latents do, then those that crafting starts at.
        class_smoothing: float in [0, 1), of the labels of the class head.

    Raises:
        InputError: for values out of range.

    Example:
        >>> from atk_latent.methods import ATLDSettings, DiscriminatorSettings
        >>> ATLDSettings(discriminator=DiscriminatorSettings("small")).discriminator.steps
        1
    """

    architecture: Literal["mlp", "wrn", "small"] = known_as("discriminator", "mlp")
    learning_rate: float = known_as("discriminator_learning_rate", 0.1)
    decay: bool = known_as("discriminator_decay", True)
    momentum: float = known_as("discriminator_momentum", 0.9)
    weight_decay: float = known_as("discriminator_weight_decay", 2e-4)
    steps: int = known_as("d_steps", 1)
    batches: Literal["joint", "separate"] = known_as("discriminator_batches", "joint")
    first_batch: Literal["clean", "adversarial"] = known_as("discriminator_first_batch", "clean")
    mode: Literal["inference", "training"] = known_as("discriminator_mode", "inference")
    crafting_moves_statistics: bool = False
    class_smoothing: float = known_as("class_head_smoothing", 0.0)

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        check_range("discriminator_learning_rate", self.learning_rate, 1e-12)
        check_range("discriminator_momentum", self.momentum, 0, 0.999999)
        check_range("discriminator_weight_decay", self.weight_decay, 0)
        check_range("d_steps", self.steps, 1)
        check_range("class_head_smoothing", self.class_smoothing, 0, 0.999999)
        if self.crafting_moves_statistics and self.mode != "training":
            raise InputError(
                "setting 'crafting_moves_statistics' must go with discriminator_mode=training: "
                "only there are statistics of the batch. Received: discriminator_mode="
                f"{self.mode}"
            )

    def make_optimizer(
        self, classifier: Optimizer, steps_per_epoch: int
    ) -> keras.optimizers.Optimizer:
        """A new Keras optimizer for the discriminator.

        Args:
            classifier: how the classifier is updated, whose epochs decay this rate, too.
            steps_per_epoch: int >= 1, batches of an epoch.
        """
        sgd = Optimizer(
            epochs=classifier.epochs,
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            decay_epochs=classifier.decay_epochs if self.decay else (),
            decay_factor=classifier.decay_factor,
        )
        return sgd.make(steps_per_epoch * self.steps)


@dataclasses.dataclass(frozen=True)
class IMTDefaults:
    """How IMT is to be done after the game: a part of ATLD's settings.

    Args:
        step_size: float > 0, magnitude of IMT's move in pixels; None is that of the game.
        radius: float > 0, most it may move a pixel; None is that of the game.
        low, high: between these probabilities of being clean IMT+ moves by `magnitude` (float
            in [0, 1]) times as much.
        scale_radius: whether the radius is multiplied, too.
        clean_high, fgsm_factor: what the published evaluation does otherwise with images that
            it knows to be clean, or attacked by FGSM; see `inference.imt.IMTSettings`.

    Example:
        >>> from atk_latent.methods import ATLDSettings, Crafting
        >>> ATLDSettings(crafting=Crafting(eps=0.3)).imt.resolved(eps=0.3).radius
        0.3
    """

    step_size: float | None = in_pixels(None, "imt_step_size")
    radius: float | None = in_pixels(None, "imt_radius")
    low: float = known_as("imt_low", 0.3)
    high: float = known_as("imt_high", 0.7)
    magnitude: float = known_as("imt_magnitude", 0.5)
    scale_radius: bool = known_as("imt_scale_radius", False)
    clean_high: float | None = known_as("imt_clean_high", None)
    fgsm_factor: float = known_as("imt_fgsm_factor", 1.0)

    def resolved(self, eps: float) -> IMTDefaults:
        """The same with `eps`, the radius of the game, for what is None."""
        return dataclasses.replace(
            self,
            step_size=eps if self.step_size is None else self.step_size,
            radius=eps if self.radius is None else self.radius,
        )


@dataclasses.dataclass(frozen=True)
class ATLDSettings(MethodSettings):
    """How ATLD trains; see `MethodSettings` for the parts that are not listed here.

    Args:
        optimizer: with a label smoothing of 0.5 where nothing else is set, as in the paper.
        crafting: of the adversarial images. divergence: the classifier's second term.
        discriminator: what it is and how it learns. imt: how IMT is to be done later.
        latent: what the discriminator sees and the divergence is measured in. latent_layer:
            of "features"; None is the last hidden layer.
        clean_latents: "joint" sends clean and adversarial images through the network as one
            training batch, so both follow the gradient; "inference" takes those of the network
            in inference mode as constants; "batch" the constants of its training mode, with
            batch-norm statistics left alone.
        clean_pass_every: int >= 0; after every so many batches, counted from the first, the
            clean images go through the classifier in training mode, which moves its
            batch-norm statistics and nothing else. 0 is never; the published code does it at
            every tenth to log an accuracy.

    Raises:
        InputError: for values that are out of range or do not go together.

    Example:
        >>> from atk_latent.methods import ATLDSettings, Crafting, Optimizer
        >>> settings = ATLDSettings(optimizer=Optimizer(epochs=10), crafting=Crafting(eps=0.3))
        >>> settings.linf_radius
        0.3
    """

    optimizer: Optimizer = Optimizer(label_smoothing=0.5)
    crafting: Crafting = Crafting()
    divergence: Divergence = Divergence()
    discriminator: DiscriminatorSettings = DiscriminatorSettings()
    imt: IMTDefaults = IMTDefaults()
    latent: Latent = "features"
    latent_layer: str | None = None
    clean_latents: Literal["joint", "inference", "batch"] = "joint"
    clean_pass_every: int = 0

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        super().__post_init__()
        check_range("clean_pass_every", self.clean_pass_every, 0)

    @property
    def linf_radius(self) -> float | None:
        """The radius that images are crafted in."""
        return self.crafting.eps
