"""Our compiled adversaries as ART attacks: each one's parameters, in ART's words.

Lengths are in the estimator's own pixel units; `batch_size`, `seed` and `verbose` are those of
`AdversaryAttack`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent import config
from atk_latent.adversaries.auto_attack import AutoAttack, AutoAttackResult, AutoAttackSettings
from atk_latent.adversaries.rays import RaySResult
from atk_latent.art_bridge.adversary_attack import AdversaryAttack
from atk_latent.results.diagnostics import Diagnostics


class FastPGD(AdversaryAttack):
    """Projected gradient ascent on the cross-entropy, compiled, as an ART attack.

    Parameters are those of ART's `ProjectedGradientDescent`, and so are their defaults.

    Args:
        estimator: see `AdversaryAttack`.
        norm: np.inf, "inf", 1 or 2.
        eps: float >= 0, radius of the ball. eps_step: float > 0, length of a step.
        max_iter: int >= 1, steps of each start.
        targeted: labels given to `generate` are the classes wanted.
        num_random_init: int >= 0, random starts; 0 starts once, at the image itself.
        decay: float >= 0 of the momentum (MIM); None is none.
        keep: "best" or "last"; see `AscentSettings`.
        eot: int >= 1, passes averaged at every step, for a classifier that answers at random.
        batch_size, seed, verbose: see `AdversaryAttack`.

    Reference: Madry et al., ICLR 2018.
    Differs: ART hands back the last iterate of the best start, this one the best iterate
        (`keep="last"` does as ART); a random start is uniform in the ball in every norm;
        `random_eps`, `summary_writer` and masks are not supported.
    """

    _adversary = "pgd"
    _words = {
        "norm": "norm",
        "eps": "eps",
        "eps_step": "step_size",
        "max_iter": "steps",
        "targeted": "targeted",
        "num_random_init": "restarts",
        "decay": "decay",
        "keep": "keep",
        "eot": "eot",
    }

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        norm: float | str = np.inf,
        eps: float = 0.3,
        eps_step: float = 0.1,
        max_iter: int = 100,
        targeted: bool = False,
        num_random_init: int = 0,
        batch_size: int = 32,
        *,
        decay: float | None = None,
        keep: Literal["best", "last"] = "best",
        eot: int = 1,
        seed: int | None = None,
        verbose: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(
            estimator,
            norm=norm,
            eps=eps,
            eps_step=eps_step,
            max_iter=max_iter,
            targeted=targeted,
            num_random_init=num_random_init,
            batch_size=batch_size,
            decay=decay,
            keep=keep,
            eot=eot,
            seed=seed,
            verbose=verbose,
            **more,
        )

    def _ours(self) -> dict[str, Any]:
        values = super()._ours()
        starts = config.convert("restarts", values["restarts"], int)
        config.check_range("restarts", starts, 0)
        decay = self.decay or 0.0
        return values | {"random_start": starts > 0, "restarts": max(1, starts), "decay": decay}

    def _arts(self, settings: Any) -> dict[str, Any]:
        return super()._arts(settings) | {
            "eps_step": settings.step_length * self.scale,
            "num_random_init": settings.restarts if settings.random_start else 0,
        }


class MarginPGD(FastPGD):
    """The papers' "CW20/40/100": PGD on the margin loss instead of the cross-entropy.

    Args:
        estimator: see `FastPGD`, as for all other arguments.
        margin: float >= 0, lead of another class up to which the loss goes on rising.

    Reference: Carlini and Wagner, S&P 2017, f6; Zhang and Wang 2019 (Feature Scattering).
    """

    _adversary = "cw-pgd"
    _words = {**FastPGD._words, "margin": "margin"}

    def __init__(
        self, estimator: TensorFlowV2Classifier, *args: Any, margin: float = 50.0, **kwargs: Any
    ) -> None:
        super().__init__(estimator, *args, margin=margin, **kwargs)


class APGD(AdversaryAttack):
    """Gradient ascent that picks its own step size, as in the official AutoAttack.

    Args:
        estimator: see `AdversaryAttack`.
        norm: np.inf, "inf" or 2.
        eps: float >= 0, radius of the ball. max_iter: int >= 1, steps of each run.
        nb_random_init: int >= 1, runs, each from a random start.
        loss_type: "cross_entropy" or "difference_logits_ratio", which needs three classes.
        eot: int >= 1, passes averaged at every step, for a classifier that answers at random.
        batch_size, seed, verbose: see `AdversaryAttack`.

    Reference: Croce and Hein, ICML 2020.
    Differs: from ART's `AutoProjectedGradientDescent`, whose words these are: the first step
        is 2 eps (no `eps_step`), one random start for ART's five, and nothing is targeted.
    """

    _adversary = "apgd-ce"
    _words = {
        "norm": "norm",
        "eps": "eps",
        "max_iter": "steps",
        "nb_random_init": "restarts",
        "loss_type": "loss",
        "eot": "eot",
    }

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        norm: float | str = np.inf,
        eps: float = 0.3,
        max_iter: int = 100,
        nb_random_init: int = 1,
        batch_size: int = 32,
        loss_type: Literal["cross_entropy", "difference_logits_ratio"] = "cross_entropy",
        *,
        eot: int = 1,
        seed: int | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            estimator,
            norm=norm,
            eps=eps,
            max_iter=max_iter,
            nb_random_init=nb_random_init,
            batch_size=batch_size,
            loss_type=loss_type,
            eot=eot,
            seed=seed,
            verbose=verbose,
        )

    def _ours(self) -> dict[str, Any]:
        values = super()._ours()
        return values | {"loss": _OUR_LOSSES.get(values["loss"], values["loss"])}

    def _arts(self, settings: Any) -> dict[str, Any]:
        theirs = {ours: theirs for theirs, ours in _OUR_LOSSES.items()}
        return super()._arts(settings) | {"loss_type": theirs[settings.loss]}


_OUR_LOSSES = {"cross_entropy": "cross-entropy", "difference_logits_ratio": "dlr"}


class APGDTargeted(AdversaryAttack):
    """APGD on the targeted logit ratio, towards one class after another, untargeted in effect.

    Args:
        estimator: see `AdversaryAttack`; at least four classes.
        norm, eps, max_iter, nb_random_init, eot: see `APGD`; runs are for each target.
        nb_targets: int >= 1, the classes that come next to the label in the clean logits.
        batch_size, seed, verbose: see `AdversaryAttack`.

    Reference: Croce and Hein, ICML 2020.
    """

    _adversary = "apgd-t"
    _words = {
        "norm": "norm",
        "eps": "eps",
        "max_iter": "steps",
        "nb_random_init": "restarts",
        "nb_targets": "targets",
        "eot": "eot",
    }

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        norm: float | str = np.inf,
        eps: float = 0.3,
        max_iter: int = 100,
        nb_random_init: int = 1,
        batch_size: int = 32,
        *,
        nb_targets: int = 9,
        eot: int = 1,
        seed: int | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            estimator,
            norm=norm,
            eps=eps,
            max_iter=max_iter,
            nb_random_init=nb_random_init,
            batch_size=batch_size,
            nb_targets=nb_targets,
            eot=eot,
            seed=seed,
            verbose=verbose,
        )


class FAB(AdversaryAttack):
    """The nearest adversarial image, by steps onto linearised boundaries.

    Args:
        estimator: see `AdversaryAttack`.
        norm: np.inf, "inf" or 2.
        eps: float >= 0: an image is handed back changed only if one within `eps` was found;
            None looks for the smallest change.
        max_iter: int >= 1, steps of each run. nb_restarts: int >= 1.
        batch_size, seed, verbose: see `AdversaryAttack`.

    Reference: Croce and Hein, ICML 2020, "Minimally distorted adversarial examples".
    """

    _adversary = "fab"
    _words: ClassVar[Mapping[str, str]] = {
        "norm": "norm",
        "eps": "eps",
        "max_iter": "steps",
        "nb_restarts": "restarts",
    }

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        norm: float | str = np.inf,
        eps: float | None = 0.3,
        max_iter: int = 100,
        nb_restarts: int = 1,
        batch_size: int = 32,
        *,
        seed: int | None = None,
        verbose: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(
            estimator,
            norm=norm,
            eps=eps,
            max_iter=max_iter,
            nb_restarts=nb_restarts,
            batch_size=batch_size,
            seed=seed,
            verbose=verbose,
            **more,
        )


class FABTargeted(FAB):
    """FAB towards one class after another, a single backward pass a step.

    Args:
        estimator: see `FAB`, as for all other arguments.
        nb_targets: int >= 1, the classes that come next to the label in the clean logits.
    """

    _adversary = "fab-t"
    _words = {**FAB._words, "nb_targets": "targets"}

    def __init__(
        self, estimator: TensorFlowV2Classifier, *args: Any, nb_targets: int = 9, **kwargs: Any
    ) -> None:
        super().__init__(estimator, *args, nb_targets=nb_targets, **kwargs)


class FastSquare(AdversaryAttack):
    """Random squares, kept where they help; asks for logits only.

    Parameters are those of ART's `SquareAttack`, and so are their defaults.

    Args:
        estimator: see `AdversaryAttack`.
        norm: np.inf, "inf" or 2.
        max_iter: int >= 1, images shown to the classifier for each restart.
        eps: float >= 0, radius of the ball.
        p_init: float in (0, 1], share of the pixels in the first square.
        nb_restarts: int >= 1.
        batch_size, seed, verbose: see `AdversaryAttack`.

    Reference: Andriushchenko et al., ECCV 2020.
    Differs: the share of pixels shrinks by the count of queries, as in the official code,
        not by the share of `max_iter`; no `adv_criterion` and no `loss` of one's own.
    """

    _adversary = "square"
    _words = {
        "norm": "norm",
        "max_iter": "queries",
        "eps": "eps",
        "p_init": "share",
        "nb_restarts": "restarts",
    }

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        norm: float | str = np.inf,
        max_iter: int = 100,
        eps: float = 0.3,
        p_init: float = 0.8,
        nb_restarts: int = 1,
        batch_size: int = 128,
        *,
        seed: int | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            estimator,
            norm=norm,
            max_iter=max_iter,
            eps=eps,
            p_init=p_init,
            nb_restarts=nb_restarts,
            batch_size=batch_size,
            seed=seed,
            verbose=verbose,
        )


class RayS(AdversaryAttack):
    """The nearest boundary along a ray of signs, in Linf; asks for predicted classes only.

    Nothing is random. `result` holds the distance and the queries of each image after
    `generate`, distances in [0, 1] pixel units.

    Args:
        estimator: see `AdversaryAttack`.
        eps: float >= 0: an image is handed back changed only if its change is within it; None
            hands back the nearest adversarial image found.
        max_iter: int >= 1, queries for each image.
        early_stop: an image within `eps` is left alone; false goes on for the distance.
        folder: where the search is kept, so that a stopped `generate` goes on; None: nowhere.
        batch_size, seed, verbose: see `AdversaryAttack`.

    Reference: Chen and Gu, KDD 2020.
    """

    _adversary = "rays"
    fixed_norm = "linf"
    _words = {"eps": "eps", "max_iter": "queries", "early_stop": "early_stop"}
    _more = ("folder",)

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        eps: float | None = 0.3,
        max_iter: int = 10_000,
        batch_size: int = 128,
        *,
        early_stop: bool = True,
        folder: str | Path | None = None,
        seed: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.result: RaySResult | None = None
        super().__init__(
            estimator,
            eps=eps,
            max_iter=max_iter,
            batch_size=batch_size,
            early_stop=early_stop,
            folder=folder,
            seed=seed,
            verbose=verbose,
        )

    def _crafted(self, images: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
        del seed
        self.result = self._adversary_made().run(
            self.view.model,
            images,
            labels,
            folder=self.folder,
            batch_size=int(self.batch_size),
        )
        return self.result.x_adv


class FastCarliniL2(AdversaryAttack):
    """Carlini and Wagner's attack: the smallest L2 change, by Adam in tanh space.

    Args:
        estimator: see `AdversaryAttack`.
        confidence: float >= 0, by how much another class must lead.
        targeted: labels given to `generate` are the classes wanted.
        learning_rate: float > 0, of Adam. binary_search_steps: int >= 1, constants tried.
        max_iter: int >= 1, steps for each constant. initial_const: float > 0, the first
            constant, weighed against distances in [0, 1] pixel units.
        random_target: towards a class drawn for each image among those that are not its label.
        abort_early: an image leaves a constant once its loss stops falling.
        eps: float >= 0 or None: an image changed by more, in L2, is handed back unchanged.
        batch_size, seed, verbose: see `AdversaryAttack`.

    Reference: Carlini and Wagner, S&P 2017.
    Differs: from ART's `CarliniL2Method`, whose words these are: defaults are CleverHans'; Adam
        in place of a line search, so no `max_halving` and `max_doubling`.
    """

    _adversary = "cw-l2"
    fixed_norm = "l2"
    _words = {
        "confidence": "confidence",
        "targeted": "targeted",
        "learning_rate": "learning_rate",
        "binary_search_steps": "search_steps",
        "max_iter": "steps",
        "initial_const": "initial_const",
        "random_target": "random_target",
        "abort_early": "abort_early",
        "eps": "eps",
    }

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        confidence: float = 0.0,
        targeted: bool = False,
        learning_rate: float = 5e-3,
        binary_search_steps: int = 9,
        max_iter: int = 1000,
        initial_const: float = 1e-2,
        batch_size: int = 128,
        *,
        random_target: bool = False,
        abort_early: bool = True,
        eps: float | None = None,
        seed: int | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            estimator,
            confidence=confidence,
            targeted=targeted,
            learning_rate=learning_rate,
            binary_search_steps=binary_search_steps,
            max_iter=max_iter,
            initial_const=initial_const,
            batch_size=batch_size,
            random_target=random_target,
            abort_early=abort_early,
            eps=eps,
            seed=seed,
            verbose=verbose,
        )


class FastJSMA(AdversaryAttack):
    """The saliency map attack: two values at a time, those that most favour a class.

    Args:
        estimator: see `AdversaryAttack`.
        theta: float, not 0, what is added to a value.
        gamma: float in (0, 1], the largest share of an image's values that may change.
        targeted: labels given to `generate` are the classes wanted; else they are the true
            ones, and a class is drawn for each image among the others.
        batch_size, seed, verbose: see `AdversaryAttack`.

    Reference: Papernot et al., EuroS&P 2016, whose theta 1 and gamma 14.5% are the defaults.
    Differs: from ART's `SaliencyMapMethod`, whose words these are: that one takes the two
        largest slopes of the target and leaves the other classes out, always takes labels
        for targets, and hands back images that did not reach theirs.
    """

    _adversary = "jsma"
    fixed_norm = "l0"
    _words = {"theta": "theta", "gamma": "gamma", "targeted": "targeted"}

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        theta: float = 1.0,
        gamma: float = 0.145,
        batch_size: int = 128,
        *,
        targeted: bool = False,
        seed: int | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            estimator,
            theta=theta,
            gamma=gamma,
            batch_size=batch_size,
            targeted=targeted,
            seed=seed,
            verbose=verbose,
        )


class StandardAutoAttack(AdversaryAttack):
    """The official AutoAttack: APGD, targeted APGD, targeted FAB and Square, one after another.

    Images that survive all of them, and those that were wrong from the start, come back as
    they were. `result` holds what each attack did, and reasons to doubt the number, after
    `generate`.

    Args:
        estimator: see `AdversaryAttack`.
        norm: np.inf, "inf" or 2.
        eps: float >= 0, radius of the ball.
        version: "standard", "plus", or "rand" for a classifier that answers at random.
        max_iter: int >= 1, steps of each APGD and FAB run. nb_targets: int >= 1, classes aimed
            at. queries: int >= 1, of Square. eot: int >= 1, passes averaged in version "rand".
        folder: where finished batches are kept, so that a stopped `generate` goes on; None:
            nowhere.
        batch_size, seed, verbose: see `AdversaryAttack`.

    Reference: Croce and Hein, ICML 2020.
    Differs: ART's `AutoAttack` is another recipe: untargeted APGD, DeepFool and Square.
    """

    _words = {
        "norm": "norm",
        "eps": "eps",
        "version": "version",
        "max_iter": "steps",
        "nb_targets": "targets",
        "queries": "queries",
        "eot": "eot",
    }
    _more = ("folder",)

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        norm: float | str = np.inf,
        eps: float = 0.3,
        version: Literal["standard", "plus", "rand"] = "standard",
        batch_size: int = 128,
        *,
        max_iter: int = 100,
        nb_targets: int = 9,
        queries: int = 5000,
        eot: int = 20,
        folder: str | Path | None = None,
        seed: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.result: AutoAttackResult | None = None
        super().__init__(
            estimator,
            norm=norm,
            eps=eps,
            version=version,
            batch_size=batch_size,
            max_iter=max_iter,
            nb_targets=nb_targets,
            queries=queries,
            eot=eot,
            folder=folder,
            seed=seed,
            verbose=verbose,
        )

    @classmethod
    def adversary(cls, **settings: Any) -> AutoAttack:
        """The cascade with settings of its own."""
        return AutoAttack(config.build(AutoAttackSettings, settings))

    def _crafted(self, images: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
        suite = self._adversary_made()
        suite.seed, suite.batch_size = seed, int(self.batch_size)
        self.result = suite.run(self.view.model, images, labels, folder=self.folder)
        return self.result.x_adv

    def diagnostics(self) -> Diagnostics | None:
        """What each attack did in the last `generate`, and reasons to doubt the number."""
        return None if self.result is None else self.result.diagnostics()
