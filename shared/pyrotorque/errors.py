"""Every error that pyrotorque raises on purpose: one line that says what was tried, with what, and what to do."""


class PyrotorqueError(Exception):
    """Base of all errors that are told to a person in one line, without a traceback."""


class UserError(PyrotorqueError):
    """The configuration of a job is wrong; raised by a job's constructor."""


class SettingsError(PyrotorqueError):
    """One or more problems in the configuration; the text holds all of them, a line each."""


class LayoutError(PyrotorqueError):
    """A folder or socket path of the configuration directory cannot be used."""


class AlreadyRunning(PyrotorqueError):
    """Another process holds the lock of this role."""


class StateError(PyrotorqueError):
    """A state file cannot be opened or written."""


class RTorrentError(PyrotorqueError):
    """Something went wrong between us and rTorrent."""


class RTorrentUnavailable(RTorrentError):
    """rTorrent does not answer: not running, restarting, hung, or its answer is not XML-RPC."""


class RTorrentPermission(RTorrentError):
    """The socket of rTorrent is there, but this user may not use it."""


class RTorrentFault(RTorrentError):
    """rTorrent answered a call with a fault; `code` is its number."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class RequestTooLarge(RTorrentError):
    """A call is larger than rTorrent takes; the text names the limit and the size."""


class MetafileError(PyrotorqueError):
    """The bytes are not a metafile that can be loaded."""


class MetafileIncomplete(MetafileError):
    """The bytes are the beginning of a metafile: its writer has not finished."""


class ConditionError(UserError):
    """A condition or sort order cannot be read; the text points at the place with a caret."""


class TemplateError(UserError):
    """A template cannot be read or rendered."""


class CommandRefused(UserError):
    """A load command would give inserted data to a place where rTorrent runs it."""


class ServiceUnreachable(PyrotorqueError):
    """A service did not answer a request within its deadline."""
