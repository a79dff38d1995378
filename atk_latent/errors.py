"""The one exception a user's own mistake raises."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class InputError(ValueError):
    """Something the user gave is wrong: an argument, a file, a model.

    The message is one line that says what came, what was expected and what to do.
    The command line prints it and exits with 2; a bug stays an ordinary exception
    with a traceback and exit code 1.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"Did you mean 'nearest'? "`` for a message, "" where no known name is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean '{near[0]}'? " if near else ""


# Not tab and line end: controls, marks that turn the direction of text, lone surrogates.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""`text` with every character that a terminal or a page would obey written as ``\x1b``.

    Names of files and classes are anybody's; what shows them calls this once.
    """
    return _HIDDEN.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def first_line(error: BaseException) -> str:
    """What an error says first, in at most 200 letters; its type where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".:")[:200]
