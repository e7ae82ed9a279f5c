"""`python -m pyrotorque_control.piped_words`: the command, with its words as a JSON array on standard input.

For other programs of ours: every user of the machine sees the words of a command line.
"""

import json
import sys

from pyrotorque.interpreter import prepare_command
from pyrotorque_control.__main__ import run


def main() -> int:
    """Run the command line in standard input and return its exit code."""
    prepare_command()
    # A path may have bytes that are not UTF-8, which msgspec refuses.
    words: list[str] = json.loads(sys.stdin.buffer.read())
    return run(words)


if __name__ == "__main__":
    sys.exit(main())
