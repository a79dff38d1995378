"""Our compiled attacks by name: what a user may set, and what the attacker is said to know.

An attack is one row of data. Its settings are those of the adversary, with their types,
defaults and checks; ``bind`` is the factory ``(estimator, settings, context) -> BoundAttack``
that is registered.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Any

from atk_latent.adversaries.names import make_adversary
from atk_latent.art_bridge import fast_attacks as faces
from atk_latent.art_bridge.adversary_attack import AdversaryAttack
from atk_latent.art_bridge.bound_attack import BoundAttack, check_radius, default_eps
from atk_latent.art_bridge.context import AttackContext
from atk_latent.config import build
from atk_latent.errors import InputError
from atk_latent.results.threat import Access, ThreatModel


@dataclasses.dataclass(frozen=True)
class Own:
    """One of our attacks.

    Args:
        name: of the adversary.
        face: the ART attack it becomes.
        words: the settings that may be written, of the adversary's own.
        access: what the attacker sees.
        defaults: where they are not the adversary's.
        minimal: it looks for a small change: without `eps` any change counts. Else `eps` is
            the customary radius of the images where none is given; see `default_eps`.
        classes: the least number it works with. otherwise: what to use for fewer.
        make: makes what does the work from its settings; default the adversary of the name.
    """

    name: str
    face: type[AdversaryAttack]
    words: str
    access: Access = "white-box"
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    minimal: bool = False
    classes: int = 2
    otherwise: str = ""
    make: Callable[..., Any] | None = None

    def bind(
        self, estimator: Any, settings: Mapping[str, Any], context: AttackContext
    ) -> BoundAttack:
        """Builds the attack on `estimator` from text or typed settings.

        Raises:
            InputError: on an unknown setting, a value that cannot be, or too few classes.
        """
        if estimator.nb_classes < self.classes:
            raise InputError(
                f"it needs at least {self.classes} classes. Received: {estimator.nb_classes}; "
                f"use {self.otherwise}"
            )
        values = dataclasses.asdict(build(self._settings(), settings))  # type: ignore[call-overload]
        norm = values.get("norm", self.face.fixed_norm)
        if "eps" in values and not self.minimal and values["eps"] is None:
            values["eps"] = default_eps(estimator.input_shape, norm)
        check_radius(values.get("eps"), norm)
        attack = self.face.of(estimator, self._made(**values).settings)
        taken = dataclasses.asdict(attack.settings())
        return BoundAttack(
            name=self.name,
            threat=ThreatModel(access=self.access, norm=norm, eps=values.get("eps")),
            attack=attack,
            minimal=self.minimal,
            settings={word: taken[word] for word in values},
        )

    def _made(self, **settings: Any) -> Any:
        return self.make(**settings) if self.make else make_adversary(self.name, **settings)

    def _settings(self) -> type:
        """The dataclass of what may be written."""
        usual = self._made(**self.defaults).settings
        kinds = typing.get_type_hints(type(usual))
        fields: list[Any] = []
        for word in self.words.split():
            if word == "eps":
                fields.append((word, float | None, dataclasses.field(default=None)))
            else:
                fields.append((word, kinds[word], dataclasses.field(default=getattr(usual, word))))
        return dataclasses.make_dataclass("Settings", fields, frozen=True)


_PGD = "eps steps step_size random_start restarts norm keep eot"
_APGD = "eps norm steps restarts eot"
_FAB = "eps norm steps restarts"

fgsm = Own("fgsm", faces.FastPGD, "eps norm").bind
rs_fgsm = Own("rs-fgsm", faces.FastPGD, "eps norm step_size").bind
pgd = Own("pgd", faces.FastPGD, _PGD).bind
bim = Own("bim", faces.FastPGD, "eps steps step_size norm keep eot").bind
mim = Own("mim", faces.FastPGD, "eps steps step_size norm decay keep eot").bind
cw_pgd = Own("cw-pgd", faces.MarginPGD, f"{_PGD} margin").bind
apgd_ce = Own("apgd-ce", faces.APGD, _APGD).bind
apgd_dlr = Own("apgd-dlr", faces.APGD, _APGD, classes=3, otherwise="apgd-ce").bind
apgd_t = Own("apgd-t", faces.APGDTargeted, f"{_APGD} targets", classes=4, otherwise="apgd-ce").bind
fab = Own("fab", faces.FAB, _FAB).bind
fab_t = Own("fab-t", faces.FABTargeted, f"{_FAB} targets").bind
square = Own("square", faces.FastSquare, "eps norm queries restarts share", "score-based").bind
rays = Own("rays", faces.RayS, "eps queries", "decision-based").bind
jsma = Own("jsma", faces.FastJSMA, "theta gamma", minimal=True).bind
cw_l2 = Own(
    "cw-l2",
    faces.FastCarliniL2,
    "eps steps search_steps learning_rate initial_const confidence random_target abort_early",
    defaults={"steps": 100, "search_steps": 6, "learning_rate": 0.05, "initial_const": 1.0},
    minimal=True,
).bind
autoattack = Own(
    "autoattack",
    faces.StandardAutoAttack,
    "eps norm version steps targets queries eot",
    make=faces.StandardAutoAttack.adversary,
).bind
