"""Checks the folders of the group: whether sockets work in them, and whether their disks are full."""

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from pyrotorque.layout import Layout
from pyrotorque.linux.filesystems import filesystem_type, read_mounts
from pyrotorque.text import printable

_MUCH_TOO_SMALL: Final = 64 << 10  # bytes: less than each of our databases needs


def socket_problem(folder: Path) -> str:
    """Why unix sockets in `folder` would not work for supervisord; empty if they do.

    supervisord binds a temporary name and makes the socket's name a hard link to it. On some filesystems in user space
    (Unraid's shfs, mergerfs) such a link has an inode of its own, and cannot be connected to.
    """
    bound, linked = folder / f".probe.{os.getpid()}", folder / f".probe.{os.getpid()}.link"
    kind = filesystem_type(os.fsencode(os.path.realpath(folder)), read_mounts()) or "unknown"
    advice = (
        f"(filesystem {kind}): set run_dir in [TORQUE] to a private folder on a local filesystem, for example "
        "/run/user/1000/pyrotorque"
    )
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            for path in (bound, linked):
                path.unlink(missing_ok=True)
            listener.bind(str(bound))
            listener.listen(2)
            os.link(bound, linked)
            for path in (bound, linked):
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                    connection.settimeout(2.0)
                    connection.connect(str(path))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"no space or inodes left for {printable(str(folder))}: free some, or set run_dir in [TORQUE]"
        return f"sockets in {printable(str(folder))} cannot be used: {error.strerror or error} {advice}"
    finally:
        for path in (bound, linked):
            with suppress(OSError):
                path.unlink()
    return ""


def full_disk(layout: Layout) -> str:
    """Which folder of the group cannot take another file, with the setting that moves it; empty if all can."""
    settings = {layout.run_dir: "run_dir", layout.state_dir: "state_dir", layout.log_dir: ""}
    for folder, setting in settings.items():
        with suppress(OSError):
            found = os.statvfs(folder)
            what = "space" if found.f_bavail * found.f_frsize < _MUCH_TOO_SMALL else ""
            if what := what or ("inodes" if found.f_files and not found.f_favail else ""):
                cure = f", or set {setting} in [TORQUE]" if setting else ""
                return f"no {what} left for {folder}: free some{cure}"
    return ""
