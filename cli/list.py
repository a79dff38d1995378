"""`atkl list`: every name a user can type."""

from __future__ import annotations

import click

from atk_latent import atomic, registry
from atk_latent.errors import InputError

from . import _common as common

KINDS = {
    "methods": registry.METHODS,
    "attacks": registry.ATTACKS,
    "data": registry.DATA,
    "models": registry.MODELS,
    "generators": registry.GENERATORS,
    "experiments": registry.EXPERIMENTS,
    "suites": None,  # files, not objects: read when they are asked for
}


@click.command("list")
@click.argument("kind", type=click.Choice(list(KINDS)), required=False)
@click.option("--verbose", is_flag=True, help="Methods: where paper and published code differ.")
@common.json_option
@common.run_command
def list_names(kind: str | None, verbose: bool, as_json: bool) -> None:
    """List methods, attacks, data, models, generators, experiments, suites; or all of them."""
    if verbose and kind != "methods":
        raise InputError(
            f"--verbose is for methods; it has nothing to add to {kind or 'all names'}"
        )
    names = {each: _summaries(KINDS[each]) for each in ([kind] if kind else KINDS)}
    if as_json:
        click.echo(atomic.json_text({each: list(table) for each, table in names.items()}))
        return
    for each, table in names.items():
        if kind is None:
            click.echo(f"{click.style(each, bold=True)}")
        _print_names(table, indent="" if kind else "  ")
    if verbose:
        _print_differences()


def _print_names(names: dict[str, tuple[str, str]], indent: str) -> None:
    width = max(len(name) for name in names)
    for name, (summary, needs) in names.items():
        click.echo(f"{indent}{name:<{width}}  {summary}")
        if needs:
            click.echo(f"{indent}{'':<{width}}    needs {needs}")


def _summaries(kind: registry.Registry | None) -> dict[str, tuple[str, str]]:
    """The names of a kind, each with its line and what it needs; suites have no registry."""
    if kind is not None:
        return {name: (kind.entry(name).summary, kind.entry(name).needs) for name in kind}
    from atk_latent.evaluation.suites import load_suite, suite_names

    return {name: (load_suite(name).description, "") for name in suite_names()}


def _print_differences() -> None:
    """Where ATLD's two presets differ."""
    from rich.table import Table

    from atk_latent.methods.atld_differences import DIFFERENCES

    columns = ("atld", "--preset paper", "--preset official", "settings (--set)")
    title = "Where ATLD's paper and its published code differ; quick and stable go by the paper"
    table = Table(*columns, title=title)
    for row in DIFFERENCES:
        table.add_row(*row)
    common.console().print(table)
