"""Attacks that know classifier and discriminator: the four groups of ATLD's Table V."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import tensorflow as tf
from art.attacks.attack import EvasionAttack
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent.adversaries.base import Adversary, Classifier
from atk_latent.adversaries.gradient_ascent import AscentSettings, GradientAscent
from atk_latent.adversaries.manifold import CLEAN, JointAscent, Manifold, with_score
from atk_latent.adversaries.noise import RowNoise
from atk_latent.art_bridge.bound_attack import BoundAttack, check_radius, default_eps
from atk_latent.art_bridge.context import AttackContext
from atk_latent.art_bridge.unit_pixels import UnitPixels
from atk_latent.config import build, check_range
from atk_latent.errors import InputError
from atk_latent.inference.loading import load_manifold
from atk_latent.labels import integer_labels
from atk_latent.results.threat import ThreatModel

Group = Literal["joint", "chain", "manifold"]
GROUPS: dict[str, str] = {
    "joint": "classifier and discriminator at once",
    "chain": "the classifier, then one step on the discriminator",
    "manifold": "the discriminator alone",
}


@dataclasses.dataclass(frozen=True)
class ManifoldAttackSettings:
    """How far, and against whom.

    Args:
        eps: float > 0, Linf radius in [0, 1] pixels; None is the customary one of the images.
        steps: int >= 1. step_size: float > 0; None is eps for one step, else eps / 4 (2/255
            for 8/255, the published one).
        loss: of the classifier, "cross-entropy" or "margin"; not asked by "manifold".
        weight: float >= 0, of the discriminator's loss in "joint".
        towards: how the image should look to the discriminator.
        random_start: whether to start at random in the ball.
    """

    eps: float | None = None
    steps: int = 20
    step_size: float | None = None
    loss: Literal["cross-entropy", "margin"] = "cross-entropy"
    weight: float = 1.0
    towards: Literal["clean", "adversarial"] = "clean"
    random_start: bool = True

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        check_radius(self.eps, "linf")
        check_range("weight", self.weight, 0)
        check_range("steps", self.steps, 1)

    def ascent(self, **changes: Any) -> AscentSettings:
        """The climb, with the steps of the published attacks."""
        eps = 0.0 if self.eps is None else self.eps
        step = self.step_size or (eps if self.steps == 1 else eps / 4)
        values = {
            "eps": eps,
            "steps": self.steps,
            "step_size": step,
            "random_start": self.random_start,
            "keep": "last",
            **changes,
        }
        return AscentSettings(**values)


class _Chain(Adversary):
    """Climbs the classifier's loss, then takes one step of eps on the discriminator."""

    def __init__(self, manifold: Manifold, settings: ManifoldAttackSettings) -> None:
        super().__init__()
        self.manifold = manifold
        self.first = GradientAscent(settings.ascent(loss=settings.loss))
        # around where the first ended: as far as a pixel can go inside the ball of the image
        eps = self.first.settings.eps
        self.last = GradientAscent(
            settings.ascent(
                eps=2 * eps,
                steps=1,
                step_size=eps,
                random_start=False,
                targeted=settings.towards == "clean",
            )
        )

    def craft(
        self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor, noise: RowNoise
    ) -> tf.Tensor:
        """Adversarial images; see `Adversary.craft`."""
        found = self.first.craft(classifier, x, y, noise)
        moved = self.last.craft(self.manifold.verdict, found, _clean(x), noise)
        return self.first.ball.project(x, moved)


class _OnManifold(Adversary):
    """Climbs or descends the discriminator's verdict; labels are not asked."""

    def __init__(self, manifold: Manifold, settings: ManifoldAttackSettings) -> None:
        super().__init__()
        self.manifold = manifold
        self.ascent = GradientAscent(settings.ascent(targeted=settings.towards == "clean"))

    def craft(
        self, classifier: Classifier, x: tf.Tensor, y: tf.Tensor, noise: RowNoise
    ) -> tf.Tensor:
        """Adversarial images; see `Adversary.craft`."""
        del classifier, y
        return self.ascent.craft(self.manifold.verdict, x, _clean(x), noise)


class ManifoldAttack(EvasionAttack):
    """An attack that sees classifier and discriminator, as an ART attack.

    Args:
        estimator: ART's `TensorFlowV2Classifier` (or ours) around the bare classifier.
        manifold: of a trained game, `ATLD.manifold`, around the same classifier.
        group: "joint", gradients of both losses; "chain", `steps` on the classifier and one on
            the discriminator; "manifold", on the discriminator alone.
        batch_size: int >= 1. seed: int >= 0 of random starts; None draws one from NumPy's
            global state at each `generate`.
        **settings: of `ManifoldAttackSettings`; lengths in [0, 1] pixels.

    Raises:
        InputError: on an estimator or a setting that will not do.

    Reference: ATLD Table V and section V-F, which state neither the weight of the
        discriminator's loss nor its direction; here the image should look clean, which
        fools the discriminator, or the other way round with ``towards="adversarial"``.
    """

    attack_params: ClassVar[list[str]] = [
        *EvasionAttack.attack_params,
        "group",
        "batch_size",
        "seed",
        *(field.name for field in dataclasses.fields(ManifoldAttackSettings)),
    ]
    _estimator_requirements = (TensorFlowV2Classifier,)

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        manifold: Manifold,
        group: Group = "joint",
        *,
        batch_size: int = 256,
        seed: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(estimator=estimator)
        if group not in GROUPS:
            raise InputError(f"group must be one of {', '.join(GROUPS)}. Received: {group!r}")
        chosen = build(ManifoldAttackSettings, settings)
        eps = default_eps(estimator.input_shape) if chosen.eps is None else chosen.eps
        self.settings = dataclasses.replace(chosen, eps=eps)
        for name, value in dataclasses.asdict(self.settings).items():
            setattr(self, name, value)
        self.manifold, self.group, self.batch_size, self.seed = manifold, group, batch_size, seed
        self.view = UnitPixels(estimator)
        self.adversary, self.seen = self._made()

    def _made(self) -> tuple[Adversary, Classifier]:
        """The adversary and the function of images that it is handed as classifier."""
        if self.group == "joint":
            joint = JointAscent(
                self.settings.ascent(loss=self.settings.loss),
                weight=self.settings.weight,
                towards=self.settings.towards,
            )
            return joint, with_score(self.manifold)
        kind = _Chain if self.group == "chain" else _OnManifold
        return kind(self.manifold, self.settings), self.view.model

    def generate(self, x: np.ndarray, y: np.ndarray | None = None, **kwargs: Any) -> np.ndarray:
        """Adversarial images in the estimator's clip values.

        Args:
            x: (n, H, W, C) inside the clip values.
            y: labels, integers (n,) or one-hot (n, K); None takes the estimator's predictions.
        """
        if y is None:
            y = np.argmax(self.estimator.predict(x, batch_size=self.batch_size), axis=1)
        labels = integer_labels(y, self.estimator.nb_classes)
        seed = np.random.randint(2**31) if self.seed is None else self.seed
        made = self.adversary.craft_all(
            self.seen, self.view.images(x), labels, batch_size=self.batch_size, seed=int(seed)
        )
        return self.view.pixels(made).astype(np.float32)


def _clean(x: tf.Tensor) -> tf.Tensor:
    return tf.fill([tf.shape(x)[0]], CLEAN)


def _bound(group: Group) -> Any:
    """The factory of a group's attack for the registry."""

    def bind(estimator: Any, settings: Mapping[str, Any], context: AttackContext) -> BoundAttack:
        manifold = context.manifold
        if manifold is None:
            manifold = load_manifold(context.run, estimator.model)[0]
        attack = ManifoldAttack(
            estimator, manifold, group, batch_size=estimator.batch_size, **settings
        )
        kind = "" if group == "manifold" else f" {attack.settings.loss}"
        return BoundAttack(
            name=f"atld-{group}",
            threat=ThreatModel(
                access="white-box",
                norm="linf",
                eps=attack.settings.eps,
                knows_defence="discriminator",
            ),
            attack=attack,
            label=f"atld-{group}{kind} {attack.settings.steps}",
            settings=dataclasses.asdict(attack.settings),
        )

    return bind


joint, chain, manifold = _bound("joint"), _bound("chain"), _bound("manifold")
