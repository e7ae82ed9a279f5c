"""The files that supervisord reads: the process table, filled in at each start, and the user's own supervisor.conf."""

import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from pyrotorque.errors import LayoutError
from pyrotorque.layout import Layout
from pyrotorque.linux.processes import current_umask
from pyrotorque.options import Options, write_atomically
from pyrotorque.text import printable

# -P: never import from the working directory. utf8: independent of the locale.
# no_debug_ranges: saves about a tenth of the memory that our code takes.
PYTHON_FLAGS = ("-P", "-X", "utf8", "-X", "no_debug_ranges")

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
GUARD_FILE_OPTION = "--guard-file"

STUB = """\
; Your own file: pyrotorque never overwrites it. Programs that you add below run in the same supervisord.
;
;   supervisorctl -c {conf} status
;
; The programs scheduler, watcher, exporter and guardian are written to run/programs.conf each time pyrotorque starts.

[include]
files = run/programs.conf

[supervisorctl]
serverurl = unix://{socket}

; [program:mine]
; command = /home/me/bin/mine
"""


def packaged() -> str:
    """The process table with its placeholders, from the wheel or from the root of the checkout."""
    here = Path(__file__).resolve().parents[1]
    for path in (here / "supervisor.conf", here.parents[1] / "supervisor.conf"):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise LayoutError(f"supervisor.conf is missing beside {here}: install pyrotorque again")


def filled(text: str, values: Mapping[str, str]) -> str:
    """The process table with every `{placeholder}` replaced, escaped so that supervisord reads the value unchanged."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]].replace("%", "%%"), text)


def placeholder_values(
    layout: Layout, options: Options, *, python: str, umask: int, guard_file: Path | None
) -> dict[str, str]:
    """A value for each placeholder; raises LayoutError for a path that a supervisord file cannot contain."""
    pid_file = options.pid_file or str(layout.pid_file)
    paths = {
        "log_dir": str(layout.log_dir),
        "pid_file": pid_file,
        "socket": str(layout.supervisor_socket),
    }
    words = [
        "--config-dir",
        str(layout.config_dir),
        "--run-dir",
        str(layout.run_dir),
        "--state-dir",
        str(layout.state_dir),
    ]
    if guard_file is not None:
        words += [GUARD_FILE_OPTION, str(guard_file)]
    for path in (*paths.values(), *words, python):
        _refuse_unwritable(path)
    return {
        **paths,
        # supervisord 4.3 expands the log files of programs twice.
        "logs": str(layout.log_dir).replace("%", "%%"),
        "python": shlex.join([python, *PYTHON_FLAGS]),
        "config_dir_word": shlex.quote(str(layout.config_dir)),
        "guardian_words": shlex.join(words),
        "umask": f"{umask:03o}",
    }


def programs_file(layout: Layout) -> Path:
    """Always beside the user's own supervisor.conf, independent of `run_dir`, so that its include finds it."""
    return layout.config_dir / "run" / "programs.conf"


def stub_file(layout: Layout) -> Path:
    return layout.config_dir / "supervisor.conf"


def stub(layout: Layout) -> str:
    """The user's own supervisor.conf as `init` writes it."""
    socket = layout.supervisor_socket
    below = socket.is_relative_to(layout.config_dir)
    shown = f"%(here)s/{socket.relative_to(layout.config_dir)}" if below else str(socket).replace("%", "%%")
    return STUB.replace("{conf}", str(stub_file(layout))).replace("{socket}", shown)


def active_guard_file(layout: Layout, options: Options) -> Path | None:
    """The guard file whose removal stops the group; None in the foreground, or when there is no such file."""
    found = Path(options.guard_file) if options.guard_file else layout.guard_file
    return found if found.exists() and not options.foreground else None


def write_programs(layout: Layout, options: Options, *, guard_file: Path | None) -> Path:
    """Write the process table for this start, and return the file to start supervisord with.

    That is the user's own supervisor.conf, or the process table itself where `init` was never run.
    """
    layout.prepare()
    path = programs_file(layout)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    values = placeholder_values(layout, options, python=sys.executable, umask=current_umask(), guard_file=guard_file)
    table = filled(packaged(), values)
    write_atomically(path, table.encode())
    own = stub_file(layout)
    if not own.exists():
        return path
    if any(char in str(layout.config_dir) for char in "*?["):
        raise LayoutError(
            f"supervisord cannot include files from {layout.config_dir}: the path contains *, ? or [; rename the folder"
        )
    if "run/programs.conf" not in own.read_text(encoding="utf-8", errors="replace"):
        raise LayoutError(f"{own} does not include run/programs.conf: add `[include]` with `files = run/programs.conf`")
    return own


def control_file(layout: Layout) -> Path:
    """The file for `supervisorctl -c`."""
    return stub_file(layout) if stub_file(layout).exists() else programs_file(layout)


def _refuse_unwritable(path: str) -> None:
    """Refuse a path that supervisord would truncate or misread: its files have no quoting."""
    bad = not path.isprintable() or path != path.strip() or any(f" {mark}" in path for mark in ";#")
    if bad:
        raise LayoutError(
            f"supervisord cannot use the path {printable(path)}: it contains control characters, bytes that are not "
            "UTF-8, spaces at its start or end, or a space before ; or #; use another path"
        )
