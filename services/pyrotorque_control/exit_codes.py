"""The command's exit codes, named as in sysexits.h, and the code of each error class."""

from typing import Final

from pyrotorque import errors

EX_OK: Final = 0
EX_USAGE: Final = 64
EX_UNAVAILABLE: Final = 69
EX_SOFTWARE: Final = 70
EX_IOERR: Final = 74
EX_TEMPFAIL: Final = 75
EX_CONFIG: Final = 78
INTERRUPTED: Final = 130

_CODES: Final[tuple[tuple[type[errors.PyrotorqueError], int], ...]] = (
    (errors.SettingsError, EX_CONFIG),
    (errors.LayoutError, EX_CONFIG),
    (errors.AlreadyRunning, EX_TEMPFAIL),
    (errors.GuardRemoved, EX_TEMPFAIL),
    (errors.StateError, EX_IOERR),
    (errors.ServiceUnreachable, EX_UNAVAILABLE),
    (errors.RequestWrong, EX_USAGE),
    (errors.ActionRefused, EX_TEMPFAIL),
    (errors.RTorrentFault, EX_SOFTWARE),
    (errors.RequestTooLarge, EX_SOFTWARE),
    (errors.RTorrentError, EX_UNAVAILABLE),
    (errors.MetafileError, EX_USAGE),
    (errors.UserError, EX_USAGE),
)


def exit_code(error: errors.PyrotorqueError) -> int:
    """The error's own `exit_code`, or that of its class."""
    own = getattr(error, "exit_code", None)
    if isinstance(own, int):
        return own
    return next((code for kind, code in _CODES if isinstance(error, kind)), EX_SOFTWARE)
