"""Settings of ATLD: the paper's game, the published code's, and what lies between."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from atk_latent.adversaries.gradient_ascent import AscentSettings
from atk_latent.adversaries.latent_discriminator import Latent
from atk_latent.config import check_linf_eps, check_range
from atk_latent.methods.optimizers import SGDSettings

ThetaTerm = Literal["discriminator", "non-saturating", "mse_ratio", "mse", "none"]


@dataclasses.dataclass(frozen=True)
class ATLDSettings(SGDSettings):
    """How ATLD trains; see `SGDSettings` for the rest.

    Args:
        eps: float >= 0, Linf radius in [0, 1] pixels. steps: int >= 1, of crafting.
        step_size: float > 0; None is eps for one step, else 2.5 * eps / steps.
        random_start: craft from a random point of the ball instead of the clean image.
        latent: what the discriminator sees and the divergence is measured in. latent_layer:
            of "features"; None is the last hidden layer.
        clean_latents: "joint" sends clean and adversarial images through the network as one
            training batch, so both follow the gradient; "inference" takes those of the network
            in inference mode as constants; "batch" the constants of its training mode, with
            batch-norm statistics left alone.
        theta_term: what the classifier minimises beside the cross-entropy: "discriminator",
            L_d0 = mean log D0(adversarial) + mean log(1 - D0(clean)); "non-saturating",
            -mean log(1 - D0(adversarial)), which pulls the same way with a bounded loss; "mse",
            the mean squared difference of the latents; "mse_ratio", the same times the ratio of
            the largest input gradients of cross-entropy and mse; "none".
        coefficient: float >= 0, what the term is multiplied with.
        discriminator: architecture, see `models.manifold_discriminator`.
        discriminator_learning_rate: float > 0. discriminator_decay: whether it falls with the
            classifier's. discriminator_momentum: float in [0, 1).
        discriminator_weight_decay: float >= 0, L2 in the gradient.
        d_steps: int >= 1, discriminator updates a batch.
        discriminator_batches: "joint" normalises clean and adversarial latents by the
            statistics of both together, "separate" each by their own.
        discriminator_mode: "inference" crafts (and judges for the classifier) with the running
            statistics, "training" with those of the batch.
        class_head_smoothing: float in [0, 1), of the labels of the discriminator's class head.
        imt_step_size: float > 0, magnitude of IMT's move in pixels; None is eps. imt_radius:
            float > 0, most it may move a pixel; None is eps.
        imt_low, imt_high: between these probabilities of being clean IMT+ moves by
            imt_magnitude (float in [0, 1]) times as much. imt_scale_radius: the radius, too.
    """

    label_smoothing: float = 0.5
    eps: float = 8 / 255
    steps: int = 1
    step_size: float | None = None
    random_start: bool = False
    latent: Latent = "features"
    latent_layer: str | None = None
    clean_latents: Literal["joint", "inference", "batch"] = "joint"
    theta_term: ThetaTerm = "discriminator"
    coefficient: float = 1.0
    discriminator: Literal["mlp", "wrn", "small"] = "mlp"
    discriminator_learning_rate: float = 0.1
    discriminator_decay: bool = True
    discriminator_momentum: float = 0.9
    discriminator_weight_decay: float = 2e-4
    d_steps: int = 1
    discriminator_batches: Literal["joint", "separate"] = "joint"
    discriminator_mode: Literal["inference", "training"] = "inference"
    class_head_smoothing: float = 0.0
    imt_step_size: float | None = None
    imt_radius: float | None = None
    imt_low: float = 0.3
    imt_high: float = 0.7
    imt_magnitude: float = 0.5
    imt_scale_radius: bool = False

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        super().__post_init__()
        self.ascent()
        check_range("coefficient", self.coefficient, 0)
        check_range("discriminator_learning_rate", self.discriminator_learning_rate, 1e-12)
        check_range("discriminator_momentum", self.discriminator_momentum, 0, 0.999999)
        check_range("discriminator_weight_decay", self.discriminator_weight_decay, 0)
        check_linf_eps(self.eps)
        check_range("d_steps", self.d_steps, 1)
        check_range("class_head_smoothing", self.class_head_smoothing, 0, 0.999999)

    def ascent(self) -> AscentSettings:
        """How the adversarial images are crafted."""
        return AscentSettings(
            eps=self.eps,
            steps=self.steps,
            step_size=self.step_size,
            random_start=self.random_start,
            keep="last",
        )

    def discriminator_optimizer(self, steps_per_epoch: int) -> Any:
        """A fresh optimizer for the discriminator.

        Args:
            steps_per_epoch: int >= 1, batches of an epoch.
        """
        sgd = SGDSettings(
            epochs=self.epochs,
            learning_rate=self.discriminator_learning_rate,
            momentum=self.discriminator_momentum,
            weight_decay=self.discriminator_weight_decay,
            decay_epochs=self.decay_epochs if self.discriminator_decay else (),
            decay_factor=self.decay_factor,
        )
        return sgd.optimizer(steps_per_epoch * self.d_steps)


_OFFICIAL: dict[str, Any] = {
    "random_start": True,
    "latent": "logits",
    "clean_latents": "inference",
    "theta_term": "mse_ratio",
    "coefficient": 0.5,
    "discriminator_learning_rate": 1e-3,
    "discriminator_decay": False,
    "d_steps": 2,
    "discriminator_batches": "separate",
    "discriminator_mode": "training",
    "class_head_smoothing": 0.5,
}
# Reference: ATLD section V, and its published code. The paper has no MNIST; eps 0.3 is the
# customary radius there and the rest of those rows is ours: with a coefficient of 1 LeNet
# falls to chance, all latents alike, before it has learned anything.
RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {
        "any": {
            "epochs": 400,
            "batch_size": 50,
            "learning_rate": 0.1,
            "momentum": 0.9,
            "weight_decay": 2e-4,
            "decay_epochs": (60, 90),
            "augment": "crop-flip",
        },
        "mnist": {
            "eps": 0.3,
            "augment": "none",
            "discriminator": "small",
            "coefficient": 0.1,
            "learning_rate": 0.01,
            "discriminator_learning_rate": 0.01,
        },
    },
    "official": {
        "any": _OFFICIAL,
        "cifar100": {"coefficient": 0.1},
        "svhn": {"learning_rate": 0.01, "imt_high": 0.6, "imt_scale_radius": True},
    },
    # Ours: the difference of logits is what shrinks, not both together, since the gradient
    # follows clean and adversarial images alike; the discriminator crafts and serves IMT.
    "stable": {
        "any": {
            "latent": "logits",
            "theta_term": "mse",
            "clean_latents": "joint",
            "coefficient": 1.0,
        },
    },
    "quick": {
        "any": {"epochs": 15, "decay_epochs": (8, 12)},
        "mnist": {"epochs": 10, "decay_epochs": (6, 8)},
        "digits": {"epochs": 40, "decay_epochs": (25, 35)},
    },
}
