"""`atkl audit`: whether a robustness figure deserves belief."""

from __future__ import annotations

import sys
from dataclasses import dataclass
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
@common.inference_option
@click.option("--surrogate", metavar="RUN", help="Also try a transfer attack from this model.")
@common.seed_option
@common.batch_size_option
@common.store_option
@click.option("--out", metavar="FILE", help="Also write the JSON there; must not exist yet.")
@common.device_option
@common.json_option
@common.run_command
def audit_command(eps: str | None, out: str | None, as_json: bool, **asked: Any) -> None:
    """Looks for gradient masking in TARGET; exits with 3 where a check fails.

    A robust accuracy says what the attacks that were tried did not break. These checks say
    whether they had a fair chance: gradients that are there and lead somewhere, larger
    budgets that break more, blind attacks that do no better. With --inference imt they are
    asked of what is deployed, TARGET behind IMT, and static attacks, which do not know of it,
    are compared with adaptive ones.
    """
    if out:
        atomic.check_new_file(out)
    radius = config.number(eps, "--eps") if eps else None
    with common.stdout_kept_clean():
        record = _audited(_Asked(**asked), radius)
    if out:
        atomic.write_json(out, record)
    if as_json:
        common.print_json(record)
    else:
        _print(record)
    if not record["passed"]:
        sys.exit(common.GATE_NOT_MET)


@dataclass(frozen=True)
class _Asked:
    """What is to be audited; the command's options by name."""

    target: str
    data: str
    limit: int
    inference: str
    surrogate: str | None
    seed: int
    batch_size: int
    store: Path | None
    device: str


def _audited(asked: _Asked, eps: float | None) -> dict[str, Any]:
    common.setup_tensorflow(asked.device)
    from atk_latent.art_bridge.bound_attack import default_eps
    from atk_latent.data.loading import load_dataset
    from atk_latent.evaluation.audit import audit, passed
    from atk_latent.evaluation.result import provenance, versions
    from atk_latent.evaluation.runner import Surrogate

    dataset = load_dataset(asked.data, limit_test=asked.limit, seed=asked.seed)
    shape, classes = dataset.image_shape, dataset.num_classes
    model = common.load_target(asked.target, shape, classes)
    other = None
    if asked.surrogate:
        other = Surrogate(asked.surrogate, common.load_target(asked.surrogate, shape, classes))
    deployed, context = common.deployed(asked.inference, asked.target, model)
    radius = default_eps(shape) if eps is None else eps
    with common.progress_bars("audit:") as show:
        checks = audit(
            model,
            dataset.x_test,
            dataset.y_test,
            eps=radius,
            seed=asked.seed,
            surrogate=other,
            deployed=deployed,
            context=context,
            batch_size=asked.batch_size,
            progress=show,
            store=asked.store,
        )
    return {
        **provenance("audit"),
        "target": asked.target,
        "inference": asked.inference,
        "data": dataset.name,
        "n": len(dataset.x_test),
        "eps": radius,
        "passed": passed(checks),
        "checks": [check.to_dict() for check in checks],
        "seed": asked.seed,
        "versions": versions(),
    }


def _print(record: dict[str, Any]) -> None:
    from rich.table import Table

    console = common.console()
    behind = "" if record["inference"] == "none" else f" behind {record['inference']}"
    subject = f"{record['target']}{behind} on {record['n']} images"
    table = Table(title=f"{subject}, Linf eps {record['eps']:.4g}")
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
