"""Whether the kernel can bind the sockets of a group, whose paths it limits.

A module of its own: a running 1.0.0 process may import what uses it.
"""

import os
from pathlib import Path
from typing import Final

from pyrotorque.text import printable

# The kernel's sun_path has 108 bytes, one of them for the closing NUL (unix(7)).
_SOCKET_PATH_MAX: Final = 107


def longest_socket(run_dir: Path) -> str:
    """The longest path of a socket below `run_dir`: supervisord binds a temporary name first, with its pid."""
    return f"{run_dir}/supervisor.sock.4194304"


def too_long(run_dir: Path) -> str:
    """Why no socket can be bound below `run_dir`; empty if they can."""
    longest = longest_socket(run_dir)
    size = len(os.fsencode(longest))
    if size <= _SOCKET_PATH_MAX:
        return ""
    return f"the socket path {printable(longest)} has {size} bytes, the kernel allows {_SOCKET_PATH_MAX}"


def shorter_run_dir(config_dir: Path) -> str:
    """What to do about it."""
    torque = printable(str(config_dir / "torque.ini"))
    example = f"/run/user/{os.geteuid()}/pyrotorque"
    return f"set run_dir in [TORQUE] of {torque} to a shorter private folder, for example {example}"
