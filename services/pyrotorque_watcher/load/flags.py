"""How a metafile is to be loaded, by the settings of its job and the flags in its path."""

from dataclasses import dataclass
from enum import Enum

from pyrotorque.events import LoadMode

FLAGS = frozenset({b"start", b"load", b"queue", b"queued"})


class Load(Enum):
    """What becomes of a new item; the value is what the owner reads in logs."""

    START = "started"  # starts at once
    QUEUE = "startable"  # stopped, normal priority: the queue starts it
    HOLD = "queued"  # stopped, priority off: the queue leaves it alone until its owner raises the priority
    STOP = "normal"  # stopped, normal priority, no queue asked for

    @property
    def mode(self) -> LoadMode:
        """The same as events and metrics tell it."""
        return {Load.START: "start", Load.QUEUE: "queued"}.get(self, "normal")  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Wanted:
    """`load_mode` and `queued` as a job, or a watch.ini, sets them."""

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


def load_for(wanted: Wanted, flags: frozenset[str]) -> Load:
    """The load matrix: flags beat settings, `start` beats `load`, `queue` only ever switches queueing on."""
    start = "start" in flags or (wanted.start and "load" not in flags)
    queued = wanted.queued or bool(flags & {"queue", "queued"})
    if queued:
        return Load.QUEUE if start else Load.HOLD
    return Load.START if start else Load.STOP
