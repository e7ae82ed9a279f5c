"""All error classes of pyrotorque; each message states what failed, with which value, and what to do."""


class PyrotorqueError(Exception):
    """Base of all errors that are shown as a message, without a traceback.

    `hint` is what to do; it is the end of the message, and a line of its own on a terminal.
    """

    hint: str = ""

    def __init__(self, text: str = "", *, hint: str = "") -> None:
        super().__init__(f"{text}: {hint}" if hint else text)
        if hint:
            self.hint = hint

    @property
    def without_hint(self) -> str:
        """The message without its hint."""
        return str(self).removesuffix(f": {self.hint}") if self.hint else str(self)


class UserError(PyrotorqueError):
    """The settings of a job are wrong; raised by the constructor of a job."""


class UnknownName(UserError):
    """There is no job or service of this name."""


class SettingsError(PyrotorqueError):
    """One or more errors in the configuration, one per line of the message."""


class LayoutError(PyrotorqueError):
    """A folder or socket path of the configuration directory cannot be used."""


class AlreadyRunning(PyrotorqueError):
    """Another process holds the lock of this role."""


class GuardRemoved(PyrotorqueError):
    """The guard file of a group that runs in the background was removed, which stops the group."""


class StateError(PyrotorqueError):
    """A state file cannot be opened or written."""


class RTorrentError(PyrotorqueError):
    """A call to rTorrent failed."""


class RTorrentUnavailable(RTorrentError):
    """rTorrent does not answer: it is not running, restarting or hung, or the answer is not XML-RPC."""


class RTorrentPermission(RTorrentError):
    """rTorrent's socket exists, but this user has no permission for it."""


class RTorrentFault(RTorrentError):
    """rTorrent answered a call with a fault; `code` is its number."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class RequestTooLarge(RTorrentError):
    """A call exceeds rTorrent's size limit; the message has the limit and the size."""


class SessionNotKnown(PyrotorqueError):
    """Another rTorrent than the known one answers: differences between its items and earlier ones mean nothing."""


class RemovalRefused(PyrotorqueError):
    """Nothing is removed now: a fact that every removal needs does not hold, or cannot be seen."""


class MetafileError(PyrotorqueError):
    """The content is not a valid metafile."""


class MetafileIncomplete(MetafileError):
    """The content is the beginning of a metafile: it is still being written."""


class ConditionError(UserError):
    """A condition or sort order is invalid; the message marks the place with a caret.

    `condition` is the whole text, `summary` the error and its hint in one line.
    """

    condition: str = ""
    summary: str = ""


class TemplateError(UserError):
    """A template cannot be parsed or rendered."""


class CommandRefused(UserError):
    """A load command would insert data at a place where rTorrent executes it."""


class ServiceUnreachable(PyrotorqueError):
    """A service did not answer a request within its deadline."""


class ActionRefused(PyrotorqueError):
    """A service refused a request; the message is its answer."""


class RequestWrong(ActionRefused):
    """A request names something that does not exist, or has a value that is never accepted."""
