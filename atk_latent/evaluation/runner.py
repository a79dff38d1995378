"""Runs attacks chunk by chunk, checks what they hand back, and scores it on the target.

A chunk depends on nothing but the seed, the attack's text, its images and where it starts,
so attacks may run in any order, be left out, or go on where an earlier run stopped.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from atk_latent.art_bridge.bound_attack import (
    NORMS,
    BoundAttack,
    change_size,
    seeded,
)
from atk_latent.art_bridge.context import AttackContext
from atk_latent.art_bridge.estimator import CompiledKerasClassifier, estimator_for
from atk_latent.art_bridge.factory import make_attack
from atk_latent.errors import InputError
from atk_latent.evaluation.chunks import Chunk
from atk_latent.evaluation.result import AttackResult
from atk_latent.evaluation.samples import examples, first_examples
from atk_latent.evaluation.store import ChunkStore, data_digest
from atk_latent.models.fingerprint import fingerprint
from atk_latent.progress import Progress
from atk_latent.results.accuracy import Accuracy
from atk_latent.results.diagnostics import Diagnostics
from atk_latent.results.threat import ThreatModel

_BALL_SLACK = 1e-5
_PIXEL_SLACK = 1e-6


@dataclass(frozen=True)
class Surrogate:
    """The model a transfer attack is crafted on.

    Args:
        name: how results call it.
        model: keras.Model that ends in logits, or an estimator.
    """

    name: str
    model: Any


@dataclass(frozen=True)
class Deployed:
    """What is scored where that is not the bare classifier: the classifier behind a defence.

    Args:
        name: of the inference, "imt" or "imt+", with its settings as the user wrote them.
        model: keras.Model that ends in logits.
    """

    name: str
    model: Any


@dataclass(frozen=True)
class Case:
    """One attack to be run.

    Args:
        spec: ``name`` or ``name:key=value,...``.
        surrogate: crafted on this model and scored on the target; None: on the target.
        published: what a paper prints for it, `value` and `source`.
    """

    spec: str
    surrogate: Surrogate | None = None
    published: Mapping[str, Any] | None = None


def check_images(x: np.ndarray, y: np.ndarray) -> None:
    """Refuses images and labels that cannot be evaluated.

    Raises:
        InputError: if there is no image, lengths differ, a pixel is not finite or not in
            [0, 1].
    """
    if len(x) == 0:
        raise InputError("no images to evaluate: 0 came, at least 1 is needed")
    if len(x) != len(y):
        raise InputError(f"images and labels must be as many. Received: {len(x)} and {len(y)}")
    if not np.isfinite(x).all() or x.min() < 0 or x.max() > 1:
        raise InputError(
            f"pixels must be in [0, 1]. Received: {float(np.min(x)):.4g} to {float(np.max(x)):.4g}"
        )


def clean_accuracy(model: Any, x: np.ndarray, y: np.ndarray, *, batch_size: int = 256) -> Accuracy:
    """Accuracy on the images as they are.

    Args:
        model: keras.Model that ends in logits, or an estimator.
        x: float32 images (n, height, width, channels) in [0, 1].
        y: int64 labels (n,).
        batch_size: images at once.

    Raises:
        InputError: on images or a model that cannot be evaluated.
    """
    return Accuracy.of(clean_predictions(model, x, y, batch_size=batch_size) == y)


def clean_predictions(
    model: Any, x: np.ndarray, y: np.ndarray, *, batch_size: int = 256
) -> np.ndarray:
    """The class given to each image as it is: int64 (n,). Takes what `clean_accuracy` does.

    Raises:
        InputError: on images or a model that cannot be evaluated.
    """
    check_images(x, y)
    target = estimator_for(model, image_shape=x.shape[1:], batch_size=batch_size)
    logits = target.predict(x, batch_size)
    missing = np.isnan(logits).any(axis=1)
    if missing.any():
        raise InputError(
            f"the model gives NaN for {missing.sum()} of {len(x)} images, so it has no class for "
            "them. Train it again, with a lower learning rate"
        )
    return logits.argmax(axis=1)


def evaluate(
    model: Any,
    x: np.ndarray,
    y: np.ndarray,
    specs: Sequence[str],
    *,
    seed: int = 0,
    surrogate: Surrogate | None = None,
    deployed: Deployed | None = None,
    batch_size: int = 256,
    progress: Progress | None = None,
    context: AttackContext | None = None,
    store: Path | None = None,
) -> list[AttackResult]:
    """Attacks `model` and says what accuracy is left.

    Args:
        model: keras.Model that ends in logits, or an estimator: the target.
        x: float32 images (n, height, width, channels) in [0, 1].
        y: int64 labels (n,).
        specs: attacks, ``name`` or ``name:key=value,...``.
        seed: int >= 0; the same seed gives the same numbers.
        surrogate: craft on this model instead and score on the target.
        deployed: score on this instead of the bare `model`. Attacks are crafted on `model`
            all the same (the papers' static protocol); those that know the defence say so.
        batch_size: images attacked at once; part of what the numbers depend on.
        progress: called with (attack, images done, images in all).
        context: for attacks that need more than an estimator; its seed is `seed`.
        store: folder in which finished chunks are kept and found again, so that a stopped
            evaluation goes on where it was; see `ChunkStore`.

    Returns:
        One result an attack, in the order of `specs`.

    Raises:
        InputError: on an unknown attack or setting, or images that cannot be evaluated.
        RuntimeError: if an attack hands back what it must not: a bug, not a finding.
    """
    cases = [Case(spec, surrogate) for spec in specs]
    return evaluate_cases(
        model,
        x,
        y,
        cases,
        seed=seed,
        deployed=deployed,
        batch_size=batch_size,
        progress=progress,
        context=context,
        store=store,
    )


def evaluate_cases(
    model: Any,
    x: np.ndarray,
    y: np.ndarray,
    cases: Sequence[Case],
    *,
    seed: int = 0,
    deployed: Deployed | None = None,
    batch_size: int = 256,
    progress: Progress | None = None,
    context: AttackContext | None = None,
    store: Path | None = None,
) -> list[AttackResult]:
    """`evaluate` where attacks differ in the model they are crafted on.

    Args and Raises: as of `evaluate`, `cases` in place of `specs` and `surrogate`.

    Returns:
        One result a case, in their order.
    """
    check_images(x, y)
    target = estimator_for(model, image_shape=x.shape[1:], batch_size=batch_size)

    def other(holder: Surrogate | Deployed | None) -> CompiledKerasClassifier:
        if holder is None:
            return target
        shape, classes = x.shape[1:], target.nb_classes
        return estimator_for(holder.model, classes, shape, batch_size=batch_size)

    scored, inference = other(deployed), deployed.name if deployed else "none"
    holders = {id(case.surrogate): case.surrogate for case in cases}
    sources = {key: other(holder) for key, holder in holders.items()}
    known = replace(context or AttackContext(), seed=seed)
    bound = [make_attack(c.spec, sources[id(c.surrogate)], known) for c in cases]  # errors first
    results = []
    for case, attack, name in zip(cases, bound, _names(cases, bound), strict=True):
        numbers: Any = {"spec": case.spec, "seed": seed, "batch_size": batch_size}
        models = {"target": scored, "crafted_on": sources[id(case.surrogate)]}
        kept = _store(store, models, x, y, attack, **numbers, inference=inference)
        chunks = attack_chunks(attack, scored, x, y, **numbers, store=kept, with_examples=True)
        watched = _watched(chunks, name, len(x), progress)
        result = summarise(attack, watched, case.spec, case.surrogate, inference)
        results.append(replace(result, published=case.published))
    return results


def _names(cases: Sequence[Case], bound: Sequence[BoundAttack]) -> list[str]:
    """What progress calls each attack: its name, or all that tells it from its namesakes."""
    shown = [attack.shown for attack in bound]
    sources = [f" from {case.surrogate.name}" if case.surrogate else "" for case in cases]
    return [
        name if shown.count(name) == 1 else f"{case.spec}{source}"
        for name, case, source in zip(shown, cases, sources, strict=True)
    ]


def attack_chunks(
    attack: BoundAttack,
    target: CompiledKerasClassifier,
    x: np.ndarray,
    y: np.ndarray,
    *,
    spec: str,
    seed: int,
    batch_size: int = 256,
    store: ChunkStore | None = None,
    with_examples: bool = False,
) -> Iterator[Chunk]:
    """Attacks `x` in chunks of `batch_size`, checked and scored on `target`.

    Args:
        attack: bound to the model it is crafted on.
        target: the model that is scored.
        x: float32 images (n, height, width, channels) in [0, 1].
        y: int64 labels (n,).
        spec: the attack's text; part of what a chunk's seed is made from.
        seed: int >= 0.
        batch_size: images a chunk.
        store: where finished chunks are looked for and kept.
        with_examples: each chunk also shows some of its images.

    Raises:
        RuntimeError: if the attack leaves its ball or the pixel range.
    """
    for start in range(0, len(x), batch_size):
        found = store.load(start) if store else None
        if found is None:
            rows = slice(start, start + batch_size)
            with seeded(chunk_seed(seed, spec, start)):
                found = _attacked(
                    attack, target, x[rows], y[rows], start, batch_size, with_examples
                )
            if store:
                store.save(found)
        yield found


def _attacked(
    attack: BoundAttack,
    target: CompiledKerasClassifier,
    x: np.ndarray,
    y: np.ndarray,
    start: int,
    batch_size: int,
    with_examples: bool,
) -> Chunk:
    """Attacks and scores one chunk."""
    began = time.perf_counter()
    x_adv = checked_images(attack, x, attack.generate(x, y))
    logits, clean_logits = target.predict(x_adv, batch_size), target.predict(x, batch_size)
    predictions, was_right = logits.argmax(axis=1), clean_logits.argmax(axis=1) == y
    return Chunk(
        start=start,
        x_adv=x_adv,
        predictions=predictions,
        robust=was_right & (predictions == y) & ~np.isnan(logits).any(axis=1),
        linf=change_size(x, x_adv, "linf"),
        l2=change_size(x, x_adv, "l2"),
        seconds=time.perf_counter() - began,
        diagnostics=attack.diagnostics(),
        examples=examples(x, x_adv, y, clean_logits, logits, start) if with_examples else (),
    )


def _store(
    root: Path | None,
    models: Mapping[str, CompiledKerasClassifier],
    x: np.ndarray,
    y: np.ndarray,
    attack: BoundAttack,
    **known: Any,
) -> ChunkStore | None:
    """The store of one attack, named for everything its numbers depend on."""
    if root is None:
        return None
    depends_on = {
        **{name: fingerprint(estimator.model) for name, estimator in models.items()},
        "data": data_digest(x, y),
        "settings": dict(attack.settings),
        **known,
    }
    return ChunkStore(root, depends_on)


def chunk_seed(seed: int, spec: str, start: int) -> int:
    """The seed of the chunk at `start`: int in [0, 2**32), the same on every machine."""
    entropy = [seed, zlib.crc32(spec.encode()), start]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def checked_images(attack: BoundAttack, x: np.ndarray, x_adv: np.ndarray) -> np.ndarray:
    """What an attack handed back, clipped to [0, 1] where rounding left it.

    Args:
        attack: the attack, with its promise (`norm`, `eps`).
        x: the images it was given.
        x_adv: the images it handed back.

    Raises:
        RuntimeError: if shape, range or ball is broken, or a value is not finite.
    """
    wrong = None
    if x_adv.shape != x.shape:
        wrong = f"images of shape {x_adv.shape} for {x.shape}"
    elif not np.isfinite(x_adv).all():
        wrong = f"{int((~np.isfinite(x_adv)).sum())} values that are not finite"
    elif x_adv.min() < -_PIXEL_SLACK or x_adv.max() > 1 + _PIXEL_SLACK:
        wrong = f"pixels from {x_adv.min():.6g} to {x_adv.max():.6g}, not in [0, 1]"
    if wrong is None and attack.eps is not None and attack.norm in NORMS:
        largest = float(change_size(x, x_adv, attack.norm).max())
        if largest > attack.eps + _BALL_SLACK:
            wrong = f"a change of {largest:.6g} in {attack.norm}, more than eps {attack.eps:.6g}"
    if wrong is not None:
        raise RuntimeError(f"attack '{attack.shown}' handed back {wrong}")
    return np.clip(x_adv, 0.0, 1.0)


def summarise(
    attack: BoundAttack,
    chunks: Iterable[Chunk],
    spec: str,
    surrogate: Surrogate | None = None,
    inference: str = "none",
) -> AttackResult:
    """One result from the chunks of one attack.

    Raises:
        InputError: if there is no chunk.
    """
    parts = [replace(chunk, x_adv=None) for chunk in chunks]  # what is summed needs no image
    robust, linf, l2, predictions = (
        np.concatenate([getattr(part, name) for part in parts] or [np.zeros(0)])
        for name in ("robust", "linf", "l2", "predictions")
    )
    accuracy = Accuracy.of(robust)
    threat = threat_model(attack, surrogate, inference)
    said = Diagnostics.total([(p.diagnostics, len(p.robust)) for p in parts if p.diagnostics])
    return AttackResult(
        attack=attack.shown,
        name=attack.name,
        spec=spec,
        threat=str(threat),
        inference=inference,
        n=accuracy.n,
        robust_accuracy=accuracy.value,
        low=accuracy.low,
        high=accuracy.high,
        linf=float(linf.mean()),
        l2=float(l2.mean()),
        seconds=sum(part.seconds for part in parts),
        eps=attack.eps,
        settings=dict(attack.settings),
        surrogate=surrogate.name if surrogate else attack.threat.crafted_on,
        predictions=predictions.tolist(),
        examples=first_examples(part.examples for part in parts),
        counts=said.counts,
        components=[part.model_dump() for part in said.components],
        warnings=said.warnings,
    )


def threat_model(
    attack: BoundAttack, surrogate: Surrogate | None = None, inference: str = "none"
) -> ThreatModel:
    """What the attacker knows of the target, with the model the images are made on.

    With a defence at inference an attack is adaptive, or else it is static.
    """
    threat = attack.threat
    changes: dict[str, Any] = {"defence": "" if inference == "none" else inference}
    if threat.crafted_on is None and surrogate:
        changes["crafted_on"] = surrogate.name
    if inference != "none" and not threat.is_adaptive:
        changes["knows_defence"] = "unaware"
    return threat.model_copy(update=changes)


def _watched(
    chunks: Iterable[Chunk], name: str, total: int, progress: Progress | None
) -> Iterator[Chunk]:
    if progress:
        progress(name, 0, total)
    for chunk in chunks:
        yield chunk
        if progress:
            progress(name, chunk.start + len(chunk.robust), total)
