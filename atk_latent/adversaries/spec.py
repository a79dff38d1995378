"""What an attack says of itself: one `AttackSpec` beside each adversary."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal

import keras

from atk_latent.config import build
from atk_latent.registry import ATTACKS
from atk_latent.results.threat import Access, Norm

Values = Mapping[str, object]
Need = Literal["imt", "discriminator", "ladder", "gan"]


@dataclasses.dataclass(frozen=True)
class ArtParameter:
    """A parameter of an attack's ART class that stands for a setting of the adversary.

    Args:
        name: the parameter, in ART's words.
        default: its default; lengths in the estimator's pixel units.
        setting: the adversary's setting, where it is called otherwise.
        keyword_only: it cannot be passed by position.
        kind: its type, where it is not that of the setting.
        text: its line of documentation, where it is not that of the setting.
        to_settings: the settings that a value stands for, where it is not just one.
        from_settings: the value that stands for settings, likewise.
    """

    name: str
    default: object
    setting: str = ""
    keyword_only: bool = False
    kind: Any = None
    text: str = ""
    to_settings: Callable[[Any], Values] | None = None
    from_settings: Callable[[Any], object] | None = None

    @property
    def stands_for(self) -> str:
        """The adversary's setting."""
        return self.setting or self.name


BATCH_SIZE = "batch_size"  # a parameter of every ART class, of no adversary
NB_TARGETS = ArtParameter(
    "nb_targets",
    9,
    "targets",
    keyword_only=True,
    text="int >= 1, classes aimed at: those next to the label in the clean logits.",
)


@dataclasses.dataclass(frozen=True)
class ArtClass:
    """How an attack looks as a class of ART.

    Args:
        summary: what it does, one paragraph.
        parameters: in ART's order; one of them is `BATCH_SIZE`.
        differs: how it departs from the class of ART's that has the same parameters.
    """

    summary: str
    parameters: tuple[ArtParameter, ...]
    differs: str = ""


@dataclasses.dataclass(frozen=True)
class AttackSpec:
    """An attack: what runs it, what a user may set, what the attacker knows.

    The command line's settings, the ART class, the line of `atkl list` and the tests of every
    attack come from it. Its one-line summary stands in `registry.ATTACKS`, so that listing
    names imports no TensorFlow.

    Args:
        name: as registered.
        settings: the frozen dataclass of the adversary's settings.
        options: the settings that ``name:key=value`` may set.
        factory: makes the adversary, ``factory(settings, seed=seed)``; None where `bind` does
            all of it.
        defaults: settings that differ from those of the dataclass.
        option_defaults: those that differ on the command line alone.
        access: what the attacker sees.
        norms: what the change can be measured in, the default first.
        least_classes: of the classifier. fewer_classes: what to use where there are fewer.
        minimal: it looks for a small change: without `eps` any change counts. Else `eps` is
            the customary radius of the images where it is left open.
        art: its ART class; None makes one whose parameters are `options`.
        variant_of: the attack whose ART class it is, with other settings.
        needs: what it must be handed beside the estimator.
        attack_class: the ART class, where it is written by hand.
        bind: ``bind(spec, estimator, values, context)`` makes the attack on an estimator, where
            the attack is more than an adversary and its settings.
    """

    name: str
    settings: type
    options: tuple[str, ...] = ()
    factory: Callable[..., Any] | None = None
    defaults: Values = dataclasses.field(default_factory=dict)
    option_defaults: Values = dataclasses.field(default_factory=dict)
    access: Access = "white-box"
    norms: tuple[Norm, ...] = ("linf",)
    least_classes: int = 2
    fewer_classes: str = ""
    minimal: bool = False
    art: ArtClass | None = None
    variant_of: AttackSpec | None = None
    needs: tuple[Need, ...] = ()
    attack_class: type | None = None
    bind: Callable[..., Any] | None = None

    @property
    def summary(self) -> str:
        """The line of `atkl list`."""
        return ATTACKS.entry(self.name).summary

    def variant(self, name: str, options: tuple[str, ...], **defaults: object) -> AttackSpec:
        """The same attack under another name: other options, `defaults` on top of its own."""
        merged = {**self.defaults, **defaults}
        root = self.variant_of or self
        return dataclasses.replace(
            self, name=name, options=options, defaults=merged, variant_of=root
        )

    def adversary(self, *, seed: int | keras.random.SeedGenerator = 0, **settings: object) -> Any:
        """The adversary with `settings`, values or text (``eps="8/255"``), on top of `defaults`.

        Raises:
            InputError: on an unknown setting (with the nearest one) or a value that cannot be.
        """
        if self.factory is None:
            raise TypeError(f"attack '{self.name}' has no adversary of its own")
        return self.factory(build(self.settings, {**self.defaults, **settings}), seed=seed)

    def read_options(self, values: Values) -> dict[str, object]:
        """All options, those in `values` (text or typed) and the defaults of the others.

        An `eps` that is left open is None.

        Raises:
            InputError: on an unknown option (with the nearest one) or a value of another type.
        """
        usual = self.adversary(**self.option_defaults).settings
        kinds = typing.get_type_hints(self.settings)
        fields: list[Any] = []
        for option in self.options:
            if option == "eps":
                fields.append((option, float | None, dataclasses.field(default=None)))
            else:
                default = dataclasses.field(default=getattr(usual, option))
                fields.append((option, kinds[option], default))
        return dataclasses.asdict(
            build(dataclasses.make_dataclass("Options", fields, frozen=True), values)
        )
