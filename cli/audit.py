"""`atkl audit`: whether a robustness figure deserves belief."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from atk_latent import atomic, config
from atk_latent.pixels import PixelFormat

from . import _common as common
from ._cluster import Cluster, ray_options

if TYPE_CHECKING:
    from atk_latent.results.audit import Audit


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
@ray_options
@click.option("--out", metavar="FILE", help="Also write the JSON there; must not exist yet.")
@common.trust_option
@common.device_option
@common.json_option
@common.run_command
@common.pixel_options
def audit_command(eps: str | None, out: str | None, as_json: bool, **options: Any) -> None:
    """Looks for gradient masking in TARGET; exits with 3 where a check fails.

    A robust accuracy says what the attacks that were tried did not break. These checks say
    whether they had a fair chance: gradients that are there and lead somewhere, larger
    budgets that break more, blind attacks that do no better. With --inference imt they are
    asked of what is deployed, TARGET behind IMT, and static attacks, which do not know of it,
    are compared with adaptive ones.
    """
    if out is not None:
        atomic.check_new_file(out, parents=True)
    radius = None if eps is None else config.number(eps, "--eps")
    with common.stdout_kept_clean():
        audit = _audit(_Options(**options), radius)
    with common.reader_may_leave():
        if as_json:
            common.print_json(audit.to_json())
        else:
            _print(audit)
    if out is not None:
        with atomic.new_parents(out):
            atomic.write_json(out, audit.to_json())
    if not audit.passed:
        sys.exit(common.GATE_NOT_MET)


@dataclass(frozen=True)
class _Options:
    """The command's options by name."""

    target: str
    data: str
    limit: int
    inference: str
    surrogate: str | None
    seed: int
    batch_size: int
    pixels: PixelFormat
    store: Path | None
    trust: bool
    device: str
    cluster: Cluster


def _audit(options: _Options, eps: float | None) -> Audit:
    common.choose_device(options.device)
    with (
        common.progress_bars("audit:") as progress,
        options.cluster.executor(progress) as executor,
    ):
        common.setup_tensorflow(options.device)
        from atk_latent import api

        with common.limit_by_its_option():
            dataset = api.load_dataset(options.data, limit_test=options.limit, seed=options.seed)
        return api.audit(
            options.target,
            dataset,
            eps,
            inference=options.inference,
            surrogate=options.surrogate,
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


def _print(audit: Audit) -> None:
    from rich.table import Table
    from rich.text import Text

    console = common.console()
    behind = "" if audit.inference == "none" else f" behind {audit.inference}"
    subject = f"{audit.target}{behind} on {audit.n} images"
    table = Table(title=f"{subject}, Linf eps {audit.eps:.4g}")
    for column in ("check", "", "found"):
        table.add_column(column)
    for check in audit.checks:
        mark = Text("passed") if check.passed else Text("FAILED", "bold red")
        table.add_row(check.name, mark, check.verdict)
    console.print(table)
    for check in audit.checks:
        if not check.passed:
            console.print(f"{check.name}: {check.why}")
    if audit.passed:
        console.print("No sign of masked gradients was found; that is no proof of robustness.")
