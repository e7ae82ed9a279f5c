"""Convert rTorrent's results into values of fields: functions of texts that never raise."""

import os
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from pyrotorque import trackers, traits
from pyrotorque.fields.file_rows import once
from pyrotorque.fields.kinds import Tags
from pyrotorque.fields.unknown import UNKNOWN
from pyrotorque.tracker_verdict import failure_reason, verdict

# What a directory has that rTorrent could not print, also after it was decoded.
_ALTERED: Final = re.compile("[%?\ufffd\ud800-\udfff]")
_ACTIVATION: Final = re.compile(r"([RP])(\d{1,15})", re.ASCII)
# rTorrent counts in 64 bits; only a custom value can be longer, and would overflow a float.
_DIGITS: Final = 20


def number(text: str) -> int:
    """A whole number; 0 for any other text."""
    if text in ("", "0"):  # the most frequent texts; an exception costs ten times as much
        return 0
    try:
        return int(text) if len(text) <= _DIGITS else 0
    except ValueError:
        return 0


def flag(text: str) -> bool:
    return text not in ("", "0")


def thousandth(text: str) -> float:
    return number(text) / 1000


def percent(done: str, whole: str) -> float:
    chunks = number(whole)
    return 100.0 * number(done) / chunks if chunks else 0.0


def bytes_left(left: str, wanted: str, chunk: str, files: Sequence[Sequence[Any]] = ()) -> int:
    """Bytes that are still to be downloaded, at most a chunk too many: deselected files do not count.

    `left` counts them, and `wanted` is the number of missing chunks that are wanted. With `files`, the priorities and
    sizes of the files of an item that has no data, these decide.
    """
    size = number(chunk)
    chunks = wanted_chunks(files, size) if files and size else number(wanted)
    return min(number(left), chunks * size) if size else number(left)


def wanted_chunks(files: Sequence[Sequence[Any]], chunk: int) -> int:
    """The number of chunks that contain a part of a file whose priority is not 0."""
    count = begin = 0
    last = -1
    for priority, length in files:
        end = begin + number(str(length))
        if flag(str(priority)) and end > begin:
            first, last_of_file = begin // chunk, (end - 1) // chunk
            count += last_of_file - max(first, last + 1) + 1
            last = last_of_file
        begin = end
    return count


def any_flag(one: str, other: str) -> bool:
    return flag(one) or flag(other)


def only_second(one: str, other: str) -> bool:
    return flag(other) and not flag(one)


def total(one: str, other: str) -> int:
    return number(one) + number(other)


def first_set(first: str, second: str) -> int:
    """The first time that is set: that of the include, else rTorrent's own."""
    return number(first) or number(second)


def words(text: str) -> Tags:
    return Tags(text.lower().split())


def names(rows: Sequence[str]) -> Tags:
    """Names as a set. A packed row would join them without a separator, so they are requested for each item."""
    return Tags(name.lower() for name in rows)


def throttle(text: str) -> str:
    return text or "NONE"


def is_stale(base: str, directory: str, multi_file: str) -> bool:
    """Whether the base path is that of before a move: rTorrent updates it when it opens the item, not at once.

    In doubt not: a directory with `%`, `?` or bytes that are no text may be printed altered.
    """
    if not (base and directory.startswith("/") and multi_file) or _ALTERED.search(directory):
        return False
    folder = base if flag(multi_file) else os.path.dirname(base)
    return os.path.normpath(folder) != os.path.normpath(directory)


def path(base: str, directory: str, name: str, multi_file: str) -> str:
    """Where the data is or will be; rTorrent has no base path for an item that was never opened."""
    if is_stale(base, directory, multi_file):
        return directory if flag(multi_file) else os.path.join(directory, os.path.basename(base))
    if base or not directory:
        return base
    return directory if flag(multi_file) else os.path.join(directory, name)


def real_path(*parts: str) -> str:
    found = path(*parts)
    return os.path.realpath(os.path.expanduser(found)) if found else ""


def is_ghost(*parts: str) -> bool | None:
    """Whether the data is missing; None if the item has no path."""
    found = path(*parts)
    return not os.path.lexists(os.path.expanduser(found)) if found else None


def session_file(session: str, info_hash: str) -> str:
    return os.path.join(session, f"{info_hash}.torrent") if session else ""


def file_paths(rows: Sequence[Sequence[str]]) -> list[str]:
    return [str(row[0]) for row in rows]


def tracker(rows: Sequence[Sequence[str | int]]) -> str:
    """The announce URL of the first tracker that is enabled."""
    return next((str(row[0]) for row in rows if flag(str(row[1])) and not str(row[0]).startswith("dht://")), "")


def alias(rows: Sequence[Sequence[str | int]]) -> str:
    return trackers.domain(tracker(rows))


def traits_list(name: str, files: Sequence[Sequence[Any]], theme: str = "") -> list[str]:
    return once(files, (name, theme), lambda: traits.traits_of(name, traits.dominant_kind(files), theme))


def traits_set(name: str, files: Sequence[Sequence[Any]]) -> Tags:
    return once(files, name, lambda: Tags(traits_list(name, files)))


def label(name: str, files: Sequence[Sequence[Any]]) -> str:
    return traits.label(traits_list(name, files))


def kind(percent: int) -> Callable[[Sequence[Sequence[Any]]], Tags]:
    """A converter to the extensions that make up at least `percent` of the size."""
    return lambda files: once(files, percent, lambda: Tags(traits.kinds_from(files, percent)))


def stopped(activations: str) -> int:
    """When the item was last paused; 0 if never, or not known."""
    return next((at for mark, at in reversed(_activations(activations)) if mark == "P"), 0)


def leech_time(activations: str, started: int, completed: int, now: float) -> float | None:
    """Seconds of activity until completion, or until now; None if unknown."""
    if activations:
        return _active_between(activations, 0, completed or now)
    return float(completed - started) if started and completed else None


def seed_time(activations: str, completed: int, now: float) -> float | None:
    """Seconds of activity since completion, or all seconds if activity was not recorded; None while incomplete."""
    if not completed:
        return None
    return _active_between(activations, completed, now) if activations else max(0.0, now - completed)


def _active_between(activations: str, begin: float, end: float) -> float:
    spent, since = 0.0, None
    for mark, at in [*_activations(activations), ("P", int(end))]:
        if mark == "R" and since is None:
            since = at
        elif mark == "P" and since is not None:
            spent += max(0.0, min(at, end) - max(since, begin))
            since = None
    return spent


def _activations(text: str) -> list[tuple[str, int]]:
    return [(mark, int(at)) for mark, at in _ACTIVATION.findall(text)]


def unknown() -> None:
    """The value of a field that is stored outside of rTorrent, where that is not read."""


def unknown_links() -> frozenset[str]:
    """Where the files of items are not examined."""
    return UNKNOWN


def seeds(rows: Sequence[Sequence[str | int]]) -> int | None:
    """The largest number of seeds that an enabled tracker has given; None if it is not known."""
    return _largest(rows, 2)


def leeches(rows: Sequence[Sequence[str | int]]) -> int | None:
    return _largest(rows, 3)


def _largest(rows: Sequence[Sequence[str | int]], column: int) -> int | None:
    """rTorrent's 0 also means that no tracker has given a number, unless one was scraped."""
    known = [number(str(row[column])) for row in rows if flag(str(row[0])) and number(str(row[1]))]
    return max(known, default=None)


def scraped(rows: Sequence[Sequence[str | int]]) -> int:
    return max((number(str(row[1])) for row in rows if flag(str(row[0]))), default=0)


def tracker_reason(message: str) -> str:
    return failure_reason(message)


def is_unregistered(message: str) -> bool:
    return verdict(message).verdict == "gone"


def is_replaced(message: str) -> bool:
    return verdict(message).verdict == "replaced"


def is_tracker_down(message: str) -> bool:
    return verdict(message).verdict == "down"
