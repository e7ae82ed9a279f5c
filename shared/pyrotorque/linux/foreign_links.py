"""Opens files in a folder that may belong to another user: as root, not through a link that is not root's own.

The user of the folder could lead such a link to any file, and root would write there, or create it.
"""

import errno
import os
import stat
from collections import deque
from contextlib import suppress

_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_LINKS_MAX = 40


class ForeignLink(OSError):
    """A path leads through the link `filename` of another user."""

    def __init__(self, link: str, owner: int) -> None:
        super().__init__(errno.ELOOP, f"a link of user {owner}, which root does not follow", link)


def open_file(path: "str | os.PathLike[str]", flags: int, mode: int = 0o600) -> int:
    """As `os.open`; as root, raises ForeignLink if a link of another user is on the way, also the last one.

    Each folder on the way is held open, so that a link which replaces one meanwhile leads nowhere else.
    """
    if os.geteuid() != 0:
        return os.open(path, flags | os.O_CLOEXEC, mode)
    name = os.fsencode(path)
    folder, parts, links = os.open(_top(name), _FOLDER), deque(_parts(name)), 0
    try:
        while True:
            part = parts.popleft() if parts else b"."
            target = _target(folder, part)
            if target is not None:
                if (links := links + 1) > _LINKS_MAX:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fsdecode(path))
                folder = _entered(folder, _top(target))
                parts.extendleft(reversed(_parts(target)))
            elif parts:
                folder = _entered(folder, part)
            else:
                return os.open(part, flags | _no_link(folder) | os.O_CLOEXEC, mode, dir_fd=folder)
    finally:
        os.close(folder)


def foreign_link(path: "str | os.PathLike[str]") -> str:
    """The link of another user through which the path leads, as far as it exists; empty if none, or not as root."""
    try:
        os.close(open_file(path, os.O_PATH))
    except ForeignLink as error:
        return str(error.filename)
    except OSError:
        return ""
    return ""


def _top(name: bytes) -> bytes:
    return b"/" if name.startswith(b"/") else b"."


def _parts(name: bytes) -> list[bytes]:
    return [part for part in name.split(b"/") if part not in (b"", b".")]


def _target(folder: int, name: bytes) -> bytes | None:
    """Where the link leads; None if it is no link, or one of the kernel, which leads to an open file."""
    try:
        found = os.open(name, _LOOK, dir_fd=folder)
    except FileNotFoundError:
        return None
    try:
        facts = os.fstat(found)
        if not stat.S_ISLNK(facts.st_mode) or not _no_link(folder):
            return None
        if facts.st_uid != 0:
            raise ForeignLink(os.path.join(_path(folder), os.fsdecode(name)), facts.st_uid)
        return os.readlink(b"", dir_fd=found)
    finally:
        os.close(found)


def _entered(folder: int, name: bytes) -> int:
    """The folder `name` in `folder`, which is closed."""
    inner = os.open(name, _FOLDER | _no_link(folder), dir_fd=folder)
    os.close(folder)
    return inner


def _no_link(folder: int) -> int:
    """O_NOFOLLOW, but not in /proc: no user can replace the links there."""
    with suppress(OSError):
        proc = os.stat("/proc").st_dev
        if os.fstat(folder).st_dev == proc != os.stat("/").st_dev:
            return 0
    return os.O_NOFOLLOW


def _path(folder: int) -> str:
    with suppress(OSError):
        return os.readlink(f"/proc/self/fd/{folder}")
    return ""
