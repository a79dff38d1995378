"""Attacks that know classifier and discriminator, ATLD's Table V, as ART attacks."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal, cast

import numpy as np
from art.attacks.attack import EvasionAttack
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent import config
from atk_latent.adversaries.base import Adversary, Classifier
from atk_latent.adversaries.discriminator_attacks import (
    ChainAscent,
    DiscriminatorAscent,
    JointAscent,
    ManifoldAttackSettings,
)
from atk_latent.adversaries.latent_discriminator import LatentDiscriminator, with_score
from atk_latent.adversaries.spec import AttackSpec, Values
from atk_latent.art_bridge.bound_attack import BoundAttack, default_eps
from atk_latent.art_bridge.context import AttackContext
from atk_latent.art_bridge.inputs import drawn_seed, labels_for
from atk_latent.art_bridge.unit_pixels import UnitPixels
from atk_latent.config import build
from atk_latent.errors import InputError
from atk_latent.inference.loading import load_manifold
from atk_latent.progress import Progress
from atk_latent.results.threat import ThreatModel

Group = Literal["joint", "chain", "manifold"]
_LENGTHS = ("eps", "step_size")  # settings in the units of pixels
GROUPS: dict[str, str] = {
    "joint": "classifier and discriminator at once",
    "chain": "the classifier, then one step on the discriminator",
    "manifold": "the discriminator alone",
}


class ManifoldAttack(EvasionAttack):
    """An attack that sees classifier and discriminator, as an ART attack.

    Args:
        estimator: ART's `TensorFlowV2Classifier` (or ours) around the bare classifier.
        manifold: of a trained game, `ATLD.manifold`, around the same classifier.
        group: "joint", gradients of both losses; "chain", `steps` on the classifier and one on
            the discriminator; "manifold", on the discriminator alone.
        batch_size: int >= 1. seed: int >= 0 of random starts; None draws one from NumPy's
            global state at each `generate`.
        **settings: of `ManifoldAttackSettings`; lengths (`eps`, `step_size`) in the estimator's
            own pixel units, those of its `clip_values`.

    Raises:
        InputError: on an estimator or a setting that will not do.

    Reference: ATLD Table V and section V-F, which state neither the weight of the
        discriminator's loss nor its direction; here the image should look clean, which
        fools the discriminator, or the other way round with ``towards="adversarial"``.

    Example:
        >>> from atk_latent.methods import ATLD
        >>> game = ATLD(estimator.model)  # after training: ATLDTrainer(...).trained
        >>> attack = ManifoldAttack(estimator, game.manifold, eps=0.3, steps=2)
        >>> attack.generate(x, y).shape == x.shape
        True
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
        manifold: LatentDiscriminator,
        group: Group = "joint",
        *,
        batch_size: int = 256,
        seed: int | None = None,
        **settings: object,
    ) -> None:
        super().__init__(estimator=estimator)
        self.manifold, self.group, self.batch_size, self.seed = manifold, group, batch_size, seed
        self.view = UnitPixels(estimator)
        self.progress: Progress | None = None
        defaults = dataclasses.asdict(ManifoldAttackSettings())
        for name, value in {**defaults, **settings}.items():
            if name not in defaults:
                build(ManifoldAttackSettings, {name: value})  # refuses it, with the nearest name
            setattr(self, name, value)
        self._check_params()

    def _check_params(self) -> None:
        """Refuses what will not do, and makes the adversary of the present parameters."""
        if self.group not in GROUPS:
            raise InputError(f"group must be one of {', '.join(GROUPS)}. Received: {self.group!r}")
        names = [field.name for field in dataclasses.fields(ManifoldAttackSettings)]
        values = {name: getattr(self, name) for name in names}
        for name in _LENGTHS:
            if values[name] is not None:
                values[name] = config.number(values[name], name) / self.view.range.width
        settings = build(ManifoldAttackSettings, values)
        eps = default_eps(self.estimator.input_shape) if settings.eps is None else settings.eps
        self.settings = dataclasses.replace(settings, eps=eps)
        self.adversary, self.classifier = self._parts()

    def __getstate__(self) -> dict[str, object]:
        """The state without what was compiled for the estimator."""
        cleared = dict.fromkeys(("view", "adversary", "classifier", "progress"))
        return {**self.__dict__, **cleared}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Makes the adversary anew around the copied estimator."""
        self.__dict__.update(state)
        self.view = UnitPixels(self.estimator)
        self._check_params()

    def _parts(self) -> tuple[Adversary, Classifier]:
        """The adversary and the function of images that it is handed as classifier."""
        if self.group == "joint":
            joint = JointAscent(
                self.settings.ascent(loss=self.settings.loss),
                weight=self.settings.weight,
                towards=self.settings.towards,
            )
            return joint, with_score(self.manifold)
        kind = ChainAscent if self.group == "chain" else DiscriminatorAscent
        return kind(self.manifold, self.settings), self.view.model

    def generate(self, x: np.ndarray, y: np.ndarray | None = None, **kwargs: object) -> np.ndarray:
        """Adversarial images in the estimator's clip values.

        Args:
            x: (n, H, W, C) inside the clip values.
            y: labels, integers (n,) or one-hot (n, K); None takes the estimator's predictions.
        """
        x_adv = self.adversary.craft_all(
            self.classifier,
            self.view.images(x),
            labels_for(self.estimator, x, y, self.batch_size),
            batch_size=self.batch_size,
            seed=drawn_seed(self.seed),
            progress=self.progress,
        )
        return self.view.pixels(x_adv).astype(np.float32)


def _bind(
    spec: AttackSpec, estimator: TensorFlowV2Classifier, values: Values, context: AttackContext
) -> BoundAttack:
    """A group's attack on `estimator`; the discriminator is that of IMT, or the run's.

    Raises:
        InputError: on a setting that will not do, or without a discriminator.
    """
    group = cast(Group, spec.name.removeprefix("atld-"))
    manifold = context.manifold or load_manifold(context.run, estimator.model)[0]
    options: Any = dataclasses.asdict(build(ManifoldAttackSettings, values))
    width = UnitPixels(estimator).range.width
    for name in _LENGTHS:
        options[name] = None if options[name] is None else width * options[name]
    attack = ManifoldAttack(estimator, manifold, group, batch_size=estimator.batch_size, **options)
    settings = attack.settings
    kind = "" if group == "manifold" else f" {settings.loss}"
    threat = ThreatModel(
        access=spec.access, norm="linf", eps=settings.eps, knows_defence="discriminator"
    )
    return BoundAttack(
        name=spec.name,
        threat=threat,
        attack=attack,
        label=f"{spec.name}{kind} {settings.steps}",
        settings=dataclasses.asdict(settings),
    )


JOINT = AttackSpec(
    "atld-joint",
    ManifoldAttackSettings,
    needs=("discriminator",),
    attack_class=ManifoldAttack,
    bind=_bind,
)
CHAIN = dataclasses.replace(JOINT, name="atld-chain", variant_of=JOINT)
MANIFOLD = dataclasses.replace(JOINT, name="atld-manifold", variant_of=JOINT)
