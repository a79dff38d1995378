"""`atkl evaluate`: how much accuracy attacks leave."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from atk_latent import atomic, config
from atk_latent.errors import InputError
from atk_latent.pixels import PixelFormat
from atk_latent.registry import ATTACKS

from . import _common as common
from ._cluster import Cluster, ray_options
from ._names import Names

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from atk_latent.data.dataset import Dataset
    from atk_latent.evaluation.runner import Case
    from atk_latent.evaluation.suites import Plan, Suite
    from atk_latent.results.attack_result import AttackResult
    from atk_latent.results.evaluation import Evaluation


@click.command("evaluate", short_help="How much accuracy attacks leave.")
@common.target_argument
@common.data_option
@click.option(
    "--attack",
    "-a",
    "attacks",
    multiple=True,
    type=Names(ATTACKS),
    metavar="SPEC",
    help="NAME or NAME:key=value,key=value, such as pgd:eps=8/255,steps=20; may be repeated. "
    "Default: fgsm and pgd, with eps 0.3 for 28x28x1 images and 8/255 for all others.",
)
@click.option(
    "--suite",
    metavar="NAME|FILE",
    help="A named list of attacks (atkl list suites), or your own in a .yaml file.",
)
@click.option(
    "--set",
    "values",
    multiple=True,
    metavar="NAME=VALUE",
    help="A variable of the suite, such as gan=runs/song; may be repeated.",
)
@common.limit_option
@common.inference_option
@click.option(
    "--surrogate",
    "surrogates",
    multiple=True,
    metavar="RUN",
    help="Craft the attacks on this model and score them on TARGET (transfer); may be repeated.",
)
@common.seed_option
@common.batch_size_option
@common.store_option
@ray_options
@click.option("--out", metavar="FILE", help="Also write the JSON there; must not exist yet.")
@click.option("--force", is_flag=True, help="Replace an existing --out file.")
@click.option(
    "--fail-under",
    multiple=True,
    metavar="ATTACK=ACC",
    help="Exit with 3 if the accuracy is lower, such as pgd=0.40 or clean=0.95; may be repeated.",
)
@click.option(
    "--gate-on",
    type=click.Choice(["interval", "accuracy"]),
    default="interval",
    show_default=True,
    help="What must reach the accuracy of --fail-under: the lower end of the 95% interval, or "
    "the measured accuracy alone.",
)
@common.trust_option
@common.device_option
@common.json_option
@common.run_command
@common.pixel_options
def evaluate_command(out: str | None, force: bool, as_json: bool, **options: Any) -> None:
    """Attacks TARGET and says what accuracy is left, with its 95% interval.

    TARGET is a run folder, a .keras file or a SavedModel. Accuracies are over all test
    images: one that is wrong without attack counts as wrong. With --surrogate every
    number is a transfer number and says from which model. With --inference imt the attacks
    are made on the bare classifier and scored behind IMT, as published (static), but for
    those that know of it (adaptive): atld-joint, atld-chain, atld-manifold, through-imt.
    """
    if out is not None:
        atomic.check_new_file(out, replace=force, parents=True)
    with common.stdout_kept_clean():
        evaluation, missed = _evaluate(_Options(**options))
    with common.reader_may_leave():
        if as_json:
            common.print_json(evaluation.to_json())
        else:
            _print_tables(evaluation)
    if out is not None:
        with atomic.new_parents(out):
            atomic.write_json(out, evaluation.to_json())
    for line in missed:
        common.say(line, err=True)
    if missed:
        sys.exit(common.GATE_NOT_MET)


@dataclass(frozen=True)
class _Options:
    """The command's options by name."""

    target: str
    data: str
    attacks: tuple[str, ...]
    suite: str | None
    limit: int | None
    inference: str
    surrogates: tuple[str, ...]
    values: tuple[str, ...]
    seed: int
    batch_size: int
    pixels: PixelFormat
    fail_under: tuple[str, ...]
    gate_on: Literal["interval", "accuracy"]
    store: Path | None
    trust: bool
    device: str
    cluster: Cluster


def _evaluate(options: _Options) -> tuple[Evaluation, list[str]]:
    """The record of the evaluation, and one line for every gate that is not met."""
    from atk_latent.data.loading import load_dataset
    from atk_latent.evaluation import gates as checks

    gates = checks.parse_gates(options.fail_under)
    suite = _suite(options)
    if not options.suite and options.attacks:
        checks.check_gates_are_run(gates, options.attacks)
    common.choose_device(options.device)
    with common.limit_by_its_option():
        dataset = load_dataset(options.data, limit_test=options.limit, seed=options.seed)
    plan = _plan(options, suite, dataset)
    checks.check_gates_are_run(gates, [attack.spec for attack in plan.attacks])
    with common.progress_bars() as progress, options.cluster.executor(progress) as executor:
        common.setup_tensorflow(options.device)
        from atk_latent import api
        from atk_latent.evaluation.target import with_classes_of

        dataset = with_classes_of(options.target, dataset)
        evaluation = api.evaluate(
            options.target,
            dataset,
            _cases(plan, dataset, options.trust),
            inference=options.inference,
            pixels=options.pixels,
            options=api.Options(
                options.seed,
                options.batch_size,
                progress,
                options.store,
                trust=options.trust,
                executor=executor,
            ),
        )
    evaluation = evaluation.model_copy(
        update={
            "suite": suite.name if options.suite else None,
            "skipped": plan.skipped,
            "clean_published": plan.clean_published,
        }
    )
    missed = checks.failed_gates(gates, evaluation.clean, evaluation.attacks, options.gate_on)
    return evaluation, missed


def _suite(options: _Options) -> Suite:
    """The attacks that were named and those of the suite; the default ones if there are none."""
    from atk_latent.evaluation import suites

    common.check_attack_names(options.attacks)
    if options.values and not options.suite:
        raise InputError("--set gives a variable of a suite; name one with --suite")
    named = tuple(suites.Entry(spec) for spec in options.attacks)
    if not options.suite:
        return suites.Suite(attacks=named) if named else suites.DEFAULT
    suite = suites.load_suite(options.suite)
    return replace(suite, attacks=(*named, *suite.attacks))


def _plan(options: _Options, suite: Suite, dataset: Dataset) -> Plan:
    """What is to be run on the data; says what is left out."""
    from atk_latent.evaluation import suites

    setup = suites.Setup(
        image_shape=dataset.image_shape,
        num_classes=dataset.num_classes,
        data=dataset.name,
        surrogates=tuple(dict.fromkeys(options.surrogates)),
        inference=options.inference,
        values=config.assignments(options.values),
    )
    plan = suites.plan(suite, setup)
    for line in plan.skipped:
        common.say(line, err=True)
    return plan


def _cases(plan: Plan, dataset: Dataset, trust: bool) -> list[Case]:
    """The attacks with the models they are made on, each loaded once."""
    from atk_latent.evaluation.runner import Case
    from atk_latent.evaluation.target import Target

    paths = dict.fromkeys(attack.surrogate for attack in plan.attacks if attack.surrogate)
    models = {path: Target.load(path, dataset, trust=trust).surrogate for path in paths}
    return [
        Case(attack.spec, models[attack.surrogate] if attack.surrogate else None, attack.published)
        for attack in plan.attacks
    ]


def _print_tables(evaluation: Evaluation) -> None:
    """Clean accuracy, then a table for each kind of threat: never one for two of them."""
    console = common.console()
    inference = evaluation.inference
    console.print(
        f"{evaluation.target} on {evaluation.n} test images of {evaluation.data}: "
        f"clean accuracy {evaluation.clean_accuracy:.4f} "
        f"[{evaluation.clean_low:.4f}, {evaluation.clean_high:.4f}]"
        + ("" if inference == "none" else f", inference {inference}")
    )
    for title in dict.fromkeys(_title(result) for result in evaluation.attacks):
        results = [result for result in evaluation.attacks if _title(result) == title]
        console.print(_table(title, results))
        sources = (result.published.source for result in results if result.published)
        for source in dict.fromkeys(sources):
            console.print(f"published: {source}")
    for result in evaluation.attacks:
        _print_diagnostics(console, result)


def _table(title: str, results: Sequence[AttackResult]) -> Table:
    from rich.table import Table

    table = Table("attack", "threat model", title=title)
    for name in ("robust accuracy", "95% interval", "mean Linf", "mean L2", "seconds"):
        table.add_column(name, justify="right")
    with_published = any(result.published for result in results)
    if with_published:
        table.add_column("published", justify="right")
    for result in results:
        published = f"{result.published.value:.4f}" if result.published else ""
        table.add_row(*_row(result), *([published] if with_published else []))
    return table


def _print_diagnostics(console: Console, result: AttackResult) -> None:
    """What the parts of a cascade left, and what it says against its own number."""
    left = ", ".join(f"{part.name} {part.robust_accuracy:.4f}" for part in result.components)
    if left:
        console.print(f"{result.spec}, left after each part: {left}")
    for warning in result.warnings:
        console.print(f"{result.spec}: {warning}")


def _title(result: AttackResult) -> str:
    """The title of the table that an attack belongs to."""
    threat = result.threat_model
    if threat.crafted_on:
        return f"Transfer from {threat.crafted_on}"
    defence = threat.defence_name
    if not defence:
        return "Attacks on the model itself"
    if threat.is_adaptive:
        return f"Adaptive attacks, which know of the discriminator or {defence}; scored behind it"
    return f"Static attacks on the bare classifier, then {defence}: no attack on what is deployed"


def _row(result: AttackResult) -> list[str]:
    eps = "" if result.eps is None else f" eps {result.eps:.4g}"
    return [
        result.attack + eps,
        result.threat,
        f"{result.robust_accuracy:.4f}",
        f"{result.low:.4f} - {result.high:.4f}",
        f"{result.linf:.4f}",
        f"{result.l2:.3f}",
        f"{result.seconds:.1f}",
    ]
