"""ATLD as an ART trainer."""

from __future__ import annotations

from typing import Any

from atk_latent.art_bridge.imt import IMTPreprocessor
from atk_latent.art_bridge.trainers import MethodTrainer
from atk_latent.errors import InputError
from atk_latent.inference.imt import IMTSettings, Variant


class ATLDTrainer(MethodTrainer):
    """ATLD; see `MethodTrainer` and `methods.atld.ATLD`.

    ``trainer.preprocessor()`` is the IMT of the trained game, for ``preprocessing_defences``
    of an estimator around the same model.
    """

    method = "atld"

    def preprocessor(self, variant: Variant = "imt", **options: Any) -> IMTPreprocessor:
        """IMT of the trained game, in the classifier's own pixel units.

        Args:
            variant: "imt" or "imt+". **options: of `IMTPreprocessor`; `settings` are those that
                the game was trained with unless given.

        Raises:
            InputError: before `fit`.
        """
        if self.trained is None:
            raise InputError("the trainer has not been fitted; call fit(x, y) first")
        options.setdefault("settings", IMTSettings(**self.trained.imt_settings()))
        options.setdefault("clip_values", (self.view.range.low, self.view.range.high))
        return IMTPreprocessor(self.trained.manifold, variant=variant, **options)
