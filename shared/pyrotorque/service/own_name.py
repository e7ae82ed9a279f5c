"""Refuses to run a service twice below the group's supervisord, whichever of the copies starts first.

The locks of its state and its role would keep one of them out, but perhaps the right one.
"""

import os

from pyrotorque.errors import AlreadyRunning
from pyrotorque.layout import Layout
from pyrotorque.text import printable


def require_own_name(service: str, layout: Layout) -> None:
    """Raises AlreadyRunning if the supervisord of this group runs this process under another name than `service`."""
    name = os.environ.get("SUPERVISOR_PROCESS_NAME", service)
    url = os.environ.get("SUPERVISOR_SERVER_URL", "")
    if name == service or os.path.normpath(url.removeprefix("unix://")) != os.path.normpath(layout.supervisor_socket):
        return
    raise AlreadyRunning(
        f"supervisord runs {service} a second time, as the program {printable(name)}",
        hint="remove that program from supervisor.conf: run/programs.conf has the service",
    )
