"""Runs attacks chunk by chunk, checks what they return, and scores it on the target.

A chunk depends on nothing but the seed, the attack's text, its images and where it starts,
so attacks may run in any order, be left out, or go on where an earlier run stopped.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from atk_latent import config
from atk_latent.art_bridge.bound_attack import NORMS, BoundAttack, change_size, seeded
from atk_latent.art_bridge.context import AttackContext
from atk_latent.art_bridge.estimator import Classifier, CompiledKerasClassifier, estimator_for
from atk_latent.art_bridge.factory import attack_spec, make_attack
from atk_latent.atomic import json_safe
from atk_latent.errors import InputError
from atk_latent.evaluation.chunks import Series, all_chunks
from atk_latent.evaluation.executors import Executor, SerialExecutor
from atk_latent.evaluation.samples import examples, first_examples
from atk_latent.evaluation.store import Chunk, ChunkStore, data_digest, files_digest
from atk_latent.models.fingerprint import fingerprint
from atk_latent.progress import Progress
from atk_latent.registry import ATTACKS
from atk_latent.results.accuracy import Accuracy
from atk_latent.results.attack_result import AttackResult, Published
from atk_latent.results.diagnostics import Diagnostics
from atk_latent.results.evaluation import Evaluation
from atk_latent.results.provenance import today, versions
from atk_latent.results.threat import ThreatModel

_log = logging.getLogger(__name__)
_BALL_SLACK = 1e-5
_PIXEL_SLACK = 1e-6
HELPERS = "helpers"  # of a run folder: what attacks and defences read


@dataclass(frozen=True)
class Surrogate:
    """The model a transfer attack is crafted on.

    Args:
        name: how results call it.
        model: keras.Model that ends in logits, or an estimator.
    """

    name: str
    model: Classifier


@dataclass(frozen=True)
class Deployed:
    """What is scored where that is not the bare classifier: the classifier behind a defence.

    Args:
        name: of the inference, "imt" or "imt+", with its settings as the user wrote them.
        model: keras.Model that ends in logits.
    """

    name: str
    model: Classifier


@dataclass(frozen=True)
class Case:
    """One attack to be run.

    Args:
        spec: ``name`` or ``name:key=value,...``.
        surrogate: crafted on this model and scored on the target; None: on the target.
        published: what a paper prints for it.

    Example:
        >>> Case("pgd:eps=8/255,steps=20").surrogate is None
        True
    """

    spec: str
    surrogate: Surrogate | None = None
    published: Published | None = None


@dataclass(frozen=True)
class Options:
    """How attacks are run and scored, whichever they are.

    Args:
        seed: int >= 0; the same seed gives the same numbers.
        batch_size: images attacked at once; part of what the numbers depend on.
        progress: told (attack, images done, images in all), and within a chunk
            ("`attack`: steps", done, in all, {"standing": images}).
        store: folder in which finished chunks are stored and looked up, so that a stopped
            evaluation goes on where it was; see `ChunkStore`.
        deployed: score on this instead of the bare model. Attacks are crafted on the bare
            model all the same (the papers' static protocol); those that know the defence
            say so.
        context: for attacks that need more than an estimator; its seed is `seed`.
        target, data: how results call the model and the data set.
        trust: SavedModels are loaded even if their graph touches files or runs Python.
        executor: where chunks are attacked; the numbers do not depend on it.

    Example:
        >>> Options(seed=1, batch_size=64).inference
        'none'
    """

    seed: int = 0
    batch_size: int = 256
    progress: Progress | None = None
    store: Path | None = None
    deployed: Deployed | None = None
    context: AttackContext = field(default_factory=AttackContext)
    target: str = ""
    data: str = ""
    trust: bool = False
    executor: Executor = field(default_factory=SerialExecutor)

    @property
    def inference(self) -> str:
        """What happens at prediction time: "none", or the name of what is deployed."""
        return self.deployed.name if self.deployed else "none"


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


def clean_predictions(
    model: Classifier, x: np.ndarray, y: np.ndarray, *, batch_size: int = 256
) -> np.ndarray:
    """The class given to each image as it is.

    Args:
        model: keras.Model that ends in logits, or an estimator.
        x: float32 images (n, height, width, channels) in [0, 1].
        y: int64 labels (n,).
        batch_size: images at once.

    Returns:
        int64 (n,).

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
    return np.asarray(logits.argmax(axis=1))


def evaluate(
    model: Classifier,
    x: np.ndarray,
    y: np.ndarray,
    attacks: Sequence[str | Case],
    options: Options | None = None,
) -> Evaluation:
    """Attacks `model` and says what accuracy is left, image by image.

    Args, Raises: as of `run_attacks`.

    Returns:
        The record of the accuracy without attack and of every attack.
    """
    options = options or Options()
    scored = options.deployed.model if options.deployed else model
    clean = clean_predictions(scored, x, y, batch_size=options.batch_size)
    accuracy = Accuracy.of(clean == y)
    return Evaluation(
        date=today(),
        seed=options.seed,
        versions=versions(),
        target=options.target,
        data=options.data,
        inference=options.inference,
        n=accuracy.n,
        clean_accuracy=accuracy.value,
        clean_low=accuracy.low,
        clean_high=accuracy.high,
        attacks=run_attacks(model, x, y, attacks, options),
        labels=tuple(y.tolist()),
        clean_predictions=tuple(clean.tolist()),
    )


def run_attacks(
    model: Classifier,
    x: np.ndarray,
    y: np.ndarray,
    attacks: Sequence[str | Case],
    options: Options | None = None,
) -> tuple[AttackResult, ...]:
    """Attacks `model` and says what accuracy each attack leaves.

    Args:
        model: keras.Model that ends in logits, or an estimator: the target.
        x: float32 images (n, height, width, channels) in [0, 1].
        y: int64 labels (n,).
        attacks: ``name`` or ``name:key=value,...``; or a `Case`, which may be crafted on
            another model.
        options: how they are run.

    Returns:
        One result an attack, in their order.

    Raises:
        InputError: on an unknown attack or setting, or images that cannot be evaluated.
        RuntimeError: if an attack returns what it must not: a bug, not a result.
    """
    check_images(x, y)
    options = options or Options()
    target = estimator_for(model, image_shape=x.shape[1:], batch_size=options.batch_size)

    def other(holder: Surrogate | Deployed | None) -> CompiledKerasClassifier:
        if holder is None:
            return target
        shape, classes = x.shape[1:], target.nb_classes
        return estimator_for(holder.model, classes, shape, batch_size=options.batch_size)

    scored = other(options.deployed)
    cases = [Case(attack) if isinstance(attack, str) else attack for attack in attacks]
    holders = {id(case.surrogate): case.surrogate for case in cases}
    sources = {key: other(holder) for key, holder in holders.items()}
    context = replace(options.context, seed=options.seed)
    bound = [make_attack(c.spec, sources[id(c.surrogate)], context) for c in cases]  # errors first
    names = _names(cases, bound)
    every = []
    for case, attack, name in zip(cases, bound, names, strict=True):
        models = {"target": scored, "crafted_on": sources[id(case.surrogate)]}
        store = _store(models, x, y, attack, case.spec, options)
        job = ChunkJob(attack, scored, sources[id(case.surrogate)], case.spec, options)
        every.append(_series(job, x, y, name, options, store))
    parts = _parts(every, options.executor)
    return tuple(
        summarise(attack, parts[id(one)], case, options.inference)
        for one, attack, case in zip(every, bound, cases, strict=True)
    )


def _parts(every: Sequence[Series], executor: Executor) -> dict[int, list[Chunk]]:
    """The chunks of each attack, by the id of its series, without images."""
    parts: dict[int, list[Chunk]] = {id(one): [] for one in every}
    for one, chunk in all_chunks(every, executor):
        parts[id(one)].append(replace(chunk, x_adv=None))  # what is summed needs no image
    return parts


def _names(cases: Sequence[Case], bound: Sequence[BoundAttack]) -> list[str]:
    """What progress calls each attack: its name, or all that tells it from its namesakes."""
    names = [attack.title for attack in bound]
    sources = [f" from {case.surrogate.name}" if case.surrogate else "" for case in cases]
    return [
        name if names.count(name) == 1 else f"{case.spec}{source}"
        for name, case, source in zip(names, cases, sources, strict=True)
    ]


class ChunkJob:
    """Attacks and scores one chunk, here or, sent there, in another process.

    Sent, it takes models, settings and seed with it, and binds the attack anew there. A run
    folder that the attack reads must lie at the same path.

    Args:
        attack: bound to the model it is crafted on.
        target: the model that is scored.
        crafted_on: the model that the attack is bound to.
        spec: the attack's text; part of what a chunk's seed is made from.
        options: of which seed, batch size, context and progress are used.
    """

    def __init__(
        self,
        attack: BoundAttack,
        target: CompiledKerasClassifier,
        crafted_on: CompiledKerasClassifier,
        spec: str,
        options: Options,
    ) -> None:
        self.attack, self.target, self.crafted_on, self.spec = attack, target, crafted_on, spec
        context = replace(options.context, seed=options.seed)
        self.options = replace(options, context=context, executor=SerialExecutor())
        self.keeps_images = True

    def __call__(self, start: int, x: np.ndarray, y: np.ndarray) -> Chunk:
        """The chunk of images `x` and labels `y`, the first of which has the index `start`."""
        with seeded(chunk_seed(self.options.seed, self.spec, start)):
            chunk = _attacked(self.attack, self.target, x, y, start, self.options)
        return chunk if self.keeps_images else replace(chunk, x_adv=None)

    def __getstate__(self) -> dict[str, object]:
        """What travels: no compiled attack, no data set, nobody who listens."""
        context = replace(self.options.context, data=None, progress=None)
        options = Options(self.options.seed, self.options.batch_size, context=context)
        return {**self.__dict__, "attack": None, "options": options, "keeps_images": False}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Binds the attack to the model that came along."""
        self.__dict__.update(state)
        self.attack = make_attack(self.spec, self.crafted_on, self.options.context)


def _series(
    job: ChunkJob,
    x: np.ndarray,
    y: np.ndarray,
    name: str,
    options: Options,
    store: ChunkStore | None,
) -> Series:
    """The chunks of an attack; those of one that trains helpers of its own are made here."""
    is_local = "ladder" in _needs(job.spec)
    if is_local and options.executor.is_parallel:
        _log.warning("%s needs helpers of its own: it runs serially, in this process", name)
    store = store or ChunkStore(None, {})
    return Series(name, job, x, y, options.batch_size, store, options.progress, is_local)


def _needs(spec: str) -> tuple[str, ...]:
    """What an attack must be handed beside its model; nothing where it is not registered."""
    name = config.spec(spec)[0]
    return attack_spec(name).needs if name.removeprefix("art:") in ATTACKS else ()


def attack_chunks(
    attack: BoundAttack,
    target: CompiledKerasClassifier,
    x: np.ndarray,
    y: np.ndarray,
    spec: str,
    options: Options,
) -> Iterator[Chunk]:
    """Attacks `x` in chunks of `options.batch_size` in this process, scored on `target`.

    Args:
        attack: bound to the model it is crafted on.
        target: the model that is scored.
        x: float32 images (n, height, width, channels) in [0, 1].
        y: int64 labels (n,).
        spec: the attack's text; part of what a chunk's seed is made from.
        options: of which seed, batch size and progress are used.

    Yields:
        The chunks, in order, with their images.

    Raises:
        RuntimeError: if the attack leaves its ball or the pixel range.
    """
    options = replace(options, executor=SerialExecutor())
    one = _series(
        ChunkJob(attack, target, target, spec, options), x, y, attack.title, options, None
    )
    for _, chunk in all_chunks([one], options.executor):
        yield chunk


def _attacked(
    attack: BoundAttack,
    target: CompiledKerasClassifier,
    x: np.ndarray,
    y: np.ndarray,
    start: int,
    options: Options,
) -> Chunk:
    """Attacks and scores one chunk; where the model gives NaN, a class that is not the label."""
    began, batch_size = time.perf_counter(), options.batch_size
    x_adv = checked_images(attack, x, attack.generate(x, y, options.progress))
    logits, clean_logits = target.predict(x_adv, batch_size), target.predict(x, batch_size)
    was_correct, no_class = clean_logits.argmax(axis=1) == y, np.isnan(logits).any(axis=1)
    predictions = np.where(no_class, (y + 1) % logits.shape[1], logits.argmax(axis=1))
    return Chunk(
        start=start,
        x_adv=x_adv,
        predictions=predictions,
        robust=was_correct & (predictions == y),
        linf=change_size(x, x_adv, "linf"),
        l2=change_size(x, x_adv, "l2"),
        seconds=time.perf_counter() - began,
        diagnostics=attack.diagnostics(),
        examples=examples(x, x_adv, y, clean_logits, logits, start),
    )


def _store(
    models: dict[str, CompiledKerasClassifier],
    x: np.ndarray,
    y: np.ndarray,
    attack: BoundAttack,
    spec: str,
    options: Options,
) -> ChunkStore | None:
    """The store of one attack, named for everything its numbers depend on."""
    if options.store is None:
        return None
    shape = x.shape[1:]
    depends_on = {
        **{name: fingerprint(estimator.model, shape) for name, estimator in models.items()},
        "data": data_digest(x, y),
        "helpers": _helpers(attack, spec, options),
        "settings": dict(attack.settings),
        "spec": spec,
        "seed": options.seed,
        "batch_size": options.batch_size,
        "inference": options.inference,
    }
    return ChunkStore(options.store, depends_on)


def _helpers(attack: BoundAttack, spec: str, options: Options) -> dict[str, str]:
    """Digests of what an attack or a defence reads beside the models: files, training images."""
    needs, context = _needs(spec), options.context
    folders = {}
    if context.run is not None and (needs or options.deployed):
        folders["run"] = context.run / HELPERS
    if "gan" in needs:
        folders["gan"] = Path(str(attack.settings["gan"]))
    digests = {name: files_digest(folder) for name, folder in folders.items()}
    if "ladder" in needs and context.data is not None:
        digests["data"] = context.data.fingerprint()
    return digests


def chunk_seed(seed: int, spec: str, start: int) -> int:
    """The seed of the chunk at `start`: int in [0, 2**32), the same on every machine."""
    entropy = [seed, zlib.crc32(spec.encode()), start]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])


def checked_images(attack: BoundAttack, x: np.ndarray, x_adv: np.ndarray) -> np.ndarray:
    """What an attack returned, clipped to [0, 1] where rounding left it.

    Args:
        attack: the attack, with its promise (`norm`, `eps`).
        x: the images it was called with.
        x_adv: the images it returned.

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
        raise RuntimeError(f"attack '{attack.title}' returned {wrong}")
    return np.asarray(np.clip(x_adv, 0.0, 1.0))


def summarise(
    attack: BoundAttack, chunks: Iterable[Chunk], case: Case, inference: str = "none"
) -> AttackResult:
    """One result from the chunks of one attack.

    Raises:
        InputError: if there is no chunk.
    """
    parts = sorted(chunks, key=lambda part: part.start)
    robust, linf, l2, predictions = (
        np.concatenate([getattr(part, name) for part in parts] or [np.zeros(0)])
        for name in ("robust", "linf", "l2", "predictions")
    )
    accuracy = Accuracy.of(robust)
    diagnostics = Diagnostics.total(
        [(part.diagnostics, len(part.robust)) for part in parts if part.diagnostics]
    )
    return AttackResult(
        attack=attack.title,
        name=attack.name,
        spec=case.spec,
        threat_model=threat_model(attack, case.surrogate, inference),
        inference=inference,
        n=accuracy.n,
        robust_accuracy=accuracy.value,
        low=accuracy.low,
        high=accuracy.high,
        linf=float(linf.mean()),
        l2=float(l2.mean()),
        seconds=sum(part.seconds for part in parts),
        settings=json_safe(attack.settings),
        components=diagnostics.components,
        warnings=diagnostics.warnings,
        counts=diagnostics.counts,
        predictions=tuple(predictions.tolist()),
        examples=first_examples(part.examples for part in parts),
        published=case.published,
    )


def threat_model(
    attack: BoundAttack, surrogate: Surrogate | None = None, inference: str = "none"
) -> ThreatModel:
    """What the attacker knows of the target, with the model the images are made on.

    With a defence at inference an attack is adaptive, or else it is static.
    """
    threat = attack.threat
    if inference != "none":
        static = {} if threat.is_adaptive else {"knows_defence": "unaware"}
        threat = threat.model_copy(update={"defence": inference, **static})
    if threat.crafted_on is None and surrogate:
        threat = threat.model_copy(update={"crafted_on": surrogate.name})
    return threat
