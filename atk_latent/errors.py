"""The one exception a user's own mistake raises."""

from __future__ import annotations


class InputError(ValueError):
    """Something the user gave is wrong: an argument, a file, a model.

    The message is one line that says what came, what was expected and what to do.
    The command line prints it and exits with 2; a bug stays an ordinary exception
    with a traceback and exit code 1.
    """
