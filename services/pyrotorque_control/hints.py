"""What to do about an error whose message does not say it, by the class of the error."""

from typing import Final

from pyrotorque import errors
from pyrotorque_control.group import NotRunning

_HINTS: Final[tuple[tuple[type[errors.PyrotorqueError], str], ...]] = (
    (NotRunning, "`pyrotorque` starts the group, `pyrotorque --fg` in this terminal"),
    (errors.SettingsError, "correct torque.ini; `pyrotorque check` shows all errors, and what the settings mean"),
    (
        errors.ServiceUnreachable,
        "`pyrotorque status` shows which services run, `pyrotorque ctl tail NAME` the log of one",
    ),
    (errors.RTorrentUnavailable, "see whether rTorrent runs; `pyrotorque check` shows the address that is used"),
    (errors.RTorrentFault, "`pyrotorque check` names what your version of rTorrent does not have"),
    (errors.SessionNotKnown, "if this rTorrent is right: `pyrotorque accept-rtorrent`"),
    (errors.ConditionError, "`pyrotorque fields` lists the fields of conditions"),
    (errors.UnknownName, "`pyrotorque status` lists the jobs and services"),
    (errors.StateError, "see whether the disk of the state folder is full, and whether it is writable"),
)


def general_hint(error: errors.PyrotorqueError) -> str:
    """The hint for errors of this class; empty if there is none."""
    return next((hint for kind, hint in _HINTS if isinstance(error, kind)), "")
