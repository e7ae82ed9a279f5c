"""Plans a load: whether the item starts (the load matrix), the load command, and the commands that run with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pyrotorque.events import LoadMode
from pyrotorque.loadcommands import quoted
from pyrotorque.open_loads import MARK
from pyrotorque.text import printable

FLAGS: Final = frozenset({b"start", b"load", b"queue", b"queued"})
_PRIORITY: Final = b"d.priority.set"
_NORMAL_PRIORITY: Final = b"d.priority.set=2"
_OFF: Final = b"d.priority.set=0"


class InitialState(Enum):
    """The state of a new item; the value is the word for it in logs."""

    START = "started"  # starts at once
    QUEUE = "startable"  # stopped, normal priority: the queue starts it
    HOLD = "queued"  # stopped, priority off: the queue does not start it until its owner raises the priority
    STOP = "normal"  # stopped, normal priority, without a queue

    @property
    def mode(self) -> LoadMode:
        """The same for events and metrics."""
        return {InitialState.START: "start", InitialState.QUEUE: "queued"}.get(self, "normal")  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class LoadPolicy:
    """`load_mode` and `queued` of a job or a watch.ini."""

    load_mode: str = "normal"
    queued: bool = False

    @property
    def start(self) -> bool:
        return self.load_mode in ("start", "started")


def path_flags(path: bytes, root: bytes) -> frozenset[str]:
    """The flags in the folders below `root` and in the dotted parts of the file's name."""
    relative = path[len(root.rstrip(b"/")) + 1 :]
    *folders, name = relative.split(b"/")
    return frozenset(flag.decode() for flag in FLAGS.intersection([*folders, *name.split(b".")]))


def initial_state(policy: LoadPolicy, flags: frozenset[str]) -> InitialState:
    """The load matrix: flags override settings, `start` overrides `load`, `queue` can only switch queueing on."""
    start = "start" in flags or (policy.start and "load" not in flags)
    queued = policy.queued or bool(flags & {"queue", "queued"})
    if queued:
        return InitialState.QUEUE if start else InitialState.HOLD
    return InitialState.START if start else InitialState.STOP


@dataclass(frozen=True, slots=True)
class TorrentLoad:
    """One torrent of a metafile (a magnet file may name several): the bytes and the commands that rTorrent gets."""

    info_hash: str
    name: str
    data: bytes
    commands: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """All that is needed to load a metafile."""

    torrents: tuple[TorrentLoad, ...]
    state: InitialState
    tied: bool


def log_line(job: str, name: str, mode: str) -> bytes:
    """The command that writes a line about the load to rTorrent's own log."""
    return b"print=" + quoted(f"{printable(job)}: loaded {printable(name)} ({mode})".encode())


def commands_for(
    state: InitialState, token: str, tie: bytes | None, users: Sequence[bytes], line: bytes | None = None
) -> tuple[bytes, ...]:
    """The load commands in their order.

    A command that fails leaves the item where it is, and the commands after it do not run. So the mark is completed
    last: an item without it is known to be broken. Until then its priority is off, so that the queue does not start
    it. The priority that users set comes at the end for the same reason.
    """
    mark = f"d.custom.set={MARK},{token}".encode()
    last = (mark,) if line is None else (mark, line)
    ties = () if tie is None else (tie,)
    held = (_OFF,) if state is InitialState.HOLD else ()
    if not users:
        return (*ties, *held, *last)
    others = [command for command in users if _PRIORITY not in command]
    return (mark + b".", *ties, _OFF, *others, *(held or priority_commands(users)), *last)


def priority_commands(users: Sequence[bytes]) -> tuple[bytes, ...]:
    """The commands that set the priority of an item that is not held."""
    return tuple(command for command in users if _PRIORITY in command) or (_NORMAL_PRIORITY,)


def load_command(state: InitialState, *, quiet: bool, by_path: bool = False) -> str:
    """The name of rTorrent's load command; a verbose one writes to rTorrent's own log."""
    starts = state is InitialState.START
    if not by_path:
        name = "load.raw_start" if starts else "load.raw"
    elif starts or quiet:
        name = "load.start" if starts else "load.normal"
    else:
        return "load.verbose"
    return name if quiet else f"{name}_verbose"
