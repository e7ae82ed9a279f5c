"""The guardian's process: knows only folders, so that it lives whatever is wrong with the configuration."""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyrotorque import logs
from pyrotorque.errors import PyrotorqueError
from pyrotorque.layout import Layout
from pyrotorque.service.lifecycle import exit_code, exit_on_sigterm

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Given:
    """The command line."""

    layout: Layout
    guard_file: Path | None

    @property
    def log_file(self) -> Path:
        return self.layout.log_dir / "guardian.log"


def read_arguments(arguments: Sequence[str]) -> Given:
    parser = argparse.ArgumentParser(prog="pyrotorque_guardian", allow_abbrev=False)
    parser.add_argument("--config-dir", type=Path, required=True)
    parser.add_argument("--run-dir", type=Path)
    parser.add_argument("--state-dir", type=Path)
    parser.add_argument("--guard-file", type=Path)
    found = parser.parse_args(arguments)
    return Given(Layout.below(found.config_dir, run_dir=found.run_dir, state_dir=found.state_dir), found.guard_file)


def main() -> int:
    given = read_arguments(sys.argv[1:])
    # Standard output is the protocol; supervisord appends it to the same file.
    logs.configure("INFO", "guardian", given.layout, file=str(given.log_file))
    try:
        with exit_on_sigterm():
            from pyrotorque_guardian.guarding import guard  # only now, when TERM ends us well

            guard(given.layout, given.guard_file, given.log_file)
    except PyrotorqueError as error:
        log.error("%s", error)
        return exit_code(error)
    except Exception:
        log.exception("a bug, please report it")
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
