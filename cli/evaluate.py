"""`atkl evaluate`: how much accuracy attacks leave."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import click

from atk_latent import atomic, config
from atk_latent.errors import InputError

from . import _common as common


@click.command("evaluate", short_help="How much accuracy attacks leave.")
@common.target_argument
@common.data_option
@click.option(
    "--attack",
    "-a",
    "attacks",
    multiple=True,
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
@common.device_option
@common.json_option
@common.run_command
def evaluate_command(out: str | None, force: bool, as_json: bool, **asked: Any) -> None:
    """Attacks TARGET and says what accuracy is left, with its 95% interval.

    TARGET is a run folder, a .keras file or a SavedModel. Accuracies are over all test
    images: one that is wrong without attack counts as wrong. With --surrogate every
    number is a transfer number and says from which model. With --inference imt the attacks
    are made on the bare classifier and scored behind IMT, as published (static), but for
    those that know of it (adaptive): atld-joint, atld-chain, atld-manifold, through-imt.
    """
    if out:
        atomic.check_new_file(out, replace=force)
    with common.stdout_kept_clean():
        record, missed = _measure(_Asked(**asked))
    if out:
        atomic.write_json(out, record)
    if as_json:
        common.print_json(record)
    else:
        _print_tables(record)
    for line in missed:
        click.echo(line, err=True)
    if missed:
        sys.exit(common.GATE_NOT_MET)


@dataclass(frozen=True)
class _Asked:
    """What is to be measured; the command's options by name."""

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
    fail_under: tuple[str, ...]
    gate_on: Literal["interval", "accuracy"]
    store: Path | None
    device: str


def _measure(asked: _Asked) -> tuple[dict[str, Any], list[str]]:
    """The record of the evaluation, and one line for every gate that is not met."""
    from atk_latent.data.loading import load_dataset
    from atk_latent.evaluation import gates as checks
    from atk_latent.evaluation import result

    gates = checks.parse_gates(asked.fail_under)
    suite = _suite(asked)
    if not asked.suite and asked.attacks:
        checks.check_gates_are_run(gates, asked.attacks)
    common.choose_device(asked.device)
    dataset = load_dataset(asked.data, limit_test=asked.limit, seed=asked.seed)
    planned = _planned(asked, suite, dataset)
    checks.check_gates_are_run(gates, [attack.spec for attack in planned.attacks])
    common.setup_tensorflow(asked.device)
    from atk_latent.evaluation import runner

    x, y, shape = dataset.x_test, dataset.y_test, dataset.image_shape
    model = common.load_target(asked.target, shape, dataset.num_classes)
    cases = _cases(planned, dataset)
    deployed, context = common.deployed(asked.inference, asked.target, model)
    scored = deployed.model if deployed else model
    found = runner.clean_predictions(scored, x, y, batch_size=asked.batch_size)
    clean = result.Accuracy.of(found == y)
    with common.progress_bars() as progress:
        results = runner.evaluate_cases(
            model,
            x,
            y,
            cases,
            seed=asked.seed,
            deployed=deployed,
            batch_size=asked.batch_size,
            progress=progress,
            context=replace(context, data=dataset, progress=progress),
            store=asked.store,
        )
    record = result.evaluation_record(
        target=asked.target,
        data=dataset.name,
        clean=clean,
        attacks=results,
        seed=asked.seed,
        samples=result.Samples(y.tolist(), found.tolist(), dataset.class_names),
        suite=suite.name if asked.suite else None,
    )
    record |= {"inference": asked.inference, "skipped": list(planned.skipped)}
    if planned.clean_published:
        record["clean_published"] = planned.clean_published
    return record, checks.failed_gates(gates, clean, results, asked.gate_on)


def _suite(asked: _Asked) -> Any:
    """The attacks that were named and those of the suite; the default ones if there are none."""
    from atk_latent.evaluation import suites

    common.check_attack_names(asked.attacks)
    if asked.values and not asked.suite:
        raise InputError("--set gives a variable of a suite; name one with --suite")
    named = tuple(suites.Entry(spec) for spec in asked.attacks)
    if not asked.suite:
        return suites.Suite(attacks=named) if named else suites.DEFAULT
    suite = suites.load_suite(asked.suite)
    return replace(suite, attacks=(*named, *suite.attacks))


def _planned(asked: _Asked, suite: Any, dataset: Any) -> Any:
    """What is to be run on the data; says what is left out."""
    from atk_latent.evaluation import suites

    scene = suites.Scene(
        image_shape=dataset.image_shape,
        num_classes=dataset.num_classes,
        data=dataset.name,
        surrogates=tuple(dict.fromkeys(asked.surrogates)),
        inference=asked.inference,
        values=config.assignments(asked.values),
    )
    planned = suites.plan(suite, scene)
    for line in planned.skipped:
        click.echo(line, err=True)
    return planned


def _cases(planned: Any, dataset: Any) -> list[Any]:
    """The attacks with the models they are made on, each loaded once."""
    from atk_latent.evaluation.runner import Case, Surrogate

    shape, classes = dataset.image_shape, dataset.num_classes
    paths = dict.fromkeys(attack.surrogate for attack in planned.attacks if attack.surrogate)
    models = {path: Surrogate(path, common.load_target(path, shape, classes)) for path in paths}
    return [
        Case(attack.spec, models.get(attack.surrogate), attack.published)
        for attack in planned.attacks
    ]


def _print_tables(record: dict[str, Any]) -> None:
    """Clean accuracy, then a table for each kind of threat: never one for two of them."""
    from rich.table import Table

    console = common.console()
    interval = f"[{record['clean_low']:.4f}, {record['clean_high']:.4f}]"
    console.print(
        f"{record['target']} on {record['n']} test images of {record['data']}: "
        f"clean accuracy {record['clean_accuracy']:.4f} {interval}"
        + ("" if record["inference"] == "none" else f", inference {record['inference']}"),
        markup=False,
        highlight=False,
    )
    kinds = dict.fromkeys(_kind(attack) for attack in record["attacks"])
    for kind in kinds:
        attacks = [attack for attack in record["attacks"] if _kind(attack) == kind]
        table = Table("attack", "threat model", title=kind)
        for name in ("robust accuracy", "95% interval", "mean Linf", "mean L2", "seconds"):
            table.add_column(name, justify="right")
        known = any("published" in attack for attack in attacks)
        if known:
            table.add_column("published", justify="right")
        for attack in attacks:
            table.add_row(*_row(attack), *([_published(attack)] if known else []))
        console.print(table)
        for source in dict.fromkeys(a["published"]["source"] for a in attacks if "published" in a):
            console.print(f"published: {source}", markup=False, highlight=False)
    for attack in record["attacks"]:
        _print_account(console, attack)


def _print_account(console: Any, attack: dict[str, Any]) -> None:
    """What the parts of a cascade left, and what it says against its own number."""
    left = ", ".join(f"{p['name']} {p['robust_accuracy']:.4f}" for p in attack["components"])
    if left:
        console.print(f"{attack['spec']}, left after each part: {left}", markup=False)
    for warning in attack["warnings"]:
        console.print(f"{attack['spec']}: {warning}", markup=False)


def _kind(attack: dict[str, Any]) -> str:
    """The title of the table that an attack belongs to."""
    if attack["surrogate"]:
        return f"Transfer from {attack['surrogate']}"
    if attack["inference"] == "none":
        return "Attacks on the model itself"
    defence = attack["inference"].partition(":")[0].upper()
    if attack["threat"].startswith("adaptive"):
        return f"Adaptive attacks, which know of the discriminator or {defence}; scored behind it"
    return f"Static attacks on the bare classifier, then {defence}: no attack on what is deployed"


def _row(attack: dict[str, Any]) -> list[str]:
    eps = "" if attack["eps"] is None else f" eps {attack['eps']:.4g}"
    return [
        attack["attack"] + eps,
        attack["threat"],
        f"{attack['robust_accuracy']:.4f}",
        f"{attack['low']:.4f} - {attack['high']:.4f}",
        f"{attack['linf']:.4f}",
        f"{attack['l2']:.3f}",
        f"{attack['seconds']:.1f}",
    ]


def _published(attack: dict[str, Any]) -> str:
    return f"{attack['published']['value']:.4f}" if "published" in attack else ""
