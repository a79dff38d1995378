"""Any attack on the whole pipeline of IMT and classifier."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

from art.estimators.classification import TensorFlowV2Classifier

from atk_latent.adversaries.spec import AttackSpec, Values
from atk_latent.art_bridge.bound_attack import BoundAttack
from atk_latent.art_bridge.context import AttackContext
from atk_latent.art_bridge.factory import attack_spec, bind_attack
from atk_latent.art_bridge.imt import pipeline_estimator
from atk_latent.config import build
from atk_latent.errors import InputError
from atk_latent.inference.imt import Backward


@dataclass(frozen=True)
class ThroughIMTSettings:
    """What ``through-imt:key=value`` may say; all other options are the inner attack's.

    Args:
        attack: registered name of the attack that is run on the whole pipeline.
        backward, sharpness: see `IMT`.
    """

    attack: str = "pgd"
    backward: Backward = "identity"
    sharpness: float = 10.0


def _bind(
    spec: AttackSpec, estimator: TensorFlowV2Classifier, values: Values, context: AttackContext
) -> BoundAttack:
    """Any registered attack, on the classifier with IMT before it.

    With "smooth" the images are made on the surrogate; like all others they are scored on
    the true pipeline. Nothing in the pipeline is random, so no expectation over it is taken.

    Raises:
        InputError: without IMT, or on a setting that will not do.
    """
    if context.imt is None:
        raise InputError("there is no IMT to attack through; evaluate with --inference imt or imt+")
    names = [field.name for field in fields(ThroughIMTSettings)]
    own = {name: values[name] for name in names if name in values}
    settings = build(ThroughIMTSettings, own)
    if settings.attack == spec.name:
        raise InputError(f"setting 'attack' must be another attack. Received: '{spec.name}'")
    pipeline = pipeline_estimator(
        context.imt,
        backward=settings.backward,
        sharpness=settings.sharpness,
        batch_size=estimator.batch_size,
    )
    rest = {name: value for name, value in values.items() if name not in own}
    inner = bind_attack(attack_spec(settings.attack), pipeline, rest, context)
    return replace(
        inner,
        name=spec.name,
        label=f"{inner.title} through IMT ({settings.backward})",
        threat=inner.threat.model_copy(update={"knows_defence": settings.backward}),
        settings={**asdict(settings), **inner.settings},
    )


THROUGH_IMT = AttackSpec("through-imt", ThroughIMTSettings, needs=("imt",), bind=_bind)
