"""Every method as an ART trainer. Importing this module imports neither TensorFlow nor ART."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atk_latent.lazy import lazy

if TYPE_CHECKING:
    from atk_latent.art_bridge.trainers import (
        ATLDTrainer as ATLDTrainer,
        AugmentTrainer as AugmentTrainer,
        BilateralTrainer as BilateralTrainer,
        FeatureScatteringTrainer as FeatureScatteringTrainer,
        FGSMTrainer as FGSMTrainer,
        FreeTrainer as FreeTrainer,
        LADDERCavRandomTrainer as LADDERCavRandomTrainer,
        LADDERGANTrainer as LADDERGANTrainer,
        LADDERRandomTrainer as LADDERRandomTrainer,
        LADDERTrainer as LADDERTrainer,
        LATTrainer as LATTrainer,
        MARTTrainer as MARTTrainer,
        MethodTrainer as MethodTrainer,
        NaturalTrainer as NaturalTrainer,
        PGDTrainer as PGDTrainer,
        TLATrainer as TLATrainer,
        TRADESLADDERTrainer as TRADESLADDERTrainer,
        TRADESTrainer as TRADESTrainer,
    )

__getattr__, __dir__, __all__ = lazy(__name__, __file__)
