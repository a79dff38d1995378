"""The `atkl` command: a group whose subcommands are imported when they are run."""

from __future__ import annotations

import contextlib
import importlib
import re
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from atk_latent import __version__
from atk_latent.errors import visible

COMMANDS = {
    "harden": "train a defence and leave a run folder with the hardened classifier",
    "train-gan": "train the class-conditional GAN that the attack song draws its images with",
    "evaluate": "attack a model and print clean and robust accuracy",
    "attack": "write adversarial images to a file",
    "audit": "look for gradient masking: does a robustness figure deserve belief?",
    "report": "result files to one HTML page, Markdown, CSV and LaTeX tables, figures",
    "export": "write a SavedModel and check it in a fresh process",
    "import-torch": "a PyTorch checkpoint to a Keras model, without PyTorch",
    "reproduce": "a table or figure of the papers, or all methods side by side",
    "sweep": "a grid of methods, settings and seeds: runs, one table, one figure",
    "list": "names of methods, attacks, data sets and models",
    "completion": "the script for names and options at the tab key",
    "doctor": "what this machine can do: versions, devices, data found",
}


class LazyGroup(click.Group):
    """Knows its commands by name; imports one only when it is called."""

    def main(self, *args: Any, **options: Any) -> NoReturn:  # type: ignore[override]
        """Runs a command; wrong usage is one line on stderr and exit code 2."""
        options["standalone_mode"] = False
        with contextlib.suppress(ValueError):  # not in the main thread: whose job it is not
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
        try:
            code = super().main(*args, **options)
        except click.ClickException as problem:
            message = " ".join(problem.format_message().split())
            click.echo(f"Error: {visible(message)}", err=True)
            sys.exit(problem.exit_code)
        except click.Abort:
            click.echo("Stopped.", err=True)
            sys.exit(130)
        sys.exit(code if isinstance(code, int) else 0)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuses arguments that no command can use."""
        _check_arguments(args)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order of a job."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports one command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".{cmd_name.replace('-', '_')}", __package__)
        return next(item for item in vars(module).values() if isinstance(item, click.Command))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _check_arguments(arguments: Sequence[str]) -> None:
    """Refuses an argument that is empty, as of an unset variable, or holds a NUL byte.

    Raises:
        UsageError: naming it.
    """
    for before, argument in zip(["atkl", *arguments], arguments, strict=False):
        if not argument or re.fullmatch(r"--[\w-]+=", argument):
            option = argument or before
            raise click.UsageError(f"what follows {option} is empty; give a value or leave it out")
        if "\0" in argument:
            raise click.UsageError(f"an argument holds a NUL byte: {argument[:60]!r}")


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="atkl")
def main() -> None:
    """Harden Keras image classifiers against adversarial examples, and measure how robust they are.

    \b
    atkl harden --method ladder --data mnist --out runs/ladder
    atkl evaluate runs/ladder --data mnist --attack pgd:eps=0.3,steps=40 --limit 1000
    atkl export runs/ladder --data mnist --out exported/ladder

    Exit codes: 0 done, 1 a bug, 2 wrong input, 3 a gate (--fail-under) was not met,
    130 interrupted (Ctrl-C, SIGTERM).
    """  # noqa: D301
