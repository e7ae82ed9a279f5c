"""Reads the arguments of a service, which are paths; argparse or getopt would take a third of a MiB in each of them."""

import sys
from collections.abc import Sequence
from pathlib import Path


def path_arguments(words: Sequence[str], required: str, *optional: str) -> dict[str, Path]:
    """The paths given as `--NAME PATH` or `--NAME=PATH`, by name; exits with code 2 when they are invalid."""
    paths: dict[str, Path] = {}
    remaining = iter(words)
    for word in remaining:
        option, equals, path = word.partition("=")
        name = option.removeprefix("--")
        if option == name or name not in (required, *optional):
            sys.exit(_usage_error(f"unexpected argument {word}"))
        path = path if equals else next(remaining, "")
        if not path:
            sys.exit(_usage_error(f"{option} needs a path"))
        paths[name] = Path(path)
    if required not in paths:
        sys.exit(_usage_error(f"--{required} is missing"))
    return paths


def _usage_error(text: str) -> int:
    print(f"{text}; supervisord starts services with the right arguments, see supervisor.conf", file=sys.stderr)
    return 2
