"""Attacks by the name that a user writes: ours where we have it, else ART's."""

from __future__ import annotations

import keras
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent import config
from atk_latent.adversaries.spec import AttackSpec, Values
from atk_latent.art_bridge.art_attacks import ART_ATTACKS
from atk_latent.art_bridge.attack_classes import bind_adversary
from atk_latent.art_bridge.bound_attack import BoundAttack
from atk_latent.art_bridge.context import AttackContext
from atk_latent.errors import InputError
from atk_latent.models.differentiable import has_gradients
from atk_latent.registry import ATTACKS


def make_attack(
    spec: str, estimator: TensorFlowV2Classifier, context: AttackContext | None = None
) -> BoundAttack:
    """The attack that `spec` describes, ready to run on `estimator`.

    Args:
        spec: ``name`` or ``name:key=value,key=value``; ``art:name`` takes ART's own where
            the name alone would be ours.
        estimator: the ART estimator the attack is crafted on.
        context: what an attack may need beside it.

    Raises:
        InputError: on an unknown name or setting (with the nearest one), a value that cannot
            be, or too few classes.
    """
    name, values = config.spec(spec)
    known = attack_spec(name)
    try:
        return bind_attack(known, estimator, values, context or AttackContext())
    except InputError as error:
        raise InputError(f"attack '{name}': {error}") from None


def bind_attack(
    spec: AttackSpec, estimator: TensorFlowV2Classifier, values: Values, context: AttackContext
) -> BoundAttack:
    """The attack of a spec on `estimator`, from text or typed options.

    Raises:
        InputError: on an unknown option, a value that cannot be, too few classes, or a model
            without the gradients that the attack needs.
    """
    if spec.access == "white-box":
        require_gradients(estimator)
    if estimator.nb_classes < spec.least_classes:
        raise InputError(
            f"it needs at least {spec.least_classes} classes. "
            f"Received: {estimator.nb_classes}; use {spec.fewer_classes}"
        )
    return (spec.bind or bind_adversary)(spec, estimator, values, context)


def require_gradients(estimator: TensorFlowV2Classifier) -> None:
    """Refuses a model that attacks by gradient cannot see through.

    Raises:
        InputError: naming the attacks that need none.
    """
    model = estimator.model
    if not isinstance(model, keras.Model) or has_gradients(model, estimator.input_shape):
        return
    blind = [n for n in ATTACKS if ATTACKS[n].access != "white-box" and not ATTACKS[n].needs]
    raise InputError(
        f"model '{model.name}' has no gradients with respect to its images (a SavedModel "
        "that rounds, or was saved without them). These attacks need none: " + ", ".join(blind)
    )


def attack_spec(name: str) -> AttackSpec:
    """The spec of a registered attack, or with ``art:name`` that of ART's own.

    Raises:
        InputError: on an unknown name, with the nearest one.
    """
    if not name.startswith("art:"):
        spec: AttackSpec = ATTACKS[name]
        return spec
    plain = name.removeprefix("art:")
    if plain not in ART_ATTACKS:
        ATTACKS.entry(plain)  # an unknown name gets its hint
        raise InputError(f"ART has no attack '{plain}'. It has: {', '.join(ART_ATTACKS)}")
    return ART_ATTACKS[plain]
