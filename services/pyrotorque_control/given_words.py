"""Words of the command line that name something: an empty one is a usage error, found before anything else is done.

It is what a script passes whose variable is not set, and as a path it would mean the current folder.
"""

from typing import TypeVar

import click

T = TypeVar("T", str | None, tuple[str, ...])


def given_word(_context: click.Context, param: click.Parameter, value: T) -> T:
    """The callback of an argument or option; `value` is what was given, None or () without it."""
    words = (value,) if isinstance(value, str) else value or ()
    if not all(word.strip() for word in words):
        raise click.BadParameter("it is empty", param=param)
    return value
