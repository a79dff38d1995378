"""`atkl completion`: names and options at the tab key."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from atk_latent.errors import InputError

from . import _common as common

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@common.run_command
def completion_command(shell: str) -> None:
    """Print the script that completes commands, options and names in a shell.

    \b
    bash: atkl completion bash > ~/.local/share/bash-completion/completions/atkl
    zsh:  atkl completion zsh  > ~/.zfunc/_atkl       (with fpath+=~/.zfunc before compinit)
    fish: atkl completion fish > ~/.config/fish/completions/atkl.fish
    """  # noqa: D301
    from .main import main

    kind = get_completion_class(shell)
    if kind is None:
        raise InputError(f"this version of click has no completion for {shell}. Update click")
    click.echo(kind(main, {}, "atkl", "_ATKL_COMPLETE").source())
