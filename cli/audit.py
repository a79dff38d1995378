"""`atkl audit`: whether a robustness figure deserves belief."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from atk_latent import atomic, config

from . import _common as common


@click.command("audit", short_help="Whether a robustness figure deserves belief.")
@common.target_argument
@common.data_option
@click.option("--eps", metavar="E", help="Linf radius; default 0.3 for 28x28x1 images, else 8/255.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Test images, classes in proportion.",
)
@click.option("--surrogate", metavar="RUN", help="Also try a transfer attack from this model.")
@common.seed_option
@common.batch_size_option
@common.store_option
@click.option("--out", metavar="FILE", help="Also write the JSON there; must not exist yet.")
@common.device_option
@common.json_option
@common.run_command
def audit_command(
    target: str,
    data: str,
    eps: str | None,
    limit: int,
    surrogate: str | None,
    seed: int,
    batch_size: int,
    store: Path | None,
    out: str | None,
    device: str,
    as_json: bool,
) -> None:
    """Looks for gradient masking in TARGET; exits with 3 where a check fails.

    A robust accuracy says what the attacks that were tried did not break. These checks say
    whether they had a fair chance: gradients that are there and lead somewhere, larger
    budgets that break more, blind attacks that do no better.
    """
    if out:
        atomic.check_new_file(out)
    radius = config.number(eps, "--eps") if eps else None
    with common.stdout_kept_clean():
        record = _audited(target, data, radius, limit, surrogate, seed, batch_size, store, device)
    if out:
        atomic.write_json(out, record)
    if as_json:
        common.print_json(record)
    else:
        _print(record)
    if not record["passed"]:
        sys.exit(common.GATE_NOT_MET)


def _audited(
    target: str,
    data: str,
    eps: float | None,
    limit: int,
    surrogate: str | None,
    seed: int,
    batch_size: int,
    store: Path | None,
    device: str,
) -> dict[str, Any]:
    common.setup_tensorflow(device)
    from atk_latent.art_bridge.bound_attack import default_eps
    from atk_latent.data.loading import load_dataset
    from atk_latent.evaluation.audit import audit, passed
    from atk_latent.evaluation.result import provenance, versions
    from atk_latent.evaluation.runner import Surrogate

    dataset = load_dataset(data, limit_test=limit, seed=seed)
    shape, classes = dataset.image_shape, dataset.num_classes
    model = common.load_target(target, shape, classes)
    other = None
    if surrogate:
        other = Surrogate(surrogate, common.load_target(surrogate, shape, classes))
    radius = default_eps(shape) if eps is None else eps
    with common.progress_bars("audit:") as show:
        checks = audit(
            model,
            dataset.x_test,
            dataset.y_test,
            eps=radius,
            seed=seed,
            surrogate=other,
            batch_size=batch_size,
            progress=show,
            store=store,
        )
    return {
        **provenance("audit"),
        "target": target,
        "data": dataset.name,
        "n": len(dataset.x_test),
        "eps": radius,
        "passed": passed(checks),
        "checks": [check.to_dict() for check in checks],
        "seed": seed,
        "versions": versions(),
    }


def _print(record: dict[str, Any]) -> None:
    from rich.table import Table

    console = common.console()
    table = Table(title=f"{record['target']} on {record['n']} images, Linf eps {record['eps']:.4g}")
    for column in ("check", "", "found"):
        table.add_column(column)
    for check in record["checks"]:
        mark = "passed" if check["passed"] else "[bold red]FAILED[/]"
        table.add_row(check["name"], mark, check["verdict"])
    console.print(table)
    for check in record["checks"]:
        if not check["passed"]:
            console.print(f"{check['name']}: {check['why']}")
    if record["passed"]:
        console.print("No sign of masked gradients was found; that is no proof of robustness.")
