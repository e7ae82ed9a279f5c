"""Which rTorrent answers, and whether it sees the files that we see: a tie needs that."""

import errno
import os
import select
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from pyrotorque.errors import RTorrentFault, RTorrentUnavailable
from pyrotorque.linux.processes import PROC, runs_program
from pyrotorque.rtorrent import RTorrent
from pyrotorque_watcher.load.item_data import ItemData

_FRESH: Final = 0.5


@dataclass(slots=True)
class FileVisibility:
    """What the rTorrent with this pid sees, by the kernel's view of that process; pid 0 sees nothing.

    A path that rTorrent does not see would look like a deleted metafile, and `remove_untied` would erase the item.
    """

    pid: int = 0
    ended_fd: int = -1
    """A pidfd, readable when the process ends; -1 without one."""
    _seen: dict[tuple[bytes, bytes], tuple[float, bool]] = field(
        default_factory=dict[tuple[bytes, bytes], tuple[float, bool]]
    )

    def attach(self, pid: int, hostname: str) -> None:
        """Use this process, if it is an rTorrent of this host and not in another pid namespace."""
        is_ours = hostname == os.uname().nodename and pid > 0 and "rtorrent" in _process_name(pid)
        self.pid = pid if is_ours else 0
        self._seen.clear()
        self.close()
        if self.pid:
            with suppress(OSError):
                self.ended_fd = os.pidfd_open(self.pid)

    def close(self) -> None:
        if self.ended_fd >= 0:
            os.close(self.ended_fd)
            self.ended_fd = -1

    def exists(self, theirs: bytes) -> bool | None:
        """Whether rTorrent sees a file at this path; None if that cannot be known."""
        if not self.pid or theirs[:1] != b"/":
            return None
        try:
            os.stat(b"/proc/%d/root%b" % (self.pid, theirs))
        except (FileNotFoundError, NotADirectoryError):
            return None if self.has_ended else False
        except (OSError, ValueError):
            return None
        return True

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended since it was attached."""
        if self.ended_fd >= 0:
            ended = select.poll()  # not select(), which takes no descriptors above 1,023
            ended.register(self.ended_fd, select.POLLIN)
            return bool(ended.poll(0))
        return bool(self.pid) and not runs_program(self.pid, "rtorrent")

    def sees(self, ours: bytes, theirs: bytes) -> bool:
        """Whether `theirs` is, for rTorrent, the very file that is `ours` here."""
        if not self.pid:
            return False
        # Files of one folder are seen alike, and mounts do not change within a second.
        folders, now = (os.path.dirname(ours), os.path.dirname(theirs)), time.monotonic()
        if ours != theirs or folders not in self._seen or now - self._seen[folders][0] > _FRESH:
            self._seen = {folders: (now, self._is_same(ours, theirs))}
        return self._seen[folders][1]

    def _is_same(self, ours: bytes, theirs: bytes) -> bool:
        try:
            here, there = os.stat(ours), os.stat(b"/proc/%d/root%b" % (self.pid, theirs))
        except (OSError, ValueError):
            return False
        return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _process_name(pid: int) -> str:
    """Empty if there is no such process. An error that may pass must not look like an rTorrent on another host: its
    items would not be tied."""
    try:
        return (PROC / str(pid) / "comm").read_text(errors="replace")
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise RTorrentUnavailable(f"cannot examine its process {pid}: {error.strerror}") from error
        return ""


@dataclass
class RTorrentInstance:
    """The rTorrent process that was identified last."""

    rtorrent: RTorrent
    files: FileVisibility = field(default_factory=FileVisibility)
    incarnation: str = ""
    """Empty until the process is identified, and after a call failed: another process may answer the next one."""
    version: str = ""
    session_folder: bytes = b""
    data: ItemData = field(init=False)

    def __post_init__(self) -> None:
        self.data = ItemData(self.rtorrent)

    def identify(self) -> None:
        identity = self.rtorrent.identity()
        self.incarnation, self.version = identity.incarnation, identity.client_version
        self.files.attach(identity.pid, identity.hostname)
        with suppress(RTorrentFault):
            self.session_folder = os.fsencode(str(self.rtorrent.call("session.path", "")))

    def forget(self) -> None:
        self.incarnation = ""
        self.close()

    def close(self) -> None:
        """Close what `fileno` returns."""
        self.files.close()

    def fileno(self) -> int:
        """Readable when the process ends; -1 if that is not known."""
        return self.files.ended_fd

    def notice_end(self) -> None:
        """If the process has ended, the next one is identified before anything else is done."""
        if self.files.ended_fd >= 0 and self.files.has_ended:
            self.forget()

    def sees(self, ours: bytes, theirs: bytes) -> bool:
        """Whether `theirs` is, for rTorrent, the very file that is `ours` here."""
        if self.files.has_ended:
            self.identify()  # it was restarted, and no call failed meanwhile
        return self.files.sees(ours, theirs)

    def data_holder(self, theirs: bytes, *, is_irreversible: bool = True, seen: float = 0.0) -> str:
        """The name of an item whose data the file at `theirs` is; empty if there is none. Raises RTorrentError.

        As `ItemData.holder`.
        """
        return self.data.holder(theirs, is_irreversible=is_irreversible, seen=seen)

    def known(self, command: str) -> bool:
        """Whether this rTorrent has the command."""
        return self.rtorrent.known(command)


def mapped(path: bytes, path_map: Sequence[tuple[str, str]]) -> bytes:
    """`path` as rTorrent sees it: the longest matching prefix is replaced by rTorrent's."""
    fitting = [(ours.encode("utf-8", "surrogateescape").rstrip(b"/"), theirs) for ours, theirs in path_map]
    fitting = [(ours, theirs) for ours, theirs in fitting if path == ours or path.startswith(ours + b"/")]
    if not fitting:
        return path
    ours, theirs = max(fitting, key=lambda pair: len(pair[0]))
    return theirs.encode("utf-8", "surrogateescape").rstrip(b"/") + path[len(ours) :]


def unmapped(path: bytes, path_map: Sequence[tuple[str, str]]) -> bytes | None:
    """The path here of what rTorrent has at `path`; None if that is not known."""
    if not path_map:
        return path
    turned = mapped(path, [(theirs, ours) for ours, theirs in path_map])
    return turned if mapped(turned, path_map) == path else None
