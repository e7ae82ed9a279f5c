"""`python -m pyrotorque_guardian`: reads no configuration, so it runs whatever is wrong with the settings."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyrotorque import logs
from pyrotorque.errors import PyrotorqueError
from pyrotorque.layout import Layout
from pyrotorque.options import read_options
from pyrotorque.service.arguments import path_arguments
from pyrotorque.service.lifecycle import exit_code, exit_on_sigterm, report_unexpected

log = logging.getLogger(__name__)

_GUARD_FILES = ("guard-file", "earlier-guard-file")


@dataclass(frozen=True)
class GuardianArguments:
    """The command line."""

    layout: Layout
    guard_files: tuple[Path, ...]

    @property
    def log_file(self) -> Path:
        return self.layout.log_dir / "guardian.log"


def read_arguments(words: Sequence[str]) -> GuardianArguments:
    paths = path_arguments(words, "config-dir", "run-dir", "state-dir", *_GUARD_FILES)
    layout = Layout.below(paths["config-dir"], run_dir=paths.get("run-dir"), state_dir=paths.get("state-dir"))
    return GuardianArguments(layout, tuple(paths[name] for name in _GUARD_FILES if name in paths))


def main() -> int:
    arguments = read_arguments(sys.argv[1:])
    # Standard output is the protocol; supervisord appends it to the same file.
    options, file = read_options(arguments.layout), str(arguments.log_file)
    quiet = options.log_level == "WARNING"
    logs.configure("INFO", "guardian", arguments.layout, file=file, quiet=quiet, log_format=options.log_format)
    try:
        with exit_on_sigterm():
            from pyrotorque_guardian.service import guard  # after the SIGTERM handler is installed

            guard(arguments.layout, arguments.guard_files, arguments.log_file)
    except PyrotorqueError as error:
        log.error("%s", error)
        return exit_code(error)
    except Exception as error:
        return report_unexpected(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
