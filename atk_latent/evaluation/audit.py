"""Does a robustness figure deserve belief? Signs of gradient masking, measured.

A robust accuracy is an upper bound: it says what the attacks tried did not break. The
checks of `audit_checks` look for signs that they failed for a reason that has nothing to
do with robustness.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from atk_latent.art_bridge.estimator import Classifier, CompiledKerasClassifier, estimator_for
from atk_latent.art_bridge.factory import require_gradients
from atk_latent.config import check_range
from atk_latent.evaluation.audit_checks import CHECKS, CheckFunction, Measure, Subject
from atk_latent.evaluation.runner import (
    Case,
    Deployed,
    Options,
    Surrogate,
    check_images,
    run_attacks,
)
from atk_latent.results.audit import Audit
from atk_latent.results.provenance import today, versions


def audit(
    model: Classifier,
    x: np.ndarray,
    y: np.ndarray,
    eps: float,
    *,
    options: Options | None = None,
    surrogate: Surrogate | None = None,
    checks: Sequence[CheckFunction] | None = None,
) -> Audit:
    """Puts every check to a classifier, or to what is deployed in its place.

    Args:
        model: keras.Model that ends in logits, or an estimator.
        x: float32 images (n, H, W, C) in [0, 1]; 200 or more, or the tolerances mean little.
        y: int64 labels (n,).
        eps: Linf radius that the figures in question are for, [0, 1] pixel units.
        options: how attacks are run. With `deployed` they are made through it, by the
            gradient it hands on, and compared with those on the bare `model`.
        surrogate: for the transfer check, which is left out without one.
        checks: of `CHECKS`; None runs all.

    Returns:
        The record, with every check that applies, in that order.

    Raises:
        InputError: on images, a radius or a model that cannot be audited.
    """
    check_images(x, y)
    check_range("eps", eps, 1e-6, 1)
    options = options or Options()
    deployed, size, shape = options.deployed, options.batch_size, x.shape[1:]
    target = bare = estimator_for(model, image_shape=shape, batch_size=size)
    require_gradients(bare)
    if deployed:
        target = estimator_for(deployed.model, bare.nb_classes, shape, batch_size=size)
        options = replace(options, deployed=Deployed(deployed.name, target))
    images = (x, y)
    subject = Subject(
        target,
        *images,
        eps,
        accuracy=_measure(target, images, options),
        transfer=_measure(target, images, options, surrogate) if surrogate else None,
        behind=_measure(bare, images, options) if deployed else None,
        seed=options.seed,
    )
    answers = (check(subject) for check in (CHECKS if checks is None else checks))
    return Audit(
        date=today(),
        seed=options.seed,
        versions=versions(),
        target=options.target,
        inference=options.inference,
        data=options.data,
        n=len(x),
        eps=eps,
        checks=tuple(answer for answer in answers if answer),
    )


def _measure(
    attacked: CompiledKerasClassifier,
    images: tuple[np.ndarray, np.ndarray],
    options: Options,
    surrogate: Surrogate | None = None,
) -> Measure:
    """Attack spec -> robust accuracy on images and labels, each attack run once."""

    @functools.cache
    def accuracy(spec: str) -> float:
        (result,) = run_attacks(attacked, *images, [Case(spec, surrogate)], options)
        return result.robust_accuracy

    return accuracy
