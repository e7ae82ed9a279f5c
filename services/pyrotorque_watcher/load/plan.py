"""Puts together what rTorrent is told with a metafile: its verb and the commands that run before anything starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pyrotorque.loadcommands import quoted
from pyrotorque.text import printable
from pyrotorque_watcher.load.flags import Load

# The item's custom value that says who loaded it: the ledger's token, with a dot as long as commands are to follow.
MARK: Final = "pyrotorque"

_NORMAL_PRIORITY: Final = b"d.priority.set=2"
_OFF: Final = b"d.priority.set=0"


@dataclass(frozen=True, slots=True)
class Torrent:
    """One torrent of a metafile (a magnet file may name several): the bytes and the commands that rTorrent gets."""

    info_hash: str
    name: str
    data: bytes
    commands: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is needed to load a metafile, decided."""

    torrents: tuple[Torrent, ...]
    load: Load
    tied: bool


def said(job: str, name: str, mode: str) -> bytes:
    """The command that writes a line about the load to rTorrent's own log."""
    return b"print=" + quoted(f"{printable(job)}: loaded {printable(name)} ({mode})".encode())


def commands_for(
    load: Load, token: str, tie: bytes | None, users: Sequence[bytes], say: bytes | None = None
) -> tuple[bytes, ...]:
    """The load commands in their order.

    A command that fails keeps those after it from running and leaves the item where it is. So the mark is completed
    last: an item without it is known to be broken; until then its priority is off, so that the queue cannot start it.
    What users set the priority to comes at the end for the same reason.
    """
    mark = f"d.custom.set={MARK},{token}".encode()
    last = (mark,) if say is None else (mark, say)
    ties = () if tie is None else (tie,)
    held = (_OFF,) if load is Load.HOLD else ()
    if not users:
        return (*ties, *held, *last)
    priorities = [command for command in users if b"d.priority.set" in command]
    others = [command for command in users if command not in priorities]
    return (mark + b".", *ties, _OFF, *others, *(held or priorities or (_NORMAL_PRIORITY,)), *last)


def verb(load: Load, *, quiet: bool, by_path: bool = False) -> str:
    """The name of rTorrent's load command; a verbose one writes to rTorrent's own log."""
    kind = "load.start" if load is Load.START else "load.normal"
    if not by_path:
        kind = "load.raw_start" if load is Load.START else "load.raw"
    elif not quiet and load is not Load.START:
        return "load.verbose"
    return kind if quiet else f"{kind}_verbose"


def mapped(path: bytes, path_map: Sequence[tuple[str, str]]) -> bytes:
    """`path` as rTorrent sees it: the longest prefix of ours that fits is replaced by theirs."""
    fitting = [(ours.encode("utf-8", "surrogateescape").rstrip(b"/"), theirs) for ours, theirs in path_map]
    fitting = [(ours, theirs) for ours, theirs in fitting if path == ours or path.startswith(ours + b"/")]
    if not fitting:
        return path
    ours, theirs = max(fitting, key=lambda pair: len(pair[0]))
    return theirs.encode("utf-8", "surrogateescape").rstrip(b"/") + path[len(ours) :]


def globs(path: bytes) -> bool:
    """Whether rTorrent would take `path` for a pattern, an address or its home, and load something else."""
    return bool(set(path) & set(b"*?[]{}\\")) or path[:1] != b"/"
