"""`make bench`: every measurement, a table each; `python -m benchmarks NAME… --json` for some, or for programs."""

import importlib
import sys
import time

from benchmarks.figures import show

ALL = ("loading", "starting", "queue", "bell", "conditions", "exporter", "idle", "injection")


def main(words: list[str]) -> int:
    """1 when a figure misses its goal."""
    missed = 0
    for name in [word for word in words if not word.startswith("-")] or ALL:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        began = time.monotonic()
        figures = list(importlib.import_module(f"benchmarks.{name}").measure())
        show(name, figures, as_json="--json" in words)
        missed += sum(figure.met is False for figure in figures)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
