"""Records which files of a tree were equal to their copies, and how each was then: also in the next run, after a kill.

A program can set the size of a file and its time of modification to what they were, but not the time at which the
kernel last changed its inode (`ctime`). A record that is lost, or that does not match, only costs another comparison.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from pyrotorque.linux.regular_files import RECORDS_MAX, read_regular_file

_SUFFIX: Final = ".compared"
_STEP: Final = 2.0  # seconds


def file_state(found: os.stat_result) -> tuple[int, int, int]:
    """What differs after each change of a file. Not its inode number, which some filesystems change."""
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def time_to_settle(found: os.stat_result, now: float) -> float:
    """Seconds after which a further change of the file must be seen in its times, which advance in steps."""
    age = now - found.st_ctime_ns / 1e9
    return max(0.0, _STEP - max(0.0, age))


class ComparedFiles:
    """The files of one move; without a folder they are only kept in memory."""

    def __init__(self, folder: Path | None = None, info_hash: str = "") -> None:
        self._path = folder / f"{info_hash}{_SUFFIX}" if folder else None
        self._known: dict[bytes, tuple[int, int, int]] | None = None

    def add(self, path: Path, found: os.stat_result) -> None:
        """Record that the file was equal to its copy in this state, which had settled before it was compared."""
        key, state = os.fsencode(path), file_state(found)
        self._read()[key] = state
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(b" ".join((key.hex().encode(), *(b"%d" % number for number in state))) + b"\n")

    def has(self, path: Path, found: os.stat_result) -> bool:
        """Whether the file was compared, and has not changed since."""
        return self._read().get(os.fsencode(path)) == file_state(found)

    def _read(self) -> dict[bytes, tuple[int, int, int]]:
        if self._known is None:
            self._known = {}
            with suppress(OSError):
                for line in read_regular_file(self._path, limit=RECORDS_MAX).splitlines() if self._path else ():
                    with suppress(ValueError):  # cut by a crash
                        key, size, changed, ctime = line.split(b" ")
                        self._known[bytes.fromhex(key.decode())] = int(size), int(changed), int(ctime)
        return self._known


def remove_records(folder: Path, keep: "set[str] | frozenset[str]") -> None:
    """Remove the records of all moves but these."""
    for path in folder.glob(f"*{_SUFFIX}"):
        if path.stem not in keep:
            path.unlink(missing_ok=True)
