"""The wording of notifications for people: title, text and priority of an event, and which events have one cause."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from pyrotorque import humanize
from pyrotorque.errors import UserError
from pyrotorque.events import (
    ActionTaken,
    DiskLow,
    DiskRecovered,
    Event,
    JobFailed,
    JobRecovered,
    JobReported,
    LoadFailed,
    MetafileOffered,
    MetafilePlaced,
    OrphansMoved,
    ProblemEnded,
    ProblemReported,
    QuarantinePurged,
    QueueResumed,
    QueueStalled,
    RTorrentLost,
    RTorrentReturned,
    ServiceStateChanged,
    StartFailed,
    TorrentCompleted,
    TorrentErased,
    TorrentLoaded,
    TorrentMoved,
    TorrentRemoved,
    TorrentRestored,
    TorrentStarted,
)
from pyrotorque.text import counted

Priority: TypeAlias = Literal["low", "normal", "high"]
PRIORITIES: Final[tuple[Priority, ...]] = get_args(Priority)

# What happens by the hundred: in a digest if there is one.
DIGESTED: Final = frozenset(
    (
        *("TorrentLoaded", "TorrentStarted", "TorrentCompleted", "TorrentMoved", "TorrentRemoved", "TorrentErased"),
        *("TorrentRestored", "QuarantinePurged", "OrphansMoved", "JobReported", "ActionTaken"),
        *("MetafileOffered", "MetafilePlaced"),
    )
)
_PLURALS: Final = {
    "TorrentLoaded": "loaded",
    "TorrentStarted": "started",
    "TorrentCompleted": "completed",
    "TorrentMoved": "moved",
    "TorrentRemoved": "removed",
    "TorrentErased": "erased",
    "TorrentRestored": "restored",
    "QuarantinePurged": "purged",
    "OrphansMoved": "moves of orphaned files",
    "JobReported": "reports",
    "ActionTaken": "actions",
    "MetafileOffered": "offered to the fleet",
    "MetafilePlaced": "placed by the fleet",
    "LoadFailed": "not loaded",
    "StartFailed": "not started",
    "JobFailed": "failures of jobs",
}
PROBLEM_TITLES: Final[dict[str, str]] = {
    "rtorrent changed": "Another rTorrent answers",
    "rtorrent shared": "Two groups use one rTorrent",
    "metafile ambiguous": "A torrent was loaded without its settings",
    "metafile waits": "A metafile cannot be loaded yet",
    "metafile kept": "A metafile stays where it is",
    "watch.ini wrong": "A watch.ini has errors",
    "root missing": "A watched folder is missing",
    "root baseline": "Metafiles wait for your decision",
    "item gave up": "An item is not tried again",
    "service hung": "A service hung and was killed",
    "group repaired": "The group was repaired",
    "configuration wrong": "The configuration has errors",
    "state damaged": "A database is damaged",
    "fleet refused": "The servers of the fleet refuse to store something",
    "fleet rebuilt": "The claims of the fleet were lost at the servers",
    "fleet conflict": "An item is in two groups of the fleet",
    "port unavailable": "A port cannot be opened",
}
PROBLEM_ENDS: Final[dict[str, str]] = {
    "rtorrent changed": "The known rTorrent is back",
    "rtorrent shared": "The other group has ended",
    "watch.ini wrong": "A watch.ini is valid again",
    "root missing": "A watched folder is there again",
    "configuration wrong": "The configuration is valid again",
    "port unavailable": "A port is open again",
    "fleet refused": "The servers of the fleet store it again",
}
_URGENT_PROBLEMS: Final = ("state damaged",)
_WATCH_INI: Final = re.compile(r"(|/.*?)/watch\.ini[: ]")
_NAMED: Final = 5
_FAILED_STATES: Final = ("FATAL", "BACKOFF")


@dataclass(frozen=True, slots=True)
class Message:
    """What one event means to a person; `cause` is empty for what is no lasting problem."""

    kind: str
    title: str
    text: str
    subject: str = ""
    """What it is about, for a digest."""
    priority: Priority = "normal"
    cause: str = ""
    ends: str = ""
    """The cause that this event ends."""


def message(event: Event | None, *, private: bool = False) -> Message:
    """The message for an event; with `private`, names of items and paths are left out."""
    kind = "Test" if event is None else type(event).__name__
    return Message(kind=kind, **_parts(event, "an item" if private else "", kind))


def _parts(event: Event | None, hidden: str, kind: str) -> dict[str, Any]:
    match event:
        case None:
            return {"title": "Test", "text": "A test message of pyrotorque."}
        case TorrentLoaded(name=name):
            return _about("Loaded", hidden or name)
        case MetafileOffered(name=name):
            return _about("Offered to the fleet", hidden or name)
        case MetafilePlaced(name=name, group=group):
            return _about("Placed", hidden or name, f" on {group}")
        case TorrentStarted(name=name):
            return _about("Started", hidden or name)
        case TorrentCompleted(name=name):
            return _about("Completed", hidden or name)
        case TorrentMoved(name=name, new_path=path):
            return _about("Moved", hidden or name, "" if hidden else f" to {path}")
        case TorrentRemoved(name=name, reason=reason):
            return _about("Removed", hidden or name, "" if hidden else f" ({reason})")
        case TorrentErased(name=name):
            return _about("Erased", hidden or name)
        case TorrentRestored(name=name):
            return _about("Restored", hidden or name)
        case QuarantinePurged(name=name, freed=freed):
            return _about("Deleted from quarantine", hidden or name, f", {humanize.size(freed)}")
        case OrphansMoved(files=files, size=size):
            return _about("Orphaned files moved", str(files), f", {humanize.size(size)}")
        case JobReported(job=job, text=text):
            return _about(job, "a report" if hidden else text)
        case ActionTaken(by=by, action=action, target=target):
            return _about(f"{by}: {action}", hidden or target)
        case LoadFailed(metafile=path, reason=reason, job=job, kind=failure):
            name = hidden or os.path.basename(path)
            text = f"{name}: {failure if hidden else reason}"
            cause = _cause_of_template(reason) if failure == "template" else ""
            return _problem("A metafile was not loaded", text, cause or f"load {job} {failure}", subject=name)
        case StartFailed(name=name, reason=reason, job=job, kind=failure):
            text = f"{hidden or name}: {failure if hidden else reason}"
            return _problem("An item could not be started", text, f"start {job} {failure}", subject=hidden or name)
        case JobFailed(job=job, reason=reason):
            text = f"see pyrotorque status on its machine ({job})" if hidden else reason
            return _problem(f"The job {job} failed", text, f"job {job}", subject=job)
        case JobRecovered(job=job, failures=failures, seconds=seconds):
            text = f"after {humanize.duration(seconds)} and {counted(failures, 'failed run')}"
            return _end(f"The job {job} succeeded again", text, f"job {job}", subject=job)
        case RTorrentLost(reason=reason, seconds=seconds):
            text = f"for {humanize.duration(seconds)}" + ("" if hidden else f": {reason}")
            return _problem("rTorrent does not answer", text, "rtorrent", priority="high")
        case RTorrentReturned(seconds=seconds):
            text = f"after {humanize.duration(seconds)}"
            return _end("rTorrent answers again", text, "rtorrent", subject="rTorrent")
        case DiskLow(mountpoint=point):
            what = "A disk" if hidden else f"The disk at {point}"
            return _problem(f"{what} is nearly full", _room(event), f"disk {point}", subject="" if hidden else point)
        case DiskRecovered(mountpoint=point, seconds=seconds):
            what = "A disk" if hidden else f"The disk at {point}"
            text = f"after {humanize.duration(seconds)}: {_room(event)}"
            return _end(f"{what} has room again", text, f"disk {point}", subject="" if hidden else point)
        case QueueStalled(job=job, slots=slots, seconds=seconds):
            text = f"all {slots} slots stand still for {humanize.duration(seconds)} while others wait"
            return _problem(f"The queue {job} stands still", text, f"queue {job}", subject=job)
        case QueueResumed(job=job, seconds=seconds):
            text = f"after {humanize.duration(seconds)}"
            return _end(f"The queue {job} moves again", text, f"queue {job}", subject=job)
        case ProblemReported(service=service, problem=problem, subject=subject, text=text):
            text = f"see torque.log on its machine ({service})" if hidden else text
            priority: Priority = "high" if problem in _URGENT_PROBLEMS else "normal"
            title = PROBLEM_TITLES.get(problem, problem)
            return _problem(title, text, f"problem {problem} {subject}", subject=title, priority=priority)
        case ProblemEnded(problem=problem, subject=subject, text=text):
            text = "it is over" if hidden else text
            title = PROBLEM_ENDS.get(problem, f"Over: {problem}")
            return _end(title, text, f"problem {problem} {subject}", subject=title)
        case ServiceStateChanged(service=service, state=state, reason=reason):
            return _service(service, state, reason)
        case _:
            return {"title": kind, "text": "", "subject": kind}


def _cause_of_template(reason: str) -> str:
    """A watch.ini with errors is one cause, reported by itself or by the first metafile that is not loaded for it."""
    found = _WATCH_INI.match(reason)
    return f"problem watch.ini wrong {found[1] or '/'}" if found else ""


def _about(what: str, name: str, more: str = "") -> dict[str, Any]:
    return {"title": what, "text": f"{name}{more}", "subject": name, "priority": "low"}


def _problem(title: str, text: str, cause: str, *, subject: str = "", priority: Priority = "normal") -> dict[str, Any]:
    return {"title": title, "text": text, "cause": cause, "subject": subject or title, "priority": priority}


def _end(title: str, text: str, cause: str, *, subject: str) -> dict[str, Any]:
    return {"title": title, "text": text, "ends": cause, "subject": subject}


def _room(disk: DiskLow | DiskRecovered) -> str:
    share = 100 * disk.free / disk.size if disk.size else 0.0
    return f"{humanize.size(disk.free)} of {humanize.size(disk.size)} are free ({share:.1f} %)"


def _service(service: str, state: str, reason: str) -> dict[str, Any]:
    text = f"its state is {state}" + (f": {reason}" if reason else "")
    if state in _FAILED_STATES or reason:
        priority: Priority = "high" if state == "FATAL" else "normal"
        return _problem(f"The service {service} has failed", text, f"service {service}", priority=priority)
    ends = f"service {service}" if state == "RUNNING" else ""
    return {"title": f"The service {service}", "text": text, "subject": service, "ends": ends, "priority": "low"}


def needs_owner(event: Event | None) -> bool:
    """Whether an event without `on` is sent: a duplicate, or a service that starts, needs nothing."""
    match event:
        case LoadFailed(kind="duplicate") | JobFailed(rtorrent_away=True):
            return False
        case ServiceStateChanged(state=state):
            return state in (*_FAILED_STATES, "RUNNING")
        case _:
            return True


def again(text: str, count: int, since: float, now: float) -> str:
    """A text with how often the same happened since the last message."""
    times = "once" if count == 1 else f"{count} times"
    return f"{text} (again {times} since {humanize.short_time(since, now)})" if count else text


def digest(subjects: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Title and text for several events, given by kind and subject."""
    counts: Counter[str] = Counter()
    names: dict[str, list[str]] = {}
    for kind, subject in subjects:
        counts[kind] += 1
        if len(names.setdefault(kind, [])) < _NAMED and subject and subject not in names[kind]:
            names[kind].append(subject)
    parts = [f"{count} {_PLURALS.get(kind, kind)}" for kind, count in counts.items()]
    lines = [
        f"{_PLURALS.get(kind, kind)}: {', '.join(found)}{', …' if counts[kind] > len(found) else ''}"
        for kind, found in names.items()
        if found
    ]
    return ", ".join(parts), "\n".join(lines)


def parse_priorities(texts: Mapping[str, str], job: str) -> dict[str, Priority]:
    """`priority.EVENT = low | normal | high`."""
    found: dict[str, Priority] = {}
    for event, text in texts.items():
        priority: Priority | None = next((one for one in PRIORITIES if one == text.strip().lower()), None)
        if priority is None:
            raise UserError(f"job.{job}.priority.{event}: expected one of {', '.join(PRIORITIES)}, got {text!r}")
        found[event] = priority
    return found
