"""AutoAttack: four attacks in a row, each on what the ones before it left standing."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import time
import warnings
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from atk_latent.adversaries.auto_attack_plan import AutoAttackSettings, Component, passes, plan
from atk_latent.adversaries.base import Adversary, Classifier, fixed_batch, inference
from atk_latent.adversaries.factory import make_adversary
from atk_latent.adversaries.gradients import ZeroGradientWarning, zero_gradients
from atk_latent.adversaries.spec import BATCH_SIZE, NB_TARGETS, ArtClass, ArtParameter, AttackSpec
from atk_latent.config import check_range
from atk_latent.errors import InputError
from atk_latent.labels import label_tensor
from atk_latent.progress import Progress, part_of, renamed
from atk_latent.results import diagnostics as results
from atk_latent.results.diagnostics import Diagnostics

SQUARE_GAIN = 0.002  # of all images: more that only Square finds speaks of masked gradients
_SAME_LOGITS = 1e-4  # largest difference of two passes, of the largest logit
_SLACK = 1e-5


@dataclasses.dataclass(frozen=True)
class AutoAttackResult:
    """What is left standing.

    Args:
        x_adv: float32 (n, H, W, C): a misclassified image of each that fell, the clean image
            of each that did not or was wrong from the start.
        robust: bool (n,), right from the start and after every attack.
        clean_accuracy, robust_accuracy: shares of all n images.
        components: one record for each attack, in order.
        notes: where the attacks are not those of the version, and why.
        warnings: reasons to doubt the number.
    """

    x_adv: np.ndarray
    robust: np.ndarray
    clean_accuracy: float
    robust_accuracy: float
    components: tuple[results.Component, ...]
    notes: list[str]
    warnings: list[str]

    def diagnostics(self) -> Diagnostics:
        """What results keep of it: the components, notes and warnings."""
        return Diagnostics(components=self.components, warnings=(*self.notes, *self.warnings))


class AutoAttack:
    """Runs the attacks of `plan` in a row and counts the images that survive them all.

    Each attack sees only the images that are still robust, and starts from the clean ones.
    Whatever it hands back is judged by the classifier again.

    Args:
        settings: see `AutoAttackSettings`; None takes its defaults.
        seed: int >= 0; the same seed, batch size and data give the same result.

    Reference: Croce and Hein, ICML 2020.
    Differs: see `plan`, `AdaptiveAscent`, `FastAdaptiveBoundary` and `Square`; the images of
        version "rand" are judged by mean logits, in their code by one pass; random numbers
        belong to an image's place in its batch, theirs to one stream.
    """

    def __init__(self, settings: AutoAttackSettings | None = None, *, seed: int = 0) -> None:
        check_range("seed", seed, 0)
        self.settings, self.seed = settings or AutoAttackSettings(), seed
        self.result: AutoAttackResult | None = None
        self._adversaries: dict[str, Adversary] = {}  # they keep what they compiled

    def craft_all(
        self,
        classifier: Classifier,
        x: np.ndarray,
        y: np.ndarray,
        *,
        batch_size: int = 256,
        seed: int | None = None,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """The images of `run`, whose other findings `result` holds afterwards."""
        self.result = self.run(
            classifier, x, y, batch_size=batch_size, seed=seed, progress=progress
        )
        return self.result.x_adv

    def diagnostics(self) -> Diagnostics | None:
        """What each attack did in the last `craft_all`, and reasons to doubt the number."""
        return None if self.result is None else self.result.diagnostics()

    def run(
        self,
        classifier: Classifier,
        x: np.ndarray,
        y: np.ndarray,
        *,
        batch_size: int = 256,
        seed: int | None = None,
        progress: Progress | None = None,
    ) -> AutoAttackResult:
        """Attacks `x` and says what is left.

        Args:
            classifier: Keras model, or function of images, to logits (B, K >= 2).
            x: floating (n >= 1, H, W, C) inside the bounds.
            y: true labels, integer (n,) or one-hot (n, K).
            batch_size: images at once, int >= 1. seed: int >= 0; None is the attack's own.
            progress: told ("apgd-t (2 of 4)", steps done, in all, {"standing": images}) by
                each attack, a few times a second.

        Raises:
            InputError: for images, labels or logits that cannot be attacked.
            RuntimeError: if an attack leaves the ball or the bounds: a bug, not a finding.
        """
        check_range("batch_size", batch_size, 1)
        x, y = self._checked(x, y)
        seed = self.seed if seed is None else seed
        judge = _Judge(classifier, x.shape[1:], self.settings.draws, batch_size)
        logits = judge(x)
        if not np.isfinite(logits).all():
            raise InputError("the logits of the clean images must be finite; some are not")
        components, notes = plan(self.settings, logits.shape[1])
        is_correct = logits.argmax(axis=1) == y
        doubts = self._doubts(classifier, judge, x[is_correct], y[is_correct], logits)
        x_adv, robust, records = x.copy(), is_correct.copy(), []
        for index, component in enumerate(components):
            rows, began = np.flatnonzero(robust), time.perf_counter()
            stage = renamed(progress, f"{component.name} ({index + 1} of {len(components)})")
            for start in range(0, len(rows), batch_size):
                here = rows[start : start + batch_size]
                batch = self._attacked(
                    judge,
                    component,
                    (x[here], y[here]),
                    _seed_of(seed, f"{index}-{component.name}-{start}"),
                    part_of(stage, start // batch_size, -(-len(rows) // batch_size)),
                )
                x_adv[here[batch.fooled]] = batch.x_adv
                robust[here[batch.fooled]] = False
            records.append(
                _record(component, logits.shape[1], len(rows), robust, time.perf_counter() - began)
            )
            gain = (len(rows) - robust.sum()) / len(x)
            if component.name == "square" and gain > SQUARE_GAIN:
                doubts.append(
                    f"Square, without gradients, took {100 * gain:.1f} points that the attacks "
                    "before it did not: gradients may be masked"
                )
        clean, left = float(is_correct.mean()), float(robust.mean())
        return AutoAttackResult(x_adv, robust, clean, left, tuple(records), notes, doubts)

    def _attacked(
        self,
        judge: _Judge,
        component: Component,
        batch: tuple[np.ndarray, np.ndarray],
        seed: int,
        progress: Progress | None,
    ) -> _Batch:
        """What one attack does to a batch of images and labels, checked and judged."""
        x, y = batch
        key = str(component)
        if key not in self._adversaries:
            self._adversaries[key] = make_adversary(component.name, **component.settings)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ZeroGradientWarning)  # the result says it
            x_adv = self._adversaries[key].craft_all(
                judge.classifier,
                x,
                y,
                batch_size=judge.batch_size,
                seed=seed,
                progress=progress,
            )
        low, high = self.settings.bounds
        order = {"linf": np.inf, "l2": 2}[self.settings.norm]
        change = np.linalg.norm((x_adv - x).reshape(len(x), -1).astype(np.float64), order, axis=1)
        # a NaN is no comparison's friend: ask what must hold, not what must not
        if not (change.max() <= self.settings.eps + _SLACK):
            raise RuntimeError(f"{component.name}: a change of {change.max():.6g} left the ball")
        if not (low - _SLACK <= x_adv.min() and x_adv.max() <= high + _SLACK):
            raise RuntimeError(
                f"{component.name}: pixels from {x_adv.min():.6g} to {x_adv.max():.6g}"
            )
        fooled = judge(x_adv).argmax(axis=1) != y
        return _Batch(fooled, x_adv[fooled])

    def _checked(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y = np.asarray(x, np.float32), label_tensor(y).numpy()
        low, high = self.settings.bounds
        if len(x) == 0 or len(x) != len(y):
            raise InputError(
                "images and labels must be as many, at least 1. "
                f"Received: {len(x)} images and {len(y)} labels"
            )
        if not (low <= x.min() and x.max() <= high):
            raise InputError(
                f"pixels must be in [{low:g}, {high:g}], the setting 'bounds'. "
                f"Received: {x.min():.4g} to {x.max():.4g}"
            )
        return x, y

    def _doubts(
        self,
        classifier: Classifier,
        judge: _Judge,
        x: np.ndarray,
        y: np.ndarray,
        logits: np.ndarray,
    ) -> list[str]:
        """Why the result may overstate robustness, as far as the clean images show it."""
        doubts = []
        sums, version = logits.sum(axis=1), self.settings.version
        if logits.min() >= 0 and np.abs(sums - 1).max() < 1e-3:
            doubts.append("the outputs look like probabilities; attacks need logits")
        first = x[: judge.size]
        if not len(first):
            return doubts
        once, twice = judge.one_pass(first), judge.one_pass(first)
        random = np.abs(once - twice).max() > _SAME_LOGITS * max(np.abs(once).max(), 1e-30)
        if random and version != "rand":
            doubts.append("the classifier answers at random; use version rand")
        if not random and version == "rand":
            doubts.append("the classifier does not answer at random; standard is stronger")
        call, labels = inference(classifier), tf.constant(y[: len(first)])
        zeros = int(tf.math.count_nonzero(zero_gradients(call, tf.constant(first), labels)))
        if zeros:
            doubts.append(f"{zeros} of {len(first)} images have a gradient of exactly zero")
        return doubts


class _Batch(NamedTuple):
    """One attacked batch: which images fell, bool (m,), and what those became."""

    fooled: np.ndarray
    x_adv: np.ndarray


class _Judge:
    """The logits of whole arrays, the mean of `draws` passes, in compiled batches."""

    def __init__(
        self, classifier: Classifier, image_shape: tuple[int, ...], draws: int, batch_size: int
    ) -> None:
        self.classifier, self.batch_size, self.draws = classifier, batch_size, draws
        self._fixed = fixed_batch(classifier)
        self.size = self._fixed or batch_size
        images = tf.TensorSpec([self._fixed, *image_shape], tf.float32)
        call = inference(classifier)
        self._call = tf.function(call, autograph=False, input_signature=[images])

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Float32 (n, K) of float32 (n, H, W, C)."""
        parts = [x[start : start + self.size] for start in range(0, len(x), self.size)]
        return np.concatenate(
            [sum(self.one_pass(part) for _ in range(self.draws)) / self.draws for part in parts]
        )

    def one_pass(self, x: np.ndarray) -> np.ndarray:
        """One draw of the logits of at most one batch."""
        short = self._fixed - len(x) if self._fixed else 0
        padded = np.concatenate([x, np.repeat(x[-1:], short, axis=0)])
        return np.array(self._call(tf.constant(padded)))[: len(x)]


def _seed_of(seed: int, name: str) -> int:
    """The seed of one batch: int in [0, 2**31), the same on every machine."""
    text = f"{seed} {name}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big") >> 1


def _record(
    component: Component, classes: int, n_in: int, robust: np.ndarray, seconds: float
) -> results.Component:
    forward, backward = (n_in * count for count in passes(component, classes))
    return results.Component(
        name=component.name,
        settings=component.settings,
        n_in=n_in,
        robust_accuracy=float(robust.mean()),
        seconds=seconds,
        forward=forward,
        backward=backward,
    )


AUTOATTACK = AttackSpec(
    "autoattack",
    AutoAttackSettings,
    ("eps", "norm", "version", "steps", "targets", "queries", "eot"),
    AutoAttack,
    norms=("linf", "l2"),
    art=ArtClass(
        "The official AutoAttack: APGD, targeted APGD, targeted FAB, Square, one after another. "
        "Images that survive all of them, and those that were wrong from the start, "
        "come back as they were. `result` holds what each attack did, and reasons to doubt the "
        "number, after `generate`.",
        (
            ArtParameter("norm", math.inf),
            ArtParameter("eps", 0.3),
            ArtParameter("version", "standard"),
            ArtParameter(BATCH_SIZE, 128),
            ArtParameter("max_iter", 100, "steps", keyword_only=True),
            NB_TARGETS,
            ArtParameter("queries", 5000, keyword_only=True),
            ArtParameter("eot", 20, keyword_only=True),
        ),
        "ART's `AutoAttack` is another suite: untargeted APGD, DeepFool and Square.",
    ),
)
