"""`make bench`: all measurements with every rTorrent; `python -m benchmarks NAME… --json` for some, or for programs."""

import importlib
import sys
import time

from benchmarks.figures import show
from tests.programs import first_on_path, rtorrents

ALL = (
    *("loading", "burst", "backlog", "kills", "starting", "queue", "bell"),
    *("conditions", "exporter", "idle", "injection", "cleanup", "fleet", "panel"),
)


def main(words: list[str]) -> int:
    """1 when a figure misses its goal on rTorrent 0.9.8; those of newer versions are reported."""
    missed = 0
    for name in [word for word in words if not word.startswith("-")] or ALL:
        for program in rtorrents():
            title = f"{name}, rTorrent {program.version}"
            print(f"measuring {title} …", file=sys.stderr, flush=True)
            began = time.monotonic()
            with first_on_path(program):
                figures = list(importlib.import_module(f"benchmarks.{name}").measure())
            show(title, figures, as_json="--json" in words)
            missed += program.satisfies("<0.10") and sum(figure.met is False for figure in figures)
            print(f"{title}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
