"""Does a robustness figure deserve belief? Signs of gradient masking, measured.

A robust accuracy is an upper bound: it says what the attacks tried did not break. The
questions of `audit_checks` look for signs that they failed for a reason that has nothing to
do with robustness.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atk_latent.art_bridge.context import AttackContext
from atk_latent.art_bridge.estimator import CompiledKerasClassifier, estimator_for
from atk_latent.config import check_range
from atk_latent.evaluation.audit_checks import QUESTIONS, Check, Measure, Question, Subject
from atk_latent.evaluation.runner import Deployed, Surrogate, check_images, evaluate
from atk_latent.progress import Progress


def audit(
    model: Any,
    x: np.ndarray,
    y: np.ndarray,
    *,
    eps: float,
    seed: int = 0,
    surrogate: Surrogate | None = None,
    deployed: Deployed | None = None,
    context: AttackContext | None = None,
    batch_size: int = 256,
    progress: Progress | None = None,
    store: Path | None = None,
    questions: Sequence[Question] | None = None,
) -> list[Check]:
    """Puts every check to a classifier, or to what is deployed in its place.

    Args:
        model: keras.Model that ends in logits, or an estimator.
        x: float32 images (n, H, W, C) in [0, 1]; 200 or more, or the tolerances mean little.
        y: int64 labels (n,).
        eps: Linf radius that the figures in question are for, [0, 1] pixel units.
        seed: int >= 0. surrogate: for the transfer check, which is left out without one.
        deployed: the classifier behind a defence. Attacks are then made through it, by the
            gradient it hands on, and compared with those on the bare `model`.
        context: for attacks that know the defence; see `evaluate`.
        batch_size: images at once. progress: told (attack, done, in all).
        store: folder of finished attacks, see `evaluate`.
        questions: of `QUESTIONS`; None asks all.

    Returns:
        One `Check` a question that could be asked, in that order.

    Raises:
        InputError: on images, a radius or a model that cannot be audited.
    """
    check_images(x, y)
    check_range("eps", eps, 1e-6, 1)
    bare = estimator_for(model, image_shape=x.shape[1:], batch_size=batch_size)
    target, scored = bare, None
    if deployed:
        shape, classes = x.shape[1:], bare.nb_classes
        target = estimator_for(deployed.model, classes, shape, batch_size=batch_size)
        scored = Deployed(deployed.name, target)

    options: dict[str, Any] = {"seed": seed, "deployed": scored, "batch_size": batch_size}
    options |= {"progress": progress, "context": context, "store": store}
    subject = Subject(
        target,
        x,
        y,
        eps,
        accuracy=_measure(target, x, y, **options),
        transfer=_measure(target, x, y, surrogate=surrogate, **options) if surrogate else None,
        behind=_measure(bare, x, y, **options) if deployed else None,
        seed=seed,
    )
    asked = QUESTIONS if questions is None else questions
    return [check for check in (question(subject) for question in asked) if check]


def _measure(
    attacked: CompiledKerasClassifier, x: np.ndarray, y: np.ndarray, **options: Any
) -> Measure:
    """Attack spec -> robust accuracy, each attack run once; `options` are those of `evaluate`."""

    @functools.cache
    def accuracy(spec: str) -> float:
        (found,) = evaluate(attacked, x, y, [spec], **options)
        return found.robust_accuracy

    return accuracy


def passed(checks: Sequence[Check]) -> bool:
    """Whether nothing was found."""
    return all(check.passed for check in checks)
