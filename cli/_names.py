"""Names that a shell completes."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from atk_latent.registry import Registry


class Names(click.ParamType):
    """Text that is completed with the names of a registry; what it may be is checked later."""

    name = "text"

    def __init__(self, names: Registry) -> None:
        self.names = names

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text as it is: a path is as good as a name."""
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names that begin so, each with its line."""
        return [
            CompletionItem(name, help=self.names.entry(name).summary)
            for name in self.names
            if name.startswith(incomplete)
        ]
