"""Restarts the services of a running group, which stays guarded as it was."""

from collections.abc import Callable, Collection
from pathlib import Path

from pyrotorque.errors import GuardRemoved, LayoutError
from pyrotorque.guard_file import GuardFiles, GuardState, permits_start
from pyrotorque.layout import Layout
from pyrotorque.options import Options
from pyrotorque.supervisord.client import Supervisord
from pyrotorque.supervisord.config import (
    GUARD_FILE_OPTION,
    active_guard_files,
    programs_file,
    read_table,
    write_programs,
)
from pyrotorque.text import printable


def restart_services(
    layout: Layout, options: Options, optional: Collection[str] = (), *, store: Callable[[], None]
) -> None:
    """Restart all services in the same supervisord with a new process table, guarded as it was. Raises GuardRemoved.

    `store` writes what the services read, once nothing refuses the restart any more.
    """
    guarded = _is_guarded(layout, options)
    keep_guard(layout, options)
    store()
    guard_files = active_guard_files(layout, options) if guarded else ()
    write_programs(layout, options, guard_files=guard_files, optional=optional)
    Supervisord(layout.supervisor_socket).restart()


def keep_guard(layout: Layout, options: Options) -> None:
    """Before a running group is restarted: put its guard file back if it was swept, together with files beside it.

    `options` are those of the group; without the file, it would run on unguarded. Raises GuardRemoved if the file alone
    was removed: the guardian is about to stop the group.
    """
    if not _is_guarded(layout, options):
        return
    guard = GuardFiles.of(layout, options.guard_files(layout))
    pid_file = Path(options.pid_file) if options.pid_file else layout.pid_file
    state = guard.state((programs_file(layout), pid_file, layout.supervisor_socket))
    if state is GuardState.SWEPT:
        guard.restore()
    if state is GuardState.REMOVED or not permits_start(layout, guard.files[0]):
        raise GuardRemoved(
            f"the guard file {printable(str(guard.files[0]))} is missing: the group is being stopped",
            hint="`touch` it to let the group run in the background",
        )


def _is_guarded(layout: Layout, options: Options) -> bool:
    """Whether the running group was started with a guard file; without its process table, as any in the background."""
    try:
        return GUARD_FILE_OPTION in read_table(layout)
    except LayoutError:  # swept or damaged, and not restored yet
        return not options.foreground
