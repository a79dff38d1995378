"""LADDER's adversary as an ART attack."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Literal

import numpy as np
from art.attacks.attack import EvasionAttack
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent.adversaries.latent_boundary import PerturbationSettings
from atk_latent.adversaries.spec import AttackSpec, Values
from atk_latent.art_bridge.bound_attack import BoundAttack
from atk_latent.art_bridge.context import AttackContext
from atk_latent.art_bridge.inputs import drawn_seed, labels_for
from atk_latent.art_bridge.unit_pixels import UnitPixels
from atk_latent.config import build
from atk_latent.errors import InputError
from atk_latent.labels import integer_labels
from atk_latent.methods.ladder import LADDER
from atk_latent.methods.ladder_run import has_helpers, load_ladder
from atk_latent.progress import Progress
from atk_latent.results.threat import ThreatModel

_log = logging.getLogger(__name__)
PERTURBATION_FIELDS = tuple(field.name for field in dataclasses.fields(PerturbationSettings))


class LADDERAttack(EvasionAttack):
    """Images decoded from latents moved across an attention-SVM boundary, as an ART attack.

    The change is not bounded in pixels: eps is a length in latent space, and even eps = 0
    gives the generator's reconstruction. Labels matter: an example starts from its class.

    Args:
        estimator: ART's `TensorFlowV2Classifier` (or ours) around a Keras model with logits.
        ladder: a prepared `LADDER`, to reuse its boundaries and generator; the examples are
            then made against the model that one was built on. None: call `fit` first, which
            trains both on the estimator's own latents (white-box).
        eps: float or tuple of floats >= 0. batch_size: int >= 1.
        seed: of targets and noise; None draws it from NumPy's global state at each
            `generate`, as ART's own attacks do.
        **settings: other fields of `PerturbationSettings` (targets, noise, eps_mode, ...).

    Raises:
        InputError: on settings that will not do.

    Reference: LADDER, Eqs 2 to 5 and appendix 2.

    Example:
        >>> attack = LADDERAttack(estimator, eps=5.0)  # estimator: of the classifier attacked
        >>> attack.eps  # next: attack.fit(x_train, y_train), then attack.generate(x, y)
        (5.0,)
    """

    attack_params = [*EvasionAttack.attack_params, "eps", "batch_size", "seed"]
    _estimator_requirements = (TensorFlowV2Classifier,)

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        ladder: LADDER | None = None,
        *,
        eps: float | tuple[float, ...] = 10.0,
        batch_size: int = 256,
        seed: int | None = 0,
        **settings: object,
    ) -> None:
        super().__init__(estimator=estimator)
        self.view = UnitPixels(estimator)
        self.eps, self.batch_size, self.seed, self.ladder = eps, batch_size, seed, ladder
        self.progress: Progress | None = None
        self.perturbation = build(PerturbationSettings, settings)
        self._targeted = False
        self.last: dict[str, np.ndarray] = {}
        self._check_params()

    def _check_params(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"batch_size must be at least 1. Received: {self.batch_size}")
        self.eps = self.eps if isinstance(self.eps, tuple) else (self.eps,)
        values = dataclasses.asdict(self.perturbation)
        self.perturbation = build(PerturbationSettings, {**values, "eps": self.eps})
        if self.ladder is not None and self.ladder.num_classes != self.estimator.nb_classes:
            raise InputError(
                f"the helpers know {self.ladder.num_classes} classes, "
                f"the estimator {self.estimator.nb_classes}"
            )

    def __getstate__(self) -> dict[str, object]:
        """The state without the view of the estimator."""
        return {**self.__dict__, "view": None, "progress": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Makes the view anew around the copied estimator."""
        self.__dict__.update(state)
        self.view = UnitPixels(self.estimator)

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        folder: Path | None = None,
        progress: Progress | None = None,
        **settings: object,
    ) -> LADDERAttack:
        """Trains boundaries and generator on the estimator's own latents.

        Args:
            x: (n, H, W, C) in the clip values; y: integers or one-hot.
            folder: where they are kept, and found again. progress: told how far it is.
            **settings: of `LADDERSettings`, on top of the paper's.
        """
        chosen = LADDER.settings_for("", "", "paper", settings)
        ladder = LADDER(self.view.model, chosen, seed=self.seed or 0)
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
        labels = integer_labels(y, self.estimator.nb_classes)
        ladder.prepare(self.view.images(x), labels, folder=folder, progress=progress)
        self.ladder = ladder
        return self

    def generate(self, x: np.ndarray, y: np.ndarray | None = None, **kwargs: object) -> np.ndarray:
        """LADDER examples in the estimator's clip values, shaped as `x`.

        Args:
            x: (n, H, W, C). y: true labels, integers or one-hot; None takes the
                estimator's predictions. Targets, eps and Eq 5 are in `last` afterwards.

        Raises:
            InputError: without helpers, or where image shapes differ.
        """
        if self.ladder is None:
            raise InputError("LADDERAttack needs helpers: pass ladder=, or call fit(x, y) first")
        labels = labels_for(self.estimator, x, y, self.batch_size)
        images = self.view.images(x)
        if images.shape[1:] != self.ladder.image_shape:
            raise InputError(
                f"the helpers were made for images of shape {self.ladder.image_shape}. "
                f"Received: {images.shape[1:]}"
            )
        changes = {name: getattr(self.perturbation, name) for name in PERTURBATION_FIELDS}
        adversary = self.ladder.adversary(seed=drawn_seed(self.seed), **changes)
        tell = self.progress
        self.last = adversary.craft_all(
            images,
            labels,
            batch_size=self.batch_size,
            on_batch=(lambda done, total: tell("images", done, total)) if tell else None,
        )
        return self.view.pixels(self.last["x_adv"]).astype(x.dtype, copy=False)


@dataclasses.dataclass(frozen=True)
class LADDEROptions(PerturbationSettings):
    """What ``ladder:key=value`` may say on the command line.

    Args:
        helpers: "own" trains boundaries and generator on the target's own latents
            (white-box, minutes); "run" reuses those of the target's run folder, which were
            made on its vanilla model; "auto" is "run" where there is one, else "own".
        generator_epochs: int >= 1, at most this many when "own" trains.
    """

    helpers: Literal["auto", "run", "own"] = "auto"
    generator_epochs: int = 1000


def _bind(
    spec: AttackSpec, estimator: TensorFlowV2Classifier, values: Values, context: AttackContext
) -> BoundAttack:
    """The attack on `estimator`; helpers come from the target's run or from its data set.

    Raises:
        InputError: on a setting that will not do, or helpers that are not there.
    """
    options = build(LADDEROptions, values)
    run = context.run
    chosen = {name: getattr(options, name) for name in PERTURBATION_FIELDS}
    if options.helpers == "run" and run is None:
        raise InputError("ladder:helpers=run needs a run folder as target; use helpers=own")
    reused = options.helpers != "own" and (options.helpers == "run" or has_helpers(run))
    prepared = load_ladder(run) if run is not None and reused else None
    attack = LADDERAttack(estimator, prepared, seed=None, **chosen)
    if prepared is None:
        _fit_on_own_latents(attack, options, context)
    return BoundAttack(
        name=spec.name,
        threat=ThreatModel(
            access=spec.access,
            norm="latent",
            crafted_on=None if prepared is None else f"{run}/helpers/vanilla.keras",
        ),
        attack=attack,
        label=f"ladder eps {','.join(f'{eps:g}' for eps in options.eps)}",
        settings=dataclasses.asdict(options),
    )


def _fit_on_own_latents(
    attack: LADDERAttack, options: LADDEROptions, context: AttackContext
) -> None:
    data, run = context.data, context.run
    if data is None:
        raise InputError("ladder:helpers=own needs the data set to train its helpers on")
    folder = run / "helpers" / "own" if run is not None and has_helpers(run) else None
    if folder is None or not (folder / "boundaries.npz").exists():
        _log.warning(
            "ladder trains a boundary for each of %d pairs of classes and a generator of its own "
            "on %s images before it attacks, however few are attacked: for 60,000 that is minutes "
            "and gigabytes (222 s, 2.5 GB). The run of a LADDER has trained ones: helpers=run",
            data.num_classes * (data.num_classes - 1) // 2,
            f"{len(data.x_train):,}",
        )
    attack.fit(
        data.x_train,
        data.y_train,
        folder=folder,
        progress=context.progress,
        generator_epochs=options.generator_epochs,
    )


LADDER_ATTACK = AttackSpec(
    "ladder",
    LADDEROptions,
    norms=("latent",),
    needs=("ladder",),
    attack_class=LADDERAttack,
    bind=_bind,
)
