"""Latent-space adversarial defences for Keras 3 / TensorFlow, dressed for ART.

Importing this package imports neither TensorFlow nor ART.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from atk_latent.lazy import lazy

__version__ = "0.1.0"

if TYPE_CHECKING:
    from atk_latent import (
        attacks as attacks,
        estimators as estimators,
        inference as inference,
        methods as methods,
        trainers as trainers,
    )
    from atk_latent.api import (
        Hardened as Hardened,
        audit as audit,
        evaluate as evaluate,
        export as export,
        harden as harden,
        load_dataset as load_dataset,
    )
    from atk_latent.attacks import (
        APGD as APGD,
        FAB as FAB,
        APGDTargeted as APGDTargeted,
        FABTargeted as FABTargeted,
        FastCarliniL2 as FastCarliniL2,
        FastJSMA as FastJSMA,
        FastPGD as FastPGD,
        FastSquare as FastSquare,
        LADDERAttack as LADDERAttack,
        ManifoldAttack as ManifoldAttack,
        MarginPGD as MarginPGD,
        RayS as RayS,
        StandardAutoAttack as StandardAutoAttack,
        UnrestrictedGAN as UnrestrictedGAN,
    )
    from atk_latent.data.dataset import (
        Dataset as Dataset,
    )
    from atk_latent.errors import (
        InputError as InputError,
    )
    from atk_latent.estimators import (
        CompiledKerasClassifier as CompiledKerasClassifier,
        IMTPreprocessor as IMTPreprocessor,
    )
    from atk_latent.inference import (
        IMT as IMT,
        IMTClassifier as IMTClassifier,
        IMTSettings as IMTSettings,
    )
    from atk_latent.methods import (
        ATLD as ATLD,
        LADDER as LADDER,
    )
    from atk_latent.trainers import (
        ATLDTrainer as ATLDTrainer,
        AugmentTrainer as AugmentTrainer,
        BilateralTrainer as BilateralTrainer,
        FeatureScatteringTrainer as FeatureScatteringTrainer,
        FGSMTrainer as FGSMTrainer,
        FreeTrainer as FreeTrainer,
        LADDERTrainer as LADDERTrainer,
        LATTrainer as LATTrainer,
        MARTTrainer as MARTTrainer,
        PGDTrainer as PGDTrainer,
        TLATrainer as TLATrainer,
        TRADESLADDERTrainer as TRADESLADDERTrainer,
        TRADESTrainer as TRADESTrainer,
    )

__getattr__, __dir__, __all__ = lazy(__name__, __file__)
__all__ += ["__version__"]
