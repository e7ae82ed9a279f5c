"""Reads the arguments of a service, which are paths; argparse would take a third of a MiB in each of them."""

import getopt
import sys
from collections.abc import Sequence
from pathlib import Path


def path_arguments(words: Sequence[str], required: str, *optional: str) -> dict[str, Path]:
    """The paths given as `--NAME PATH` or `--NAME=PATH`, by name; exits with code 2 when they are invalid."""
    try:
        options, rest = getopt.getopt(list(words), "", [f"{name}=" for name in (required, *optional)])
    except getopt.GetoptError as error:
        sys.exit(_usage_error(str(error)))
    paths = {name.removeprefix("--"): Path(value) for name, value in options}
    if rest or required not in paths:
        sys.exit(_usage_error(f"unexpected argument {rest[0]}" if rest else f"--{required} is missing"))
    return paths


def _usage_error(text: str) -> int:
    print(f"{text}; supervisord starts services with the right arguments, see supervisor.conf", file=sys.stderr)
    return 2
