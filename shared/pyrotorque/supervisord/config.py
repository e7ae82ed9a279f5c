"""The files that supervisord reads: the process table, filled in at each start, and the user's own supervisor.conf."""

import re
import shlex
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from pyrotorque.errors import LayoutError
from pyrotorque.guard_file import permits_start
from pyrotorque.interpreter import SERVICE_FLAGS
from pyrotorque.layout import ALL_SERVICES, OPTIONAL_SERVICES, SERVICES, Layout
from pyrotorque.linux.files import read_text_file
from pyrotorque.linux.processes import current_umask
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.options import Options, write_atomically
from pyrotorque.supervisord import seal
from pyrotorque.text import printable

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_PROGRAM = re.compile(r"^\[(?:program|eventlistener):(\w+)\]", re.MULTILINE)
_GUARDIAN = re.compile(r"^command = .* -m pyrotorque_guardian (.*)$", re.MULTILINE)
GUARD_FILE_OPTION = "--guard-file"

STUB = """\
; Your own file: pyrotorque never overwrites it. Programs that you add below run in the same supervisord.
;
;   pyrotorque ctl status
;
; The same without pyrotorque: supervisorctl -c {conf} status
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
    raise LayoutError(f"supervisor.conf is missing beside {here}", hint="install pyrotorque again")


def with_services(text: str, optional: Collection[str]) -> str:
    """The process table without the programs of those optional services that are not in `optional`."""
    kept: list[str] = []
    for paragraph in text.split("\n\n"):
        found = _PROGRAM.search(paragraph)
        if found is None or found[1] not in OPTIONAL_SERVICES or found[1] in optional:
            kept.append(paragraph)
    return "\n\n".join(kept)


def filled(text: str, values: Mapping[str, str]) -> str:
    """The process table with every `{placeholder}` replaced, escaped so that supervisord reads the value unchanged."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]].replace("%", "%%"), text)


def placeholder_values(
    layout: Layout, options: Options, *, python: str, umask: int, guard_files: tuple[Path, ...]
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
    for option, guard_file in zip((GUARD_FILE_OPTION, "--earlier-guard-file"), guard_files, strict=False):
        words += [option, str(guard_file)]
    for path in (*paths.values(), *words, python):
        _refuse_unwritable(path)
    return {
        **paths,
        # supervisord 4.3 expands the log files of programs twice.
        "logs": str(layout.log_dir).replace("%", "%%"),
        "python": shlex.join([python, *SERVICE_FLAGS]),
        "config_dir_word": shlex.quote(str(layout.config_dir)),
        "guardian_words": shlex.join(words),
        "umask": f"{umask:03o}",
        # A loglevel of the user's own file stays in force unless `-q` was given.
        "loglevel": "loglevel = warn" if options.log_level == "WARNING" else "; loglevel: set by `pyrotorque -q`",
    }


def programs_file(layout: Layout) -> Path:
    """Always beside the user's own supervisor.conf, independent of `run_dir`, so that its include finds it."""
    return layout.config_dir / "run" / "programs.conf"


def written_layout(config_dir: Path) -> Layout | None:
    """The folders with which the group was started last, from its process table; None if there is none.

    Services use them until the next start: `run_dir` and `state_dir` in torque.ini may have been changed or lost.
    """
    home = config_dir.expanduser().absolute()
    try:
        table = read_regular_file(home / "run" / "programs.conf").decode("utf-8", "replace")
        found = _GUARDIAN.search(table)
        words = shlex.split(found[1].replace("%%", "%")) if found else []
        folders = {name: Path(words[words.index(f"--{name}-dir") + 1]) for name in ("run", "state")}
    except (OSError, ValueError, IndexError):
        return None
    return Layout.below(home, run_dir=folders["run"], state_dir=folders["state"])


def read_table(layout: Layout) -> str:
    """The process table as supervisord would read it. Raises LayoutError when it is not as it was written."""
    path = programs_file(layout)
    try:
        table = read_text_file(path).decode("utf-8", "replace")
        why = seal.damage(table)
    except OSError as error:
        table, why = "", f"cannot be read: {error.strerror}"
    if why:
        raise LayoutError(f"{path} {why}", hint="`pyrotorque --restart` writes it again")
    return table


def started_services(layout: Layout) -> tuple[str, ...]:
    """The services with which the group was started last; without its process table, those of its configuration."""
    try:
        return services_in(read_table(layout))
    except LayoutError:
        from pyrotorque.stored_configuration import last_good

        settings = last_good(layout)
        return (*SERVICES, *(settings.optional_services if settings else ()))


def services_in(table: str) -> tuple[str, ...]:
    """The services of a process table, with those of each group."""
    programs = set(_PROGRAM.findall(table))
    return tuple(name for name in ALL_SERVICES if name in SERVICES or name in programs)


def table_services(config_dir: Path) -> tuple[str, ...]:
    """The services of the process table with which the group was started last; those of each group if there is none."""
    try:
        table = read_regular_file(programs_file(Layout.below(config_dir))).decode("utf-8", "replace")
    except OSError:
        return SERVICES
    return services_in(table)


def stub_file(layout: Layout) -> Path:
    return layout.config_dir / "supervisor.conf"


def stub(layout: Layout) -> str:
    """The user's own supervisor.conf as `init` writes it."""
    socket = layout.supervisor_socket
    below = socket.is_relative_to(layout.config_dir)
    shown = f"%(here)s/{socket.relative_to(layout.config_dir)}" if below else str(socket).replace("%", "%%")
    return STUB.replace("{conf}", str(stub_file(layout))).replace("{socket}", shown)


def active_guard_files(layout: Layout, options: Options) -> tuple[Path, ...]:
    """The guard files whose removal stops the group; none in the foreground, or when there is no such file."""
    found = options.guard_files(layout)
    return found if not options.foreground and permits_start(layout, found[0]) else ()


def programs_text(
    layout: Layout, options: Options, *, guard_files: tuple[Path, ...] = (), optional: Collection[str] = ()
) -> str:
    """The process table for this start, with these optional services.

    Raises LayoutError when supervisord could not read it.
    """
    values = placeholder_values(layout, options, python=sys.executable, umask=current_umask(), guard_files=guard_files)
    require_include(layout)
    return seal.sealed(filled(with_services(packaged(), optional), values))


def require_include(layout: Layout) -> None:
    """Raises LayoutError when the user's own supervisor.conf would not read the process table."""
    own = stub_file(layout)
    if own.exists():
        _refuse_pattern(layout.config_dir)
        try:
            text = read_text_file(own).decode("utf-8", "replace")
        except OSError as error:
            raise LayoutError(f"cannot read {printable(str(own))}: {error.strerror}") from error
        if "run/programs.conf" not in text:
            raise LayoutError(
                f"{printable(str(own))} does not include run/programs.conf",
                hint="add `[include]` with `files = run/programs.conf`",
            )


def write_programs(
    layout: Layout, options: Options, *, guard_files: tuple[Path, ...], optional: Collection[str] = ()
) -> Path:
    """Write the process table for this start, and return the file to start supervisord with.

    That is the user's own supervisor.conf, or the process table itself where `init` was never run.
    """
    layout.prepare()
    path = programs_file(layout)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(path, programs_text(layout, options, guard_files=guard_files, optional=optional).encode())
    return control_file(layout)


def control_file(layout: Layout) -> Path:
    """The file for `supervisorctl -c`."""
    return stub_file(layout) if stub_file(layout).exists() else programs_file(layout)


def require_usable(layout: Layout) -> None:
    """Raises LayoutError for folders that no start could use, with a supervisor.conf of one's own."""
    for folder in (layout.config_dir, layout.run_dir, layout.state_dir):
        _refuse_unwritable(str(folder))
    _refuse_pattern(layout.config_dir)


def _refuse_pattern(folder: Path) -> None:
    if any(char in str(folder) for char in "*?["):
        raise LayoutError(
            f"supervisord cannot include files from {printable(str(folder))}: the path contains *, ? or [; rename the "
            "folder"
        )


def _refuse_unwritable(path: str) -> None:
    """Refuse a path that supervisord would truncate or misread: its files have no quoting."""
    bad = not path.isprintable() or path != path.strip() or any(f" {mark}" in path for mark in ";#")
    if bad:
        raise LayoutError(
            f"supervisord cannot use the path {printable(path)}: it contains control characters, bytes that are not "
            "UTF-8, spaces at its start or end, or a space before ; or #; use another path"
        )
