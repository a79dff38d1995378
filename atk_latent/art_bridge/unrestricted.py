"""Adversarial images made from classes, not from images, as an ART attack."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from art.attacks.attack import EvasionAttack
from art.estimators.classification import TensorFlowV2Classifier

from atk_latent.adversaries.latent_search import LatentSearch, LatentSearchSettings
from atk_latent.adversaries.spec import AttackSpec, Values
from atk_latent.art_bridge.bound_attack import BoundAttack
from atk_latent.art_bridge.context import AttackContext
from atk_latent.art_bridge.inputs import drawn_seed, labels_for
from atk_latent.art_bridge.unit_pixels import UnitPixels
from atk_latent.config import build, check_range, number
from atk_latent.errors import InputError
from atk_latent.models.song_gan import GAN, load_gan
from atk_latent.progress import Progress
from atk_latent.results.diagnostics import Diagnostics
from atk_latent.results.threat import ThreatModel

SEARCH_FIELDS = tuple(field.name for field in dataclasses.fields(LatentSearchSettings))


class UnrestrictedGAN(EvasionAttack):
    """Images of a GAN that the classifier takes for another class, as an ART attack.

    It starts from classes: what comes back shows no image of `x`, only its class, and has no
    distance to it. Where the search finds nothing, or the GAN's auxiliary classifier no
    longer sees the class, the unchanged image G(z_0, y) comes back.

    Args:
        estimator: ART's `TensorFlowV2Classifier` (or ours) around a Keras model with logits.
        gan: a trained `GAN`, or the run folder of one (`atkl train-gan`).
        batch_size: int >= 2, images at once; an image depends on the others of its batch.
        seed: of latents, targets and noise; None draws it from NumPy's global state at each
            `generate`, as ART's own attacks do.
        **settings: fields of `LatentSearchSettings` (steps, targeted, noise, ...); `noise_eps` is
            in the estimator's own pixel units, those of its `clip_values`.

    Attributes:
        last: the fields of `Searched`, of the latest `generate`.
        counts: over all calls, `searched` images, `succeeded` among them, and
            `wrong_at_start`, those that needed no search.

    Raises:
        InputError: on settings that will not do, or a GAN that does not fit the estimator.

    Reference: Song et al., NeurIPS 2018.

    Example:
        >>> attack = UnrestrictedGAN(estimator, "runs/song", steps=100)  # atkl train-gan
        Traceback (most recent call last):
        atk_latent.errors.InputError: there is no trained GAN at 'runs/song'...
    """

    attack_params = [*EvasionAttack.attack_params, "batch_size", "seed"]
    _estimator_requirements = (TensorFlowV2Classifier,)

    def __init__(
        self,
        estimator: TensorFlowV2Classifier,
        gan: GAN | str | Path,
        *,
        batch_size: int = 64,
        seed: int | None = 0,
        **settings: object,
    ) -> None:
        super().__init__(estimator=estimator)
        self.view = UnitPixels(estimator)
        self.progress: Progress | None = None
        self.gan = gan if isinstance(gan, GAN) else load_gan(gan)
        self.batch_size, self.seed = batch_size, seed
        if "noise_eps" in settings:
            size: Any = settings["noise_eps"]
            settings["noise_eps"] = number(size, "noise_eps") / self.view.range.width
        self.search_settings = build(LatentSearchSettings, settings)
        self._targeted = False  # ART's word for labels that are wanted classes: ours never are
        self._check_params()
        self.search = LatentSearch(self.gan, self.search_settings, batch_size=batch_size)
        self.last: dict[str, np.ndarray] = {}
        self.counts = {"searched": 0, "succeeded": 0, "wrong_at_start": 0}

    def _check_params(self) -> None:
        check_range("batch_size", self.batch_size, 2)
        ours = (self.gan.image_shape, self.gan.num_classes)
        theirs = (tuple(self.estimator.input_shape), self.estimator.nb_classes)
        if ours != theirs:
            raise InputError(
                f"the GAN draws {ours[0]} images of {ours[1]} classes, the classifier takes "
                f"{theirs[0]} and knows {theirs[1]}; train a GAN on the classifier's data"
            )

    def __getstate__(self) -> dict[str, object]:
        """The state without what was compiled for the estimator."""
        return {**self.__dict__, "view": None, "search": None, "progress": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Makes the search anew around the copied estimator."""
        self.__dict__.update(state)
        self.view = UnitPixels(self.estimator)
        self.search = LatentSearch(self.gan, self.search_settings, batch_size=self.batch_size)

    def generate(
        self, x: np.ndarray | None, y: np.ndarray | None = None, **kwargs: Any
    ) -> np.ndarray:
        """One image for each class in `y`, in the estimator's clip values.

        Args:
            x: (n, H, W, C), or None. Only its length and, without `y`, its predicted classes
                count. y: source classes, integers or one-hot.
            target: classes wanted, integers (n,), as a keyword; for a targeted search that
                shall not draw them.

        Raises:
            InputError: without `x` and `y`, or where they are not as many.
        """
        x = None if x is None or np.ndim(x) == 0 else x  # ART makes an array of None
        if y is None and x is None:
            raise InputError("UnrestrictedGAN needs y, the classes to draw")
        labels = labels_for(self.estimator, x, y, self.batch_size)
        if x is not None and len(x) != len(labels):
            raise InputError(
                f"images and labels must be as many. Received: {len(x)} and {len(labels)}"
            )
        self.last = self.search.craft_all(
            self.view.model,
            labels,
            target=kwargs.get("target"),
            seed=drawn_seed(self.seed),
            progress=self.progress,
        )
        for name, count in self._last_counts().items():
            self.counts[name] += count
        return self.view.pixels(self.last["x_adv"]).astype(np.float32, copy=False)

    def _last_counts(self) -> dict[str, int]:
        step = self.last["step"]
        return {
            "searched": len(step),
            "succeeded": int((step >= 0).sum()),
            "wrong_at_start": int((step == 0).sum()),
        }

    def diagnostics(self) -> Diagnostics:
        """How many searches there were in the last `generate`, and how they ended."""
        return Diagnostics(counts=self._last_counts())


@dataclasses.dataclass(frozen=True)
class SongOptions(LatentSearchSettings):
    """What ``song:key=value`` may say on the command line.

    Args:
        gan: run folder of `atkl train-gan`. batch_size: int >= 2, images at once.
    """

    gan: str = ""
    batch_size: int = 64


def _bind(
    spec: AttackSpec, estimator: TensorFlowV2Classifier, values: Values, context: AttackContext
) -> BoundAttack:
    """The attack on `estimator`; the data set of `context` names the GAN that is missing.

    The result's `counts` are those of the searches: `searched`, `succeeded` among them, and
    `wrong_at_start`, which needed no step.

    Raises:
        InputError: on a setting that will not do, or a GAN that is not there or does not fit.
    """
    options = build(SongOptions, values)
    if not options.gan:
        data = "DATA" if context.data is None else context.data.name
        raise InputError(
            f"it draws its images with a GAN: song:gan=RUN. Train one: atkl train-gan "
            f"--data {data} --out runs/song-{data}"
        )
    settings = {name: getattr(options, name) for name in SEARCH_FIELDS}
    settings["noise_eps"] *= UnitPixels(estimator).range.width
    attack = UnrestrictedGAN(
        estimator, options.gan, batch_size=options.batch_size, seed=None, **settings
    )
    kind = "targeted" if options.targeted else "untargeted"
    noise = f", noise {options.noise_eps:g}" if options.noise else ""
    return BoundAttack(
        name=spec.name,
        threat=ThreatModel(access=spec.access, norm="unrestricted"),
        attack=attack,
        label=f"song {kind}{noise}",
        settings=dataclasses.asdict(options),
    )


SONG = AttackSpec(
    "song",
    SongOptions,
    norms=("unrestricted",),
    needs=("gan",),
    attack_class=UnrestrictedGAN,
    bind=_bind,
)
