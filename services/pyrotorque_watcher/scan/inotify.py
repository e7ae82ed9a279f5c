"""Reports metafiles and folders that appear in watched folders, by inotify; the only user of pyinotify.

pyinotify provides the binding to the kernel, the masks and their names. Its loop, its automatic watches and its
decoding of names are not used: they miss files in new folders, and fail at a name that is not UTF-8.
"""

import errno
import importlib
import logging
import os
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum, auto
from types import ModuleType
from typing import NamedTuple


def _pyinotify() -> ModuleType:
    """Import pyinotify with an empty asyncore: Python 3.12 removed it, and the class that needs it is not used here."""
    stub = ModuleType("asyncore")
    stub.__dict__["file_dispatcher"] = type("file_dispatcher", (), {})
    before = sys.modules.get("asyncore")
    sys.modules["asyncore"] = stub
    try:
        pyinotify = importlib.import_module("pyinotify")
    finally:
        if before is None:
            del sys.modules["asyncore"]
        else:
            sys.modules["asyncore"] = before
    # Its own handler writes to stderr.
    logging.getLogger("pyinotify").handlers.clear()
    return pyinotify


inotify = _pyinotify()

_IN_FOLDERS: int = (
    inotify.IN_CLOSE_WRITE
    | inotify.IN_MOVED_TO
    | inotify.IN_MOVED_FROM
    | inotify.IN_CREATE
    | inotify.IN_ATTRIB
    | inotify.IN_ONLYDIR
)
_AT_ROOTS: int = inotify.IN_DELETE_SELF | inotify.IN_MOVE_SELF
_OWN_END: int = inotify.IN_DELETE_SELF | inotify.IN_MOVE_SELF | inotify.IN_UNMOUNT
_CLOEXEC_NONBLOCK = os.O_CLOEXEC | os.O_NONBLOCK
_HEAD = struct.Struct("iIII")
_FEW = 32 * 1024  # bytes
_RECORD_MAX = _HEAD.size + 256  # with the longest name, and its padding
_NAMES = (
    (inotify.IN_CLOSE_WRITE, "close_write"),
    (inotify.IN_MOVED_TO, "moved_to"),
    (inotify.IN_MOVED_FROM, "moved_from"),
    (inotify.IN_CREATE, "create"),
    (inotify.IN_DELETE_SELF, "delete"),
    (inotify.IN_Q_OVERFLOW, "overflow"),
)


class ChangeKind(Enum):
    WRITTEN = auto()  # a file was closed after writing
    ARRIVED = auto()  # a file was moved here
    RENAMED = auto()  # a file was moved here from another watched folder, or from another name
    CHANGED = auto()  # the permissions or times of a file changed
    CREATED = auto()  # a file was created: its writer may still be writing, but a link has none
    FOLDER = auto()  # a folder appeared here
    LEFT = auto()  # a folder was moved away
    FILE_LEFT = auto()  # a file was moved away
    GONE = auto()  # the watched folder itself is gone, or its filesystem is
    OVERFLOW = auto()  # the kernel dropped events: all roots must be walked


class InotifyChange(NamedTuple):
    kind: ChangeKind
    path: bytes
    cookie: int = 0
    """The same for FILE_LEFT and ARRIVED of one rename."""


class WatchLimit(Exception):
    """The kernel grants no more watches (or no inotify instance); the text names the limit to raise."""


class _Kernel(inotify._CtypesLibcINotifyWrapper):  # type: ignore[misc,name-defined]
    """pyinotify's binding, for names in any bytes, and with descriptors that children do not inherit."""

    def init(self) -> bool:
        import ctypes

        # The inherited method starts ldconfig to find the libc that is loaded already.
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._get_errno_func = ctypes.get_errno
        self._libc.inotify_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
        self._libc.inotify_rm_watch.argtypes = [ctypes.c_int, ctypes.c_int]
        return True

    def _inotify_init(self) -> int:
        return int(self._libc.inotify_init1(_CLOEXEC_NONBLOCK))

    def _inotify_add_watch(self, fd: int, pathname: str, mask: int) -> int:
        return int(self._libc.inotify_add_watch(fd, os.fsencode(pathname), mask))


class InotifyTree:
    """The watched folders of one job. `wanted` selects file names; changes of other files are not reported."""

    def __init__(self, wanted: Callable[[bytes], bool]) -> None:
        self.events: Counter[str] = Counter()
        self.unavailable = ""
        """Why the kernel reports nothing, if so."""
        self._wanted = wanted
        self._kernel = _Kernel()
        self._fd = -1
        self._paths: dict[int, bytes] = {}
        self._numbers: dict[bytes, int] = {}

    def open(self) -> None:
        """Raises WatchLimit if the kernel grants no inotify instance."""
        self._kernel.init()
        self._fd = self._kernel.inotify_init()
        if self._fd < 0:
            raise WatchLimit(
                f"no inotify instance ({os.strerror(self._kernel.get_errno())}): raise "
                "fs.inotify.max_user_instances (sysctl), until then the tree is polled"
            )

    def open_if_possible(self) -> None:
        """Like `open`; if that fails, `unavailable` is why."""
        try:
            self.open()
            self.unavailable = ""
        except WatchLimit as error:
            self.unavailable = str(error)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._paths.clear()
        self._numbers.clear()

    def fileno(self) -> int:
        return self._fd

    def __len__(self) -> int:
        return len(self._paths)

    def watch(self, folder: bytes, *, root: bool = False, follow: bool = False) -> bool:
        """Watch `folder` (again: after a rename or a mount another may be there); False if it is not there.

        Raises WatchLimit if the kernel grants no more watches.
        """
        if self._fd < 0:
            return os.path.isdir(folder)
        mask = _IN_FOLDERS | (_AT_ROOTS if root else 0)
        if not (root or follow):
            mask |= inotify.IN_DONT_FOLLOW
        number = self._kernel.inotify_add_watch(self._fd, os.fsdecode(folder), mask)
        if number >= 0:
            self._remember(number, folder)
            return True
        if self._kernel.get_errno() in (errno.ENOSPC, errno.ENOMEM):
            raise WatchLimit(
                f"no more inotify watches after {len(self)} folders: raise fs.inotify.max_user_watches (sysctl), "
                "until then the rest of the tree is polled"
            )
        return False

    def _remember(self, number: int, folder: bytes) -> None:
        before = self._paths.get(number)
        if before is not None and before != folder:
            self._numbers.pop(before, None)
        self._paths[number] = folder
        self._numbers[folder] = number

    def forget(self, folder: bytes) -> None:
        """Stop watching `folder` and everything below it."""
        below = folder + b"/"
        for path in [path for path in self._numbers if path == folder or path.startswith(below)]:
            number = self._numbers.pop(path)
            self._paths.pop(number, None)
            self._kernel.inotify_rm_watch(self._fd, number)

    def read(self, limit: int = 65536) -> list[InotifyChange]:
        """What happened since the last call, at most `limit` bytes of the kernel's records; empty if nothing did."""
        if self._fd < 0:
            return []
        data = b""
        with suppress(BlockingIOError):
            # A large buffer is a mapping of its own, which costs more than the few records that usually wait.
            data = os.read(self._fd, min(limit, _FEW))
            if len(data) > _FEW - _RECORD_MAX and len(data) < limit:
                data += os.read(self._fd, limit - len(data))
        return [change for record in _records(data) if (change := self._change(*record)) is not None]

    def _change(self, number: int, mask: int, cookie: int, name: bytes) -> InotifyChange | None:
        self.events[next((name for bit, name in _NAMES if mask & bit), "other")] += 1
        if mask & inotify.IN_Q_OVERFLOW:
            return InotifyChange(ChangeKind.OVERFLOW, b"")
        folder = self._paths.get(number)
        if folder is None:
            return None
        if mask & inotify.IN_IGNORED:
            del self._paths[number]
            if self._numbers.get(folder) == number:
                del self._numbers[folder]
            return None
        if not name:
            return InotifyChange(ChangeKind.GONE, folder) if mask & _OWN_END else None
        kind = _folder_kind(mask) if mask & inotify.IN_ISDIR else _file_kind(mask) if self._wanted(name) else None
        return None if kind is None else InotifyChange(kind, folder + b"/" + name, cookie)


def _folder_kind(mask: int) -> ChangeKind | None:
    if mask & (inotify.IN_CREATE | inotify.IN_MOVED_TO):
        return ChangeKind.FOLDER
    return ChangeKind.LEFT if mask & inotify.IN_MOVED_FROM else None


def _file_kind(mask: int) -> ChangeKind | None:
    if mask & inotify.IN_CLOSE_WRITE:
        return ChangeKind.WRITTEN
    if mask & inotify.IN_MOVED_TO:
        return ChangeKind.ARRIVED
    if mask & inotify.IN_MOVED_FROM:
        return ChangeKind.FILE_LEFT
    if mask & inotify.IN_CREATE:
        return ChangeKind.CREATED
    return ChangeKind.CHANGED if mask & inotify.IN_ATTRIB else None


def _records(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    at = 0
    while at < len(data):
        number, mask, cookie, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        yield number, mask, cookie, data[at : at + length].rstrip(b"\0")
        at += length


def watches_limit() -> int:
    """How many watches the kernel grants this user; 0 if that is unknown."""
    try:
        return int(inotify.max_user_watches.value)
    except (OSError, ValueError):
        return 0
