"""Hears at once of every metafile and folder that appears in watched folders (inotify); the only user of pyinotify.

pyinotify gives the binding to the kernel, the masks and their names. Its loop, its automatic watches and its decoding
of names are not used: they miss what appears in new folders, and one name that is not UTF-8 ends them.
"""

import errno
import importlib
import logging
import os
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from enum import Enum, auto
from types import ModuleType
from typing import NamedTuple


def _pyinotify() -> ModuleType:
    """pyinotify imports asyncore, which Python 3.12 removed, for a class nobody needs: it gets an empty one."""
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
    # It writes to stderr by a handler of its own.
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
_NAMES = (
    (inotify.IN_CLOSE_WRITE, "close_write"),
    (inotify.IN_MOVED_TO, "moved_to"),
    (inotify.IN_MOVED_FROM, "moved_from"),
    (inotify.IN_CREATE, "create"),
    (inotify.IN_DELETE_SELF, "delete"),
    (inotify.IN_Q_OVERFLOW, "overflow"),
)


class Kind(Enum):
    """What a change says."""

    WRITTEN = auto()  # a file was closed after writing
    ARRIVED = auto()  # a file was moved here
    CHANGED = auto()  # a file got other rights or times
    CREATED = auto()  # a file was made: its writer may still be writing, but a link has none
    FOLDER = auto()  # a folder appeared here
    LEFT = auto()  # a folder was moved away
    GONE = auto()  # the watched folder itself is gone, or its filesystem is
    OVERFLOW = auto()  # the kernel dropped events: look everywhere


class Change(NamedTuple):
    kind: Kind
    path: bytes


class WatchLimit(Exception):
    """The kernel gives no more watches (or no inotify at all); the text says which limit to raise."""


class _Kernel(inotify._CtypesLibcINotifyWrapper):  # type: ignore[misc,name-defined]
    """pyinotify's binding, for names in any bytes, and with descriptors that children do not inherit."""

    def init(self) -> bool:
        import ctypes

        # The inherited way starts ldconfig to find the libc that is loaded already.
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._get_errno_func = ctypes.get_errno
        self._libc.inotify_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
        self._libc.inotify_rm_watch.argtypes = [ctypes.c_int, ctypes.c_int]
        return True

    def _inotify_init(self) -> int:
        return int(self._libc.inotify_init1(_CLOEXEC_NONBLOCK))

    def _inotify_add_watch(self, fd: int, pathname: str, mask: int) -> int:
        return int(self._libc.inotify_add_watch(fd, os.fsencode(pathname), mask))


class Tree:
    """The watched folders of one job. `wanted` says which file names matter; changes of others are not reported."""

    def __init__(self, wanted: Callable[[bytes], bool]) -> None:
        self.events: Counter[str] = Counter()
        self._wanted = wanted
        self._kernel = _Kernel()
        self._fd = -1
        self._paths: dict[int, bytes] = {}
        self._numbers: dict[bytes, int] = {}

    def open(self) -> None:
        """Raises WatchLimit when the kernel gives no inotify instance."""
        self._kernel.init()
        self._fd = self._kernel.inotify_init()
        if self._fd < 0:
            raise WatchLimit(
                f"no inotify instance ({os.strerror(self._kernel.get_errno())}): raise "
                "fs.inotify.max_user_instances (sysctl), until then the tree is polled"
            )

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
        """Watch `folder` (again: a rename or a mount may have put another there); False when it is not there.

        Raises WatchLimit when the kernel has no more watches to give.
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
        """Watch neither `folder` nor anything below it any more."""
        below = folder + b"/"
        for path in [path for path in self._numbers if path == folder or path.startswith(below)]:
            number = self._numbers.pop(path)
            self._paths.pop(number, None)
            self._kernel.inotify_rm_watch(self._fd, number)

    def read(self, limit: int = 65536) -> list[Change]:
        """What happened since the last call, at most `limit` bytes of the kernel's records; empty when nothing did."""
        if self._fd < 0:
            return []
        try:
            data = os.read(self._fd, limit)
        except BlockingIOError:
            return []
        return [change for record in _records(data) if (change := self._change(*record)) is not None]

    def _change(self, number: int, mask: int, name: bytes) -> Change | None:
        self.events[next((name for bit, name in _NAMES if mask & bit), "other")] += 1
        if mask & inotify.IN_Q_OVERFLOW:
            return Change(Kind.OVERFLOW, b"")
        folder = self._paths.get(number)
        if folder is None:
            return None
        if mask & inotify.IN_IGNORED:
            del self._paths[number]
            if self._numbers.get(folder) == number:
                del self._numbers[folder]
            return None
        if not name:
            return Change(Kind.GONE, folder) if mask & _OWN_END else None
        kind = _folder_kind(mask) if mask & inotify.IN_ISDIR else _file_kind(mask) if self._wanted(name) else None
        return None if kind is None else Change(kind, folder + b"/" + name)


def _folder_kind(mask: int) -> Kind | None:
    if mask & (inotify.IN_CREATE | inotify.IN_MOVED_TO):
        return Kind.FOLDER
    return Kind.LEFT if mask & inotify.IN_MOVED_FROM else None


def _file_kind(mask: int) -> Kind | None:
    if mask & inotify.IN_CLOSE_WRITE:
        return Kind.WRITTEN
    if mask & inotify.IN_MOVED_TO:
        return Kind.ARRIVED
    if mask & inotify.IN_CREATE:
        return Kind.CREATED
    return Kind.CHANGED if mask & inotify.IN_ATTRIB else None


def _records(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at < len(data):
        number, mask, _cookie, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        yield number, mask, data[at : at + length].rstrip(b"\0")
        at += length


def watches_limit() -> int:
    """How many watches the kernel gives this user; 0 when it does not say."""
    try:
        return int(inotify.max_user_watches.value)
    except (OSError, ValueError):
        return 0
