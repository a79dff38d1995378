"""`atkl list`: every name a user can type."""

from __future__ import annotations

import click

from atk_latent import atomic, registry

from . import _common as common

KINDS = {
    "methods": registry.METHODS,
    "attacks": registry.ATTACKS,
    "data": registry.DATA,
    "models": registry.MODELS,
    "generators": registry.GENERATORS,
    "experiments": registry.EXPERIMENTS,
}


@click.command("list")
@click.argument("kind", type=click.Choice(list(KINDS)))
@common.json_option
def list_names(kind: str, as_json: bool) -> None:
    """List methods, attacks, data sets, models, generators or experiments."""
    names = KINDS[kind]
    if as_json:
        click.echo(atomic.json_text({kind: list(names)}))
        return
    width = max(len(name) for name in names)
    for name in names:
        click.echo(f"{name:<{width}}  {names.entry(name).summary}")
