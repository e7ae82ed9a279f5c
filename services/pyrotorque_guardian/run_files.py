"""Restores what was removed below a running group; its decisions are in `RunFiles.state`, its effects in `Restorer`.

systemd-tmpfiles, a logout (/run/user) and cleaners of /tmp remove sockets, pid file and locks; people remove databases.
"""

import logging
import os
import subprocess
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from pyrotorque import logs
from pyrotorque.errors import LayoutError, PyrotorqueError
from pyrotorque.group_state import state_problem
from pyrotorque.guard_file import GuardFiles, GuardState
from pyrotorque.interpreter import import_path, module_command
from pyrotorque.json_input import decode_json
from pyrotorque.layout import ALL_SERVICES, Layout
from pyrotorque.linux.missing import is_missing
from pyrotorque.linux.regular_files import read_regular_file
from pyrotorque.options import Options, read_options, write_atomically
from pyrotorque.supervisord.config import programs_file, programs_text, started_services
from pyrotorque.supervisord.seal import damage
from pyrotorque.supervisord.validation import CheckInterrupted
from pyrotorque_guardian.unnamed_files import unnamed_databases

log = logging.getLogger(__name__)

# A folder is not removed in one moment: the rest of it may be removed after the guard file.
CONFIRM_AFTER: Final = 1.0  # seconds


@dataclass
class RunFiles:
    """The files of a running group that a cleaner may remove, with the content to restore them."""

    layout: Layout
    guard: GuardFiles | None
    contents: Mapping[Path, bytes]
    services: tuple[str, ...] = ALL_SERVICES
    """Those of this group, whose databases must not disappear."""
    state_problem: Callable[[], str] = str
    """Why the state folder is not that of the group; empty if it is."""
    unnamed: Callable[[Collection[Path]], set[Path]] = lambda _: set()
    """Which of these databases were removed or moved while a process of the group has them open."""
    _missing_since: float | None = None
    _databases: set[Path] = field(default_factory=set[Path])

    @classmethod
    def of(cls, layout: Layout, guard_files: tuple[Path, ...], supervisord: int) -> "RunFiles":
        """The files of the group whose supervisord has the pid `supervisord`; call it with the user's umask."""
        options = read_options(layout)
        pid_file = Path(options.pid_file) if options.pid_file else layout.pid_file
        contents = {pid_file: b"%d\n" % supervisord}
        for path in (layout.options_file, layout.earlier_options_file, programs_file(layout), layout.group_lock):
            with suppress(OSError):
                contents[path] = read_regular_file(path)
        # Swept, or damaged, before this guardian was started.
        services = started_services(layout)
        if _is_damaged(path := programs_file(layout), contents.get(path, b"")):
            contents[path] = programs_text(layout, options, guard_files=guard_files, optional=services).encode()
        for path in (layout.options_file, layout.earlier_options_file):
            if path in contents and _is_damaged(path, contents[path]):
                contents[path] = msgspec.json.encode(options)
        guard = GuardFiles.of(layout, guard_files) if guard_files else None
        removed = partial(unnamed_databases, process=supervisord)
        return cls(layout, guard, contents, services, partial(state_problem, layout, supervisord), removed)

    def state(self, now: float) -> GuardState:
        """REMOVED stops the group, SWEPT must be restored; each is reported once it has lasted."""
        if self.directory_removed():
            return GuardState.REMOVED
        found = self._found()
        if found is GuardState.KEPT:
            self._missing_since = None
            return found
        if self._missing_since is None:
            self._missing_since = now
        return found if now - self._missing_since >= CONFIRM_AFTER else GuardState.KEPT

    def directory_removed(self) -> bool:
        """Whether the whole configuration directory of a guarded group is gone.

        Services that restart create folders again, but neither the lock nor torque.ini.
        """
        left = (self.layout.group_lock, self.layout.config_dir / "torque.ini")
        return self.guard is not None and (is_missing(self.layout.config_dir) or all(map(is_missing, left)))

    def socket_missing(self) -> bool:
        return is_missing(self.layout.supervisor_socket)

    def lost_databases(self) -> list[Path]:
        """Databases that were removed: their services write to files without a name.

        Those that the guardian has seen, and those that were removed before it looked for the first time.
        """
        paths = {self.layout.database(name) for name in self.services}
        there = {path for path in paths if not is_missing(path)}
        self._databases |= there
        self._databases |= self.unnamed(paths - self._databases)
        return sorted(self._databases - there)

    def restore(self) -> None:
        """Create the folders, the guard file, and the files with known content. Raises PyrotorqueError."""
        if problem := self.state_problem():
            # Services would begin again, with nothing, on the disk below.
            raise LayoutError(problem)
        self.layout.prepare()
        if self.guard is not None:
            self.guard.restore()
        for path, content in self.contents.items():
            if is_missing(path) or self._lost(path):
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_atomically(path, content)

    def _lost(self, path: Path) -> bool:
        """Whether the file was emptied or cut off. One that a restart has written since is whole, and stays."""
        try:
            content = read_regular_file(path)
        except OSError:
            return False
        return content != self.contents[path] and _is_damaged(path, content)

    def _found(self) -> GuardState:
        run_files = (*self.contents, self.layout.supervisor_socket)
        if self.guard is not None and (state := self.guard.state(run_files)) is not GuardState.KEPT:
            return state
        complete = not any(map(is_missing, run_files)) and not any(map(self._lost, self.contents))
        complete = complete and not self.lost_databases()
        return GuardState.KEPT if complete else GuardState.SWEPT


def _is_damaged(path: Path, content: bytes) -> bool:
    """Whether this is not what pyrotorque writes into its process table, or into its options; else False."""
    if path.name == "programs.conf":
        return bool(damage(content.decode("utf-8", "replace")))
    if path.name == "options.json":
        try:
            decode_json(content, type=Options)
        except msgspec.DecodeError:
            return True
    return False


@dataclass
class Restorer:
    """Puts swept files back, and restarts the group where supervisord must open its socket, or services databases."""

    files: RunFiles
    check: Callable[[], object]
    restart: Callable[[], None]
    _logged: str = field(default="", init=False)

    def restore(self) -> None:
        """supervisord opens its socket again only when it restarts, which it must survive: its files are checked."""
        try:
            self.files.restore()
            if lost := self.files.lost_databases():
                self.check()
                names = ", ".join(path.name for path in lost)
                self._log(f"{names} in {lost[0].parent} was removed: restarting the services, which create it again")
                self.restart()
            elif self.files.socket_missing():
                self.check()
                self._log("supervisor.sock was removed: restarting the services to open it again")
                self.restart()
            else:
                self._log("files of the running group were removed or damaged; they were restored")
        except CheckInterrupted:
            pass  # supervisord ends its programs now; the guardian tries again if it still runs
        except (PyrotorqueError, OSError) as error:
            self._log(f"files of the running group were removed or damaged and cannot be restored: {error}")

    def _log(self, text: str) -> None:
        if text != self._logged:
            self._logged = text
            log.warning("%s", text)
            logs.owner_event("group repaired", *text.splitlines())


def start_again(layout: Layout, users_umask: int) -> None:
    """End a supervisord that hangs and start the group again, from a process that outlives both.

    `users_umask` is that of the group's programs; the guardian has its own.
    """
    folders = (layout.config_dir, layout.run_dir, layout.state_dir)
    with suppress(OSError):
        subprocess.Popen(
            module_command("pyrotorque.supervisord.relaunch", *map(str, folders)),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, cwd="/", umask=users_umask,
            env={**os.environ, "PYTHONPATH": import_path()},
        )  # fmt: skip
