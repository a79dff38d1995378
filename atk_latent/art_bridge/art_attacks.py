"""ART's evasion attacks by name: a table of specs, with our words and typed settings.

``art:name`` finds every one of them; those that we have none of our own for are registered.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, cast

from art.attacks.attack import EvasionAttack
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent import config
from atk_latent.adversaries.spec import AttackSpec, Values
from atk_latent.art_bridge import art_settings as settings_of
from atk_latent.art_bridge.art_adapters import FromOtherClass, WithoutLabels, art_autoattack
from atk_latent.art_bridge.bound_attack import NORMS, Attack, BoundAttack
from atk_latent.art_bridge.context import AttackContext
from atk_latent.art_bridge.passes import Kind, teller
from atk_latent.results.threat import ThreatModel

_QUIET: Values = {"verbose": False}


@dataclasses.dataclass(frozen=True)
class ArtBinding:
    """How settings become an attack of ART's; called as an `AttackSpec`'s `bind`.

    Args:
        art_class: in `art.attacks.evasion`.
        parameters: our settings that its constructor takes, with ART's names for them.
        fixed: what the constructor is always handed.
        adapt: what is put around the attack, ``adapt(attack, settings)``.
        passes: the passes of its attack that progress counts, and at most how many an image
            makes, ``passes(settings, image_shape)``.
        label: what results call it; default the name.
    """

    art_class: str
    parameters: Mapping[str, str]
    passes: Callable[[Any, tuple[int, ...]], tuple[Kind, int]]
    fixed: Values = dataclasses.field(default_factory=lambda: _QUIET)
    adapt: Callable[[EvasionAttack, Any], Attack] | None = None
    label: str = ""

    def __call__(
        self,
        spec: AttackSpec,
        estimator: TensorFlowV2Classifier,
        values: Values,
        context: AttackContext,
    ) -> BoundAttack:
        """The attack on `estimator`, from text or typed settings.

        Raises:
            InputError: on an unknown setting or a value that cannot be.
        """
        del context
        settings: Any = config.build(spec.settings, values).completed(estimator.input_shape)
        threat = ThreatModel(
            access=spec.access,
            norm=getattr(settings, "norm", spec.norms[0]),
            eps=getattr(settings, "eps", None),
        )
        return BoundAttack(
            name=spec.name,
            threat=threat,
            attack=self.create(settings, estimator),
            label=self.label,
            minimal=spec.minimal,
            settings=dataclasses.asdict(settings),
            teller=teller(*self.passes(settings, estimator.input_shape)),
        )

    def create(self, settings: Any, estimator: TensorFlowV2Classifier) -> Attack:
        """The ART attack, or an adapter with the same ``generate(x, y)``."""
        import art.attacks.evasion as evasion

        arguments = {theirs: getattr(settings, ours) for ours, theirs in self.parameters.items()}
        if "norm" in arguments:
            arguments["norm"] = NORMS[arguments["norm"]][1]
        arguments |= self.fixed
        arguments.setdefault("batch_size", getattr(estimator, "batch_size", 128))
        attack = getattr(evasion, self.art_class)(estimator, **arguments)
        return self.adapt(attack, settings) if self.adapt else cast(Attack, attack)


class _AutoAttackBinding(ArtBinding):
    """ART's suite, whose parts are attacks themselves."""

    def create(self, settings: Any, estimator: TensorFlowV2Classifier) -> Attack:
        """ART's suite with its parts on the compiled estimator."""
        square = settings_of.SquareSettings(
            eps=settings.eps, queries=settings.queries, restarts=settings.restarts
        )
        last = _SQUARE.create(square.completed(estimator.input_shape), estimator)
        return art_autoattack(settings, estimator, last)


def _cw_linf_passes(settings: settings_of.CarliniLinfSettings, _: object) -> tuple[Kind, int]:
    """Of every bound that is tried, each smaller than the one before, down to 1/256."""
    bounds = math.ceil(math.log(1 / 256) / math.log(settings.decrease_factor))
    return "gradients", bounds * settings.steps


_SQUARE = ArtBinding(
    "SquareAttack",
    {"eps": "eps", "queries": "max_iter", "restarts": "nb_restarts", "p_init": "p_init"},
    lambda settings, _: ("predictions", settings.queries * settings.restarts),
)
FGSM = AttackSpec(
    "fgsm",
    settings_of.FGSMSettings,
    norms=("linf", "l2"),
    bind=ArtBinding(
        "FastGradientMethod", {"eps": "eps", "norm": "norm"}, lambda *_: ("gradients", 1), fixed={}
    ),
)
PGD = AttackSpec(
    "pgd",
    settings_of.PGDSettings,
    norms=("linf", "l2"),
    bind=ArtBinding(
        "ProjectedGradientDescent",
        {
            "eps": "eps",
            "steps": "max_iter",
            "step_size": "eps_step",
            "restarts": "num_random_init",
            "norm": "norm",
        },
        lambda settings, _: ("gradients", settings.steps * max(settings.restarts, 1)),
    ),
)
CW_L2 = AttackSpec(
    "cw-l2",
    settings_of.CarliniL2Settings,
    norms=("l2",),
    minimal=True,
    bind=ArtBinding(
        "CarliniL2Method",
        {
            "steps": "max_iter",
            "search_steps": "binary_search_steps",
            "learning_rate": "learning_rate",
            "initial_const": "initial_const",
            "confidence": "confidence",
        },
        lambda settings, _: ("gradients", settings.steps * settings.search_steps),
    ),
)
CW_LINF = AttackSpec(
    "cw-linf",
    settings_of.CarliniLinfSettings,
    minimal=True,
    bind=ArtBinding(
        "CarliniLInfMethod",
        {
            "steps": "max_iter",
            "learning_rate": "learning_rate",
            "decrease_factor": "decrease_factor",
            "confidence": "confidence",
        },
        _cw_linf_passes,
        fixed={**_QUIET, "initial_const": 10.0, "largest_const": 20.0, "const_factor": 5.0},
    ),
)
JSMA = AttackSpec(
    "jsma",
    settings_of.JSMASettings,
    norms=("l0",),
    minimal=True,
    bind=ArtBinding(
        "SaliencyMapMethod",
        {"theta": "theta", "gamma": "gamma"},
        lambda settings, shape: (
            "gradients",
            math.ceil(settings.gamma * math.prod(shape) / 2),
        ),
        adapt=lambda attack, settings: WithoutLabels(attack),
    ),
)
DEEPFOOL = AttackSpec(
    "deepfool",
    settings_of.DeepFoolSettings,
    norms=("l2",),
    minimal=True,
    bind=ArtBinding(
        "DeepFool",
        {"steps": "max_iter", "overshoot": "epsilon", "classes": "nb_grads"},
        lambda settings, _: ("gradients", (settings.steps + 1) * settings.classes),
    ),
)
SQUARE = AttackSpec("square", settings_of.SquareSettings, access="score-based", bind=_SQUARE)
HOPSKIPJUMP = AttackSpec(
    "hopskipjump",
    settings_of.HopSkipJumpSettings,
    access="decision-based",
    norms=("l2", "linf"),
    minimal=True,
    bind=ArtBinding(
        "HopSkipJump",
        {
            "norm": "norm",
            "steps": "max_iter",
            "first_queries": "init_eval",
            "most_queries": "max_eval",
        },
        lambda settings, _: ("predictions", settings.steps * settings.most_queries),
        adapt=lambda attack, settings: FromOtherClass(attack, settings.draws),
    ),
)
AUTOATTACK = AttackSpec(
    "autoattack",
    settings_of.AutoAttackSettings,
    bind=_AutoAttackBinding(
        "AutoAttack",
        {},
        lambda settings, _: ("gradients", 2 * settings.steps * max(settings.restarts, 1)),
        label="autoattack (ART variant)",
    ),
)
ART_ATTACKS = {
    spec.name: spec
    for spec in (FGSM, PGD, CW_L2, CW_LINF, JSMA, DEEPFOOL, SQUARE, HOPSKIPJUMP, AUTOATTACK)
}
