"""Waits for a stop of the group by another command, so that a start at that moment is no mistake."""

import time
from typing import Final

from pyrotorque.linux.processes import ProcessIdentity
from pyrotorque.supervisord.client import Supervisord
from pyrotorque.supervisord.running import STOP_TIMEOUT
from pyrotorque_control.group import Group

_ANSWERS_WITHIN: Final = 2.0  # seconds
_LAST_MOMENT: Final = 0.5  # seconds; supervisord removes its socket before it ends
_POLL_INTERVAL: Final = 0.05  # seconds


def running_after_stop(group: Group) -> ProcessIdentity | None:
    """The group's supervisord; while another command stops or restarts the group, the end of that is waited for."""
    supervisord = Supervisord(group.layout.supervisor_socket, timeout=_ANSWERS_WITHIN)
    deadline = time.monotonic() + _LAST_MOMENT
    while (found := group.running()) is not None and time.monotonic() < deadline:
        if (is_ending := supervisord.is_ending()) is False:
            break
        if is_ending:
            deadline = time.monotonic() + STOP_TIMEOUT
        time.sleep(_POLL_INTERVAL)
    return found
